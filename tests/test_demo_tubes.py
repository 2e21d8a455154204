"""`demo.py` on detectors of tubes: files, times, videos that do not suit, answers in Python."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.datasets.tube_csv import read_tube_csv
from data.video.file import VideoFile
from data.video.frame_folder import FrameFolder
from data.video.inputs import Sources
from models import open_checkpoint
from recipes import open_detector
from recipes.tube_demo import demo_notes
from tests.entries import Script, snapshot
from tests.helpers import ROOT
from tests.tube_entries import write_tested_videos, write_tube_checkpoint
from utils.formats.person_results import read_results

SCRIPT = "demo"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tested_videos(tmp_path_factory.mktemp("tubes") / "toy")


@pytest.mark.parametrize("inputs", ["rgb", "early"])
def test_the_demo_writes_what_it_found(
    script: Script, root: Path, tmp_path: Path, inputs: str
) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root, inputs=inputs)
    film = root / "videos" / "Jump" / "v_Jump_g01_c01.avi"
    outcome = script(
        "--checkpoint", path, "--input", film, "--output", tmp_path / "out", "--device", "cpu",
        "--conf-thresh", 0.01, "--stride", 2,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    files = snapshot(tmp_path / "out")
    assert sorted(files) == [f"v_Jump_g01_c01{e}" for e in (".csv", ".json", "_detected.mp4")]
    document = json.loads(files["v_Jump_g01_c01.json"])
    assert document["frames"] == 32
    tubes = read_tube_csv(tmp_path / "out" / "v_Jump_g01_c01.csv")
    assert len(tubes.tubes) == len(document["segments"]) > 0
    assert np.all(tubes.tubes.boxes <= 32)
    for one in document["segments"]:
        assert one["name"] == tubes.classes[tubes.tubes.label[one["tube"]]]
        assert one["first_frame"] == tubes.tubes.start[one["tube"]] - 1
        assert one["last_frame"] == tubes.tubes.last[one["tube"]] - 1 < 32
    read = read_results(tmp_path / "out" / "v_Jump_g01_c01.json")
    assert read.persons == []
    first = tubes.tubes.boxes[tubes.tubes.ends[0]]
    key = next(key for key in read.key_frames if any(t.tube == 0 for t in key.tubes))
    assert key.frame == tubes.tubes.start[0] - 1
    assert next(t.box for t in key.tubes if t.tube == 0) == pytest.approx(first, abs=0.01)
    assert ("flow is computed by DIS" in outcome.err) == (inputs == "early")


@pytest.mark.parametrize(
    ("end", "said"),
    [(4, "4 frames are less than a clip of 6"), (9, "9 frames are less than the 15")],
)
def test_the_demo_says_why_a_short_video_has_no_tubes(
    script: Script, root: Path, tmp_path: Path, end: int, said: str
) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    film = root / "videos" / "Jump" / "v_Jump_g01_c01.avi"
    times = [float(time) for time in VideoFile(film).times]
    outcome = script(
        "--checkpoint", path, film, "--output", tmp_path / "out", "--device", "cpu",
        "--conf-thresh", 0.01, "--end", times[end],
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert f"v_Jump_g01_c01: {said}" in outcome.err
    assert "--conf-thresh" not in outcome.err


def test_the_demo_of_a_part_keeps_the_video_s_times_and_frames(
    script: Script, root: Path, tmp_path: Path
) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    film = root / "videos" / "Jump" / "v_Jump_g01_c01.avi"
    times = VideoFile(film).times
    named = ["--checkpoint", path, film, "--output", tmp_path / "out", "--device", "cpu"]
    choose = ["--start", float(times[8]), "--end", float(times[24]), "--max-side", 16]
    rename = ["--rename", "Jump=hop", "--classes", "hop"]
    outcome = script(*named, "--conf-thresh", 0.01, "--stride", 2, *choose, *rename)
    assert outcome.code == 0, outcome.err
    found = read_results(tmp_path / "out" / "v_Jump_g01_c01.json")
    assert {one.name for one in found.segments} == {"hop"}
    frames = [key.frame for key in found.key_frames]
    assert 8 <= min(frames) <= max(frames) <= 23
    assert [key.time for key in found.key_frames] == pytest.approx(
        [float(times[frame]) for frame in frames], abs=1e-5
    )
    tubes = read_tube_csv(tmp_path / "out" / "v_Jump_g01_c01.csv").tubes
    assert int(tubes.start.min()) - 1 == min(frames)
    drawn = VideoFile(tmp_path / "out" / "v_Jump_g01_c01_detected.mp4")
    assert (len(drawn), drawn.width) == (16, 16)
    again = ["--resume", "--conf-thresh", 0.01, "--stride", 2, *choose, *rename]
    assert "v_Jump_g01_c01: done before" in script(*named, *again).out
    said = script.refuses(*named, "--smoothing", 1)
    assert "--smoothing: only for detectors that number persons" in said


def test_tubes_are_answered_in_python_as_persons_are(root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    film = root / "videos" / "Jump" / "v_Jump_g01_c01.avi"
    options = {"score_threshold": 0.01, "stride": 2, "device": "cpu", "min_duration": 0.2}
    answers = open_detector(path, **options)(film)
    assert answers.persons == []
    assert [one.tube for one in answers.segments] != []
    records = answers.to_records()
    assert len(records) == sum(len(key.tubes) for key in answers)
    assert {record["tube"] for record in records} == {one.tube for one in answers.segments}
    for ending in (".json", ".csv", ".jsonl", ".mp4", ".html"):
        answers.save(tmp_path / f"film{ending}")
    lines = [json.loads(line) for line in (tmp_path / "film.jsonl").read_text().splitlines()]
    seen = [
        {"frame": line["frame"], **{key: tube[key] for key in ("tube", "id", "name", "score")}}
        for line in lines
        for tube in line["tubes"]
    ]
    assert seen == [{key: record[key] for key in seen[0]} for record in records]
    assert '"one": "tube"' in (tmp_path / "film.html").read_text()
    assert read_results(tmp_path / "film.json") == answers.data
    assert len(VideoFile(tmp_path / "film.mp4")) == 32
    with pytest.raises(ValueError, match="expected a name that ends with"):
        answers.save(tmp_path / "film.xml")
    with pytest.raises(ValueError, match="--smoothing: only for detectors that number persons"):
        open_detector(path, smoothing=1.0)
    command = [sys.executable, "scripts/export_results.py", str(tmp_path / "film.json")]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "film.xml")], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines_again = [*command, "-o", str(tmp_path / "again.jsonl")]
    said = subprocess.run(lines_again, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"again.jsonl: {len(answers.segments)} tubes, {len(lines)} key frames" in said
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "film.jsonl").read_bytes()
    assert "film.json: has no persons, and .xml is for persons" in done.stderr


def test_a_stride_longer_than_a_clip_is_refused(script: Script, root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    film = root / "videos" / "Jump" / "v_Jump_g01_c01.avi"
    said = script.refuses("--checkpoint", path, film, "--output", tmp_path / "o", "--stride", 7)
    assert "--stride: expected 1 to 6" in said


def test_the_demo_notes_videos_of_another_rate(root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    checkpoint = open_checkpoint(path)
    opened = {}
    for rate in (24, 25, 12, 60):
        folder = tmp_path / f"{rate} frames"
        folder.mkdir()
        cv2.imwrite(str(folder / "1.jpg"), np.zeros((8, 8, 3), np.uint8))
        opened[folder.name] = FrameFolder(folder, rate)
    notes = [note for note in demo_notes(checkpoint, Sources(opened)) if "a second" in note]
    assert [note.split(" has ")[0] for note in notes] == ["note: 12 frames", "note: 60 frames"]
    assert "the training videos had 25" in notes[0]
