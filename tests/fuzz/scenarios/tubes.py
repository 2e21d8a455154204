"""Tubes and flow: converting annotation, extracting frames and flow, reading flow."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import tubes
from tests.fuzz.process import fork, run_script
from tests.fuzz.scenario import Scenario

_CSV = {"tubes.csv": "csv", "tubes.videos.csv": "csv"}
_ROWS = ("--label-map", "in/classes.pbtxt", "--fps", "25", "--size", "320x240", "--start", "902")


def conversions() -> list[Scenario]:
    """convert_tubes.py from each kind of file, each kind written once at least."""
    made: tuple[tuple[str, dict[str, str], str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("JHMDB-GT.pkl", {"JHMDB-GT.pkl": "pickle"}, "tubes.csv", (), ()),
        ("pyannot.pkl", {"pyannot.pkl": "pickle", "testlist.txt": "words"}, "GT.pkl",
         ("--test-list", "in/testlist.txt"), ("--to", "--test-list")),
        ("annots.mat", {"annots.mat": "mat"}, "pyannot.pkl", ("--to", "pyannot"), ()),
        ("tubes.csv", {**_CSV, "own_list.txt": "words"}, "GT.pkl",
         ("--test-list", "in/own_list.txt"), ("--videos",)),
        ("rows.csv", {"rows.csv": "csv", "classes.pbtxt": "pbtxt"}, "tubes.csv", _ROWS,
         ("--fps", "--size", "--start", "--step", "--label-map", "--media")),
    )  # fmt: skip
    return [
        Scenario(
            f"tubes_{name.partition('.')[0].lower().replace('-', '_')}_{name.rpartition('.')[2]}",
            tubes.annotations,
            "scripts/convert_tubes.py",
            (f"in/{name}", f"out/{output}", *more),
            files,
            options,
            ("*.csv", "*.pkl"),
        )
        for name, files, output, more, options in made
    ]


def checking() -> list[Scenario]:
    """check_data.py on tubes with their frames and flow."""
    return [
        Scenario(
            "check_tubes",
            tubes.checked,
            "scripts/check_data.py",
            (
                "--tubes",
                "in/JHMDB-GT.pkl",
                "--frames",
                "in/rgb",
                "--flow",
                "in/flow",
                "--all-images",
            ),
            {
                "JHMDB-GT.pkl": "pickle",
                "rgb/run/a/00003.jpg": "frame",
                "flow/run/a/00003.jpg": "frame",
            },
            ("--limit", "--images", "--list", "--frames", "--flow"),
            problems=1,
        )
    ]


def extraction() -> list[Scenario]:
    """extract_frames.py and extract_flow.py, also over their earlier output."""
    frames, flow = "scripts/extract_frames.py", "scripts/extract_flow.py"
    film = ("in/UCF-101/Biking/a.avi", "--workers", "1", "--list", "in/list.txt")
    few = ("--preset", "ultrafast", "--workers", "1")

    def again(folder: Path) -> None:
        tubes.films(folder)
        arguments = [*film, "--output", "in/made"]
        ended = fork(
            lambda: run_script(frames, arguments), folder.parent / "log", 60, folder.parent
        )
        assert ended.code == 0, ended.output

    return [
        Scenario(
            "frames",
            tubes.films,
            frames,
            (*film, "--output", "out"),
            {"UCF-101/Biking/a.avi": "film", "list.txt": "words"},
            ("--quality", "--short-side", "--workers", "--list", "--step-limit"),
            problems=1,
            weight=0.5,
        ),
        Scenario(
            "frames_again",
            again,
            frames,
            (*film, "--output", "in/made"),
            {"made/manifest.json": "json"},
            problems=1,
            owned=("made/*",),
            weight=0.5,
        ),
        Scenario(
            "flow_of_frames",
            tubes.films,
            flow,
            ("in/rgb", "--output", "out", "--storage", "npy", *few),
            {"rgb/Biking/b/frame0003.jpg": "frame"},
            ("--quality", "--method", "--preset", "--storage", "--workers", "--weights"),
            problems=1,
            weight=0.5,
        ),
        Scenario(
            "flow_of_a_film",
            tubes.films,
            flow,
            ("in/UCF-101/Biking/a.avi", "--output", "out", *few),
            {"UCF-101/Biking/a.avi": "film"},
            problems=1,
            weight=0.3,
        ),
        Scenario(
            "ssn_extract",
            tubes.films,
            "scripts/ssn/extract.py",
            ("in/UCF-101/Biking/a.avi", "--output", "out", "--size", "32x24", *few),
            {"UCF-101/Biking/a.avi": "film"},
            ("--size", "--method", "--preset", "--quality", "--weights"),
            problems=1,
            weight=0.3,
        ),
    ]


def flow_files() -> list[Scenario]:
    """`FlowFolder` on files of each kind, by `tests.fuzz.reading`."""
    files = {
        "brox": {"brox/00002.jpg": "frame"},
        "tsn": {"tsn/flow_x_00002.jpg": "frame"},
        "npy": {"npy/00002.npy": "npy"},
        "flo": {"flo/00002.flo": "flo"},
    }
    return [
        Scenario(
            f"flow_{kind}",
            tubes.flows,
            "-m tests.fuzz.reading",
            ("flow", f"in/{kind}", str(tubes.FIELDS), "8", "10"),
            changed,
            results=("read.txt",),
            weight=1 if kind in ("npy", "flo") else 0.5,
        )
        for kind, changed in files.items()
    ]
