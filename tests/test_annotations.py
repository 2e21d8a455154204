"""AVA annotation files: what they mean, and what is refused."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from data.datasets.ava_annotations import AVA_EVALUATED, read_annotations, read_exclusions
from data.datasets.ava_records import read_records, write_pickle
from utils.structures import ClipKey

CLASSES = {5: "sit", 2: "run", 9: "wave"}
AVA_60 = {i: f"action {i}" for i in sorted(AVA_EVALUATED)}
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
V902 = ClipKey("v", 902)


def write(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def test_all_rows_of_a_person_make_one_multi_hot_vector(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "v,0902,0.1,0.2,0.3,0.4,9,1",
        "v,0902,0.5,0.2,0.7,0.4,5,2",
        "v,0902,0.1,0.2,0.3,0.4,2,1",
    )
    read = read_annotations(path, CLASSES)
    assert read.annotated() == [V902]
    assert read.boxes[read.rows(V902)] == pytest.approx(
        np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.2, 0.7, 0.4]])
    )
    # Columns in ascending id order, 2, 5, 9, whatever the order of the label map.
    assert list(read.classes) == [2, 5, 9]
    assert read.labels.tolist() == [[True, False, True], [False, True, False]]
    assert read.persons is not None
    assert read.persons.tolist() == [1, 2]


def test_two_persons_in_one_box_stay_two(tmp_path: Path) -> None:
    rows = ("v,902,0,0,1,1,2,1", "v,902,0,0,1,1,5,2")
    assert read_annotations(write(tmp_path, *rows), CLASSES).labels.sum(axis=1).tolist() == [1, 1]


def test_without_ids_equal_boxes_are_one_person(tmp_path: Path) -> None:
    path = write(
        tmp_path, "v,902,0,0,1,1,2", "v,902,0,0,1,0.5,2", "v,902,0.0,0,1,1,5", "v,903,0,0,1,1,2"
    )
    read = read_annotations(path, CLASSES)
    assert read.labels[read.rows(V902)].tolist() == [[True, True, False], [True, False, False]]
    boxes, valid = read.neighbors(V902, reach=1, clip_seconds=1.0)
    assert boxes.shape == (2, 1, 2, 4)
    assert not valid.any()


def test_an_image_without_persons_is_named_but_has_none(tmp_path: Path) -> None:
    read = read_annotations(write(tmp_path, "v,903", "v,902,0,0,1,1,2", "w,7"), CLASSES)
    assert list(read.spans) == [V902, ClipKey("v", 903), ClipKey("w", 7)]
    assert read.annotated() == [V902]
    assert read.videos() == ["v", "w"]
    assert len(read.boxes[read.rows(ClipKey("v", 903))]) == 0
    assert len(read.boxes[read.rows(ClipKey("nowhere", 1))]) == 0


def test_neighbors_are_the_same_person_a_clip_away(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "v,900,0.0,0,0.1,1,2,7",  # two clips before
        "v,901,0.1,0,0.2,1,2,8",  # one before, but of person 8
        "v,902,0.2,0,0.3,1,2,7",
        "v,902,0.5,0,0.6,1,2,8",
        "v,903,0.3,0,0.4,1,2,7",
        "w,903,0.9,0,1.0,1,2,8",  # another video
    )
    read = read_annotations(path, CLASSES)
    boxes, valid = read.neighbors(V902, reach=2, clip_seconds=1.0)
    assert boxes.shape == (2, 2, 2, 4)
    # person, r: [before, after]
    assert valid.tolist() == [[[False, True], [True, False]], [[True, False], [False, False]]]
    assert boxes[0, 0, 1] == pytest.approx([0.3, 0, 0.4, 1])
    assert boxes[0, 1, 0] == pytest.approx([0.0, 0, 0.1, 1])
    assert boxes[1, 0, 0] == pytest.approx([0.1, 0, 0.2, 1])
    assert not boxes[~valid].any()


def test_neighbors_are_as_far_as_a_clip_is_long(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"v,{s},0.{s},0,1,1,2,7" for s in range(1, 8)))
    read = read_annotations(path, CLASSES)
    boxes, valid = read.neighbors(ClipKey("v", 4), reach=1, clip_seconds=3.0)
    assert valid.all()
    assert boxes[0, 0, :, 0] == pytest.approx([0.1, 0.7])
    assert not read.neighbors(ClipKey("v", 4), reach=1, clip_seconds=1.5)[1].any()
    assert read.neighbors(ClipKey("v", 4), reach=0, clip_seconds=1.0)[1].shape == (1, 0, 2)


def test_ava_s_other_twenty_actions_are_dropped_with_ava_s_sixty_only(tmp_path: Path) -> None:
    assert len(AVA_EVALUATED) == 60
    path = write(tmp_path, "v,902,0,0,1,1,12,1", "v,902,0,0,1,1,2,1", "v,902,0,0,0.5,1,16,2")
    read = read_annotations(path, AVA_60)
    assert read.dropped == 2
    assert read.labels.shape == (2, 60)
    assert read.labels.sum(axis=1).tolist() == [1, 0]  # the second stays, a person without label
    with pytest.raises(ValueError, match=r"labels\.csv, line 2: unknown label id 2"):
        read_annotations(path, {12: "stand", 16: "?"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,902,0,0,1,1", "expected 7 or 8 columns, .*, got 6"),
        ("v,902,0,0,1,1,2,1,0.5", "expected 7 or 8 columns, .*, got 9"),
        ("v,902,0,0,1,1,2", "expected 8 columns as above, got 7"),
        ("v,902,zero,0,1,1,2,1", "x1 is not a number: 'zero'"),
        ("v,902,0,0,1,nan,2,1", "box outside the image: .*y2=nan"),
        ("v,902,0,0,1,1.01,2,1", r"box outside the image: .*y2=1\.01"),
        ("v,902,-0.1,0,1,1,2,1", r"box outside the image: .*x1=-0\.1"),
        ("v,902,0.5,0,0.5,1,2,1", r"box without area: .*x1=0\.5, .*x2=0\.5"),
        ("v,902,0,0.5,1,0.4,2,1", r"box without area: .*y1=0\.5, .*y2=0\.4"),
        ("v,902,0,0,1,1,3,1", "unknown label id 3: expected one of the label map's 3 ids, 2 to 9"),
        ("v,902,0,0,1,1,2.5,1", "action_id must be a whole number, got '2.5'"),
        ("v,902,0,0,1,1,2,x", "person_id is not a number: 'x'"),
        ("v,902.5,0,0,1,1,2,1", "timestamp must be a whole number, got '902.5'"),
        ("v,-1,0,0,1,1,2,1", "timestamp must be 0 or more"),
        ("v,inf,0,0,1,1,2,1", "timestamp must be a whole number, got 'inf'"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path, "v,902,0,0,1,1,2,1", "", row)
    with pytest.raises(ValueError, match=rf"labels\.csv, line 3: {message}"):
        read_annotations(path, CLASSES)


def test_a_toy_label_map_does_not_excuse_an_id_past_it(tmp_path: Path) -> None:
    path = write(tmp_path, "v,1,0,0,1,1,8,0", "v,1,0,0,1,1,9,0")
    with pytest.raises(ValueError, match=r"line 2: unknown label id 9: .* 8 ids, 1 to 8"):
        read_annotations(path, {i: str(i) for i in range(1, 9)})


def test_a_header_is_explained(tmp_path: Path) -> None:
    path = write(tmp_path, "video,timestamp,x1,y1,x2,y2,action_id,person_id")
    with pytest.raises(ValueError, match=r"line 1: timestamp is not a number.*no header"):
        read_annotations(path, CLASSES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"\n\n", "the file is empty"),
        ("a.csv", b"\xff\xfe\x00\x80", "expected UTF-8 text, got the byte 0xff"),
        ("a.csv", None, "no such file"),
        ("a.pkl", None, "no such file"),
        ("a.json", b"{}", r"ending in \.csv or \.pkl"),
        ("a.pkl", b"not a pickle", "refused: "),
        ("a.pkl", pickle.dumps([1, 2]), "not of format"),
        ("a.pkl", pickle.dumps({"format": "another", "images": []}), "not of format"),
        ("a.pkl", pickle.dumps({"format": "step-annotations-1"}), "Object missing required field"),
    ],
)
def test_a_bad_file_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}(, line 1)?: .*{message}"):
        read_annotations(tmp_path / name, CLASSES)


def test_a_pickle_reads_as_the_csv_it_was_made_from(tmp_path: Path) -> None:
    path = write(
        tmp_path, "v,902,0.1,0,1,1,2,1", "v,902,0.1,0,1,1,9,1", "v,903", "a,1,0,0,1,0.3,5,4"
    )
    write_pickle(read_records(path), tmp_path / "labels.pkl")
    from_csv = read_annotations(path, CLASSES)
    from_pickle = read_annotations(tmp_path / "labels.pkl", CLASSES)
    assert from_csv.spans == from_pickle.spans
    for name in ("boxes", "labels", "persons"):
        assert np.array_equal(getattr(from_csv, name), getattr(from_pickle, name))


def test_a_pickle_is_checked_like_a_csv(tmp_path: Path) -> None:
    for box, actions, message in (
        ((0, 0, 2, 1), [2], r"image 'v',902: box outside the image"),
        ((0, 0, 1, 1), [3], r"image 'v',902: unknown label id 3"),
    ):
        content = {
            "format": "step-annotations-1",
            "has_persons": True,
            "images": [("v", 902, [(box, 1, actions)])],
        }
        (tmp_path / "labels.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=rf"labels\.pkl, {message}"):
            read_annotations(tmp_path / "labels.pkl", CLASSES)


PERSON = ((0.0, 0.0, 1.0, 1.0), 1, [2])
TEN_THOUSAND = [PERSON] * 10_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [("v", 902.7, [PERSON])]}, "Expected int, got float"),
        ({"images": [("v", 10**13, [PERSON])]}, "Expected int <= "),
        ({"images": [("v", -1, [PERSON])]}, "Expected int >= 0"),
        ({"images": [("../v", 902, [PERSON])]}, "must not lead out of its folder"),
        ({"images": [("v\0", 902, [PERSON])]}, "without control characters"),
        ({"images": [(7, 902, [PERSON])]}, "Expected str, got int"),
        ({"images": [("v", 902, [PERSON]), ("v", 902, [])]}, "stands twice"),
        ({"images": [("v", 902, [(PERSON[0], None, [2])])]}, "all persons with an id, or none"),
        (
            {"images": [("v", 902, [(PERSON[0], 2**63, [2])])]},
            "Expected int <= 9223372036854775807",
        ),
        ({"images": [("v", 902, [(PERSON[0], "None", [2])])]}, "got str"),
        ({"images": [("v", 902, [(PERSON[0], True, [2])])]}, "got bool"),
        ({"images": [("v", 902, [((0, 0, float("inf"), 1), 1, [2])])]}, "outside the image"),
        ({"images": [("v", 902, [(PERSON[0], 1, [2.5])])]}, "Expected int, got float"),
        ({"has_persons": False}, "all persons with an id, or none"),
        ({"has_persons": 2}, "Expected bool, got int"),
        ({"images": None}, "got null"),
        ({"images": [("v", i, TEN_THOUSAND) for i in range(10_000)]}, "refers to more than its"),
    ],
)
def test_a_pickle_s_content_is_checked(tmp_path: Path, change: dict, message: str) -> None:
    whole = {
        "format": "step-annotations-1",
        "has_persons": True,
        "images": [("v", 902, [PERSON])],
    }
    path = tmp_path / "labels.pkl"
    path.write_bytes(pickle.dumps(whole))
    assert list(read_records(path).images) == [V902]
    path.write_bytes(pickle.dumps(whole | change))
    with pytest.raises(ValueError, match=r"labels\.pkl") as caught:
        read_records(path)
    assert message in str(caught.value)


class _Mischief:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps({"images": _Mischief()}))
    with pytest.raises(ValueError, match=r"labels\.pkl: refused: it refers to \w+\.mkdir"):
        read_annotations(tmp_path / "labels.pkl", CLASSES)
    assert not (tmp_path / "executed").exists()


def test_exclusions(tmp_path: Path) -> None:
    path = tmp_path / "excluded.csv"
    path.write_text("v,0902\nw,12\n")
    assert read_exclusions(path) == {V902, ClipKey("w", 12)}
    path.write_text("")
    assert read_exclusions(path) == frozenset()
    path.write_text("v,902,1\n")
    with pytest.raises(ValueError, match=r"excluded\.csv, line 1: expected 2 columns"):
        read_exclusions(path)
    with pytest.raises(ValueError, match="no such file"):
        read_exclusions(tmp_path / "none.csv")


def test_ava_s_validation_rows_read_in_seconds() -> None:
    path = SHARED / "ava" / "ava_val_v2.1_rows.csv"
    if not path.is_file():
        pytest.skip("AVA's validation rows are not here")
    start = time.process_time()
    read = read_annotations(path, AVA_60)
    assert time.process_time() - start < 10
    assert len(read.annotated()) == 50029
    assert len(read.videos()) == 64
    assert read.labels.sum() + read.dropped == 93400  # pose classes: one per person
    assert read.dropped == sum(line.endswith(",2") for line in path.read_text().splitlines())
    seconds = [key.timestamp for key in read.spans]
    assert (min(seconds), max(seconds)) == (902, 1798)


def test_real_annotation_with_person_ids() -> None:
    path = SHARED / "real" / "basketball.csv"
    if not path.is_file():
        pytest.skip("the annotated video is not here")
    read = read_annotations(path, AVA_60)
    assert read.annotated() == [ClipKey("basketball", second) for second in range(10)]
    _, valid = read.neighbors(ClipKey("basketball", 5), reach=1, clip_seconds=1.0)
    assert valid.shape == (2, 1, 2)
    assert valid.all()
    _, at_start = read.neighbors(ClipKey("basketball", 0), reach=1, clip_seconds=1.0)
    assert at_start[:, 0].tolist() == [[False, True]] * 2


def test_the_ids_left_out_are_those_of_the_published_list() -> None:
    path = SHARED / "ava" / "ava_action_list_v2.1_for_activitynet_2018.pbtxt"
    if not path.is_file():
        pytest.skip("AVA's label map is not here")
    listed = {int(line.split()[1]) for line in path.read_text().splitlines() if " id:" in line}
    assert listed == AVA_EVALUATED
