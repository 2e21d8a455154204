"""Checking a dataset: what training refuses is an error here, and all of it is told at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.annotations import AVA_EVALUATED, read_annotations
from data.check import Problems, check_dataset, check_images, draw_pictures, format_summary
from data.check.dataset import CheckedDataset
from data.check.frames import TESTED, numbering_drift, window_seconds
from data.check.labels import read_label_file
from data.check.pictures import frame_at
from data.check.rules import check_actions, check_boxes, check_repetitions, count_neighbors
from data.dataset import build_dataset
from data.extract import extract_video
from data.manifest import ExtractSettings
from data.video_file import VideoFile, write_video
from tests.entries import Script
from tests.helpers import SHARED, needs_shared
from tests.tiny_ava import WIDTH, frame_color, write_dataset, write_label_map
from utils.config import Config, load_config
from utils.labels import read_label_map
from utils.structures import ClipKey

ROWS = [
    f"{video},{second},0.1,0.2,0.5,0.8,{second % 3 + 1},{person}"
    for video in ("a", "b")
    for second in range(3, 7)
    for person in (0,)
]
OPTIONS = [
    "label_map=annotations/classes.pbtxt",
    "train_labels=annotations/train.csv",
    "val_labels=annotations/val.csv",
    "val_exclusions=",
    "first_second=-1",
    "last_second=-1",
    "image_size=32",
]
REAL = SHARED / "data/ava/ava_val_v2.1_rows.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos with frames of seconds 2 to 7 and a person in seconds 3 to 6; no mistake."""
    folder = tmp_path / "set"
    write_dataset(folder, [], {"a": range(2, 8), "b": range(2, 8)})
    write_rows(folder, "train", [row for row in ROWS if row[0] == "a"])
    write_rows(folder, "val", [row for row in ROWS if row[0] == "b"])
    return folder


def write_rows(root: Path, split: str, rows: list[str]) -> Path:
    path = root / "annotations" / f"{split}.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def edit(split: str, line: int, row: str) -> Callable[[Path], None]:
    """A change of one row, counted from 1."""

    def change(root: Path) -> None:
        path = root / "annotations" / f"{split}.csv"
        rows = path.read_text().splitlines()
        rows[line - 1] = row
        write_rows(root, split, rows)

    return change


def config_of(root: Path, *options: str) -> Config:
    return load_config(None, [f"root={root}", *OPTIONS, *options])


def check(root: Path, *options: str) -> tuple[CheckedDataset, Problems]:
    """Everything, every image opened."""
    problems = Problems()
    checked = check_dataset(config_of(root, *options), problems)
    check_images(checked.videos, 0, 1, problems)
    return checked, problems


def train_reads(root: Path, *options: str) -> None:
    """What training and testing would read of it."""
    build_dataset(config_of(root, *options), "train")
    val = build_dataset(config_of(root, *options), "val")
    for index in range(len(val)):
        val[index]


def shrink(root: Path) -> None:
    image = np.zeros((12, 16, 3), dtype=np.uint8)
    assert cv2.imwrite(str(root / "frames/b/00004/0004.jpg"), image)


def cut(root: Path) -> None:
    path = root / "frames/b/00004/0004.jpg"
    path.write_bytes(path.read_bytes()[:300])


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def test_a_whole_dataset_has_no_error_and_trains(root: Path) -> None:
    _, problems = check(root)
    assert problems.lines(9) == []
    train_reads(root)


