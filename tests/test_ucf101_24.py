"""UCF101-24's annotation: the real files against what was measured on them; hostile ones."""

import hashlib
import json
import os
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from data.datasets.numpy_pickles import read_numpy_pickle
from data.datasets.tube_annotations import TubeAnnotations, clip_tubes, split_at_gaps
from data.datasets.ucf101_24 import CLASSES, read_final_annots, read_pyannot, read_video_list
from external.act_evaluation import (
    STRICT_RANGE,
    THRESHOLDS,
    Tubelets,
    frame_ap,
    mean_ap,
    suppress_frames,
    suppress_tubes,
    video_ap,
)
from tests.helpers import SHARED
from utils.evaluation.tube_evaluator import TubeEvaluator
from utils.evaluation.tube_results import TubeRules
from utils.formats.tubes import Tubes
from utils.geometry.linking import LinkRules, link_tubelets

FOLDER = SHARED / "data" / "ucf24"
ORACLES = SHARED / "reference" / "tubes_and_ssn"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")


@cache
def annotations() -> TubeAnnotations:
    return read_pyannot(FOLDER / "pyannot.pkl")


@cache
def held_out() -> TubeAnnotations:
    return annotations().subset(read_video_list(FOLDER / "testlist01.txt"))


def rows(tubes: Tubes) -> np.ndarray:
    """Rows frame, x1, y1, x2, y2 of all tubes, as whole numbers."""
    return np.column_stack([tubes.row_frame(), tubes.boxes]).astype("<i4")


@real
@pytest.mark.parametrize("part", ["all", "test", "train"])
def test_the_real_annotation_is_what_was_measured(part: str):
    found = annotations() if part == "all" else held_out()
    if part == "train":
        found = annotations().subset(set(annotations().videos) - set(held_out().videos))
    expected = json.loads((ORACLES / "ucf24_v2_measured.json").read_text())[part]
    assert len(found.videos) == expected["videos"]
    assert len(found.tubes) == expected["tubes"]
    assert len(found.tubes.boxes) == expected["boxes"]
    assert found.frame_counts.sum() == expected["frames"]
    for kind, tubes in (("raw", found.tubes), ("clipped", clip_tubes(found.tubes, found.sizes))):
        table = rows(tubes)
        assert table.sum(axis=0, dtype=np.int64).tolist() == expected[f"sum_{kind}"]
        assert hashlib.sha256(table.tobytes()).hexdigest() == expected[f"sha256_{kind}"]


@real
def test_counts_of_each_class():
    expected = json.loads((ORACLES / "ucf24_v2_measured.json").read_text())["per_class"]
    found = held_out()
    for label, name in enumerate(CLASSES):
        tubes = found.tubes[found.tubes.label == label]
        assert len(tubes) == expected[name]["test_tubes"]
        assert len(tubes.boxes) == expected[name]["test_boxes"]
        assert len(np.unique(tubes.video)) == expected[name]["test_videos"]


@real
def test_the_matlab_file_holds_the_same():
    pytest.importorskip("scipy", reason="MATLAB files need SciPy")
    other = read_final_annots(FOLDER / "finalAnnots.mat")
    assert other.videos == annotations().videos
    np.testing.assert_array_equal(other.frame_counts, annotations().frame_counts)
    for name in ("video", "label", "start", "ends", "boxes"):
        np.testing.assert_array_equal(
            getattr(other.tubes, name), getattr(annotations().tubes, name)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (bytes(100), "not the annotation of UCF101-24 .*appears to be corrupt"),
        (b"", "not the annotation of UCF101-24"),
        ({"class": 3.5}, r", tube 0: class: expected a whole number, got 3\.5"),
        ({"class": 25.0}, r", tube 0: class: expected a whole number from 1 to 24, got 25"),
        ({"class": 0.0}, r", tube 0: class: expected a whole number from 1 to 24, got 0"),
        ({"sf": 1.25}, r", tube 0: sf: expected a whole number, got 1\.25"),
        ({"sf": 0.0}, r", tube 0: sf: expected a whole number from 1 on, got 0"),
        ({"ef": float("inf")}, ", tube 0: ef: expected a whole number, got inf"),
        ({"sf": 1e300, "ef": 1e300}, "expected the annotation of UCF101-24"),
        ({"ef": "two"}, ", tube 0: ef: expected a whole number, got 'two'"),
    ],
)
def test_a_broken_matlab_file_is_refused(tmp_path: Path, change: bytes | dict, message: str):
    """SciPy raises an error of its own for zeros; a float that is no whole number is not cut."""
    scipy_io = pytest.importorskip("scipy.io", reason="MATLAB files need SciPy")
    path = tmp_path / "annots.mat"
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        tube = {"class": 4.0, "sf": 1.0, "ef": 2.0, "boxes": np.ones((2, 4))} | change
        video = {"name": "Biking/a", "num_imgs": 3.0, "tubes": tube}
        scipy_io.savemat(path, {"annot": video})
    video = "" if isinstance(change, bytes) else ", video Biking/a"
    with pytest.raises(ValueError, match=rf"annots\.mat{video}.*{message}"):
        read_final_annots(path)


