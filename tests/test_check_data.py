"""scripts/check_data.py: the table, the pictures, the exit code, a real video."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.check import draw_pictures, format_summary
from data.check.pictures import frame_at, picture_names
from data.prepare.extract import extract_video
from data.prepare.manifest import ExtractSettings
from data.video.file import VideoFile
from tests.checked_set import OPTIONS, ROWS, check, cut, write_rows, write_whole_set
from tests.entries import Script
from tests.helpers import SHARED, needs_shared
from tests.tiny_ava import frame_color, write_label_map


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_whole_set(tmp_path / "set")


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
    assert draw_pictures(checked, tmp_path / "pictures", 2) == written
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / written[0].name).write_text("a user's")
    with pytest.raises(ValueError, match="is there already and was not made by this command"):
        draw_pictures(checked, tmp_path / "mine", 2)
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


def test_names_of_pictures_differ_where_ids_do() -> None:
    names = picture_names(["a_b", "a/b", "A_b", "a_b_2", "c"])
    assert names["c"] == "c"
    assert sorted(names) == ["A_b", "a/b", "a_b", "a_b_2", "c"]
    assert len({name.casefold() for name in names.values()}) == 5
    assert not any("/" in name for name in names.values())


def test_the_image_of_a_time_is_the_one_at_its_share_of_the_second(root: Path) -> None:
    video = check(root)[0].videos["a"]
    for time, name in ((4, "00004/0000"), (4.5, "00004/0006"), (4.99, "00004/0011")):
        path = frame_at(video, Fraction(str(time)))
        assert path == root / f"frames/a/{name}.jpg"
    assert frame_at(video, Fraction(9)) is None


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
    assert len(list((tmp_path / "p").glob("*.png"))) == 2
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