@pytest.mark.parametrize(
    ("damage", "option", "kind", "said"),
    [
        (edit("train", 1, "a,3,10,20,50,80,1,0"), "", "boxes", "train.csv, line 1: box outside"),
        (edit("train", 2, "a,4,0.5,0.2,0.1,0.8,1,0"), "", "boxes", "line 2: box without area"),
        (edit("train", 2, "a,4,x,0.2,0.1,0.8,1,0"), "", "boxes", "line 2: x1 is not a number"),
        (edit("val", 2, "b,4,nan,0.2,0.5,0.8,1,0"), "", "boxes", "val.csv, line 2: box outside"),
        (edit("val", 3, "b,4.5,0.1,0.2,0.5,0.8,1,0"), "", "seconds", "line 3: timestamp must be"),
        (edit("val", 3, "b,-4,0.1,0.2,0.5,0.8,1,0"), "", "seconds", "line 3: timestamp must be"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,9,0"), "", "action ids", "line 3: unknown label id 9"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,run,0"), "", "action ids", "action_id is not a numb"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,1,Ann"), "", "person ids", "person_id is not a numb"),
        (edit("val", 3, "b,4,0.1,0.2,0.5"), "", "annotation rows", "line 3: expected 7 or 8"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,1"), "", "annotation rows", "expected 8 columns"),
        (lambda r: write_rows(r, "train", []), "", "annotation file", "the file is empty"),
        (lambda r: write_rows(r, "train", ["a,3", "a,4"]), "", "key frames", "no person"),
        (lambda r: (r / "annotations/val.csv").unlink(), "", "annotation file", "no such file"),
        (lambda r: (r / "annotations/classes.pbtxt").unlink(), "", "label map", "no such label"),
        (lambda r: None, "num_classes=4", "label map", "lists 3 classes, model.num_classes is 4"),
        (lambda r: None, "proposals=p.csv", "proposals", "p.csv: no such file"),
        (lambda r: None, "train_exclusions=e.csv", "excluded timestamps", "e.csv: no such file"),
        (lambda r: shutil.rmtree(r / "frames/a"), "", "seconds without frames", "train.csv, line"),
        (lambda r: shutil.rmtree(r / "frames/a/00004"), "", "seconds without frames", "line 2"),
        (lambda r: None, "last_second=9", "seconds without frames", TESTED),
        (lambda r: shutil.rmtree(r / "frames/a"), "", "seconds without frames", "4 key frames"),
        (lambda r: empty(r / "frames/b/00004"), "", "folders without images", "b/00004: no image"),
        (cut, "", "unreadable images", "b/00004/0004.jpg: not a readable image"),
        (shrink, "", "images of different sizes", "16 x 12 (1, such as"),
    ],
)
def test_what_training_refuses_is_an_error(
    root: Path, damage: Callable, option: str, kind: str, said: str
) -> None:
    """And nothing else is: the same data is read by the dataset of the training."""
    damage(root)
    options = [option] if option else []
    _, problems = check(root, *options)
    assert any(said in text for text in problems.errors[kind]), dict(problems.errors)
    with pytest.raises(ValueError):  # noqa: PT011, what it says is tested elsewhere
        train_reads(root, *options)


def test_a_gap_within_a_window_is_an_error_though_no_key_frame_lies_in_it(root: Path) -> None:
    write_rows(root, "train", [ROWS[0], ROWS[2]])  # seconds 3 and 5
    shutil.rmtree(root / "frames/a/00004")
    _, problems = check(root)
    (text,) = problems.errors["gaps in windows"]
    assert "a/00004: no such folder of frames, which a window needs" in text
    assert "train.csv, line 1" in text
    with pytest.raises(ValueError, match="00004"):
        build_dataset(config_of(root), "train")


@pytest.mark.parametrize("length", [12, 36, 60, 50])
def test_a_window_s_seconds_are_those_that_it_reads(length: int) -> None:
    """36 frames at 12 a second: from 1.5 s before, in second -2, to 1.5 s after, in second 1."""
    half = length // 2
    expected = {(i - half) // 12 for i in range(length)}
    assert set(window_seconds(length, 12)) == expected


def test_all_mistakes_are_told_at_once_and_each_kind_up_to_the_limit(root: Path) -> None:
    rows = ["video,second,x1,y1,x2,y2,action,person", *ROWS[:4], "a,5,3,4", "a,6,0,0,2,1,77,x"]
    write_rows(root, "train", rows)
    shutil.rmtree(root / "frames/b")
    _, problems = check(root)
    text = "\n".join(problems.lines(limit=20))
    for said in (
        "train.csv, line 1: timestamp is not a number: 'second' (the file must have no header)",
        "train.csv, line 6: expected 7 or 8 columns",
        "train.csv, line 7: box outside the image",
        "train.csv, line 7: person_id is not a number",
        "frames/b: no such folder of frames",
    ):
        assert said in text
    boxes = problems.errors["boxes"]
    assert len(boxes) == 5  # x1, y1, x2, y2 of the header, and line 7
    short = problems.lines(limit=2)
    assert "error: boxes: 5" in short
    assert "  ... and 3 more (--limit)" in short
    assert sum("is not a number: 'x1'" in line for line in problems.lines(limit=0)) == 0


def test_only_whole_rows_are_counted_but_every_image_is_looked_for(root: Path) -> None:
    rows = ["a,3,0,0,1,1,1,7", "a,4,0,0,1,1,1,x", "a,5,0,0,1,1,x,7", "a,x,0,0,1,1,1,7", "a,6"]
    labels = read_label_file(write_rows(root, "train", rows), Problems())
    assert (len(labels.rows), labels.count) == (1, 4)
    assert [key.timestamp for key in labels.annotated] == [3, 4, 5]
    assert [key.timestamp for key in labels.images] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (["a,3,64,36,320,180,1,0"] * 3, "boxes in pixels (x up to 320, y up to 180)"),
        (["a,3,0.6,0.5,0.2,0.3,1,0"] * 3, "boxes as x, y, width, height?"),
        (["a,3,-0.01,0.5,1.02,0.9,1,0"] * 3, "by at most 0.020 of its size: clip them"),
        (["a,3,0.1,0.5,0.4,0.9,1,0"] * 3, ""),
    ],
)
def test_what_wrong_boxes_have_in_common_is_said(root: Path, rows: list[str], cause: str) -> None:
    problems = Problems()
    check_boxes(read_label_file(write_rows(root, "train", rows), problems), problems)
    assert len(problems.causes) == bool(cause)
    assert cause in "".join(problems.causes)


