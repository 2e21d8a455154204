"""demo.py, run as its users run it, on a few frames and a detector with random weights."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.video import VideoFile, write_video
from external.ava_evaluation import read_boxes
from models import StepDetector
from tests.entries import CLASSES, Script, snapshot, write_checkpoint
from utils.person_files import KeyFrame, follow_persons
from utils.postprocess import Person

SCRIPT = "demo"
HEIGHT, WIDTH, FRAMES, FPS = 48, 80, 14, 10
# Random weights give every class about 0.5.
SHOWN = ["--conf-thresh", "0.1", "--global-thresh", "0.6", "--device", "cpu"]


def pictures(count: int = FRAMES) -> list[np.ndarray]:
    return [np.full((HEIGHT, WIDTH, 3), 10 + 15 * i, dtype=np.uint8) for i in range(count)]


def write_frames(folder: Path, count: int = FRAMES) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(pictures(count)):
        assert cv2.imwrite(str(folder / f"frame{i + 1:04d}.jpg"), image)
    return folder


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
        drawn = VideoFile(tmp_path / "out" / f"{name}.mp4")
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
        fractions = np.array(persons[0]["box"]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
        assert persons[0]["box_fraction"] == pytest.approx(fractions, abs=1e-3)

        table = read_boxes(tmp_path / "out" / f"{name}.csv")
        assert table.score.tolist() == [action["score"] for action in actions]
        assert table.label.tolist() == [action["id"] for action in actions]
        assert table.boxes.min() >= 0
        assert table.boxes.max() <= 1


def test_nothing_found_still_gives_all_files(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    named = ["--checkpoint", checkpoint, "--input", folder, "--output", tmp_path / "out"]
    assert script(*named, "--conf-thresh", 1, "--device", "cpu").code == 0
    assert (tmp_path / "out" / "play.csv").read_text() == ""
    document = json.loads((tmp_path / "out" / "play.json").read_text())
    assert [key["persons"] for key in document["key_frames"]] == [[], []]  # 30 fps: stride 8
    assert len(VideoFile(tmp_path / "out" / "play.mp4")) == FRAMES


def test_boxes_between_key_frames_lie_in_between() -> None:
    first, last = (Person((x, 0.0, x + 20.0, 20.0), [(0, 0.9)]) for x in (0.0, 8.0))
    shown = list(islice(follow_persons([KeyFrame(0, 0.0, [first]), KeyFrame(4, 0.4, [last])]), 7))
    assert shown[0] == [first]
    assert shown[1][0].box == (2.0, 0.0, 22.0, 20.0)
    assert shown[4:] == [[last]] * 3
    assert list(islice(follow_persons([]), 3)) == [[], [], []]


def test_a_key_frame_is_asked_for_when_a_frame_needs_it() -> None:
    asked = []

    def key_frames() -> Iterator[KeyFrame]:
        for frame in (0, 3, 6):
            asked.append(frame)
            yield KeyFrame(frame, frame / 10, [])

    shown = follow_persons(key_frames())
    assert [(next(shown), asked[-1])[1] for _ in range(8)] == [0, 3, 3, 3, 6, 6, 6, 6]


def test_how_fast_it_was_is_said(script: Script, checkpoint: Path, folder: Path) -> None:
    named = ["--checkpoint", checkpoint, "--input", folder, "--output", folder.parent / "out"]
    line = script(*named, "--stride", 4, *SHOWN).out.splitlines()[-1]
    number = r"[\d.]+"
    assert re.fullmatch(
        f"play: {number} clips per second, latency {number} s \\(median\\), "
        f"the model waited {number}% of the time",
        line,
    )


def spoil(path: Path) -> None:
    """Damage the middle of a video file, which shows only when it is decoded."""
    rng = np.random.default_rng(0)
    write_video(path, list(rng.integers(0, 256, (48, HEIGHT, WIDTH, 3), dtype=np.uint8)), FPS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8000] = bytes(8000)
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["damaged video", "full disk", "full disk later", "Ctrl-C"])
def test_what_ends_a_video_halfway_leaves_earlier_results(
    script: Script, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write_video(tmp_path / "v.mp4", pictures(), FPS)
    output = tmp_path / "out"
    named = ["--checkpoint", checkpoint, "--input", tmp_path / "v.mp4", "--output", output]
    assert script(*named, "--stride", 4, *SHOWN).code == 0
    earlier = snapshot(output)
    threads = threading.active_count()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_video(tmp_path / "v.mp4", pictures(10), FPS)
    if what == "damaged video":
        spoil(tmp_path / "v.mp4")
    elif what == "full disk":
        monkeypatch.setattr("data.video.write_video", full)
    elif what == "full disk later":
        monkeypatch.setattr("utils.person_files.write_json", full)
    else:
        interrupt = partial(signal.raise_signal, signal.SIGINT)
        monkeypatch.setattr(StepDetector, "forward", lambda *_: interrupt())
    outcome = script(*named, "--stride", 4, *SHOWN)
    expected = {
        "damaged video": (2, "v.mp4: damaged"),
        "full disk": (2, "error: [Errno 28] No space left on device"),
        "full disk later": (2, "error: [Errno 28] No space left on device"),
        "Ctrl-C": (130, "interrupted"),
    }
    code, said = expected[what]
    assert outcome.code == code
    assert said in outcome.err.strip().splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert snapshot(output) == earlier
    assert threading.active_count() == threads


def make_inputs(folder: Path) -> None:
    """Inputs that must be refused, beside `folder`."""
    place = folder.parent
    (place / "empty").mkdir()
    (place / "notes.mp4").write_text("not a video")
    write_video(place / "whole.mp4", pictures(), FPS)
    content = (place / "whole.mp4").read_bytes()
    (place / "cut.mp4").write_bytes(content[: len(content) // 2])
    damaged = write_frames(place / "damaged") / "frame0014.jpg"
    damaged.write_bytes(damaged.read_bytes()[:100])
    sizes = write_frames(place / "sizes") / "frame0014.jpg"
    cv2.imwrite(str(sizes), np.zeros((30, 30, 3), dtype=np.uint8))
    write_frames(place / "more" / "play")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--input", "nowhere"], "nowhere: no such video or folder of frames"),
        (["--input", "empty"], "empty: expected frames such as frame0001.jpg"),
        (["--input", "notes.mp4"], "notes.mp4: not a readable video"),
        (["--input", "cut.mp4"], "cut.mp4: "),
        (["--input", "damaged"], "frame0014.jpg: not a readable image"),
        (["--input", "sizes"], "frame0014.jpg: 30 x 30 pixels, expected 80 x 48"),
        (["--input", "play", "more"], "both are named 'play'"),
        (["--input", "play", "--conf-thresh", "1.5"], "--conf-thresh: expected a number in [0, 1]"),
        (["--input", "play", "--global-thresh", "-1"], "--global-thresh: expected a number in"),
        (["--input", "play", "--stride", "0"], "--stride: expected 1 or more, got 0"),
        (["--input", "play", "--source-fps", "0"], "--source-fps: expected a rate"),
        (["--input", "play", "--checkpoint", "cls.pt"], "cls.pt: a checkpoint of the cls stage"),
        (["--input", "play", "--checkpoint", "none.pt"], "none.pt: no such checkpoint"),
        (["--input", "play", "--device", "gpu"], "--device: expected cpu, cuda or cuda:<number>"),
        (["--input", "play", "--device", "cuda:99"], "GPUs are visible"),
        ([], "name a video file or a folder of frames with --input"),
    ],
)
def test_mistakes_are_named_and_earlier_results_stay(
    script: Script,
    checkpoint: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    make_inputs(folder)
    write_checkpoint(folder.parent / "cls.pt", task="cls")
    output = tmp_path / "out"
    output.mkdir()
    (output / "play.csv").write_text("earlier")
    message = script.refuses("--checkpoint", checkpoint, "--output", output, *more)
    assert said in message
    assert snapshot(output) == {"play.csv": b"earlier"}
