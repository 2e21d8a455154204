"""THUMOS14's annotation: the real files against what was measured on them; bad files refused."""

import hashlib
import json
from pathlib import Path

import pytest

from data.datasets.thumos14 import CLASSES, read_thumos14
from tests.helpers import SHARED

FOLDER = SHARED / "data" / "thumos14"
ORACLE = SHARED / "reference" / "tubes_and_ssn" / "extra_oracles_small.json"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")


@real
@pytest.mark.parametrize("subset", ["validation", "test"])
def test_the_real_annotation_is_what_was_measured(subset: str):
    expected = json.loads(ORACLE.read_text())["thumos14_parse"][subset]
    found = read_thumos14(FOLDER, subset)
    rows = sorted(
        (video, found.classes[s.label], s.start, s.end)
        for video, segments in found.segments.items()
        for s in segments
    )
    assert len(found.durations) == expected["videos_with_duration"]
    assert len(found.segments) == expected["videos"]
    assert len(rows) == expected["kept"]
    assert list(found.dropped.values()) == [
        expected[key] for key in ("ambiguous", "dropped_avoid", "dropped_start_after_end_of_video")
    ]
    for name, count in expected["per_class"].items():
        assert sum(row[1] == name for row in rows) == count
    text = "".join(f"{v} {c} {s:.1f} {e:.1f}\n" for v, c, s, e in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == expected["sha256"]
    assert found.classes == sorted(expected["per_class"])
    assert f"{expected['kept']} segments of 20 classes" in found.counts()


def written(folder: Path, rows: str = "v1  1.0 2.0\n", durations: str = "v1.mp4\n9.5\n") -> Path:
    annotation = folder / "temporal_annotations_test"
    annotation.mkdir()
    for name in CLASSES:
        (annotation / f"{name}_test.txt").touch()
    (annotation / "Diving_test.txt").write_text(rows)
    (folder / "test_durations.txt").write_text(durations)
    (folder / "test_avoid_videos.txt").write_text("v2 Diving\n\n")
    return folder


def test_pairs_to_skip_are_pairs(tmp_path):
    folder = written(tmp_path, "v1 1 2\nv2 1 2\n", "v1.mp4\n9.5\nv2.mp4\n9.5\n")
    (folder / "temporal_annotations_test" / "LongJump_test.txt").write_text("v2 1 2\nv2 10 12\n")
    found = read_thumos14(folder, "test")
    assert {v: [s.label for s in segments] for v, segments in found.segments.items()} == {
        "v1": [CLASSES.index("Diving")],
        "v2": [CLASSES.index("LongJump")],
    }
    assert found.dropped == {"ambiguous": 0, "of skipped pairs": 1, "after the video's end": 1}


@pytest.mark.parametrize(
    ("rows", "durations", "message"),
    [
        ("v1 1.0\n", "v1.mp4\n9\n", r"Diving_test\.txt, line 1: expected video, start and end"),
        ("\nv1 2 1\n", "v1.mp4\n9\n", r"Diving_test\.txt, line 2: expected an end after"),
        ("v1 x 1\n", "v1.mp4\n9\n", r"line 1: expected seconds, got 'x'"),
        ("v1 1 inf\n", "v1.mp4\n9\n", r"line 1: expected seconds, got 'inf'"),
        ("v1 1 2\n", f"v1.mp4\n{2**64}\n", r"line 2: expected seconds, got '18446744073709551616'"),
        ("v7 1 2\n", "v1.mp4\n9\n", r"line 1: video v7 has no duration"),
        ("v1 1 2\n", "v1.mp4\n", r"test_durations\.txt, line 1: expected a length after"),
        ("v1 1 2\n", "v1.mp4\nnan\n", r"test_durations\.txt, line 2: expected seconds"),
    ],
)
def test_bad_files_are_named(tmp_path, rows: str, durations: str, message: str):
    with pytest.raises(ValueError, match=message):
        read_thumos14(written(tmp_path, rows, durations), "test")


def test_a_missing_folder_and_an_unknown_subset_are_named(tmp_path):
    (tmp_path / "test_durations.txt").write_text("v1.mp4\n9.5\n")
    (tmp_path / "test_avoid_videos.txt").write_text("")
    with pytest.raises(ValueError, match="temporal_annotations_test: no such folder"):
        read_thumos14(tmp_path, "test")
    with pytest.raises(ValueError, match="expected validation or test, got 'train'"):
        read_thumos14(tmp_path, "train")


def test_a_missing_class_and_an_unknown_one_are_named(tmp_path):
    folder = written(tmp_path)
    annotation = folder / "temporal_annotations_test"
    (annotation / "Juggling_test.txt").touch()
    with pytest.raises(ValueError, match=r"Juggling_test\.txt: not a class of THUMOS14"):
        read_thumos14(folder, "test")
    (annotation / "Billiards_test.txt").unlink()
    with pytest.raises(ValueError, match=r"no file Billiards_test\.txt \(1 classes missing\)"):
        read_thumos14(folder, "test")
