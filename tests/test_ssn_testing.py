"""`test.py` and `demo.py` with SSN on a tiny dataset: files, figures, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from data.snippets.video import VideoFrames
from data.toy.segment_plays import CLASSES
from data.video.file import VideoFile
from external.anet_evaluation import evaluate as evaluate_files
from external.anet_evaluation.reading import read_segments
from external.names import Names
from models import open_checkpoint
from models.ssn.bundle import write_bundle
from recipes import open_detector
from recipes.demo import run_demo
from recipes.demo_options import DemoOptions
from recipes.segment_finder import in_frames
from recipes.ssn_scoring import DenseScoring, advance_together, score_video
from recipes.ssn_testing import SSNTest, detect_split, measure_found
from recipes.testing import TestRequest, run_test
from tests.helpers import ROOT
from tests.segment_checkpoints import make_videos, save_actionness, save_ssn
from utils.config.ssn import TestConfig
from utils.formats.person_results import read_results
from utils.formats.segment_scores import SegmentScores, read_scores


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("toy") / "segments")


@pytest.fixture(scope="module")
def bundle(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    parts = [
        save_ssn(folder / "rgb.pt", root),
        save_ssn(folder / "flow.pt", root, "Flow"),
        save_actionness(folder / "actionness.pt", root, "Flow"),
    ]
    write_bundle(parts, folder / "all.pt")
    return folder / "all.pt"


def request(checkpoint: Path, root: Path, output: Path, *overrides: str) -> TestRequest:
    paths = ("frames=videos", "annotation=segments.json", "workers=0")
    return TestRequest(checkpoint, output, str(root), None, [*paths, *overrides])


def test_a_bundle_is_tested_by_stream_and_fused(bundle: Path, root: Path, tmp_path: Path) -> None:
    run_test(request(bundle, root, tmp_path), torch.device("cpu"))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["streams"]) == {"RGB", "Flow"}
    assert (
        set(metrics["streams"]["RGB"])
        == set(metrics["mean_ap"])
        == {f"{0.1 * i:.1f}" for i in range(1, 10)}
    )
    scores = {name: read_scores(tmp_path / f"scores_{name}.npz") for name in ("rgb", "flow")}
    assert set(scores["rgb"]) == {"toy_test_000", "toy_test_001"}
    found = json.loads((tmp_path / "detections.json").read_text())["results"]
    with open(tmp_path / "detections.csv") as file:
        rows = list(csv.DictReader(file))
    assert sum(map(len, found.values())) == len(rows) > 0
    assert {row["class"] for row in rows} <= set(CLASSES)
    assert all(0 <= float(r["start"]) <= float(r["end"]) <= 20 for r in rows)


def test_ground_truth_as_scores_is_found_exactly(bundle: Path, root: Path) -> None:
    checkpoint = open_checkpoint(bundle)
    config = checkpoint.config
    config.data.root, config.data.frames = str(root), "videos"
    config.data.annotation = "segments.json"
    tested = SSNTest(checkpoint, config)
    tested.prepare(torch.device("cpu"))
    found = tested.found["RGB"]
    scores = {}
    for video in found.videos:
        spans = video.truth / video.frames
        activity = np.full((len(spans), 7), -20.0)
        activity[np.arange(len(spans)), video.truth_labels] = 20.0
        completeness = np.zeros((len(spans), 6))
        regression = np.zeros((len(spans), 6, 2))
        scores[video.video] = SegmentScores(spans, activity, completeness, regression)
    result = measure_found(detect_split(scores, config.test), found, config.test).every
    assert set(result.mean_ap.values()) == {1.0}


def test_the_figures_are_those_of_the_files_beside_them(
    bundle: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`metrics.json`, scripts/ssn/evaluate.py and the evaluation of files agree, and count a video
    whose frames are missing as missed."""
    data = Path(shutil.copytree(root, tmp_path / "data"))
    (data / "videos" / "toy_test_001.mp4").unlink()
    output = tmp_path / "results"
    run_test(request(bundle, data, output), torch.device("cpu"))
    said = capsys.readouterr().out
    assert "1 of 2 videos of the list have no scores, and their instances count as missed" in said
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["without_scores"], metrics["scored_only"]["videos"]) == (1, 1)
    files = evaluate_files(data / "segments.json", output / "detections.json",
                           subsets=["validation"])  # fmt: skip
    assert (files.videos, files.without_predictions) == (2, 1)
    for threshold, value in files.mean_ap.items():
        assert metrics["mean_ap"][threshold] == pytest.approx(value, abs=1e-3), threshold
    assert metrics["scored_only"]["mean_ap"]["0.1"] > metrics["mean_ap"]["0.1"] > 0
    command = [sys.executable, ROOT / "scripts" / "ssn" / "evaluate.py",
               output / "scores_rgb.npz", output / "scores_flow.npz",
               "--list", data / "proposals_test.txt", "--annotation", data / "segments.json",
               "--output", tmp_path / "again"]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert again["mean_ap"] == metrics["mean_ap"]
    assert again["scored_only"]["mean_ap"] == metrics["scored_only"]["mean_ap"]
    rows = [json.loads((folder / "detections.json").read_text())["results"]
            for folder in (output, tmp_path / "again")]  # fmt: skip
    assert rows[0] == rows[1]


