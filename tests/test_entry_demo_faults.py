"""demo.py where something is wrong: refusals, interruptions, what is kept of results and inputs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.video.file import TimedFrame
from data.video.windows import VideoFile, write_video
from external.ava_evaluation import read_boxes
from models import StepDetector
from tests.demo_runs import FPS, SHOWN, pictures, spoil, write_frames
from tests.entries import Script, snapshot, write_checkpoint
from tests.helpers import ROOT
from utils.formats.checkpoints import save_checkpoint

SCRIPT = "demo"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return write_checkpoint(folder / "best.pt", dataset="no_such_dataset")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "in" / "play")


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
        monkeypatch.setattr("data.video.rewrite.write_timed", full)
    elif what == "full disk later":
        monkeypatch.setattr("recipes.person_results.write_json", full)
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
        (["--input", "play", "--device", "cpu", "conf=0.1"], "lowest score shown is --conf-thresh"),
        (["--input", "play", "--device", "cpu", "--smoth", "1"], "unrecognized arguments: --smoth"),
        (["--input", "play", "conf=0.1"], "conf=0.1: the demo takes no key=value"),
        (["--input", "play", "--gap", "-1"], "--gap: expected 0 or more seconds, got -1"),
        (["--input", "play", "--smoothing", "nan"], "--smoothing: expected 0 or more seconds"),
        (["--input", "play", "--min-duration", "inf"], "--min-duration: expected 0 or more"),
        (
            ["--input", "play", "--checkpoint", "cls.pt"],
            "cls.pt: expected a checkpoint of the step stage",
        ),
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


def test_an_input_in_the_output_s_folder_stays_and_is_not_taken_twice(
    script: Script, checkpoint: Path, tmp_path: Path
) -> None:
    """The second call finds its own annotated video beside the source, and leaves it alone."""
    write_video(tmp_path / "a,b.mp4", pictures(), FPS)
    before = (tmp_path / "a,b.mp4").read_bytes()
    for _ in range(2):
        outcome = script("--checkpoint", checkpoint, tmp_path, "--output", tmp_path, *SHOWN)
        assert outcome.code == 0, outcome.err
        assert set(snapshot(tmp_path)) == {"a,b.mp4", "a,b_detected.mp4", "a,b.csv", "a,b.json"}
    assert (tmp_path / "a,b.mp4").read_bytes() == before
    assert {row.split('",')[0] for row in (tmp_path / "a,b.csv").read_text().splitlines()} == {
        '"a,b'
    }
    assert {key[0] for key in read_boxes(tmp_path / "a,b.csv").keys} == {"a,b"}


@pytest.mark.parametrize("name", ["film_detected.mp4", "film.csv", "film.json"])
def test_a_user_s_file_in_the_place_of_a_result_is_refused_before_work(
    script: Script, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    write_video(tmp_path / "film.mp4", pictures(), FPS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    message = script.refuses(
        "--checkpoint", checkpoint, tmp_path / "film.mp4", "--output", tmp_path / "out"
    )
    assert f"{name}: is there already and was not made by this command" in message
    assert snapshot(tmp_path / "out") == {name: b"mine"}


def test_an_input_named_like_a_result_of_another_is_refused(
    script: Script, checkpoint: Path, tmp_path: Path
) -> None:
    for name in ("film.mp4", "film_detected.mp4"):
        write_video(tmp_path / name, pictures(), FPS)
    earlier = snapshot(tmp_path)
    message = script.refuses("--checkpoint", checkpoint, tmp_path, "--output", tmp_path)
    assert "would overwrite the input" in message
    assert snapshot(tmp_path) == earlier


def test_a_second_demo_on_one_folder_is_refused(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    holder = (
        "import sys, pathlib, utils.system.locks as l\n"
        "with l.folder_lock(pathlib.Path(sys.argv[1]), 'demo.py'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline() == b"held\n"
        message = script.refuses("--checkpoint", checkpoint, folder, "--output", tmp_path / "out")
        assert f"is in use by demo.py, process {other.pid}" in message
        other.stdin.close()


def test_one_bad_video_of_several_is_named_in_a_table(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    """One cannot be opened, one fails halfway; what is between them is whole."""
    (folder.parent / "a\x1b[31m.mp4").write_text("no video")
    spoil(folder.parent / "b.mp4")
    outcome = script(
        "--checkpoint", checkpoint, folder.parent, "--output", tmp_path / "out", *SHOWN
    )
    assert outcome.code == 1
    assert set(snapshot(tmp_path / "out")) == {"play_detected.mp4", "play.csv", "play.json"}
    table = {line.split(":")[0]: line for line in outcome.out.splitlines()[-3:]}
    assert list(table) == ["a\\x1b[31m", "b", "play"]
    assert "failed: " in table["a\\x1b[31m"]
    assert "b.mp4: damaged" in table["b"]
    assert "2 key frames" in table["play"]
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_found_before_a_signal_is_kept(
    script: Script,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    write_video(tmp_path / "v.mp4", pictures(17) * 6, FPS)
    forward, calls = StepDetector.forward, []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(number)
        time.sleep(0.1)  # what was detected is shown meanwhile
        return forward(*arguments)

    monkeypatch.setattr(StepDetector, "forward", interrupted)
    threads = threading.active_count()
    outcome = script(
        *("--checkpoint", checkpoint, tmp_path / "v.mp4", "--output", tmp_path / "out"),
        *("--stride", 2, *SHOWN),
    )
    assert outcome.code == 128 + number
    assert "interrupted; partial results of v, to " in outcome.err.splitlines()[-1]
    document = json.loads((tmp_path / "out" / "v.json").read_text())
    assert document["partial"] is True
    ready = len(document["key_frames"])
    assert 2 <= ready < 51
    frames = list(VideoFile(tmp_path / "out" / "v_detected.mp4").frames())
    assert 2 * ready - 1 <= len(frames) <= 2 * ready
    rows = read_boxes(tmp_path / "out" / "v.csv")
    assert rows.score.tolist() == [
        action["score"]
        for key in document["key_frames"]
        for person in key["persons"]
        for action in person["actions"]
    ]
    assert threading.active_count() == threads
    monkeypatch.undo()
    assert not list((tmp_path / "out").glob(".unfinished*"))


def test_a_decoder_that_hangs_is_given_up(
    script: Script, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "v.mp4", pictures(), FPS)
    release = threading.Event()
    frames = VideoFile.frames

    def hang(self: VideoFile, *arguments: object) -> Iterator[TimedFrame]:
        yield from islice(frames(self), 5)
        release.wait(60)

    monkeypatch.setattr(VideoFile, "frames", hang)
    message = script.refuses(
        *("--checkpoint", checkpoint, tmp_path / "v.mp4", "--output", tmp_path / "out"),
        *("--step-limit", 0.3, *SHOWN),
    )
    release.set()
    assert "v.mp4: no progress for 0.3 s" in message
    assert snapshot(tmp_path / "out") == {}


@pytest.mark.parametrize("what", ["--input", "--checkpoint"])
def test_pipes_and_devices_are_refused_at_once(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path, what: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        chosen = {"--input": folder, "--checkpoint": checkpoint, what: path}
        message = script.refuses(*(part for pair in chosen.items() for part in pair))
        assert f"{path}: expected a " in message
        assert "this is a pipe or a device" in message


def test_scores_that_are_no_numbers_are_an_error(
    script: Script, folder: Path, tmp_path: Path
) -> None:
    """As in test.

    Args:
        py: Weights that overflow would otherwise find nobody, silently.
    """
    path = write_checkpoint(tmp_path / "best.pt")
    content = torch.load(path, weights_only=True)
    weight = content["model"]["heads.0.classifier.weight"]
    weight[:, ::2], weight[:, 1::2] = 3e38, -3e38
    content["model"]["heads.0.global_reduce.bias"].fill_(1e3)
    save_checkpoint(content, path)
    message = script.refuses("--checkpoint", path, folder, "--output", tmp_path / "out", *SHOWN)
    assert "step 1: the detector's scores are not finite" in message
    assert snapshot(tmp_path / "out") == {}
