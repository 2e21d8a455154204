"""SSN's scripts as a user runs them: lists, evaluation, and a look at the data before training."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.check.segments import check_frames, check_list
from data.datasets.segment_proposals import THUMOS14, relative_truth
from data.datasets.segment_writing import activitynet_json
from external.anet_evaluation import evaluate as evaluate_files
from tests.helpers import ROOT, SHARED
from utils.evaluation.proposal_recall import measure_proposals
from utils.formats.proposal_lists import (
    ListedVideo,
    Proposal,
    TrueSegment,
    read_proposal_list,
    write_proposal_list,
)

PUBLISHED = (
    SHARED / "data" / "activitynet12" / "activitynet1.2_tag_val_normalized_proposal_list.txt"
)
published_only = pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no list at {PUBLISHED}")
TABLE = "video,start,end,label,duration\na,2,6,run,20\nb,1,3,sit,10\nb,5,9,run,10\n"


def run(name: str, *arguments: object, status: int = 0, cwd: Path | None = None) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "ssn" / name), *map(str, arguments)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert outcome.returncode == status, outcome.stderr
    return outcome.stdout if status == 0 else outcome.stderr


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    return path


def actionness(spans: list[tuple[int, int]], ticks: int) -> np.ndarray:
    """Two crops, whose mean is 4 inside the spans and -4 outside."""
    action = np.full(ticks, -4.0)
    for start, end in spans:
        action[start:end] = 4.0
    both = np.stack([-action, action], axis=1)
    return np.stack([both - 1, both + 1], axis=1)


def test_from_a_table_to_lists(table, tmp_path):
    """Windows and TAG of one's own annotation, then frames instead of fractions."""
    windows = tmp_path / "windows.txt"
    said = run("proposals.py", "windows", table, "train", "-o", windows)
    assert "2 videos with 3 instances" in said
    assert [len(v.proposals) for v in read_proposal_list(windows)] == [65, 34]
    scores = {
        "/old/frames/a": actionness([(40, 120)], 400),
        "/old/frames/b": actionness([(20, 60), (100, 180)], 200),
        "/old/frames/other": actionness([], 5),
    }
    (tmp_path / "rgb.pkl").write_bytes(pickle.dumps(scores))
    tag = tmp_path / "tag.txt"
    picture = tmp_path / "tag.png"
    options = [tmp_path / "rgb.pkl", "-o", tag, "--picture", picture]
    said = run("proposals.py", "tag", table, "train", *options)
    assert "recall of instances: 100.0 at 0.5, 100.0 at 0.7" in said
    assert picture.read_bytes()[:4] == b"\x89PNG"
    listed = read_proposal_list(tag)
    best = max(listed[0].proposals, key=lambda p: p.best_iou)
    # Ticks 40 to 120 of 400 in 20 s, and a tick more: 0.1 to 0.3025.
    assert (best.start, best.end) == pytest.approx((0.1, 0.3025), abs=0.006)
    assert "--force replaces it" in run("proposals.py", "tag", table, "train", *options, status=2)
    # Flow of b at another interval; of a it has two ticks less, as ever.
    flow = {"a": actionness([(40, 120)], 398), "b": actionness([(10, 30), (50, 90)], 100)}
    (tmp_path / "flow.pkl").write_bytes(pickle.dumps(flow))
    both = [tmp_path / "rgb.pkl", tmp_path / "flow.pkl", "-o", tmp_path / "both.txt"]
    said = run("proposals.py", "tag", table, "train", *both)
    assert "1 videos have streams of other lengths" in said
    assert "b (200 and 100 ticks)" in said
    for video, frames in (("a", 40), ("c", 3)):
        (tmp_path / "frames" / video).mkdir(parents=True)
        for k in range(1, frames + 1):
            image = str(tmp_path / "frames" / video / f"img_{k:05}.jpg")
            cv2.imwrite(image, np.zeros((4, 4, 3), np.uint8))
    concrete = tmp_path / "concrete.txt"
    said = run("convert_lists.py", tag, tmp_path / "frames", "-o", concrete)
    assert f"1 of 2 videos are not in {tmp_path / 'frames'}: b" in said
    (video,) = read_proposal_list(concrete)
    assert (video.video, video.frames) == ("a", 40)
    assert (video.truth[0].start, video.truth[0].end) == (4, 12)
    options = [tmp_path / "frames", "-o", tmp_path / "x.txt", "--strict"]
    assert "1 of 2 videos" in run("convert_lists.py", tag, *options, status=2)
    options = [tmp_path / "frames", "-o", tmp_path / "x.txt"]
    assert "is listed in frames already" in run("convert_lists.py", concrete, *options, status=2)