def test_detections_have_the_names_of_the_annotation(
    bundle: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a list with the paths of the videos, too, as the release writes them."""
    text = (root / "proposals_test.txt").read_text()
    paths = tmp_path / "paths.txt"
    paths.write_text(text.replace("\ntoy_test", "\n/old/disk/frames/toy_test"))
    for name, more in (("plain", ()), ("paths", (f"val_list={paths}",))):
        run_test(request(bundle, root, tmp_path / name, *more), torch.device("cpu"))
    for file in ("detections.json", "detections.csv"):
        assert (tmp_path / "plain" / file).read_text() == (tmp_path / "paths" / file).read_text()
    capsys.readouterr()
    other = (root / "segments.json").read_text().replace("toy_test_001", "toy_test_777")
    (tmp_path / "other.json").write_text(other)
    more = ("annotation=segments.json", f"val_annotation={tmp_path / 'other.json'}")
    run_test(request(bundle, root, tmp_path / "other", *more), torch.device("cpu"))
    said = capsys.readouterr().out
    assert "1 of 2 videos with scores are not in" in said
    assert "detections.json and .csv are without them: toy_test_001" in said
    found = json.loads((tmp_path / "other" / "detections.json").read_text())["results"]
    assert set(found) == {"toy_test_000"}


def test_without_completeness_activity_alone_decides() -> None:
    scores = SegmentScores(
        np.array([[0.1, 0.2], [0.5, 0.6]]),
        np.array([[0.0, 5.0, 0.0], [0.0, 4.0, 0.0]]),
        np.array([[-9.0, 0.0], [9.0, 0.0]]),
        np.zeros((2, 2, 2)),
    )
    whole = detect_split({"v": scores}, TestConfig())["v"]
    alone = detect_split({"v": scores}, TestConfig(completeness=False))["v"]
    assert whole.spans[whole.scores.argmax()][0] == pytest.approx(0.5)
    assert alone.spans[alone.scores.argmax()][0] == pytest.approx(0.1)


def test_options_that_do_not_fit_are_refused(bundle: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test\.score_weights: expected 2.*RGB, Flow, got 1"):
        run_test(request(bundle, root, tmp_path, "score_weights=[1]"), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"nms_threshold: expected -1 or 0 to 1, got -0\.5"):
        run_test(request(bundle, root, tmp_path, "nms_threshold=-0.5"), torch.device("cpu"))
    few = save_ssn(tmp_path / "few.pt", root, "RGB", 3)
    with pytest.raises(ValueError, match=r"num_classes is 3, but .* has 6 classes"):
        run_test(request(few, root, tmp_path / "few"), torch.device("cpu"))
    text = (root / "segments.json").read_text()
    (root / "renamed.json").write_text(text.replace("hold a sign", "carry a sign"))
    renamed = request(bundle, root, tmp_path / "renamed", "annotation=renamed.json")
    wrong = r"data\.annotation=renamed\.json has: hold a sign, .*\(6\), not carry a sign, .*\(6\)"
    with pytest.raises(ValueError, match=wrong):
        run_test(renamed, torch.device("cpu"))


def test_chunks_of_several_networks_decode_once_and_change_nothing(
    bundle: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = VideoFile(root / "videos" / "toy_test_000.mp4")
    networks = open_checkpoint(bundle).build()
    rgb, flow = networks.streams["RGB"], networks.streams["Flow"]
    opened = []
    frames = film.frames
    monkeypatch.setattr(film, "frames", lambda start: opened.append(start) or frames(start))
    source = VideoFrames(film, (32, 32), kept=60)
    scorings = [DenseScoring(rgb, source, 1, 4, 5), DenseScoring(flow, source, 10, 3, 30)]
    places = []
    while (place := advance_together(scorings)) is not None:
        places.append(place)
    assert places == sorted(places)
    assert len(opened) == 1
    whole = DenseScoring(flow, VideoFrames(film, (32, 32)), 10, 3, 10_000).result()
    torch.testing.assert_close(scorings[1].result(), whole, atol=1e-5, rtol=1e-4)
    spans = np.array([[3, 50], [80, 119]])
    scores = score_video(rgb, VideoFrames(film, (32, 32)), spans, interval=4, chunk=7)
    assert scores.activity.shape == (2, 7)


def test_spans_in_frames_stay_in_the_video_and_hold_a_frame() -> None:
    shares = np.array([[0.0, 0.5], [0.2, 1.3], [0.3, 0.304], [1.0, 1.2]])
    assert in_frames(shares, 100).tolist() == [[0, 50], [20, 100]]


def test_the_demo_writes_tables_timeline_and_video(
    bundle: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = DemoOptions(
        bundle, tmp_path, [root / "held_out"], score_threshold=0, device="cpu", report=True
    )
    assert run_demo(options)
    captured = capsys.readouterr()
    assert '"one": "class"' in (tmp_path / "toy_demo_000.html").read_text()
    assert "toy videos" in captured.err  # this checkpoint knows nothing of where its data lies
    names = {f"toy_demo_000{e}" for e in (".csv", ".json", "_timeline.png", "_detected.mp4")}
    assert names <= {path.name for path in tmp_path.iterdir()}
    read = read_results(tmp_path / "toy_demo_000.json")
    found = read.segments
    assert (read.persons, read.key_frames) == ([], [])
    assert [one.start for one in found] == sorted(one.start for one in found)
    table, submission = (
        read_segments(tmp_path / f"toy_demo_000{end}", Names(), scored=True)[0]
        for end in (".csv", ".json")
    )
    assert submission.start.tolist() == [one.start for one in found]
    assert sorted(submission.score) == pytest.approx(sorted(table.score), abs=1e-5)
    rows = (tmp_path / "toy_demo_000.csv").read_text().splitlines()
    assert rows[0] == "video,start,end,class,score"
    assert len(rows) - 1 == len(found) > 0
    source = VideoFile(root / "held_out" / "toy_demo_000.mp4")
    drawn = VideoFile(tmp_path / "toy_demo_000_detected.mp4")
    assert drawn.times == source.times
    assert (drawn.width, drawn.height > source.height) == (48, True)
    assert (tmp_path / "toy_demo_000_timeline.png").read_bytes()[:4] == b"\x89PNG"


def test_the_demo_of_a_part_keeps_the_video_s_times(
    bundle: Path, root: Path, tmp_path: Path
) -> None:
    video = root / "held_out" / "toy_demo_000.mp4"
    length = float(VideoFile(video).times[-1])
    options = DemoOptions(
        bundle,
        tmp_path,
        [video],
        score_threshold=0,
        device="cpu",
        start=Fraction(1),
        end=Fraction(3),
        classes=["tanzen"],
        rename=[f"{CLASSES[0]}=tanzen"],
        max_side=24,
    )
    assert length > 3
    assert run_demo(options)
    found = read_results(tmp_path / "toy_demo_000.json").segments
    assert {one.name for one in found} == {"tanzen"}
    assert 1 <= min(one.start for one in found) < max(one.end for one in found) <= 3.01
    drawn = VideoFile(tmp_path / "toy_demo_000_detected.mp4")
    assert drawn.width == 24
    assert float(drawn.times[-1]) < 2
    before = (tmp_path / "toy_demo_000.csv").stat().st_mtime_ns
    assert run_demo(replace(options, resume=True))
    assert (tmp_path / "toy_demo_000.csv").stat().st_mtime_ns == before
    assert run_demo(replace(options, resume=True, min_duration=5))
    assert read_results(tmp_path / "toy_demo_000.json").segments == []


def test_segments_are_answered_in_python_as_persons_are(
    bundle: Path, root: Path, tmp_path: Path
) -> None:
    video = root / "held_out" / "toy_demo_000.mp4"
    answers = open_detector(bundle, score_threshold=0, device="cpu")(video)
    assert (answers.persons, answers.key_frames) == ([], [])
    records = answers.to_records()
    assert [(r["start"], r["name"]) for r in records] == [
        (one.start, one.name) for one in answers.segments
    ]
    assert records
    for ending in (".json", ".csv", ".png"):
        answers.save(tmp_path / f"film{ending}")
    assert read_results(tmp_path / "film.json") == answers.data
    assert len((tmp_path / "film.csv").read_text().splitlines()) == len(records) + 1


def test_the_demo_of_a_single_stream_says_what_it_lacks(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    checkpoint = save_ssn(tmp_path / "rgb.pt", root)
    video = root / "held_out" / "toy_demo_000.mp4"
    options = DemoOptions(checkpoint, tmp_path / "out", [video], score_threshold=1, device="cpu")
    assert run_demo(options)
    captured = capsys.readouterr()
    assert "proposals are sliding windows" in captured.err
    assert "no segment found" in captured.out
    rows = (tmp_path / "out" / "toy_demo_000.csv").read_text().splitlines()
    assert rows == ["video,start,end,class,score"]
