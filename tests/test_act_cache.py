"""ACT's cache: written and read, from files of Python 2 and 3, and hostile ones refused."""

import hashlib
import json
import os
import pickle

import numpy as np
import pytest

from data.datasets.act_cache import (
    DATASETS,
    ActCache,
    read_act_cache,
    splits_from_lists,
    write_act_cache,
)
from data.datasets.tube_annotations import clip_tubes
from data.datasets.ucf101_24 import CLASSES, read_pyannot, read_video_list
from tests.helpers import SHARED

FOLDER = SHARED / "data" / "ucf24"
MEASURED = SHARED / "reference" / "tubes_and_ssn" / "ucf24_v2_measured.json"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")

ROWS = np.array([[3, 1.5, 2, 30, 40], [4, 2, 2, 31, 40.25]], np.float32)


def content() -> dict:
    """A cache of two videos and two classes as plain values."""
    return {
        "labels": ["catch", "wave"],
        "train_videos": [["catch/a"], ["wave/b"]],
        "test_videos": [["wave/b"], ["catch/a"]],
        "nframes": {"catch/a": 20, "wave/b": np.uint8(200)},
        "resolution": {"catch/a": (240, 320), "wave/b": (np.int64(100), 90)},
        "gttubes": {"catch/a": {0: [ROWS]}, "wave/b": {1: [ROWS, ROWS + 1], 0: [ROWS]}},
    }


def written(folder, values: dict, protocol: int = 2):
    path = folder / "any name.pkl"
    path.write_bytes(pickle.dumps(values, protocol))
    return path


def check(cache: ActCache) -> None:
    """The cache is that of `content`."""
    notes = cache.annotations
    assert notes.classes == ["catch", "wave"]
    assert notes.videos == ["catch/a", "wave/b"]
    assert notes.frame_counts.tolist() == [20, 200]
    assert notes.sizes.tolist() == [[240, 320], [100, 90]]
    assert notes.tubes.video.tolist() == [0, 1, 1, 1]
    assert notes.tubes.label.tolist() == [0, 0, 1, 1]
    assert notes.tubes.start.tolist() == [3, 3, 3, 4]
    assert notes.tubes.boxes[:2].tolist() == [[1.5, 2, 30, 40], [2, 2, 31, 40.25]]
    assert notes.tubes.boxes[-1].tolist() == [3, 3, 32, 41.25]
    assert cache.split("train", 2).videos == ["wave/b"]
    assert cache.split("test").videos == ["wave/b"]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_cache_of_any_protocol_is_read(tmp_path, protocol: int):
    check(read_act_cache(written(tmp_path, content(), protocol)))


def python_2(value: object) -> bytes:
    """The opcodes by which Python 2 pickles a value: its text and its bytes are one kind."""
    if isinstance(value, str | bytes):
        raw = value.encode("latin1") if isinstance(value, str) else value
        return b"T" + len(raw).to_bytes(4, "little") + raw
    if isinstance(value, int):
        return b"J" + int(value).to_bytes(4, "little", signed=True)
    if value is None:
        return b"N"
    if isinstance(value, dict):
        return b"}(" + b"".join(python_2(x) for pair in value.items() for x in pair) + b"u"
    if isinstance(value, np.ndarray):
        kind = b"cnumpy\ndtype\n" + python_2(("f4", 0, 1)) + b"R"
        kind += python_2((3, "<", None, None, None, -1, -1, 0)) + b"b"
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        empty += python_2((0,)) + python_2("b") + b"tR"
        state = python_2(1) + python_2(value.shape) + kind + python_2(0)
        return empty + b"(" + state + python_2(value.tobytes()) + b"tb"
    assert isinstance(value, list | tuple)
    items = b"".join(map(python_2, value))
    return b"](" + items + b"e" if isinstance(value, list) else b"(" + items + b"t"


def test_a_cache_of_python_2_is_read(tmp_path):
    values = content()
    values["nframes"]["wave/b"] = 200
    values["resolution"]["wave/b"] = (100, 90)
    path = tmp_path / "JHMDB-GT.pkl"
    path.write_bytes(b"\x80\x02" + python_2(values) + b".")
    check(read_act_cache(path))


def test_written_and_read_it_is_the_same(tmp_path):
    cache = read_act_cache(written(tmp_path, content()))
    write_act_cache(cache, tmp_path / "again.pkl")
    check(read_act_cache(tmp_path / "again.pkl"))
    raw = (tmp_path / "again.pkl").read_bytes()
    assert raw[:2] == b"\x80\x02"  # the newest protocol that Python 2 reads
    assert b"numpy._core" not in raw  # which NumPy 1 does not have
    plain = pickle.loads(raw)
    assert plain["resolution"]["wave/b"] == (100, 90)
    np.testing.assert_array_equal(plain["gttubes"]["catch/a"][0][0], ROWS)
    assert plain["gttubes"]["catch/a"][0][0].dtype == np.float32