def test_the_classes_of_annotation_and_label_map_are_compared(root: Path) -> None:
    ava = {i: f"action {i}" for i in sorted(AVA_EVALUATED)}
    every = {i: f"action {i}" for i in range(1, 81)}
    rows = [f"a,3,0,0,1,1,{i},0" for i in (1, 2, 16, 80)]  # 2 and 16 are not evaluated
    labels = read_label_file(write_rows(root, "train", rows), Problems())
    for classes, dropped, errors in ((ava, 2, 0), (every, 0, 0), ({1: "x", 80: "y"}, 0, 2)):
        problems = Problems()
        assert check_actions(labels, classes, problems) == dropped
        assert problems.error_count == errors
        assert len(problems.causes) == bool(errors)
    assert "unknown ids are among AVA's 80, the label map lists 2" in problems.causes[0]
    problems = Problems()
    from_zero = read_label_file(write_rows(root, "train", ["a,3,0,0,1,1,0,0"]), problems)
    check_actions(from_zero, {1: "x"}, problems)
    assert "ids count from 0" in problems.causes[0]


def test_repetitions_are_warnings(root: Path) -> None:
    rows = [
        "a,3,0,0,1,1,1,7",
        "a,3,0,0,1,1,2,7",  # a second action is none
        "a,3,0,0,1,1,1,7",  # the first row again
        "a,3,0,0,1,0.5,1,7",  # person 7 elsewhere
        "a,3,0,0,1,1,1,8",  # person 8 in the box of person 7
        "a,4,0,0,1,1,1,8",  # another second is none
    ]
    problems = Problems()
    labels = read_label_file(write_rows(root, "train", rows), problems)
    check_repetitions(labels, problems)
    assert problems.error_count == 0
    found = {
        kind: [t.partition(", ")[2] for t in texts] for kind, texts in problems.warnings.items()
    }
    assert found == {
        "rows twice": ["line 3: says the same as line 1"],
        "persons in two places": ["line 4: person 7 has another box than in line 1"],
        "shared boxes": ["line 5: person 8 has the box of person 7, line 1"],
    }


