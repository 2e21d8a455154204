"""Which frames a window takes, in both layouts, and reading them."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.windows import (
    NumberedFrames,
    SecondFolders,
    as_rate,
    frame_window,
    free_form_window,
    nearest_frames,
    read_images,
    second_window,
    spread_frames,
)
from tests.tiny_ava import frame_color, frame_of, write_image, write_video_folder


def twelve(second: int) -> list[str]:
    return [f"{second}:{i}" for i in range(12)]


def test_a_second_s_frames_are_spread_by_floor() -> None:
    """30 frames: floor(i * 30 / 12) = floor(2.5 i)."""
    names = [str(i) for i in range(30)]
    expected = ["0", "2", "5", "7", "10", "12", "15", "17", "20", "22", "25", "27"]
    assert spread_frames(names, 12) == expected
    assert spread_frames(names[:12], 12) == names[:12]
    assert spread_frames(["0", "1", "2"], 12) == [str(i // 4) for i in range(12)]
    assert spread_frames(["0"], 12) == ["0"] * 12


def test_half_a_window_is_before_the_key_frame() -> None:
    window = second_window(twelve, 5, first=0, last=9, length=36)
    assert window == [*twelve(3)[6:], *twelve(4), *twelve(5), *twelve(6)[:6]]
    assert window[18] == "5:0"


def test_a_window_shorter_than_a_second() -> None:
    assert second_window(twelve, 5, 0, 9, 12) == [*twelve(4)[6:], *twelve(5)[:6]]


@pytest.mark.parametrize("length", [12, 36, 60, 120])
def test_the_key_frame_is_in_the_middle_of_any_window(length: int) -> None:
    window = second_window(twelve, 5, first=0, last=9, length=length)
    assert len(window) == length
    assert window[length // 2] == "5:0"


def test_past_the_ends_the_first_and_the_last_frame_are_repeated() -> None:
    at_start = second_window(twelve, 2, first=2, last=9, length=36)
    assert at_start == ["2:0"] * 18 + twelve(2) + twelve(3)[:6]
    at_end = second_window(twelve, 9, first=2, last=9, length=36)
    assert at_end == twelve(7)[6:] + twelve(8) + twelve(9) + ["9:11"] * 6
    alone = second_window(twelve, 4, first=4, last=4, length=36)
    assert alone == ["4:0"] * 18 + twelve(4) + ["4:11"] * 6


def test_only_seconds_of_the_window_are_listed() -> None:
    asked = set()

    def frames_of(second: int) -> list[str]:
        asked.add(second)
        return twelve(second)

    second_window(frames_of, 50, first=0, last=99, length=36)
    assert asked == {48, 49, 50, 51}


def test_the_nearest_frame_in_time_is_taken_and_of_two_the_earlier() -> None:
    times = [Fraction(0), Fraction(1), Fraction(3)]
    wanted = [
        Fraction(-5),
        Fraction(1, 2),
        Fraction(3, 4),
        Fraction(2),
        Fraction(21, 10),
        Fraction(9),
    ]
    #          before      tie              nearer to 1     tie          nearer to 3       past
    assert nearest_frames(times, wanted) == [0, 0, 1, 1, 2, 2]


def test_times_rounded_to_milliseconds_break_no_tie() -> None:
    """Matroska's 30 fps: 0, 33, 67, 100 ms. Half way between 1/30 and 2/30 s the earlier counts."""
    times = [Fraction(round(1000 * i / 30), 1000) for i in range(100)]
    expected = [floor(2.5 * i) for i in range(36)]
    assert nearest_frames(times, [Fraction(i, 12) for i in range(36)]) == expected


def test_a_frame_at_the_very_time_is_taken_however_close_the_others() -> None:
    times = [Fraction(i, 1000) for i in range(100)]
    assert nearest_frames(times, times) == list(range(100))


def test_nearest_frames_agrees_with_a_search_of_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        times = [Fraction(int(t), 30) for t in np.unique(rng.integers(0, 60, 20))]
        wanted = [Fraction(int(t), 12) for t in np.sort(rng.integers(-10, 40, 15))]
        found = nearest_frames(times, wanted)
        slow = [min(range(len(times)), key=lambda i: (abs(times[i] - w), i)) for w in wanted]
        assert found == slow