def test_a_video_that_stands_twice_in_the_matlab_file_is_refused(tmp_path: Path):
    scipy_io = pytest.importorskip("scipy.io", reason="MATLAB files need SciPy")
    kinds = [("name", object), ("num_imgs", object), ("tubes", object)]
    tube = {"class": 4.0, "sf": 1.0, "ef": 2.0, "boxes": np.ones((2, 4))}
    videos = np.array([("Biking/a", 3.0, tube), ("Biking/a", 4.0, tube)], dtype=kinds)
    scipy_io.savemat(tmp_path / "annots.mat", {"annot": videos})
    with pytest.raises(ValueError, match=r"annots\.mat, video Biking/a: stands twice"):
        read_final_annots(tmp_path / "annots.mat")


def test_a_video_of_the_matlab_file_may_have_no_tube(tmp_path: Path):
    """As in the pickle."""
    scipy_io = pytest.importorskip("scipy.io", reason="MATLAB files need SciPy")
    tube = {"class": 4.0, "sf": 1.0, "ef": 2.0, "boxes": np.ones((2, 4))}
    table = np.empty(2, [(name, object) for name in ("name", "num_imgs", "tubes")])
    table[0], table[1] = ("A/a", 3.0, np.empty((0, 0))), ("B/b", 4.0, tube)
    scipy_io.savemat(tmp_path / "annots.mat", {"annot": table[None]})
    found = read_final_annots(tmp_path / "annots.mat")
    assert found.videos == ["A/a", "B/b"]
    assert found.frame_counts.tolist() == [3, 4]
    assert found.tubes.video.tolist() == [1]


@real
def test_identical_tubes_are_named():
    assert annotations().identical() == [
        ("CliffDiving/v_CliffDiving_g13_c02", 1, 2),
        ("CricketBowling/v_CricketBowling_g02_c04", 1, 2),
    ]


def ranked(split: TubeAnnotations) -> Tubes:
    """The ground truth as detections: tube i of a video has the score 1 - i / 100."""
    tubes = split.tubes
    starts = np.searchsorted(tubes.video, tubes.video)
    score = 1 - 0.01 * (np.arange(len(tubes)) - starts)
    return Tubes(tubes.video, tubes.label, score, tubes.start, tubes.ends, tubes.boxes)


@cache
def bounds() -> dict:
    return json.loads((ORACLES / "ucf24_upper_bounds.json").read_text())


def check_video_map(tubes: Tubes, expected: dict) -> None:
    truth = held_out().tubes
    table = video_ap(tubes, truth, len(CLASSES), (*THRESHOLDS, *STRICT_RANGE))
    for threshold, ap in zip(THRESHOLDS, table, strict=False):
        assert 100 * mean_ap(ap) == pytest.approx(expected[f"{threshold:g}"], abs=0.01)
    strict = np.mean([mean_ap(ap) for ap in table[len(THRESHOLDS) :]])
    assert 100 * strict == pytest.approx(expected["0.5:0.95"], abs=0.01)
    half = THRESHOLDS.index(0.5)
    np.testing.assert_allclose(100 * table[half], expected["per_class_0.5"], atol=0.01)
    assert len(tubes) == expected["tubes"]


@real
def test_ceiling_of_whole_tubes():
    tubes = ranked(held_out())
    check_video_map(tubes, bounds()["tubes_no_nms"])
    check_video_map(tubes[suppress_tubes(tubes)], bounds()["tubes_nms_0.3"])
    tubes = tubes[tubes.lengths >= 15]
    check_video_map(tubes[suppress_tubes(tubes)], bounds()["tubes_min15_nms_0.3"])