def test_neighbour_targets_are_those_that_training_gets(root: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {
        f"a,{rng.integers(3, 12)},0,0,{0.5 + 0.01 * person},1,{rng.integers(1, 4)},{person}"
        for person in rng.integers(0, 4, size=40)
    }
    path = write_rows(root, "train", sorted(rows))
    labels = read_label_file(path, Problems())
    annotations = read_annotations(path, {1: "x", 2: "y", 3: "z"})
    for reach, seconds in ((1, 1.0), (2, 1.0), (1, 3.0), (0, 1.0), (1, 0.5)):
        valid = [annotations.neighbors(key, reach, seconds)[1] for key in annotations.annotated()]
        expected = sum(int(v.sum()) for v in valid), sum(v.size for v in valid)
        assert count_neighbors(labels, reach, seconds) == expected


def test_missing_neighbours_and_shared_videos_are_warnings(root: Path) -> None:
    for split in ("train", "val"):
        write_rows(root, split, [row.rpartition(",")[0] for row in ROWS])
    _, problems = check(root)
    assert problems.error_count == 0
    assert "no person ids (column 8)" in problems.warnings["person ids"][0]
    assert [t.rpartition(": ")[2] for t in problems.warnings["splits"]] == [
        "video a is in the training set, too",
        "video b is in the training set, too",
    ]


def test_classes_exclusions_and_untested_seconds_are_looked_at(root: Path) -> None:
    write_rows(root, "train", ROWS[:2])  # classes 1 and 2
    (root / "excluded.csv").write_text("b,4\nstranger,4\n")
    checked, problems = check(root, "val_exclusions=excluded.csv", "last_second=5")
    assert problems.error_count == 0
    (classes,) = problems.warnings["classes without examples"]
    assert "1 of 3 classes have no example: 3 action 3; 1 of them are tested" in classes
    assert "video 'stranger' is not in" in problems.warnings["excluded timestamps"][0]
    (untested,) = problems.warnings["key frames"]
    assert "val.csv, line 4: second 6 is not tested" in untested
    assert [split.excluded for split in checked.splits] == [0, 1]
    assert ClipKey("b", 4) in checked.splits[1].keys  # the evaluation leaves it out, not the test
    (root / "excluded.csv").write_text("a,4\n")
    train = check(root, "train_exclusions=excluded.csv")[0].splits[0]
    assert list(train.keys) == [ClipKey("a", 3)]


@pytest.mark.parametrize(
    ("shift", "options", "cause"),
    [
        (900, [], "are all there 900 s earlier: annotation and frames count"),
        (1, [], "are all there 1 s earlier"),
        (0, ["last_second=20"], "first_second=-1 last_second=-1 takes those with frames"),
        (77, [], ""),
    ],
)
def test_seconds_counted_from_elsewhere_are_explained(
    root: Path, shift: int, options: list[str], cause: str
) -> None:
    for second in (2, 7):  # frames of exactly the annotated seconds
        shutil.rmtree(root / f"frames/a/{second:05d}")
        shutil.rmtree(root / f"frames/b/{second:05d}")
    for split in ("train", "val"):
        rows = [row.split(",") for row in ROWS if (row[0] == "a") == (split == "train")]
        moved = [",".join([r[0], str(int(r[1]) + shift), *r[2:]]) for r in rows]
        write_rows(root, split, moved)
    _, problems = check(root, *options)
    assert problems.error_count
    assert len(problems.causes) == bool(cause)
    assert cause in "".join(problems.causes)


def test_other_names_of_videos_are_explained(root: Path) -> None:
    for video in ("a", "b"):
        (root / "frames" / video).rename(root / "frames" / f"{video}.mp4")
    checked, problems = check(root)
    assert "other names of the videos?" in problems.causes[0]
    assert checked.unused == 2


def test_numbers_through_a_video_tell_where_frames_are_lost() -> None:
    even = {second: 1 + 30 * second for second in range(10)}
    assert numbering_drift(even)[0] == 0
    # 30 frames a second, 12 lost in second 4: the line from 0 to 258 in 9 s has 28.67 a second, and
    # second 5 begins at number 138, which is 4.814 s on that line.
    lost = {second: 30 * second - 12 * (second > 4) for second in range(10)}
    assert numbering_drift(lost) == (pytest.approx(5 - 138 * 9 / 258, abs=1e-6), 5)
    assert numbering_drift(dict.fromkeys(range(10), 0)) == (0, 0)  # anew in each second
    assert numbering_drift({}) == (0, 0)


@pytest.fixture
def extracted(root: Path) -> Path:
    """Video b extracted from a video that drops the frames from 3.7 s to 4.3 s."""
    frames = (np.full((24, 32, 3), 3 * i, dtype=np.uint8) for i in range(80))
    write_video(root / "b.mp4", frames, 10)
    video = VideoFile(root / "b.mp4")
    kept = [f for f in video.frames() if not Fraction(37, 10) <= f.time <= Fraction(43, 10)]
    video.frames = lambda *_, **__: iter(kept)  # type: ignore[method-assign]
    video.times = [frame.time for frame in kept]
    shutil.rmtree(root / "frames/b")
    extract_video(video, root / "frames/b", ExtractSettings(start=2, end=8, fps=12))
    return root


def test_frames_are_compared_with_their_record(extracted: Path) -> None:
    _, problems = check(extracted)
    assert problems.error_count == 0
    (late,) = problems.warnings["timing"]
    assert "b/00004: the video showed its first frame 0.40 s before this second" in late
    assert "val.csv, line 2" in late
    (few,) = problems.warnings["few frames"]
    assert "12 are taken; so in 6 of 6 seconds" in few  # the video has 10 frames a second
    (extracted / "frames/b/00005/003.jpg").unlink()
    _, problems = check(extracted)
    assert (
        "b/00005: 11 frames, 12 were extracted; so in 1 of 6"
        in problems.warnings["frames and their record"][0]
    )


def test_frames_of_several_decoders_are_a_warning(extracted: Path) -> None:
    path = extracted / "frames/b/extraction.json"
    record = json.loads(path.read_text())
    (extracted / "frames/a/extraction.json").write_text(
        json.dumps(record | {"decoder": "another", "distinct": [12] * 6, "key_late_ms": [0] * 6})
    )
    _, problems = check(extracted)
    (text,) = problems.warnings["frames and their record"]
    assert "with different decoders: PyAV" in text
    assert "another (1, such as a)" in text
    path.write_text("[]")
    _, problems = check(extracted)
    assert "extraction.json: not a record" in problems.errors["frames and their record"][0]


def test_the_table_counts_what_is_there(root: Path) -> None:
    checked, _ = check(root)
    text = format_summary(checked, {(24, 32): 144})
    lines = {line.split("  ")[0]: line.split()[-2:] for line in text.splitlines()}
    assert lines["key frames"] == ["4", "6"]
    assert lines["with frames"] == ["4", "6"]
    assert lines["persons"] == ["4", "4"]
    assert lines["tested, not annotated"] == ["0", "2"]
    assert lines["1 action 1"] == ["2", "2"]
    assert lines["2 action 2"] == ["1", "1"]
    assert lines["neighbour targets"] == ["of", "8"]
    assert text.count("6 of 8") == 2
    assert "images read: 32 x 24 (144)" in text
    assert "extracted by: another tool (2 videos)" in text


def test_pictures_show_the_moments_around_a_key_frame(root: Path, tmp_path: Path) -> None:
    """Every image's colour tells its second and number: 12 a second, half a second is 6."""
    checked, _ = check(root)
    written = draw_pictures(checked, tmp_path / "pictures", 2)
    assert [path.name.rpartition("_")[0] for path in written] == ["train_a", "val_b"]
    second = int(written[0].stem[-5:])
    picture = cv2.imread(str(written[0]))[..., ::-1].astype(int)
    height = picture.shape[0]
    width = picture.shape[1] // 4
    below = [picture[height - 12, width * i + 8] for i in range(4)]
    moments = [(second - 1, 0), (second - 1, 6), (second, 6), (second + 1, 0)]
    for color, moment in zip(below, moments, strict=True):
        assert color == pytest.approx(frame_color(*moment), abs=4)
    x, y = round(0.1 * picture.shape[1]), height // 2  # on the left side of the box
    edge = picture[y, x - 2 : x + 3]
    ground = np.array(frame_color(second, 0))
    assert np.abs(edge - ground).sum(axis=1).max() > 100
    assert picture[y, 4 * x] == pytest.approx(ground, abs=4)


def test_the_image_of_a_time_is_the_one_at_its_share_of_the_second(root: Path) -> None:
    video = check(root)[0].videos["a"]
    for time, name in ((4, "00004/0000"), (4.5, "00004/0006"), (4.99, "00004/0011")):
        path = frame_at(video, Fraction(str(time)))
        assert path == root / f"frames/a/{name}.jpg"
    assert frame_at(video, Fraction(9)) is None


def test_images_are_sampled_from_every_video_the_first_included(root: Path) -> None:
    (root / "frames/b/00002/0000.jpg").write_bytes(b"")
    problems = Problems()
    checked = check_dataset(config_of(root), problems)
    sizes = check_images(checked.videos, 6, 2, problems)
    assert sizes == {(24, WIDTH): 5}
    assert len(problems.errors["unreadable images"]) == 1


@pytest.fixture
def check_data(monkeypatch, capsys) -> Script:
    return Script("scripts/check_data", monkeypatch, capsys)


def test_the_script_s_exit_code_says_whether_training_could_succeed(
    root: Path, tmp_path: Path, check_data: Script
) -> None:
    arguments = ("--data-root", root, *OPTIONS)
    good = check_data(*arguments, "--strict", "--pictures", tmp_path / "p", "--picture-count", 2)
    assert good.code == 0, good
    assert "0 errors, 0 warnings" in good.out
    assert len(list((tmp_path / "p").iterdir())) == 2
    write_rows(root, "val", [*ROWS[4:], ROWS[4]])
    assert check_data(*arguments).code == 0
    assert check_data(*arguments, "--strict").code == 1
    cut(root)
    assert check_data(*arguments, "--all-images").code == 1
    write_label_map(root / "annotations/classes.pbtxt", 1)
    bad = check_data(*arguments, "--limit", 1)
    assert bad.code == 1
    assert "unknown label id 2" in bad.out
    assert "  ... and 3 more (--limit)" in bad.out
    assert "no such folder (--data-root)" in check_data.refuses("--data-root", root / "none")
    assert "did you mean data.fps" in check_data.refuses("--data-root", root, "fpz=3")


@needs_shared
def test_real_annotation_has_no_error_and_the_counts_of_training() -> None:
    """93,400 rows of AVA v2.1 validation; 19 labels are of AVA's 20 that are not evaluated."""
    classes = read_label_map(SHARED / "data/ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt")
    problems = Problems()
    labels = read_label_file(REAL, problems)
    check_boxes(labels, problems)
    check_repetitions(labels, problems)
    assert check_actions(labels, classes, problems) == 19
    assert problems.lines(9) == []
    assert (labels.count, len(labels.annotated), len(labels.videos)) == (93_400, 50_029, 64)
    annotations = read_annotations(REAL, classes)
    assert len(labels.persons) == len(annotations.boxes)
    counted = [labels.class_counts[i] for i in classes]
    assert counted == annotations.labels.sum(axis=0).tolist()


@needs_shared
def test_a_real_video_with_its_annotation_is_checked_whole(
    tmp_path: Path, check_data: Script
) -> None:
    real = SHARED / "data/real"
    settings = ExtractSettings(start=0, end=None, fps=12, short_side=60)
    extract_video(VideoFile(real / "basketball.mp4"), tmp_path / "frames/basketball", settings)
    shutil.copy(real / "basketball.csv", tmp_path)
    shutil.copy(SHARED / "data/ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt", tmp_path)
    options = ["train_labels=basketball.csv", "val_labels=basketball.csv", "val_exclusions="]
    options += ["label_map=ava_action_list_v2.1_for_activitynet_2018.pbtxt", "last_second=-1"]
    done = check_data("--data-root", tmp_path, *options, "first_second=-1", "--images", 9)
    assert done.code == 0, done.out
    assert done.out.count("36 of 40") == 2
    assert "0 errors, 2 warnings" in done.out  # one video in both splits; classes without examples