def test_free_form_frames_at_30_are_resampled_to_12() -> None:
    """Offsets 2.5 i: exactly half way the earlier frame, so floor(2.5 i) as in second folders."""
    paths = [str(i) for i in range(100)]
    window = free_form_window(paths, 50, length=12, fps=12, source_fps=30)
    expected = [-15, -13, -10, -8, -5, -3, 0, 2, 5, 7, 10, 12]
    assert [int(path) - 50 for path in window] == expected


def test_free_form_windows_and_second_folders_agree_at_whole_seconds() -> None:
    paths = [str(i) for i in range(300)]
    by_rate = free_form_window(paths, 120, length=36, fps=12, source_fps=30)
    by_second = second_window(
        lambda s: spread_frames(paths[30 * s : 30 * s + 30], 12), 4, first=0, last=9, length=36
    )
    assert by_rate == by_second


@pytest.mark.parametrize(("index", "first", "last"), [(0, "0", "12"), (19, "4", "19")])
def test_free_form_windows_repeat_past_the_ends(index: int, first: str, last: str) -> None:
    window = free_form_window([str(i) for i in range(20)], index, 12, 12, 30)
    assert (window[0], window[6], window[-1]) == (first, str(index), last)


def test_a_source_at_the_network_s_rate_is_taken_frame_by_frame() -> None:
    paths = [str(i) for i in range(20)]
    assert free_form_window(paths, 10, 12, 12, source_fps=12) == paths[4:16]


def test_rates() -> None:
    assert as_rate(29.97) == Fraction(2997, 100)
    assert as_rate(30) == 30
    assert as_rate(Fraction(30000, 1001)) == Fraction(30000, 1001)
    with pytest.raises(ValueError, match="above 0, got 0"):
        as_rate(0)


def test_a_window_has_the_exact_frames_of_its_folders(tmp_path: Path) -> None:
    write_video_folder(tmp_path / "v", range(4), per_second=15)
    paths = SecondFolders(tmp_path / "v").window(2, length=24, fps=12)
    seen = [frame_of(image.mean(axis=(0, 1))) for image in read_images(paths)]
    spread = [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]  # floor(1.25 i)
    assert seen == [(second, index) for second in (1, 2) for index in spread]


def test_seconds_may_be_named_with_any_number_of_zeros(tmp_path: Path) -> None:
    for name in ("9", "010", "00011", "notes"):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "1.jpg", (1, 2, 3))
    folders = SecondFolders(tmp_path)
    assert (folders.first, folders.last) == (9, 11)
    window = folders.window(10, length=24, fps=12)
    assert [Path(path).parent.name for path in window] == ["9"] * 12 + ["010"] * 12


def test_a_folder_missing_in_the_window_is_named(tmp_path: Path) -> None:
    write_video_folder(tmp_path, (1, 2, 4, 5), per_second=1)
    folders = SecondFolders(tmp_path)
    with pytest.raises(ValueError, match=r"/00003: no such folder of frames"):
        folders.window(4, length=36, fps=12)
    with pytest.raises(ValueError, match=r"/00003: no such folder of frames"):
        folders.window(3, length=36, fps=12)
    with pytest.raises(ValueError, match=r"/00006: no such folder of frames"):
        folders.window(6, length=36, fps=12)  # a key frame past the end is not padded
    assert len(folders.window(5, length=24, fps=12)) == 24  # does not reach second 3


def test_missing_folders_are_those_a_window_would_ask_for(tmp_path: Path) -> None:
    write_video_folder(tmp_path, (1, 2, 4, 5), per_second=1)
    folders = SecondFolders(tmp_path)
    assert folders.missing(1, before=2, after=1) == []
    assert folders.missing(2, before=2, after=1) == [tmp_path / "00003"]
    assert folders.missing(5, before=1, after=1) == []
    assert folders.missing(9, before=1, after=1) == [tmp_path / "00009"]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    write_video_folder(tmp_path, (1, 2), per_second=1)
    (tmp_path / "00002" / "0000.jpg").unlink()
    with pytest.raises(ValueError, match=r"/00002: expected frames .*found none"):
        SecondFolders(tmp_path).window(1, length=36, fps=12)


