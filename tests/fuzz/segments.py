"""Valid input files of temporal detection: annotation of segments, proposals, scores."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from tests.fuzz.materials import benchmarks, write_lines
from tests.fuzz.tubes import snippets
from utils.formats.proposal_lists import (
    ListedVideo,
    TrueSegment,
    name_proposal,
    write_proposal_list,
)
from utils.formats.segment_scores import read_scores, write_scores

SECONDS = 2.0
"""Duration of each video, which has 12 frames."""

# Start and end as fractions of each video. Of v1 they are foreground, background and incomplete.
SPANS = np.array([[0.1, 0.3], [0.4, 0.9], [0.15, 0.2]])
CLASSES = ("Diving", "Jumping")


def segments(folder: Path) -> None:
    """Two videos of two seconds with one segment each, and all that SSN's scripts read of them."""
    truth = [("v1", 0.2, 0.6, "Diving"), ("v2", 0.8, 1.8, "Jumping")]
    rows = [",".join(map(str, (*row, SECONDS))) for row in truth]
    write_lines(folder / "own.csv", ["video,start,end,label,duration", *rows])
    nodes = [{"nodeName": "Root", "parentName": None}]
    nodes += [{"nodeName": name, "parentName": "Root"} for name in CLASSES]
    database = {
        video: {
            "subset": "validation",
            "duration": SECONDS,
            "annotations": [{"segment": [start, end], "label": label}],
        }
        for video, start, end, label in truth
    }
    content = {"version": "1.2", "taxonomy": nodes, "database": database}
    (folder / "activity.json").write_text(json.dumps(content))
    _lists(folder)
    _scores(folder)
    snippets(folder / "frames", ("v1", "v2"))
    (folder / "thumos").mkdir()
    benchmarks(folder / "thumos")


def _lists(folder: Path) -> None:
    """A normalised list of the proposals whose scores `_scores` gives."""
    listed = []
    for video, label, start, end in (("v1", 1, 0.1, 0.3), ("v2", 2, 0.4, 0.9)):
        truth = [TrueSegment(label, start, end)]
        listed.append(ListedVideo(video, 1, truth, [name_proposal(a, b, truth) for a, b in SPANS]))
    (folder / "list.txt").write_text(write_proposal_list(listed))


def _scores(folder: Path) -> None:
    """Scores of two streams: the release's pickle, and a file of ours; actionness; a classifier."""
    activity = np.array([[0.1, 2.0, -1.0], [0.3, -1.0, 2.0], [1.0, 0.2, 0.1]])
    arrays = (SPANS, activity, activity[:, 1:] / 2, np.zeros((3, 2, 2)))
    scores = {f"/frames/{video}": arrays for video in ("v1", "v2")}
    (folder / "rgb.pkl").write_bytes(pickle.dumps(scores))
    write_scores(read_scores(folder / "rgb.pkl"), folder / "flow.npz")
    classifier = {f"/frames/{video}": np.array([0.8, 0.2]) for video in ("v1", "v2")}
    (folder / "videos.pkl").write_bytes(pickle.dumps(classifier))
    action = np.where((np.arange(40) // 10) % 2 == 1, 4.0, -4.0)
    both = np.stack([-action, action], axis=1)
    crops = np.stack([both, both + 0.1], axis=1)
    curves = {f"/frames/{video}": crops for video in ("v1", "v2")}
    (folder / "actionness.pkl").write_bytes(pickle.dumps(curves))
