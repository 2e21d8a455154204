"""Moments between annotated seconds: frames in their order, boxes on a line, the nearer actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.datasets.ava_records import PersonRecord, Records
from data.prepare.between_seconds import add_moments_between
from data.prepare.one_video import prepare_video_dataset
from data.windows import SecondFolders
from scripts import overfit
from tests.test_prepare import CLASSES, make_video
from utils.structures import ClipKey

PER_SECOND = 8


def make_frames(folder: Path, seconds: int = 3) -> None:
    """Frames whose content is their number in the video."""
    for second in range(seconds):
        (folder / f"{second:05d}").mkdir(parents=True)
        for place in range(PER_SECOND):
            path = folder / f"{second:05d}" / f"{place + 1:06d}.jpg"
            path.write_text(str(second * PER_SECOND + place))


def person(number: int, left: float, *actions: int) -> PersonRecord:
    return PersonRecord((left, 0.2, left + 0.1, 0.4), number, list(actions))


def test_a_clip_between_seconds_has_the_frames_and_the_box_of_its_moment(tmp_path: Path) -> None:
    make_frames(tmp_path / "v")
    images = {
        ClipKey("v", 0): [person(0, 0.1, 3)],
        ClipKey("v", 1): [person(0, 0.5, 14, 3), person(1, 0.8, 14)],
        ClipKey("v", 2): [person(1, 0.4, 3)],
    }
    rows = add_moments_between(tmp_path, "v", Records(images, True, {}), 3)
    # A quarter, a half and three quarters of the way; of the two seconds the nearer one's actions.
    assert rows == [
        ("v_later_1_of_4", 1, 0.2, 0.2, 0.3, 0.4, 3, "0"),
        ("v_later_1_of_4", 2, 0.7, 0.2, 0.8, 0.4, 14, "1"),
        ("v_later_2_of_4", 1, 0.3, 0.2, 0.4, 0.4, 3, "0"),
        ("v_later_2_of_4", 2, 0.6, 0.2, 0.7, 0.4, 14, "1"),
        ("v_later_3_of_4", 1, 0.4, 0.2, 0.5, 0.4, 14, "0"),
        ("v_later_3_of_4", 1, 0.4, 0.2, 0.5, 0.4, 3, "0"),
        ("v_later_3_of_4", 2, 0.5, 0.2, 0.6, 0.4, 3, "1"),
    ]
    for part, offset in ((1, 2), (2, 4), (3, 6)):
        folders = SecondFolders(tmp_path / f"v_later_{part}_of_4")
        for second in (1, 2):
            window = folders.window(second, 12, PER_SECOND)
            moment = (second - 1) * PER_SECOND + offset
            wanted = [min(max(moment - 6 + i, 0), 23) for i in range(12)]
            assert [int(Path(path).read_text()) for path in window] == wanted


def test_no_moments_where_nobody_is_annotated_twice_in_a_row(tmp_path: Path) -> None:
    make_frames(tmp_path / "v")
    images = {ClipKey("v", 0): [person(0, 0.1, 3)], ClipKey("v", 2): [person(0, 0.5, 3)]}
    assert add_moments_between(tmp_path, "v", Records(images, True, {}), 3) == []
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_overfitting_trains_on_them_as_long_as_without(
    tmp_path: Path, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    annotation = tmp_path / "v.csv"
    annotation.write_text("v,0,0.1,0.1,0.5,0.5,14,7\nv,1,0.3,0.1,0.7,0.5,14,7" + end)
    video = make_video(tmp_path / "v.mp4", seconds=2)
    folder = prepare_video_dataset(video, annotation, CLASSES, tmp_path / "set", 3)
    train, val = (folder / f"annotations/ava_{name}_v2.1.csv" for name in ("train", "val"))
    assert val.read_bytes() == annotation.read_bytes()
    lines = [line.split(",") for line in train.read_text().splitlines() if line]
    # 30 frames a second: 7, 15 and 22 of them later.
    lefts = {0.1, 0.3, *(round(0.1 + 0.2 * offset / 30, 6) for offset in (7, 15, 22))}
    assert {float(line[2]) for line in lines} == lefts
    assert len(lines) == 5
    # 2 key frames of 300 epochs each; 600 / 5.
    assert overfit.same_iterations(folder, []) == ["epochs=120"]
    assert "3 moments between the 2 annotated ones too: 120 epochs" in capsys.readouterr().out
    assert overfit.same_iterations(folder, ["lr=1", "train.epochs=7"]) == []
    assert overfit.same_iterations(folder, ["iterations=7"]) == []
    assert not capsys.readouterr().out  # of epochs that are not trained


def test_without_person_ids_nobody_is_followed(tmp_path: Path) -> None:
    annotation = tmp_path / "v.csv"
    annotation.write_text("v,0,0.1,0.1,0.5,0.5,14\nv,1,0.3,0.1,0.7,0.5,14\n")
    video = make_video(tmp_path / "v.mp4", seconds=2)
    folder = prepare_video_dataset(video, annotation, CLASSES, tmp_path / "set", 3)
    assert (folder / "annotations/ava_train_v2.1.csv").read_bytes() == annotation.read_bytes()
    assert overfit.same_iterations(folder, []) == []