def perfect(listed: list[ListedVideo], classes: int) -> dict[str, tuple]:
    """Scores that make ground truth the detections."""
    scores = {}
    for video in listed:
        spans, labels = relative_truth(video)
        activity = np.full((len(spans), classes + 1), -20.0)
        activity[np.arange(len(spans)), labels] = 20.0
        rest = np.zeros((len(spans), classes)), np.zeros((len(spans), classes, 2))
        scores[f"/frames/{video.video}"] = (spans, activity, *rest)
    return scores


def test_ground_truth_as_scores_is_found_by_the_script(table, tmp_path):
    windows = tmp_path / "windows.txt"
    run("proposals.py", "windows", table, "test", "-o", windows)
    files = [tmp_path / "rgb.pkl", tmp_path / "flow.pkl"]
    for path in files:
        path.write_bytes(pickle.dumps(perfect(read_proposal_list(windows), 2), 2))
    output = tmp_path / "results"
    options = ["--list", windows, "--annotation", table, "--output", output]
    said = run("evaluate.py", *files, *options)
    assert "average mAP: 100.00" in said
    metrics = json.loads((output / "metrics.json").read_text())
    assert set(metrics["mean_ap"].values()) == {1.0}
    assert (metrics["counted"], metrics["videos"]) == (2, 2)
    rows = (output / "detections.csv").read_text().splitlines()
    assert rows[0] == "video,start,end,class,score"
    assert rows[1].split(",")[:4] == ["a", "2.000", "6.000", "run"]
    # What it wrote is what the evaluation of files reads.
    result = evaluate_files(table, output / "detections.json")
    assert result.average == 1.0
    assert evaluate_files(table, output / "detections.csv").average == pytest.approx(1.0, abs=0.01)


