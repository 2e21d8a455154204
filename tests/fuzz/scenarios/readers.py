"""The evaluations of other benchmarks, and the readers of datasets that no command uses yet."""

from __future__ import annotations

from tests.fuzz import materials
from tests.fuzz.scenario import Scenario


def benchmarks() -> list[Scenario]:
    """ACT's evaluation of CSV files, ActivityNet's of CSV and of JSON."""
    found = [
        Scenario(
            f"anet_{kind}",
            materials.benchmarks,
            "-m external.anet_evaluation",
            ("-g", f"in/segments.{kind}", "-p", f"in/predicted.{kind}", "--json", "out/m.json"),
            {f"segments.{kind}": kind, f"predicted.{kind}": kind},
            ("--protocol", "--subset") if kind == "json" else (),
            ("m.json",),
        )
        for kind in ("csv", "json")
    ]
    act = Scenario(
        "act",
        materials.benchmarks,
        "-m external.act_evaluation",
        (
            *("-g", "in/tubes.csv", "-f", "in/frames.csv", "-t", "in/found.csv"),
            *("--videos", "in/videos.txt", "--json", "out/m.json"),
        ),
        {"tubes.csv": "csv", "frames.csv": "csv", "found.csv": "csv", "videos.txt": "words"},
        ("--protocol", "--iou-threshold", "--nms-threshold"),
        ("m.json",),
    )
    return [act, *found]


def datasets() -> list[Scenario]:
    """The readers, each by `tests.fuzz.reading`."""
    thumos = {
        "temporal_annotations_test/Diving_test.txt": "words",
        "test_durations.txt": "words",
        "test_avoid_videos.txt": "words",
    }
    readers: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
        "ucf101_24": (
            ("in/tubes.pkl", "in/testlist.txt"),
            {"tubes.pkl": "pickle", "testlist.txt": "words"},
        ),
        "thumos14": (("in", "test"), thumos),
        "proposal_list": (("in/proposals.txt",), {"proposals.txt": "words"}),
    }
    return [
        Scenario(
            name,
            materials.benchmarks,
            "-m tests.fuzz.reading",
            (name, *arguments),
            files,
            results=("read.txt",),
        )
        for name, (arguments, files) in readers.items()
    ]
