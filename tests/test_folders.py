"""What is found in a folder: one list of endings, nothing of a file manager's, what is left out."""

import os
import shutil
from pathlib import Path, PurePath

import pytest

from data.prepare.manifest import MANIFEST, RECORD
from data.video.folders import VIDEO_SUFFIXES, image_names, list_folder, name_of
from data.video.inputs import find_sources
from tests.test_images import write_images
from utils.system.terminal import printable


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_videos_win_over_a_picture_beside_them(tmp_path: Path) -> None:
    content = list_folder(fill(tmp_path, "cover.jpg", "b.TS", "a.mp4", "notes.txt", "play/1.jpg"))
    assert (content.videos, content.frames, content.folders) == (["a.mp4", "b.TS"], [], ["play"])
    assert content.skipped_line() == f"{tmp_path}: skipped cover.jpg, notes.txt"


def test_frames_win_over_a_gif_made_of_them(tmp_path: Path) -> None:
    content = list_folder(fill(tmp_path, "2.png", "10.png", "preview.gif", "more/1.jpg"))
    assert (content.videos, content.frames, content.folders) == ([], ["2.png", "10.png"], [])
    assert content.skipped == ["more", "preview.gif"]
    assert list_folder(fill(tmp_path / "alone", "a.gif")).videos == ["a.gif"]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_every_ending_is_a_video_for_folders_and_names(suffix: str, tmp_path: Path) -> None:
    assert list_folder(fill(tmp_path, f"a.1{suffix}")).videos == [f"a.1{suffix}"]
    assert name_of(PurePath(f"x/a.1{suffix.upper()}")) == "a.1"


def test_what_file_managers_leave_is_no_frame_and_not_worth_a_word(tmp_path: Path) -> None:
    clutter = (
        "._1.jpg",
        ".2.jpg",
        "._a.mp4",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        ".git/1.jpg",
    )
    content = list_folder(fill(tmp_path, "1.jpg", *clutter))
    assert (content.videos, content.frames, content.folders) == ([], ["1.jpg"], [])
    assert image_names(tmp_path) == ["1.jpg"]
    assert content.skipped_line() == ""


def test_names_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    names = ["frame0999.jpg", "frame9999.jpg", "frame10000.jpg"]  # %04d outgrown
    fill(tmp_path, "frame10000.jpg", "frame0999.jpg", "frame9999.jpg", "notes.txt")
    assert image_names(tmp_path) == list_folder(tmp_path).frames == names


def test_digits_that_are_no_decimal_numbers_are_letters(tmp_path: Path) -> None:
    fill(tmp_path, "²5.jpg", "³4.jpg", "٣.jpg", "①.jpg", "5.jpg", "10.jpg")
    assert image_names(tmp_path)[:2] == ["٣.jpg", "5.jpg"]
    assert len(image_names(tmp_path)) == 6


def test_a_loop_of_links_is_no_folder(tmp_path: Path) -> None:
    for name in ("loop", "1.jpg"):
        (tmp_path / name).symlink_to(name)
    fill(tmp_path, "a.mp4")
    assert list_folder(tmp_path).videos == ["a.mp4"]
    with pytest.raises(ValueError, match=r"loop'?: .*symbolic links"):
        find_sources([tmp_path / "loop"])


def test_a_folder_in_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(".")
    with pytest.raises(ValueError, match="found none"):
        find_sources([tmp_path])


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_refused_at_once(make: object, tmp_path: Path) -> None:
    make(tmp_path / "a.mp4")  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"a\.mp4: .* this is a pipe or a device"):
        find_sources([tmp_path / "a.mp4"])


def test_one_unreadable_video_leaves_the_others(tmp_path: Path) -> None:
    write_images(tmp_path / "play", 3)
    write_images(tmp_path / "cut", 3)
    (tmp_path / "cut" / "2.png").write_bytes(b"nothing")
    (tmp_path / "notes.mp4").write_text("no video")
    found = find_sources([tmp_path])
    assert list(found.opened) == ["play"]
    assert {name: why.split(": ")[0] for name, why in found.failed.items()} == {
        "notes": str(tmp_path / "notes.mp4"),
        "cut": str(tmp_path / "cut" / "2.png"),
    }
    with pytest.raises(ValueError, match=r"notes\.mp4"):
        find_sources([tmp_path / "notes.mp4"])


def test_a_name_that_no_result_can_have_is_refused_before_any_work(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 2)
    for name in ("a\nb", "c:d", "x" * 241, "caf\udce9"):
        shutil.copytree(images, tmp_path / "in" / name)
    found = find_sources([tmp_path / "in"])
    assert list(found.opened) == ["caf\udce9"]  # Latin-1: its letter is replaced
    assert "without control characters" in found.failed["a\nb"]
    assert "must not lead out" in found.failed["c:d"]
    assert "its name has 241 bytes, expected at most 240" in found.failed["x" * 241]


def test_a_video_named_twice_is_taken_once(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "in" / "play", 2)
    assert list(find_sources([folder, tmp_path / "in", folder]).opened) == ["play"]
    write_images(tmp_path / "play", 2)
    with pytest.raises(ValueError, match="both are named 'play'"):
        find_sources([folder, tmp_path / "play"])


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31m\n\x9bé ü.mp4") == "a\\x1b[31m\\n\\x9bé ü.mp4"


def test_records_of_our_extraction_are_not_worth_a_word(tmp_path: Path) -> None:
    content = list_folder(fill(tmp_path / "v", "00001.jpg", RECORD, "notes.txt"))
    assert (content.frames, content.skipped) == (["00001.jpg"], ["notes.txt"])
    write_images(tmp_path / "in" / "play", 2)
    fill(tmp_path / "in", MANIFEST, f"play/{RECORD}")
    for given in ([tmp_path / "in"], [tmp_path / "in" / "play"]):
        found = find_sources(given)
        assert (list(found.opened), found.skipped) == (["play"], [])


def test_flow_beside_frames_is_no_frame(tmp_path: Path) -> None:
    """As TSN's extraction leaves a folder; flow would come first, and as many as frames."""
    names = ["img_00001.jpg", "img_00002.jpg"]
    fill(tmp_path / "v", *names, *(f"flow_{axis}_00001.jpg" for axis in "xy"))
    assert image_names(tmp_path / "v") == list_folder(tmp_path / "v").frames == names
    fill(tmp_path / "flow", "flow_x_00001.jpg", "flow_y_00001.jpg")
    assert list_folder(tmp_path).folders == ["v"]