def test_videos_without_scores_are_counted_both_ways(table, tmp_path):
    windows = tmp_path / "windows.txt"
    run("proposals.py", "windows", table, "test", "-o", windows)
    scores = perfect(read_proposal_list(windows), 2)
    del scores["/frames/a"]
    (tmp_path / "rgb.pkl").write_bytes(pickle.dumps(scores))
    said = run("evaluate.py", tmp_path / "rgb.pkl", "--list", windows)
    # Of two instances of run one is found: AP 0.5; sit has 1.
    assert "average mAP: 75.00" in said
    assert "1 of 2 videos of the list have no scores" in said
    assert "mAP over 2 classes: 0.1: 100.00" in said
    (tmp_path / "flow.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    said = run("evaluate.py", tmp_path / "flow.pkl", "--list", windows, status=2)
    assert "flow.pkl: not a readable file of scores: it wants to run something: os.system" in said
    other = tmp_path / "other.txt"
    other.write_text(windows.read_text().replace("\na\n", "\nx\n").replace("\nb\n", "\ny\n"))
    said = run("evaluate.py", tmp_path / "rgb.pkl", "--list", other, status=2)
    assert "none of its videos has scores" in said


@published_only
def test_the_published_list_has_its_known_recall_and_nothing_unusual():
    listed = read_proposal_list(PUBLISHED)
    coverage = measure_proposals(listed)
    assert (coverage.videos, coverage.instances, coverage.proposals) == (2383, 3568, 120148)
    assert coverage.recall[0.5] > coverage.recall[0.7] > coverage.recall[0.9] > 0.1
    report = check_list(listed, THUMOS14)
    assert report.warnings == []
    # 8004 of 120,148 proposals have an overlap above 0.7: 6.66 %. The ground truth of some videos
    # ends where it begins.
    assert "6.7 % of 119744 proposals are foreground" in report.text()
    assert "11 videos have no ground truth that can be used" in report.text()


def test_recall_by_hand():
    truth = [TrueSegment(1, 0, 10), TrueSegment(1, 50, 60)]
    listed = [
        # Overlaps of 8 / 10 and 6 / 10.
        ListedVideo("a", 100, truth, [Proposal(1, 0, 0, 0, 8), Proposal(1, 0, 0, 50, 56)]),
        ListedVideo("b", 100, truth[:1], [Proposal(1, 0, 0, 0, 10)]),
        ListedVideo("c", 100, [TrueSegment(1, 5, 5)], []),
    ]
    coverage = measure_proposals(listed)
    assert coverage.recall == pytest.approx({0.5: 1.0, 0.7: 2 / 3, 0.9: 1 / 3})
    assert coverage.whole_videos == {0.5: 1.0, 0.7: 0.5, 0.9: 0.5}


def test_what_is_unusual_before_training_is_said(tmp_path):
    # Proposals in frames, ground truth in fractions: nothing overlaps.
    truth = [TrueSegment(1, 10, 40)]
    listed = [ListedVideo("a", 100, truth, [Proposal(0, 0.0, 0.0, 60, 90)])]
    report = check_list(listed, THUMOS14)
    text = report.text()
    assert "UNUSUAL: proposals find 0.0 % of the instances" in text
    assert "UNUSUAL: only 0.00 % of the proposals are foreground" in text
    assert "UNUSUAL: no proposal is incomplete" in text
    folder = tmp_path / "a"
    folder.mkdir()
    for k in range(1, 5):
        for name, value in (("img", 100), ("flow_x", 90), ("flow_y", 128)):
            image = np.full((8, 8, 3), value, np.uint8)
            cv2.imwrite(str(folder / f"{name}_{k:05}.jpg"), image)
    report = check_frames({"a": folder}, {"a": 2.0}, flow=True, most=5)
    assert "mean of the flow images: x 90.0, y 128.0 (1 videos)" in report.text()
    assert [w.split(",")[0] for w in report.warnings] == [
        "1 videos have 2.00 frames per second (a) or a like number: were all frames extracted?",
        "flow images have means of 90.0 and 128.0",
    ]
    assert check_frames({"a": folder}, {"a": 0.2}, flow=False, most=5).warnings == []


def test_sanity_as_a_script(tmp_path):
    proposals = [Proposal(1, 0.8, 1.0, 10, 34), Proposal(1, 0.2, 1.0, 12, 18),
                 Proposal(0, 0.0, 0.0, 60, 90)]  # fmt: skip
    listed = [ListedVideo("a", 100, [TrueSegment(1, 10, 40)], proposals)]
    path = tmp_path / "list.txt"
    path.write_text(write_proposal_list(listed))
    assert run("sanity.py", path).endswith("nothing unusual\n")
    said = run("sanity.py", path, "--frames", tmp_path / "none", status=2)
    assert "no such folder of videos" in said


def test_a_dataset_of_ones_own_goes_by_its_name(tmp_path):
    """Its folder is all that proposals, evaluation and the look before training need."""
    mine = tmp_path / "datasets" / "mine"
    mine.mkdir(parents=True)
    head, *rows = TABLE.splitlines()
    (mine / "segments_train.csv").write_text("\n".join([head, *rows, "c,1,2,jump,9"]) + "\n")
    (mine / "segments_test.csv").write_text(TABLE)
    windows = mine / "proposals_test.txt"
    run("proposals.py", "windows", "datasets/mine", "test", "-o", windows, cwd=tmp_path)
    # Labels are those of training's classes: jump, run, sit.
    assert [s.label for s in read_proposal_list(windows)[0].truth] == [2]
    scores = tmp_path / "rgb.pkl"
    scores.write_bytes(pickle.dumps(perfect(read_proposal_list(windows), 3), 2))
    options = ["--dataset", "mine", "--output", "results"]
    said = run("evaluate.py", scores, *options, cwd=tmp_path)
    assert "protocol: thumos14" in said
    assert "average mAP: 100.00" in said
    rows = (tmp_path / "results" / "detections.csv").read_text().splitlines()
    sure = [cells for cells in (row.split(",") for row in rows[1:]) if float(cells[4]) > 0.5]
    assert {cells[3] for cells in sure} == {"run", "sit"}
    said = run("evaluate.py", scores, "--protocol", "activitynet1.2", *options[:2], cwd=tmp_path)
    assert "protocol: activitynet" in said
    # A list of its own does not change whose classes they are.
    named = ["--list", windows, "--output", "named", *options[:2]]
    said = run("evaluate.py", scores, *named, cwd=tmp_path)
    assert "detections.csv" in said
    assert (tmp_path / "named" / "detections.csv").read_text().splitlines() == rows
    detections = ["named/detections.json", "--output", "q"]
    said = run("analyze.py", "datasets/mine", *detections, cwd=tmp_path)
    assert "q/errors.png" in said
    assert "mAP at 0.5: 100.00" in said
    wrong = run("analyze.py", "datasets/mine", *detections, "--subset", "x", cwd=tmp_path, status=2)
    assert "--subset: of a dataset's folder the test videos count" in wrong
    # Names with folders are the same videos; one that is not annotated is told and left out.
    table = (mine / "segments_test.csv").read_text()
    (mine / "segments_test.csv").write_text(table.replace("\na,", "\nvideos/a.mp4,"))
    said = run("analyze.py", "datasets/mine", *detections[:1], "--output", "p", cwd=tmp_path)
    assert "mAP at 0.5: 100.00" in said
    (mine / "segments_test.csv").write_text(table.replace("a,2,6,run,20\n", ""))
    said = run("evaluate.py", scores, "--output", "part", *options[:2], cwd=tmp_path)
    assert "1 of 2 videos with scores are not in datasets/mine" in said
    part = (tmp_path / "part" / "detections.csv").read_text().splitlines()
    assert part == [row for row in rows if not row.startswith("a,")]
    (mine / "segments_test.csv").write_text(table)
    look = [windows, "--dataset", "mine", "--split", "test"]
    assert "3 instances" in run("sanity.py", *look, cwd=tmp_path, status=0)
    windows.write_text(windows.read_text().replace("\n2 0.1000 0.3000\n", "\n9 0.1000 0.3000\n"))
    wrong = run("sanity.py", *look, cwd=tmp_path, status=2)
    assert f"{windows}: video a: label 9, expected 1 to 3: a list of another dataset?" in wrong


def test_ids_of_youtube_are_one_video_by_whatever_name(tmp_path):
    """In the annotation `<id>`, in scores or lists `v_<id>`."""
    mine = tmp_path / "datasets" / "mine"
    mine.mkdir(parents=True)
    rows = [("kitchen_000", 1.0, 4.0, "run"), ("kitchen_001", 5.0, 8.0, "sit")]
    subsets = {"kitchen_000": "training", "kitchen_001": "validation"}
    lengths = dict.fromkeys(subsets, 10.0)
    (mine / "segments.json").write_text(activitynet_json(rows, lengths, subsets))
    windows = mine / "proposals_test.txt"
    run("proposals.py", "windows", mine, "test", "-o", windows)
    scores = perfect(read_proposal_list(windows), 2)
    scores = {"/frames/v_kitchen_001": scores["/frames/kitchen_001"]}
    (tmp_path / "rgb.pkl").write_bytes(pickle.dumps(scores, 2))
    said = run(
        "evaluate.py", tmp_path / "rgb.pkl", "--dataset", "mine", "--output", "r", cwd=tmp_path
    )
    assert "average mAP: 100.00" in said
    rows = (tmp_path / "r" / "detections.csv").read_text().splitlines()
    assert rows[1].split(",")[0] == "kitchen_001"


def test_results_are_written_whoever_reads_the_report(table, tmp_path):
    windows = tmp_path / "windows.txt"
    run("proposals.py", "windows", table, "test", "-o", windows)
    scores = tmp_path / "rgb.pkl"
    scores.write_bytes(pickle.dumps(perfect(read_proposal_list(windows), 2), 2))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, ROOT / "scripts" / "ssn" / "evaluate.py", scores, "--list", windows,
               "--output", tmp_path / "results"]  # fmt: skip
    outcome = subprocess.run(
        list(map(str, command)), stdout=writer, stderr=subprocess.PIPE, check=True
    )
    os.close(writer)
    assert outcome.stderr == b""
    assert (tmp_path / "results" / "metrics.json").is_file()


