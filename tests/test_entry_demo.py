"""demo.py, run as its users run it, on a few frames and a detector with random weights."""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.video.file import TimedFrame
from data.video.windows import VideoFile, write_video
from data.video.writer import write_timed
from external.ava_evaluation import read_boxes
from recipes import RECIPES
from recipes.base import Recipe
from tests.demo_runs import FPS, FRAMES, HEIGHT, SHOWN, WIDTH, pictures, write_frames
from tests.entries import CLASSES, Script, snapshot, write_checkpoint
from utils.reporting.person_track import KeyFrame, PersonTrack
from utils.reporting.persons import Person

SCRIPT = "demo"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return write_checkpoint(folder / "best.pt", dataset="no_such_dataset")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "in" / "play")


def test_frames_and_videos_become_annotated_videos_and_tables(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    write_video(folder.parent / "film.mp4", pictures(), FPS)
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", "--source-fps", FPS]
    outcome = script(*named, "--input", folder.parent, "--stride", 4, *SHOWN)
    assert outcome.code == 0, outcome.err
    for name in ("film", "play"):
        drawn = VideoFile(tmp_path / "out" / f"{name}_detected.mp4")
        images = [frame.image for frame in drawn.frames()]
        assert (len(images), drawn.fps) == (FRAMES, FPS)
        assert images[0].shape == (HEIGHT, WIDTH, 3)
        assert images[5].std() > 10  # the sources are plain: what varies is drawn

        document = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert [key["frame"] for key in document["key_frames"]] == [0, 4, 8, 12]
        assert [key["time"] for key in document["key_frames"]] == [0.0, 0.4, 0.8, 1.2]
        assert (document["width"], document["height"], document["stride"]) == (WIDTH, HEIGHT, 4)
        persons = [person for key in document["key_frames"] for person in key["persons"]]
        actions = [action for person in persons for action in person["actions"]]
        assert actions
        assert {(a["id"], a["name"]) for a in actions} <= set(CLASSES.items())
        assert document["version"] == 1
        numbers = {person["person"] for person in document["persons"]}
        assert numbers == {person["person"] for person in persons}
        told = {int(n) for n in re.findall(r"^  person (\d+): ", outcome.out, re.M)}
        assert len(told & numbers) >= min(len(numbers), 10)
        fractions = np.array(persons[0]["box"]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
        assert persons[0]["box_fraction"] == pytest.approx(fractions, abs=1e-3)

        table = read_boxes(tmp_path / "out" / f"{name}.csv")
        assert table.score.tolist() == [action["score"] for action in actions]
        assert table.label.tolist() == [action["id"] for action in actions]
        assert table.boxes.min() >= 0
        assert table.boxes.max() <= 1


def test_results_of_another_checkpoint_are_replaced_with_a_word(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    other = write_checkpoint(tmp_path / "other.pt", dataset="elsewhere")
    said = f"{tmp_path / 'out'}: replaces the results of play, which best.pt made"
    for path, is_said in ((checkpoint, False), (checkpoint, False), (other, True), (other, False)):
        named = ["--checkpoint", path, "--output", tmp_path / "out", folder, "--no-video"]
        outcome = script(*named)
        assert outcome.code == 0, outcome.err
        assert (said in outcome.err) == is_said


def test_a_detector_without_a_demo_says_so(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [field.name for field in dataclasses.fields(Recipe) if field.default is MISSING]
    plain = Recipe(**{name: getattr(RECIPES["step"], name) for name in fields})
    monkeypatch.setitem(RECIPES, "step", plain)
    said = script.refuses("--checkpoint", checkpoint, "--output", tmp_path / "out", folder)
    assert f"{checkpoint}: a step detector finds nothing that a demo could show" in said


def test_a_report_has_the_video_and_the_steps(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", folder, "--report"]
    outcome = script(*named, "--stride", 4, *SHOWN)
    assert outcome.code == 0, outcome.err
    assert "play_detected.mp4, .csv, .json, .html" in outcome.out
    page = (tmp_path / "out" / "play.html").read_text()
    facts = re.search(r'id="facts">(.*?)</script>', page)
    assert facts is not None
    assert json.loads(facts[1])["steps"] == {"steps": 4, "tubes": 34}
    assert len(re.search(r'id="film">(.*?)</script>', page)[1]) > 1000  # type: ignore[index]
    assert not (tmp_path / "out" / "play_report.mp4").exists()
    monkeypatch.setattr("recipes.report_film.EMBEDDED_BYTES", 0)
    assert script(*named, "--stride", 4, *SHOWN).code == 0
    page = (tmp_path / "out" / "play.html").read_text()
    assert "the video is in play_report.mp4, which must lie beside this page" in page
    film = VideoFile(tmp_path / "out" / "play_report.mp4")
    assert len(film) == FRAMES
    first = next(iter(film.frames())).image
    assert first.std() < 3  # nothing is drawn on it


def test_nothing_found_still_gives_all_files(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    named = ["--checkpoint", checkpoint, "--input", folder, "--output", tmp_path / "out"]
    outcome = script(*named, "--conf-thresh", 1, "--device", "cpu")
    assert outcome.code == 0
    assert "play: nothing scored above 1; --conf-thresh 0.25 shows" in outcome.err
    assert (tmp_path / "out" / "play.csv").read_text() == ""
    document = json.loads((tmp_path / "out" / "play.json").read_text())
    assert [key["persons"] for key in document["key_frames"]] == [[], []]  # 30 fps: stride 8
    assert len(VideoFile(tmp_path / "out" / "play_detected.mp4")) == FRAMES


def test_boxes_between_key_frames_lie_in_between() -> None:
    first, last = (Person((x, 0.0, x + 20.0, 20.0), [(0, 0.9)]) for x in (0.0, 8.0))
    track = PersonTrack([KeyFrame(0, 0.0, [first]), KeyFrame(3, 0.5, [last])])
    assert track.at(0.0) == [first]
    assert track.at(0.125)[0].box == (2.0, 0.0, 22.0, 20.0)  # by time, whatever the frames' rate
    assert [track.at(time) for time in (0.5, 0.6, 9.0)] == [[last]] * 3
    assert [PersonTrack([]).at(time) for time in (0.0, 1.0)] == [[], []]


def test_a_key_frame_is_asked_for_when_a_frame_needs_it() -> None:
    asked = []

    def key_frames() -> Iterator[KeyFrame]:
        for frame in (0, 3, 6):
            asked.append(frame)
            yield KeyFrame(frame, frame / 10, [])

    track = PersonTrack(key_frames())
    needed = [(track.at(frame / 10), asked[-1])[1] for frame in range(8)]
    assert needed == [0, 3, 3, 3, 6, 6, 6, 6]


def test_what_was_found_is_said_in_plain_words(
    script: Script, checkpoint: Path, folder: Path
) -> None:
    named = ["--checkpoint", checkpoint, folder, "--output", folder.parent / "out"]
    lines = script(*named, "--stride", 4, *SHOWN).out.splitlines()
    line = next(line for line in lines if line.startswith("play: "))
    number = r"[\d.]+"
    assert re.fullmatch(
        r"play: (one person|up to \d+ persons) at a time(, \d+ in all)?, 4 key frames: "
        rf"\S+/out/play_detected\.mp4, \.csv, \.json \({number} s, {number} key frames a second\)",
        line,
    )


def test_a_frame_rate_that_changes_keeps_its_times_and_four_key_frames_a_second(
    script: Script, checkpoint: Path, tmp_path: Path
) -> None:
    """A second at 20 frames, then a second at 5, and a header that claims 1000."""
    times = [Fraction(i, 20) for i in range(20)] + [1 + Fraction(i, 5) for i in range(6)]
    frames = (TimedFrame(t, image) for t, image in zip(times, pictures(13) * 2, strict=True))
    write_timed(tmp_path / "v.mkv", frames, Fraction(1, 1000), Fraction(1000))
    outcome = script(
        "--checkpoint", checkpoint, tmp_path / "v.mkv", "--output", tmp_path / "out", *SHOWN
    )
    assert outcome.code == 0, outcome.err
    assert VideoFile(tmp_path / "out" / "v_detected.mp4").times == times
    document = json.loads((tmp_path / "out" / "v.json").read_text())
    assert [key["time"] for key in document["key_frames"]] == [
        *(0, 0.25, 0.5, 0.75, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
    ]
    assert document["key_frames_per_second"] == 4


def test_a_toy_detector_on_other_videos_says_so(
    script: Script, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.toy.actors import ACTIONS

    for names, said in (
        ([a.name for a in ACTIONS[:3]], True),
        (["walk", "sit", "fly"], False),
    ):
        monkeypatch.setattr("tests.entries.CLASSES", dict(enumerate(names, start=1)))
        checkpoint = write_checkpoint(tmp_path / "best.pt", dataset="toy")
        outcome = script("--checkpoint", checkpoint, folder, "--output", tmp_path / "out", *SHOWN)
        assert ("knows drawn figures only" in outcome.err) == said


def test_without_inputs_the_videos_of_the_run_s_own_dataset_are_taken(
    script: Script, tmp_path: Path
) -> None:
    """The run knows its dataset, and that it was trained on boxes which a video does not have."""
    run, data = tmp_path / "run", tmp_path / "data"
    for place in (run, data / "videos"):
        place.mkdir(parents=True)
    write_video(data / "videos" / "own.mp4", pictures(), FPS)
    path = write_checkpoint(run / "best.pt", dataset="no_such_dataset")
    named = ["--checkpoint", path, "--output", tmp_path / "out", *SHOWN]
    assert "no input: name a video file" in script.refuses(*named)
    (run / "log.jsonl").touch()
    (run / "config.yaml").write_text(f"data: {{root: {data}, proposals: persons.csv}}\n")
    outcome = script(*named)
    assert outcome.code == 0, outcome.err
    assert "trained on the boxes in persons.csv; here it starts from a grid of 34" in outcome.err
    assert (tmp_path / "out" / "own.json").is_file()


def test_a_jump_in_the_clock_is_said(script: Script, checkpoint: Path, tmp_path: Path) -> None:
    """Two recordings, appended one to the other as cameras and `cat` do."""
    write_timed(
        tmp_path / "a.ts",
        (TimedFrame(Fraction(i, FPS), image) for i, image in enumerate(pictures())),
        Fraction(1, 90000),
        Fraction(FPS),
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", *SHOWN]
    outcome = script(*named, joined)
    assert outcome.code == 0, outcome.err
    (line,) = (line for line in outcome.err.splitlines() if "clock" in line)
    assert re.match(
        r"joined: the clock of this video jumps by -1\.\d+ s at 1\.4\d s, as where", line
    )
    assert "clock" not in script(*named, tmp_path / "a.ts").err


def test_only_chosen_classes_are_shown_and_no_video_is_drawn(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", folder, "--stride", 4]
    (tmp_path / "t.json").write_text(json.dumps({CLASSES[3]: 0.99}))
    chosen = ["--no-video", "--classes", CLASSES[2], "3", "--thresholds", tmp_path / "t.json"]
    outcome = script(*named, *SHOWN, *chosen)
    assert outcome.code == 0, outcome.err
    assert sorted(snapshot(tmp_path / "out")) == ["play.csv", "play.json"]
    assert "out/play.csv, .json" in outcome.out
    document = json.loads((tmp_path / "out" / "play.json").read_text())
    shown = {
        action["id"]
        for key in document["key_frames"]
        for person in key["persons"]
        for action in person["actions"]
    }
    assert shown == {2}
    said = script.refuses(*named, "--classes", "no such")
    assert "--classes: no class 'no such' among the detector's 3" in said


def test_resume_leaves_alone_what_is_done_with_the_same_settings(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    write_frames(tmp_path / "in" / "more")
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", "--resume", "--no-video"]
    assert script(*named, folder, "--stride", 4, *SHOWN).code == 0
    before = (tmp_path / "out" / "play.json").stat().st_mtime_ns
    outcome = script(*named, folder.parent, "--stride", 4, *SHOWN)
    assert outcome.code == 0
    assert "play: done before" in outcome.out
    assert (tmp_path / "out" / "more.json").is_file()
    assert (tmp_path / "out" / "play.json").stat().st_mtime_ns == before
    outcome = script(*named, folder.parent, "--stride", 5, *SHOWN)
    assert "done before" not in outcome.out
    assert json.loads((tmp_path / "out" / "play.json").read_text())["stride"] == 5
