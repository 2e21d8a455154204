"""The report's page: what it holds, and how it behaves in a browser."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.browser import Browser, find_chromium, open_browser
from data.video.windows import write_video
from utils.formats.person_results import PersonResults, SeenFrame, SeenTube, Segment
from utils.reporting.action_spans import PersonHistory, SpanRules, person_histories
from utils.reporting.person_files import VideoPersons
from utils.reporting.person_track import KeyFrame, PersonTrack, StepBoxes
from utils.reporting.persons import Person
from utils.reporting.report.columns import Columns
from utils.reporting.report.found import rows_found
from utils.reporting.report.page import Film, write_report

CHROMIUM = find_chromium()
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")
WIDTH, HEIGHT, SECONDS = 320, 180, 6
# Names that would break a page which does not escape.
NAMES = ["walk", "</script><script>window.broken=1</script>", 'a "b"\u0007\u202e & <b>c</b>\u2028']


def make_video(name: str = "a <i>video</i> & 'so'") -> VideoPersons:
    """Person 1 walks to the right for 6 s; person 2 does two things from 2 to 4 s."""
    keys = []
    for k in range(4 * SECONDS):
        time = k / 4
        persons = [Person((10.0 + 2 * k, 40, 60.0 + 2 * k, 160), [(0, 0.9)], 1)]
        if 2 <= time < 4:
            persons.append(Person((200, 30, 260, 170), [(1, 0.8), (2, 0.5)], 2))
        keys.append(KeyFrame(k * 5, time, persons))
    keys[4].steps = make_steps()
    return VideoPersons(name, HEIGHT, WIDTH, 20.0, keys, end=float(SECONDS))


def make_steps() -> StepBoxes:
    """Three proposals that three steps move towards the persons."""
    first = torch.tensor([[0.0, 0, 160, 180], [160, 0, 320, 180], [-9, -9, 400, 400]])
    last = torch.tensor([[20.0, 40, 70, 160], [200, 30, 260, 170], [0, 0, 320, 180]])
    boxes = torch.stack([first + (last - first) * s / 3 for s in range(4)])
    scores = torch.tensor([[0.0, 0, 0], [0.3, 0.2, 0.1], [0.6, 0.5, 0.1], [0.9, 0.8, 0.1]])
    return StepBoxes(boxes, torch.tensor([[0, 1, 0]] * 4), scores)


def histories_of(video: VideoPersons) -> list[PersonHistory]:
    return person_histories(video.key_frames, video.end, SpanRules())


def make_page(folder: Path, film: Film | None = None, video: VideoPersons | None = None) -> Path:
    video = video or make_video()
    path = folder / "a page #1.html"
    write_report(path, video, histories_of(video), NAMES, 0.4, film)
    return path


def make_film(folder: Path, embedded: bool) -> Film:
    images = [np.full((HEIGHT, WIDTH, 3), 2 * i, np.uint8) for i in range(20 * SECONDS)]
    write_video(folder / "the film %20.mp4", images, 20)
    return Film(folder / "the film %20.mp4", embedded)


def script_text(page: str, name: str) -> str:
    match = re.search(rf'id="{name}">(.*?)</script>', page, re.S)
    assert match is not None
    return match[1]


def test_columns_say_where_they_lie() -> None:
    columns = Columns()
    columns.add("small", "u1", [1, 2, 255])
    columns.add("large", "u4", [[7, 2**32 - 1]])
    columns.add("real", "f4", [0.5, float("nan")])
    block = base64.b64decode(columns.encoded())
    assert columns.layout == {"small": ("u1", 0, 3), "large": ("u4", 4, 2), "real": ("f4", 12, 2)}
    assert np.frombuffer(block, "<u4", 2, 4).tolist() == [7, 2**32 - 1]
    with pytest.raises(ValueError, match=r"score: expected values in \[0, 255\], got 256"):
        columns.add("score", "u1", [0, 256])
    with pytest.raises(ValueError, match="score"):
        columns.add("score", "u1", [-1])


def test_a_page_holds_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    film = make_film(tmp_path, embedded=True)
    page = make_page(tmp_path, film).read_text(encoding="utf-8")
    facts = json.loads(script_text(page, "facts"))
    assert facts["classes"] == NAMES
    assert facts["steps"] == {"steps": 4, "tubes": 3}
    assert base64.b64decode(script_text(page, "film")) == film.path.read_bytes()
    block = base64.b64decode(script_text(page, "block"))
    kind, start, count = facts["columns"]["row_box"]
    boxes = np.frombuffer(block, f"<{kind}", count, start).reshape(-1, 4) / 65535
    expected = [person.box for key in make_video().key_frames for person in key.persons]
    assert np.allclose(boxes * ([WIDTH, HEIGHT] * 2), expected, atol=0.01)
    assert "<i>video" not in page
    assert page.count("</script>") == 4  # three blocks of data and the script
    assert not re.search(r"https?://|<link|<img|@import|src=", page)


def test_a_video_without_persons_has_a_page(tmp_path: Path) -> None:
    nobody = VideoPersons("v", HEIGHT, WIDTH, 20.0, [KeyFrame(0, 0.0, [])], end=0.05)
    facts = json.loads(script_text(make_page(tmp_path, video=nobody).read_text(), "facts"))
    assert facts["steps"] is None
    assert facts["columns"]["row_box"][2] == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with open_browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def opened(browser: Browser, path: Path) -> Browser:
    browser.problems.clear()
    browser.open(path.as_uri())
    browser.wait("window.report && report.rowsDrawn !== undefined")
    return browser


@needs_browser
@pytest.mark.parametrize("embedded", [True, False])
def test_the_page_is_used(browser: Browser, tmp_path: Path, embedded: bool) -> None:
    page = opened(browser, make_page(tmp_path, make_film(tmp_path, embedded)))
    page.wait("report.hasVideo")
    assert page.run("window.broken") is None
    assert page.run("document.getElementById('name').textContent") == "a <i>video</i> & 'so'"
    assert page.run("report.rowsDrawn") == 2

    page.run("report.seek(3)")
    page.wait("report.personsShown === 2")
    page.wait("!report.waiting && Math.abs(report.video.currentTime - 3) < 0.06")
    # Person 2's first bar: the second row, the first lane, from 1.875 s on.
    x, y = page.run(
        "(() => {const r = report.timeline.canvas.getBoundingClientRect();"
        "return [r.left + report.timeline.x(2.5), r.top + report.timeline.tops[1] + 22 + 5]})()"
    )
    page.click(x, y)
    page.wait("Math.abs(report.time - 1.875) < 1e-6")

    page.run("report.setThreshold(0.85)")
    page.wait("report.rowsDrawn === 1")
    assert page.run("document.getElementById('count').textContent") == "1 of 3 actions"
    page.run("report.setThreshold(0.4)")
    box = "document.getElementById('person')"
    page.run(f"{box}.value = '2'; {box}.dispatchEvent(new Event('input'))")
    page.wait("report.rowsDrawn === 1 && report.table.rows.length === 2")
    page.run(f"{box}.value = ''; {box}.dispatchEvent(new Event('input')); {box}.blur()")
    page.run("document.querySelector('#classes input').click()")
    page.wait("report.rowsDrawn === 1")
    assert page.run("document.querySelectorAll('#classes label')[1].textContent") == NAMES[1]
    assert "\u25a1\u25a1 &" in page.run(
        "document.querySelectorAll('#classes label')[2].textContent"
    )
    assert page.problems == []
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@needs_browser
def test_keys_move_play_and_show_steps(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, make_page(tmp_path, make_film(tmp_path, True)))
    page.wait("report.hasVideo")
    page.run("document.activeElement.blur()")
    page.press("ArrowRight")
    page.wait("Math.abs(report.time - 0.25) < 1e-6")
    page.press("[", "[")
    page.wait("Math.abs(report.filter.threshold - 0.35) < 1e-6")
    page.press(" ", " ")
    page.wait("report.playing && report.time > 0.6")
    page.press(" ", " ")
    page.wait("!report.playing")
    page.press("s", "s")
    page.wait("report.stepIndex === 0 && report.time === 1")
    page.wait(
        "document.getElementById('step-text').textContent === "
        "'step 3 of 3: 3 boxes; 2 end above 0.35'"
    )
    page.run("report.moveSteps(); report.setStep(0); performance.now()")
    page.wait("document.getElementById('step-text').textContent.startsWith('proposals: 3 boxes')")
    page.run("setTimeout(() => { window.waited = true; }, 300)")
    page.wait("window.waited")
    assert page.run("report.stepAt") == 0, "a step that was chosen is kept"
    page.press("s", "s")
    page.wait("report.stepIndex === -1")
    page.run("document.getElementById('table').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.wait("report.table.chosen === 1 && report.time === 1.875")
    assert page.problems == []


def make_results(segments: list[Segment], frames: list[SeenFrame]) -> PersonResults:
    return PersonResults(1, "v", False, WIDTH, HEIGHT, 20.0, [], [], frames, segments)


def found_page(folder: Path, results: PersonResults) -> Path:
    times = [i / 20 for i in range(20 * SECONDS)]
    video, histories, rows = rows_found(results, [11, 7, 30], times)
    path = folder / "found.html"
    write_report(path, video, histories, NAMES, 0.4, make_film(folder, True), rows)
    return path


def text(page: Browser, name: str) -> str:
    return page.run(f"document.getElementById('{name}').textContent")


@needs_browser
def test_tubes_are_rows_with_boxes_where_they_are(browser: Browser, tmp_path: Path) -> None:
    """Tube 0 from 1 s to 2 s, tube 4 from 1.5 s to 3 s, each of a class."""
    box, other = (20.0, 40.0, 70.0, 160.0), (200.0, 30.0, 260.0, 170.0)
    frames = []
    for i in range(20, 60):
        tubes = [SeenTube(0, box, box)] * (i < 40) + [SeenTube(4, other, other)] * (i >= 30)
        frames.append(SeenFrame(i, i / 20, [], tubes))
    segments = [
        Segment(30, "c", 1.0, 2.0, 0.9, tube=0),
        Segment(7, "b", 1.5, 3.0, 0.6, tube=4),
    ]
    page = opened(browser, found_page(tmp_path, make_results(segments, frames)))
    page.wait("report.hasVideo && report.rowsDrawn === 2")
    assert text(page, "about") == "2 tubes \u00b7 120 frames \u00b7 0:06.0 long"
    assert (text(page, "row-title"), text(page, "row-head")) == ("Tubes over time", "Tube")
    assert text(page, "stops") == "frames"
    assert page.run("getComputedStyle(document.getElementById('step-help')).display") == "none"
    for time, numbers in {0.9: [], 1.2: [0], 1.7: [0, 4], 2.9: [4], 3.2: [], 5.0: []}.items():
        found = page.run(f"report.personsAt({time})")
        assert [one["number"] for one in found] == numbers
    place = np.array(page.run("report.personsAt(1.2)[0].box")) * ([WIDTH, HEIGHT] * 2)
    assert place == pytest.approx(box, abs=0.01)
    page.run("report.seek(1.7)")
    page.wait("report.personsShown === 2")
    page.run("report.setThreshold(0.7)")
    page.wait("report.personsShown === 1 && report.table.rows.length === 1")
    assert page.problems == []
    page.screenshot(tmp_path / "tubes.png")


@needs_browser
def test_segments_are_bars_of_their_class(browser: Browser, tmp_path: Path) -> None:
    """Their scores may exceed 1; there are no boxes and no filter of numbers."""
    segments = [
        Segment(7, "b", 1.0, 2.0, 2.5),
        Segment(11, "a", 1.5, 5.0, 0.6),
        Segment(7, "b", 3.0, 4.0, 0.5),
    ]
    page = opened(browser, found_page(tmp_path, make_results(segments, [])))
    page.wait("report.hasVideo && report.rowsDrawn === 2")
    assert text(page, "about") == "3 segments \u00b7 0:06.0 long"
    assert (text(page, "row-title"), text(page, "stops")) == ("Segments over time", "starts")
    assert page.run("getComputedStyle(document.getElementById('row-filter')).display") == "none"
    assert page.run("report.timeline.rows.map((row) => row.spans.length)") == [1, 2]
    cells = (
        "[...document.querySelectorAll('#table .row')].map((row) => row.children[4].textContent)"
    )
    page.wait(f"{cells}.length === 3")
    assert sorted(page.run(cells)) == ["0.50", "0.60", "2.50"]
    page.run("document.activeElement.blur()")
    for start in (1, 1.5, 3, 3):
        page.press("ArrowRight")
        page.wait(f"Math.abs(report.time - {start}) < 1e-6")
    page.wait("report.personsShown === 0")
    page.run("report.setThreshold(0.55)")
    page.wait("report.table.rows.length === 2")
    page.run("report.setThreshold(2.4)")
    page.wait("report.rowsDrawn === 1 && report.table.rows.length === 1")
    page.run("report.setThreshold(0.4)")
    page.wait("report.rowsDrawn === 2")
    assert page.problems == []
    page.screenshot(tmp_path / "segments.png")


def test_results_without_tubes_or_segments_have_a_page(tmp_path: Path) -> None:
    page = found_page(tmp_path, make_results([], [])).read_text()
    assert json.loads(script_text(page, "facts"))["rows"]["points"] == "0 segments"


@needs_browser
def test_without_a_video_boxes_and_times_still_work(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, make_page(tmp_path))
    page.wait("!document.getElementById('trouble').hidden")
    page.run("report.seek(3)")
    page.wait("report.personsShown === 2")
    film = make_film(tmp_path, False)
    path = make_page(tmp_path, film)
    film.path.write_bytes(b"not a film")
    page = opened(browser, path)
    page.wait("document.getElementById('trouble').textContent.startsWith('This browser cannot')")


@needs_browser
def test_the_page_places_persons_as_the_drawn_video_does(browser: Browser, tmp_path: Path) -> None:
    """Between key frames, beyond them, and across a cut."""
    video = make_video()
    video.key_frames[9].cut = 2.1
    page = opened(browser, make_page(tmp_path, video=video))
    track = PersonTrack(video.key_frames)
    for time in (0.0, 0.1, 0.25, 1.8, 1.9, 2.05, 2.15, 3.7, 3.9, 5.9):
        expected = {person.number: person.box for person in track.at(time)}
        found = {one["number"]: one["box"] for one in page.run(f"report.personsAt({time})")}
        assert found.keys() == expected.keys()
        for number, box in found.items():
            assert np.array(box) * ([WIDTH, HEIGHT] * 2) == pytest.approx(
                expected[number], abs=0.01
            )