def test_frames_of_other_names_are_looked_at(tmp_path):
    listed = [ListedVideo("a", 4, [TrueSegment(1, 1, 3)], [Proposal(1, 0.8, 1, 1, 3)])]
    path = tmp_path / "list.txt"
    path.write_text(write_proposal_list(listed))
    (tmp_path / "frames" / "a").mkdir(parents=True)
    for k in range(1, 5):
        image = str(tmp_path / "frames" / "a" / f"frame_{k:06}.png")
        cv2.imwrite(image, np.zeros((4, 4, 3), np.uint8))
    options = ["--frames", tmp_path / "frames", "--image", "frame_%06d.png"]
    command = [sys.executable, ROOT / "scripts" / "ssn" / "sanity.py", path, *options]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert "1 videos have frames" in said.stdout, said.stderr


def test_proposals_of_no_use_and_foreign_labels_are_unusual():
    truth = [TrueSegment(1, 10, 40)]
    good = [Proposal(1, 0.8, 1, 10, 34), Proposal(1, 0.2, 1, 12, 18), Proposal(0, 0, 0, 60, 90)]
    assert check_list([ListedVideo("a", 100, truth, good)], THUMOS14).warnings == []
    bad = [
        *good,
        Proposal(99, 0, 0, 50, 55),
        Proposal(0, 0, 0, 100, 130),
        Proposal(0, 0, 0, 90, 101),
    ]
    report = check_list([ListedVideo("a", 100, truth, bad)], THUMOS14)
    assert "1 proposals reach beyond their video, and are cut there" in report.lines
    assert (
        "1 proposals are left out: outside their video, or ending where they begin" in report.lines
    )
    assert [w.split(":")[0] for w in report.warnings] == [
        "16.7 % of the proposals are of no use",
        "1 proposals have a label that no instance of their video has, such as 99 in a",
    ]
