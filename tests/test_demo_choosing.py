"""What demo.py looks at, what counts, what is written, and many videos at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from data.video.file import VideoFile
from data.video.windows import write_video
from recipes.demo_classes import rename_classes
from recipes.results_files import source_fingerprint
from tests.demo_runs import FPS, HEIGHT, SHOWN, WIDTH, pictures, spoil, write_frames
from tests.entries import Script, snapshot, write_checkpoint
from tests.helpers import ROOT
from utils.formats.checkpoints import save_checkpoint

SCRIPT = "demo"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.pt", dataset="no_such_dataset")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "in" / "play")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_part_of_a_video_has_the_video_s_times_and_detections(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    named = ["--checkpoint", checkpoint, folder, "--source-fps", FPS, *SHOWN]
    assert script(*named, "--output", out / "all", "--stride", 4).code == 0
    part = ["--start", "0:00.4", "--end", 1.1, "--report"]
    outcome = script(*named, "--output", out / "part", "--stride", 4, *part)
    assert outcome.code == 0, outcome.err
    whole, found = (read(out / name / "play.json") for name in ("all", "part"))
    assert [(k["frame"], k["time"]) for k in found["key_frames"]] == [(4, 0.4), (8, 0.8)]
    boxes = [[p["box"] for p in k["persons"]] for k in whole["key_frames"][1:3]]
    assert [[p["box"] for p in k["persons"]] for k in found["key_frames"]] == boxes
    assert (found["start"], found["end"]) == (0.4, 1.1)
    assert max(p["end"] for p in found["persons"]) <= 1.1
    drawn = VideoFile(out / "part" / "play_detected.mp4")
    assert (len(drawn), drawn.times[0]) == (7, 0)
    facts = re.search(r'id="facts">(.*?)</script>', (out / "part" / "play.html").read_text())
    assert facts is not None
    assert [round(json.loads(facts[1])[name], 6) for name in ("start", "end")] == [0.4, 1.1]


def test_videos_without_the_part_fail_and_the_others_go_on(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    write_frames(folder.parent / "short", 3)
    named = ["--checkpoint", checkpoint, "--source-fps", FPS, "--start", 1, "--no-video", *SHOWN]
    outcome = script(*named, folder.parent, "--output", tmp_path / "out")
    assert outcome.code == 1
    assert "short: failed: " in outcome.out
    assert "--start 1 s is past the end of this video" in outcome.out
    assert (tmp_path / "out" / "play.json").is_file()
    said = script.refuses(*named, folder.parent / "short", "--output", tmp_path / "out")
    assert "short: --start 1 s is past the end" in said


def test_max_side_is_of_the_video_and_boxes_stay_the_source_s(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    named = ["--checkpoint", checkpoint, folder, "--stride", 4, *SHOWN]
    for name, more in (("plain", []), ("small", ["--max-side", 40])):
        assert script(*named, "--output", tmp_path / name, *more).code == 0
    plain, small = (read(tmp_path / name / "play.json") for name in ("plain", "small"))
    assert small["key_frames"] == plain["key_frames"]
    assert (small["width"], small["height"]) == (WIDTH, HEIGHT)
    drawn = VideoFile(tmp_path / "small" / "play_detected.mp4")
    assert (drawn.width, drawn.height) == (40, 24)
    assert next(iter(drawn.frames())).image.std() > 10  # the boxes are drawn
    said = script.refuses(*named, "--output", tmp_path, "--max-side", 40, "--no-video")
    assert "--max-side: sets the size of written videos, but --no-video writes none" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--start", "1:70"], "argument --start: expected less than 60 behind each colon"),
        (["--start", "soon"], "argument --start: expected seconds, M:SS or H:MM:SS, got 'soon'"),
        (["--start", "2", "--end", "2"], "--end: expected a time after --start, got 2 s"),
        (["--max-side", "8"], "--max-side: expected 16 or more, got 8"),
        (["--jobs", "0"], "--jobs: expected 1 or more, got 0"),
        (["--rename", "no such=x"], "--rename: no class 'no such' among the detector's 3"),
        (["--rename", "none.json"], "--rename: expected \"old=new\" or a file, got 'none.json'"),
        (["--rename", "1=x", "action 1=y"], "the class 'action 1' is renamed twice"),
        (["--rename", "1=action 2"], "name 'action 2' stands twice, as ids 1 and 2"),
        (["--rename", "1="], "the new name of 'action 1' is empty"),
    ],
)
def test_mistakes_are_named_before_work(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path, more: list[str], said: str
) -> None:
    named = ["--checkpoint", checkpoint, folder, "--output", tmp_path / "out", "--device", "cpu"]
    assert said in script.refuses(*named, *more)
    assert not (tmp_path / "out" / "play.json").exists()


@pytest.mark.parametrize(
    "option", ["--jobs 2", "--start 1", "--end 1", "--max-side 99", "--report", "--no-video"]
)
def test_what_is_for_files_is_refused_with_a_live_stream(
    script: Script, checkpoint: Path, option: str
) -> None:
    said = script.refuses("--checkpoint", checkpoint, "http://127.0.0.1:9/x", *option.split())
    assert f"{option.split()[0]}: only for files, and http://127.0.0.1:9/x is a live stream" in said


def test_classes_are_shown_in_the_user_s_words(
    script: Script, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.json"
    names.write_text('{"action 2": "<b>sp\u00fclen</b>"}')
    named = ["--checkpoint", checkpoint, folder, "--output", tmp_path / "out", "--stride", 4]
    more = ["--rename", "action 1=put away", names, "--classes", "put", "action 2", "--report"]
    assert script(*named, *SHOWN, *more).code == 0
    document = read(tmp_path / "out" / "play.json")
    seen = {(a["id"], a["name"]) for k in document["key_frames"] for p in k["persons"]
            for a in p["actions"]}  # fmt: skip
    assert seen == {(1, "put away"), (2, "<b>sp\u00fclen</b>")}
    assert document["renamed"] == {"action 1": "put away", "action 2": "<b>sp\u00fclen</b>"}
    assert "<b>sp" not in (tmp_path / "out" / "play.html").read_text()


def test_renaming_takes_ids_beginnings_swaps_and_label_maps(tmp_path: Path) -> None:
    classes = {4: "walk (e.g., on a way)", 7: "run"}
    assert rename_classes(classes, ["walk=run", "7=walk"]) == {4: "run", 7: "walk"}
    (tmp_path / "names.yaml").write_text("7: rennen\n")
    assert rename_classes(classes, [str(tmp_path / "names.yaml")])[7] == "rennen"
    assert rename_classes(classes, []) == classes


def test_resume_knows_a_checkpoint_by_its_content(
    script: Script, folder: Path, tmp_path: Path
) -> None:
    """The same name and the same size, but other weights; and a video that was replaced."""
    path = write_checkpoint(tmp_path / "best.pt", dataset="no_such_dataset")
    other = write_frames(folder.parent / "other")
    named = ["--checkpoint", path, folder, other, "--output", tmp_path / "out", "--no-video"]

    def run() -> str:
        outcome = script(*named, "--resume", "--stride", 4, *SHOWN)
        assert outcome.code == 0, outcome.err
        return outcome.out

    run()
    assert run().count("done before") == 2
    size = path.stat().st_size
    content = torch.load(path, weights_only=True)
    for value in content["model"].values():
        value += 1  # in place: tensors share their memory in the file
    save_checkpoint(content, path)
    assert path.stat().st_size == size
    assert "done before" not in run()
    frame = other / "frame0001.jpg"
    size, image = frame.stat().st_size, np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    black = cv2.imencode(".jpg", image)[1].tobytes()
    frame.write_bytes(black + bytes(size - len(black)))  # what follows the picture is no part of it
    assert frame.stat().st_size == size
    assert run().count("done before") == 1


@pytest.mark.parametrize("size", [1, 1000, 17 << 18, (17 << 18) + 1, 50_000_000])
def test_a_fingerprint_covers_both_ends_and_the_middle_of_a_video(
    tmp_path: Path, size: int
) -> None:
    path, found = tmp_path / "a.mp4", set()
    for changed in (None, 0, size // 2, size - 1):
        with path.open("wb") as file:
            file.truncate(size)
            if changed is not None:
                file.seek(changed)
                file.write(b"x")
        assert path.stat().st_size == size
        found.add(source_fingerprint(path))
    assert len(found) == len({None, 0, size // 2, size - 1})
    copied = path.rename(tmp_path / "b.mp4")
    os.utime(copied, (0, 0))
    assert source_fingerprint(copied) in found  # by content, not by name or time


def test_a_fingerprint_covers_every_byte_of_a_short_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    content = np.random.default_rng(0).integers(0, 255, (17 << 18) - 99, np.uint8)
    found = set()
    for changed in np.linspace(0, len(content) - 1, 40).astype(int):
        other = content.copy()
        other[changed] ^= 255
        path.write_bytes(other.tobytes())
        found.add(source_fingerprint(path))
    assert len(found) == 40


def many(folder: Path) -> Path:
    """Three films, of which one is damaged in its middle."""
    folder.mkdir()
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", pictures(), FPS)
    spoil(folder / "bad.mp4", frames=120)  # its beginning is looked at before work
    return folder


def test_several_videos_at_once_are_as_one_after_another(
    script: Script, checkpoint: Path, tmp_path: Path
) -> None:
    films = many(tmp_path / "films")
    named = ["--checkpoint", checkpoint, films, "--stride", 4, "--no-video", *SHOWN]
    said = []
    for name, more in (("turn", []), ("jobs", ["--jobs", 2])):
        outcome = script(*named, "--output", tmp_path / name, *more)
        assert outcome.code == 1, outcome.err
        assert "error: bad: " in outcome.err
        said.append([line for line in outcome.out.splitlines() if re.match(r"(a|b|bad): ", line)])
    assert said[0][-3:] == said[1][-3:]  # the table
    assert [line.split()[0] for line in said[1][-3:]] == ["a:", "b:", "bad:"]
    assert "bad: failed: " in said[1][-1]
    assert snapshot(tmp_path / "jobs") == snapshot(tmp_path / "turn")
    made = json.loads((tmp_path / "jobs" / ".step-made.json").read_text())
    assert made["demo"] == ["a.csv", "a.json", "b.csv", "b.json"]


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_keeps_what_they_have_found(
    checkpoint: Path, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for i in range(4):
        write_video(films / f"f{i}.mp4", pictures() * 40, FPS)
    named = ["--checkpoint", checkpoint, films, "--output", tmp_path / "out", "--jobs", "2", *SHOWN]
    command = [sys.executable, str(ROOT / "demo.py"), *map(str, named), "--stride", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as demo:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "out").glob(".unfinished-*/content/.*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: all processes get it
        _, said = demo.communicate(timeout=100)
    assert demo.returncode == 130
    assert b"interrupted with the results of 0 of 4 videos; --resume goes on" in said
    assert b"Traceback" not in said
    assert b"leaked" not in said
    assert said.count(b"interrupted; partial results of f") == 2
    found = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("f?.json")]
    assert [one["partial"] for one in found] == [True, True]
    assert all(one["key_frames"] for one in found)
    written = list((tmp_path / "out").glob("f?_detected.mp4"))
    assert len(written) == 2
    assert all(0 < len(VideoFile(path)) < 40 * len(pictures()) for path in written)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(films) not in listed.stdout
