"""SSN's lists of proposals: the recorded reference, the published list, round trips, bad lists."""

import json

import numpy as np
import pytest

from tests.helpers import SHARED
from utils.formats.proposal_lists import (
    ListedVideo,
    Proposal,
    TrueSegment,
    concrete,
    name_proposal,
    read_proposal_list,
    sliding_windows,
    write_proposal_list,
)

FOLDER = SHARED / "reference" / "tubes_and_ssn"
PUBLISHED = (
    SHARED / "data" / "activitynet12" / "activitynet1.2_tag_val_normalized_proposal_list.txt"
)
recorded_only = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")


@recorded_only
def test_a_normalised_list_becomes_the_recorded_concrete_one(tmp_path):
    case = json.loads((FOLDER / "ssn_proposal_list.json").read_text())
    path = tmp_path / "list.txt"
    path.write_text(case["normalised"])
    made = [
        concrete(listed, *case["frame_dict"][listed.video][:2])
        for listed in read_proposal_list(path)
    ]
    assert write_proposal_list(made, first_number=0) == case["concrete"]
    path.write_text(case["concrete"])
    read = read_proposal_list(path)
    for listed, (folder, frames, truth, proposals) in zip(
        read, case["parsed_concrete"], strict=True
    ):
        assert (listed.video, listed.frames) == (folder, frames)
        assert [[s.label, s.start, s.end] for s in listed.truth] == np.array(truth, float).tolist()
        rows = [[p.label, p.best_iou, p.overlap_self, p.start, p.end] for p in listed.proposals]
        assert rows == np.array(proposals, float).tolist()


@recorded_only
@pytest.mark.parametrize("duration", ["9.4", "50.0", "200.7"])
def test_sliding_windows_are_the_recorded_ones(duration: str):
    case = json.loads((FOLDER / "ssn_sliding_and_naming.json").read_text())["sliding"]
    windows = sliding_windows(float(duration), case["max_level"], case["overlap"])
    assert [list(w) for w in windows] == case["windows_by_duration"][duration]


@recorded_only
def test_naming_is_the_recorded_one():
    case = json.loads((FOLDER / "ssn_sliding_and_naming.json").read_text())["naming"]
    truth = [TrueSegment(label + 1, start, end) for label, start, end in case["gt"]]
    for (start, end), expected in zip(case["proposals"], case["named"], strict=True):
        p = name_proposal(start, end, truth)
        found = [p.label, p.best_iou, p.overlap_self, p.start, p.end]
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no published list at {PUBLISHED}")
def test_the_published_activitynet_list_has_its_known_counts():
    videos = read_proposal_list(PUBLISHED)
    truth = [segment for video in videos for segment in video.truth]
    proposals = [p for video in videos for p in video.proposals]
    assert (len(videos), len(truth), len(proposals)) == (2383, 3582, 120148)
    assert sum(not video.proposals for video in videos) == 1
    assert sum(segment.end <= segment.start for segment in truth) == 14
    assert sum(p.best_iou > 0.7 for p in proposals) == 8004
    incomplete = [p for p in proposals if p.best_iou < 0.3]
    assert sum(p.overlap_self > 0.7 for p in incomplete) == 59243
    assert sum(p.overlap_self > 0.01 for p in incomplete) == 68368
    assert sum(p.best_iou < 0.01 for p in proposals) == 36312
    assert sum(p.label == 0 for p in proposals) == 28314
    assert {segment.label for segment in truth} == set(range(1, 101))
    assert write_proposal_list(videos).split() == PUBLISHED.read_text().split()


def test_a_list_is_read_as_it_was_written(tmp_path):
    videos = [
        ListedVideo("a b", 1, [TrueSegment(3, 0.25, 0.5)], [Proposal(3, 0.5, 0.75, 0.125, 0.5)]),
        ListedVideo("-x_y", 90, [TrueSegment(1, 3, 80)], []),
    ]
    path = tmp_path / "list.txt"
    path.write_text(write_proposal_list(videos))
    assert read_proposal_list(path) == videos


GOOD = "# 1\nv\n1\n1\n1\n2 0.1 0.2\n1\n2 0.9 1.0 0.1 0.2\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 0.9 1.0 0.1 0.2\n", "", "ends too early: expected label, best IoU"),
        ("2 0.9 1.0 0.1 0.2\n", "# 2\n", r"line 8: .*got the next video \('# 2'\)"),
        ("2 0.1 0.2\n1\n", "2 0.1\n1\n", "line 6: expected label, start and end, got '2 0.1'"),
        ("2 0.1 0.2", "2 0.1 nan", "line 6: expected label, start and end"),
        ("2 0.1 0.2", "2.5 0.1 0.2", "whole numbers from 0, got 2.5"),
        ("v\n1\n1\n", "v\n0\n1\n", "line 2: video v: expected 1 frame or more, got 0"),
        ("v\n1\n1\n", "v\n1e300\n1\n", "expected 1 frame or more"),
        ("1\n1\n1\n2", "1\n1\n-1\n2", "line 5: expected a number of segments, got '-1'"),
        ("1\n1\n1\n2", "1\n1\n²\n2", "line 5: expected a number of segments"),
        (GOOD, GOOD + GOOD, "line 10: video v is listed twice"),
        (GOOD, "# 1\n", "lists no video"),
    ],
)
def test_a_bad_list_names_file_and_line(tmp_path, old: str, new: str, message: str):
    path = tmp_path / "list.txt"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_proposal_list(path)
    assert str(error.value).startswith(str(path))