def six_frame_pieces(tubes: Tubes) -> Tubelets:
    """All runs of 6 frames of all tubes."""
    counts = np.maximum(tubes.lengths - 5, 0)
    tube = np.repeat(np.arange(len(tubes)), counts)
    step = np.arange(len(tube)) - np.repeat(np.cumsum(counts) - counts, counts)
    boxes = tubes.boxes[(tubes.ends[tube] + step)[:, None] + np.arange(6)]
    return Tubelets(
        tubes.video[tube], tubes.start[tube] + step, tubes.label[tube], tubes.score[tube], boxes
    )


@real
def test_the_classes_whose_videos_are_untrimmed_are_those_that_were_measured():
    notes = held_out()
    evaluator = TubeEvaluator(
        notes.classes, notes.videos, notes.frame_counts, notes.tubes, 6, 3, TubeRules()
    )
    found = [notes.classes[label] for label in evaluator.untrimmed_classes()]
    assert found == [
        "Basketball", "BasketballDunk", "CliffDiving", "CricketBowling", "Diving", "GolfSwing",
        "TennisSwing", "VolleyballSpiking",
    ]  # fmt: skip


@real
def test_ceiling_of_linked_tubelets():
    split = held_out()
    linked = link_tubelets(six_frame_pieces(ranked(split)), split.frame_counts - 5).tubes
    check_video_map(linked, bounds()["tubelets_linked_no_nms"])
    check_video_map(linked[suppress_tubes(linked)], bounds()["tubelets_linked_nms_0.3"])


@real
def test_ceiling_with_mocs_link_overlap():
    split = held_out()
    pieces = six_frame_pieces(ranked(split))
    linked = link_tubelets(pieces, split.frame_counts - 5, LinkRules(least_overlap=0.5)).tubes
    table = video_ap(linked, split.tubes, len(CLASSES), (0.05, 0.2, 0.5, 0.75))
    expected = bounds()["linking_variants_video_mAP"]["act_score_iou0.5"]
    np.testing.assert_allclose([100 * mean_ap(ap) for ap in table], expected, atol=0.01)


@real
def test_ceiling_of_frames():
    split = held_out()
    kept = suppress_frames(ranked(split).frame_boxes())
    ap = frame_ap(kept, split.tubes, len(CLASSES))
    assert 100 * mean_ap(ap) == pytest.approx(bounds()["frame_mAP_boxes_nms_0.3"], abs=0.01)


def test_boxes_of_bytes_do_not_overflow(tmp_path):
    tube = {"label": 3, "sf": 1, "ef": 2, "boxes": np.array([[200, 100, 100, 140]], np.uint8)}
    video = {"numf": np.uint8(7), "label": 3, "annotations": [tube]}
    path = tmp_path / "pyannot.pkl"
    path.write_bytes(pickle.dumps({np.str_("CliffDiving/v"): video}))
    found = read_pyannot(path)
    assert found.videos == ["CliffDiving/v"]
    assert found.tubes.boxes.tolist() == [[200, 100, 300, 240]]
    assert found.tubes.start.tolist() == [2]
    assert found.frame_counts.tolist() == [7]


class Runs:
    def __reduce__(self):
        return os.system, ("touch /nonexistent",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"v": Runs()}, r"it refers to posix\.system"),
        ({"v": np.array([Runs()], object)}, "arrays of type 'O8'|other things than numbers"),
        ({"v": np.array([{}], object)}, "arrays of type 'O8'|other things than numbers"),
        ([1], "expected the annotation of UCF101-24 .*got list"),
        ({}, "holds no video"),
        ({"v": {"numf": 3, "label": 0}}, r"video v: .*missing required field annotations"),
        (
            {"v": {"numf": 3, "label": 24, "annotations": []}},
            r"video v: .*Expected int <= 23 - at \$\.label",
        ),
        (
            {"v": {"numf": 9, "label": 1, "annotations": [
                {"label": 1, "sf": 0, "ef": 3, "boxes": np.ones((2, 4))}]}},
            r"video v, tube 0: expected a box of 4 numbers for each of 3 frames, got \[2, 4\]",
        ),
    ],
)  # fmt: skip
def test_other_pickles_are_refused_by_name(tmp_path, content, message: str):
    path = tmp_path / "pyannot.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        read_pyannot(path)
    assert "pyannot.pkl" in str(error.value)


