"""Temporal detection: readers of segments, and SSN's scripts."""

from __future__ import annotations

from tests.fuzz import segments
from tests.fuzz.scenario import Scenario

_THUMOS = {
    "thumos/temporal_annotations_test/Diving_test.txt": "words",
    "thumos/test_durations.txt": "words",
}
_ANNOTATIONS = {
    "activitynet": ("in/activity.json", {"activity.json": "json"}),
    "table": ("in/own.csv", {"own.csv": "csv"}),
    "thumos": ("in/thumos", _THUMOS),
}
"""Where an annotation is, and the files of it that trials change."""


def proposals() -> list[Scenario]:
    """proposals.

    Args:
        py: Windows of each kind of annotation, and TAG.
    """
    windows = [
        Scenario(
            f"ssn_windows_{kind}",
            segments.segments,
            "scripts/ssn/proposals.py",
            ("windows", path, "test", "-o", "out/list.txt"),
            files,
            ("--levels", "--overlap") if kind == "table" else (),
            ("list.txt",),
        )
        for kind, (path, files) in _ANNOTATIONS.items()
    ]
    tag = Scenario(
        "ssn_tag",
        segments.segments,
        "scripts/ssn/proposals.py",
        ("tag", "in/own.csv", "test", "in/actionness.pkl", "-o", "out/list.txt"),
        {"actionness.pkl": "pickle"},
        ("--weights", "--preset"),
        ("list.txt",),
    )
    return [*windows, tag]


def lists() -> list[Scenario]:
    """convert_lists.py and sanity.py."""
    return [
        Scenario(
            "ssn_convert_lists",
            segments.segments,
            "scripts/ssn/convert_lists.py",
            ("in/list.txt", "in/frames", "-o", "out/list.txt"),
            {"list.txt": "words"},
            ("--image",),
            ("list.txt",),
        ),
        Scenario(
            "ssn_sanity",
            segments.segments,
            "scripts/ssn/sanity.py",
            ("in/list.txt", "--frames", "in/frames", "--flow", "--annotation", "in/own.csv"),
            {"list.txt": "words", "own.csv": "csv", "frames/v1/flow_x_00006.jpg": "frame"},
            ("--videos", "--dataset", "--split"),
            problems=1,
        ),
    ]


def evaluation() -> list[Scenario]:
    """evaluate.py on both kinds of files of scores."""
    return [
        Scenario(
            "ssn_evaluate",
            segments.segments,
            "scripts/ssn/evaluate.py",
            ("in/rgb.pkl", "in/flow.npz", "--list", "in/list.txt", "--annotation", "in/own.csv",
             "--cls-scores", "in/videos.pkl", "--output", "out/results"),
            {"rgb.pkl": "pickle", "flow.npz": "npz", "list.txt": "words", "own.csv": "csv",
             "videos.pkl": "pickle"},
            ("--score-weights", "--top-k", "--nms-threshold", "--cls-top-k", "--dataset"),
            ("results/*",),
        )
    ]  # fmt: skip
