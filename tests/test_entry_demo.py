"""demo.py, run as its users run it, on a few frames and a detector with random weights."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.video import VideoFile, write_video
from external.ava_evaluation import read_boxes
from tests.entries import CLASSES, Script, snapshot, write_checkpoint
from utils.person_files import KeyFrame, VideoPersons
from utils.postprocess import Person

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
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("demo", monkeypatch, capsys)


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
    video = VideoPersons("v", 48, 80, 10.0, [KeyFrame(0, 0.0, [first]), KeyFrame(4, 0.4, [last])])
    assert video.at(0) == [first]
    assert video.at(1)[0].box == (2.0, 0.0, 22.0, 20.0)
    assert video.at(4) == [last]
    assert video.at(6) == [last]
    assert VideoPersons("v", 48, 80, 10.0).at(3) == []


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
        (["--input", "play", "damaged"], "frame0014.jpg: not a readable image"),
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
