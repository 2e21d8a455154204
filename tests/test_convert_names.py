"""Names: Unicode, case, blanks, paths and URLs; what no name may be."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from data.converters.names import VideoNames, clean_name, locate
from tests.conversion import FULL_HD, METADATA, convert, cvat, table, via3, written
from tests.conversion import box as cvat_box

COMPOSED, APART = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("one.mp4", "one"),
        (" one.MTS\n", "one"),
        ("one", "one"),
        ("b.1.mp4", "b.1"),
        ("share/clips/one.ts", "one"),
        ("/home/u/one.mp4", "one"),
        (r"C:\my videos\one two.mp4", "one two"),
        (r"\\server\share\one.mp4", "one"),
        ("../x", "x"),
        ("https://example.org/clips/one.mp4?download=1#t=3", "one"),
        ("file:///C:/my%20videos/one%20two.mp4", "one two"),
        ("https://example.org/a%2Fb.mp4", "b"),
        ("one%20two.mp4", "one%20two"),  # no URL: the file may be called so
        ("what?.mp4", "what?"),
        (f"{APART}.mp4", COMPOSED),
    ],
)
def test_a_videos_name_is_what_its_file_is_called(text: str, name: str) -> None:
    assert VideoNames().of(text, "here") == name


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "..", "a/..", "/", "https://example.org/", "https://example.org/%2e%2e"),
        *("a\rb", "a\nb.mp4", "a\0b", "\ud800", "a\u2028b", "\x1b[31m", "x" * 256),
    ],
)
def test_what_is_no_name_of_a_video_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^here: .*video"):
        VideoNames().of(text, "here")


def test_via_names_by_url_are_decoded_without_a_scheme(tmp_path: Path) -> None:
    assert locate("one%20two.mp4", is_url=True).name == "one two"
    path = via3(tmp_path, {"1_a": METADATA["1_a"]}, "one%20two.mp4")
    assert convert(path).rows[0][0] == "one%20two"
    path.write_text(path.read_text().replace('"type": 4', '"type": 4, "loc": 2'))
    assert '"loc": 2' in path.read_text()
    assert convert(path).rows[0][0] == "one two"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a/one.mp4", "b/one.mp4"),
        ("one.mp4", "one.avi"),
        ("https://x.org/watch?v=1", "https://x.org/watch?v=2"),
    ],
)
def test_two_videos_of_one_name_are_refused(one: str, two: str) -> None:
    names = VideoNames()
    names.of(one, "here")
    with pytest.raises(ValueError, match="are both named"):
        names.of(two, "there")


def test_one_video_may_be_named_in_more_and_less_words() -> None:
    names = VideoNames()
    assert {names.of(text, "here") for text in ("one", "a/one.mp4", "one.mp4")} == {"one"}
    with pytest.raises(ValueError, match="are both named"):
        names.of("b/one", "there")


def test_the_users_name_is_for_one_video_only() -> None:
    names = VideoNames("mine")
    assert [names.of(text, "here") for text in ("one.mp4", "one")] == ["mine", "mine"]
    with pytest.raises(ValueError, match="this is video 'two', after 'one'"):
        names.of("two.mp4", "there")


def test_names_composed_and_apart_are_one(tmp_path: Path) -> None:
    path = table(tmp_path, (1, COMPOSED, "A"), (2, APART, "A"))
    assert convert(path).classes == {1: COMPOSED}
    assert clean_name(f" {APART}\t \n2 ") == f"{COMPOSED} 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,1,0,0,1,1,Walk\nv,1,0,0,1,1,walk\n", "the actions 'Walk' .*line 1.* and 'walk'"),
        ("v,1,0,0,1,1,sit down\nv,1,0,0,1,1,sitdown\n", "differ only in case or blanks"),
        ("V,1,0,0,1,1,run\nv,1,0,0,1,1,run\n", "the videos 'V' .* and 'v'"),
        ("a b,1,0,0,1,1,run\na  b,1,0,0,1,1,run\n", "the videos 'a b' .* and 'a␣␣b'"),
        ("v,1,0,0,1,1,a\x07b\n", r"line 1: the action 'a\\x07b' holds the character"),
        ('"a\rb",1,0,0,1,1,run\n', r"the video's name 'a\\rb' holds the character"),
    ],
)
def test_names_nobody_can_tell_apart_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=message):
        convert(path)


def test_blanks_of_actions_are_one(tmp_path: Path) -> None:
    path = table(tmp_path, (1, "pour water", "A"), (2, " pour \t water", "A"))
    assert convert(path).classes == {1: "pour water"}


def test_a_carriage_return_in_cvats_source_is_refused(tmp_path: Path) -> None:
    meta = "<meta><task><id>1</id><source>o&#13;ne.mp4</source></task></meta>"
    path = cvat(tmp_path, f'<track label="a">{cvat_box(30, (0, 0, 9, 9))}</track>', meta=meta)
    with pytest.raises(ValueError, match=r"a\.xml, track number 1, frame 30: the video's name"):
        convert(path, FULL_HD)


def test_pictures_of_one_video_may_lie_anywhere(tmp_path: Path) -> None:
    rows = [f"{folder}/one_000030.jpg" for folder in "ab"]
    region = '[{"shape_attributes":{"name":"rect","x":0,"y":0,"width":9,"height":9},'
    region += '"region_attributes":{"action":"run"}}]'
    text = ",".join(f'"{name}":{{"filename":"{name}","regions":{region}}}' for name in rows)
    assert convert(written(tmp_path, "v.json", f"{{{text}}}")).rows[0][0] == "one"