def test_numbers_that_float32_cannot_hold_are_kept(tmp_path):
    values = content()
    values["gttubes"]["catch/a"][0] = [np.add(ROWS, [[0, 0.1, 0, 0, 0]])]
    cache = read_act_cache(written(tmp_path, values))
    write_act_cache(cache, tmp_path / "again.pkl")
    found = read_act_cache(tmp_path / "again.pkl").annotations.tubes.boxes
    np.testing.assert_array_equal(found, cache.annotations.tubes.boxes)
    assert found[0, 0] == 1.6


@real
def test_the_real_annotation_as_a_cache_is_what_was_measured(tmp_path):
    notes = read_pyannot(FOLDER / "pyannot.pkl")
    cache = splits_from_lists(notes, [read_video_list(FOLDER / "testlist01.txt")])
    write_act_cache(cache, tmp_path / "UCF101v2-GT.pkl")
    found = read_act_cache(tmp_path / "UCF101v2-GT.pkl", DATASETS["ucf101_24"])
    expected = json.loads(MEASURED.read_text())
    whole = {"all": found.annotations, "train": found.split("train"), "test": found.split("test")}
    for part, part_notes in whole.items():
        tubes = part_notes.tubes
        counts = [len(part_notes.videos), len(tubes), len(tubes.boxes)]
        assert counts == [expected[part][key] for key in ("videos", "tubes", "boxes")]
        assert part_notes.frame_counts.sum() == expected[part]["frames"]
        for kind, kept in (("raw", tubes), ("clipped", clip_tubes(tubes, part_notes.sizes))):
            table = np.column_stack([kept.row_frame(), kept.boxes]).astype("<i4")
            assert table.sum(axis=0, dtype=np.int64).tolist() == expected[part][f"sum_{kind}"]
            digest = hashlib.sha256(table.tobytes()).hexdigest()
            assert digest == expected[part][f"sha256_{kind}"]


class Runs:
    def __reduce__(self):
        return os.system, ("touch /nonexistent",)


def changed(**changes: object) -> dict:
    return content() | changes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(labels=Runs()), r"it refers to posix\.system"),
        (changed(gttubes={"catch/a": {0: [np.array([{}], object)]}}), "arrays of type 'O8'"),
        ([1], "expected ACT's cache"),
        ({"labels": ["a"]}, "missing required field"),
        (changed(nframes={}), "nframes: holds no video"),
        (changed(labels=["wave", "catch", "wave"]), "pkl: labels: 'wave' stands twice"),
        (changed(nframes={"catch/a": 3}), r"resolution: expected the videos .* video wave/b"),
        (changed(gttubes={"catch/a": {}}), r"gttubes: expected the videos .* video wave/b"),
        (changed(test_videos=[["c/x"], []]), "test_videos, split 1: no such video c/x"),
        (changed(test_videos=[[]]), "got 2 and 1"),
        (changed(gttubes={"catch/a": {2: [ROWS]}, "wave/b": {}}), "video catch/a: class 2"),
        (
            changed(gttubes={"catch/a": {0: [ROWS[::-1]]}, "wave/b": {}}),
            "video catch/a, class 0, tube 0: expected consecutive frames, got 3 after 4",
        ),
        (changed(gttubes={"catch/a": {0: [ROWS[:, :4]]}, "wave/b": {}}), r"got \[2, 4\]"),
        (changed(gttubes={"catch/a": {0: [[1, 2]]}, "wave/b": {}}), r"numbers, got \[1, 2\]"),
        (changed(gttubes={"catch/a": {0: [ROWS * np.nan]}, "wave/b": {}}), "not finite"),
        (changed(gttubes={"catch/a": {0: [ROWS - 3]}, "wave/b": {}}), "from 1 on, got 0"),
        (changed(gttubes={"catch/a": {0: [ROWS * [1, 9, 9, 0, 0]]}, "wave/b": {}}), "ends before"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, values, message: str):
    path = written(tmp_path, values)
    with pytest.raises(ValueError, match=message) as error:
        read_act_cache(path)
    assert str(error.value).startswith(str(path))


def test_a_cache_of_another_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"another dataset: 2 classes \['catch', 'wave'\]"):
        read_act_cache(written(tmp_path, content()), CLASSES)


def test_splits_are_counted_from_1(tmp_path):
    cache = read_act_cache(written(tmp_path, content()))
    for number in (0, 3):
        with pytest.raises(ValueError, match=f"expected 1 to 2, got {number}"):
            cache.split("test", number)


def test_a_video_of_unknown_length_is_not_written(tmp_path):
    cache = read_act_cache(written(tmp_path, content()))
    cache.annotations.frame_counts[1] = 0
    with pytest.raises(ValueError, match="wave/b: its number of frames"):
        write_act_cache(cache, tmp_path / "out.pkl")
    assert not (tmp_path / "out.pkl").exists()


def test_lists_of_classes():
    assert {name: len(classes) for name, classes in DATASETS.items()} == {
        "ucf101_24": 24,
        "jhmdb": 21,
    }
    assert all(classes == sorted(classes) for classes in DATASETS.values())