@pytest.mark.parametrize("box", [[1, 2, np.nan, 4], [1, np.inf, 3, 4], [9, 9, -5, 4]])
def test_boxes_that_are_none_are_refused(tmp_path, box: list[float]):
    boxes = np.array([[1.0, 2, 3, 4], box])
    tube = {"label": 0, "sf": 3, "ef": 5, "boxes": boxes}
    path = tmp_path / "pyannot.pkl"
    path.write_bytes(pickle.dumps({"A/v": {"numf": 9, "label": 0, "annotations": [tube]}}))
    with pytest.raises(ValueError, match=r"pkl, video A/v, tube 0, its frame 2: box x, y, width"):
        read_pyannot(path)


def _pickled(value: object) -> bytes:
    """A pickle without its head and its end, to be put into another one."""
    return pickle.dumps(value, 2)[2:-1]


def _array_pickle(code: str, state: tuple, content: bytes) -> bytes:
    """An array of type `code`, whose type is given `state`."""
    kind = b"cnumpy\ndtype\n" + _pickled((code, False, True)) + b"R" + _pickled(state) + b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    empty += _pickled((0,)) + _pickled("b") + b"\x87R"
    inner = b"(" + _pickled(1) + _pickled((2,)) + kind + _pickled(False) + _pickled(content) + b"t"
    return b"\x80\x02" + empty + inner + b"b."


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("U2", (3, "<", None, None, None, 8, 4, 63)),  # flags that make it one of objects
        ("S8", (3, "|", None, None, None, 8, 1, 1)),
        ("i8", (3, "<", None, None, None, -1, -1, 63)),
        ("S8", (3, "|", None, None, None, -8, 1, 0)),
        ("S8", (3, "|", None, None, None, 10**6, 1, 0)),
        ("S8", (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 0)),
    ],
)
def test_types_may_not_be_made_into_others(tmp_path, code: str, state: tuple):
    path = tmp_path / "pyannot.pkl"
    sound = (3, "<" if code[0] == "i" else "|", None, None, None, -1, -1, 0)
    path.write_bytes(_array_pickle(code, sound, b"A" * 2 * np.dtype(code).itemsize))
    assert len(read_numpy_pickle(path)) == 2
    path.write_bytes(_array_pickle(code, state, b"A" * 16))
    with pytest.raises(ValueError, match=r"pyannot\.pkl: .*a type that is not one of numbers or t"):
        read_numpy_pickle(path)


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n" + _pickled(((4,), "i8")) + b"R.",  # what lay in the memory
        b"cnumpy\nndarray\n" + _pickled({"a": 1}) + b"b.",
        b"cnumpy\ndtype\n(N" + _pickled({"_make": 1}) + b"tb.",
    ],
)
def test_what_makes_arrays_is_neither_called_alone_nor_changed(tmp_path, content: bytes):
    path = tmp_path / "pyannot.pkl"
    path.write_bytes(b"\x80\x02" + content)
    with pytest.raises(ValueError, match=r"pyannot\.pkl: not a readable pickle"):
        read_numpy_pickle(path)


def test_a_pickle_cut_anywhere_is_refused(tmp_path):
    whole = pickle.dumps({"v": {"numf": 3, "boxes": np.ones((2, 4), np.uint8)}})
    path = tmp_path / "pyannot.pkl"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"pyannot\.pkl"):
            read_numpy_pickle(path)


def test_ids_without_annotation_are_named(tmp_path):
    (tmp_path / "list.txt").write_text("B/v2.avi 3\n\nA/v1\n A/my walk 1 \nC/w.avi\n")
    listed = ["B/v2", "A/v1", "A/my walk 1", "C/w"]
    assert read_video_list(tmp_path / "list.txt") == listed
    tubes = Tubes(*(np.zeros(0, np.int64),) * 2, np.zeros(0), np.zeros(0, np.int64),
                  np.zeros(1, np.int64), np.zeros((0, 4)))  # fmt: skip
    empty = TubeAnnotations(CLASSES, ["A/v1"], np.ones(1), np.ones((1, 2)), tubes)
    assert empty.subset(["A/v1"]).videos == ["A/v1"]
    with pytest.raises(ValueError, match=r"list\.txt: not annotated: B/v2"):
        empty.subset(["B/v2", "A/v1"], "list.txt")


def test_frames_are_split_where_one_is_missing():
    assert split_at_gaps([3, 4, 5, 8, 10, 11]) == [(0, 3), (3, 4), (4, 6)]