def test_a_video_without_folders_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/absent: no such folder"):
        SecondFolders(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"expected folders named by seconds"):
        SecondFolders(tmp_path)


def test_a_repeated_image_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.jpg", "2.jpg"):
        write_image(tmp_path / name, frame_color(1, 1))
    decoded = []

    def read(path: str) -> np.ndarray:
        decoded.append(path)
        return np.full((2, 2, 3), len(decoded))

    monkeypatch.setattr("data.windows.read_image", read)
    one, two = str(tmp_path / "1.jpg"), str(tmp_path / "2.jpg")
    images = list(read_images([one, one, one, two, two]))
    assert [image[0, 0, 0] for image in images] == [1, 1, 1, 2, 2]
    assert decoded == [one, two]


def test_images_of_two_sizes_are_no_clip(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", (0, 0, 0))
    assert cv2.imwrite(str(tmp_path / "2.png"), np.zeros((16, 8, 3), dtype=np.uint8))
    paths = [str(tmp_path / "1.png"), str(tmp_path / "2.png")]
    with pytest.raises(ValueError, match=r"2\.png: 8 x 16 pixels, expected 32 x 24 as in .*1\.png"):
        list(read_images(paths))


def test_a_window_of_numbered_frames_has_its_frame_in_the_middle() -> None:
    numbers = range(1, 101)
    assert frame_window(numbers, 50, 6) == [47, 48, 49, 50, 51, 52]
    assert frame_window(numbers, 50, 6, step=2) == [44, 46, 48, 50, 52, 54]
    assert frame_window(numbers, 50, 3) == [49, 50, 51]
    assert frame_window(numbers, 2, 6) == [1, 1, 1, 2, 3, 4]
    assert frame_window(numbers, 99, 6, step=2) == [93, 95, 97, 99, 100, 100]


def test_a_folder_of_numbered_frames_gives_their_paths(tmp_path: Path) -> None:
    for number in range(1, 12):
        write_image(tmp_path / f"{number:05d}.jpg", frame_color(0, number))
    write_image(tmp_path / "cover.jpg", (0, 0, 0))
    folder = NumberedFrames(tmp_path)
    assert folder.numbers == range(1, 12)
    window = folder.window(10, length=4)
    assert window == [str(tmp_path / f"{n:05d}.jpg") for n in (8, 9, 10, 11)]
    seen = [frame_of(image.mean(axis=(0, 1))) for image in read_images(window)]
    assert seen == [(0, n) for n in (8, 9, 10, 11)]
    with pytest.raises(ValueError, match="no frame 12: expected 1 to 11"):
        folder.window(12, length=4)
    with pytest.raises(ValueError, match="no frame 0: expected 1 to 11"):
        folder.window(0, length=4)


def test_frames_are_ordered_by_number_whatever_their_zeros(tmp_path: Path) -> None:
    for name in ("9", "010", "11"):
        write_image(tmp_path / f"{name}.png", (1, 2, 3))
    assert [Path(p).stem for p in NumberedFrames(tmp_path).window(10, 3)] == ["9", "010", "11"]


def test_numbered_frames_with_a_gap_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/absent: no such folder of frames"):
        NumberedFrames(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"expected frames such as 00001\.jpg, found none"):
        NumberedFrames(tmp_path)
    for number in (1, 2, 4):
        write_image(tmp_path / f"{number:05d}.jpg", (1, 2, 3))
    with pytest.raises(ValueError, match="frame 3 is missing: expected frames 1 to 4"):
        NumberedFrames(tmp_path)
    write_image(tmp_path / "3.jpg", (1, 2, 3))
    write_image(tmp_path / "003.png", (1, 2, 3))
    with pytest.raises(ValueError, match="are the same frame"):
        NumberedFrames(tmp_path)
