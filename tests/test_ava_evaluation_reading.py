"""Files of the AVA evaluation: rows and exclusions."""

import os
from pathlib import Path

import numpy as np
import pytest

from external.ava_evaluation import read_boxes, read_exclusions
from external.ava_evaluation.cells import parse_whole
from external.ava_evaluation.fast_rows import fast_rows
from external.ava_evaluation.rows import read_rows
from tests.helpers import written


def test_rows_are_read_as_they_stand(tmp_path):
    rows = read_boxes(written(tmp_path, "b,0902,0.25,0,1,1,12,0.5\na,902.5,-1,.5,2e-1,3,1,nan\n"))
    assert list(rows.keys) == [("b", "0902"), ("a", "902.5")]
    assert rows.image.tolist() == [0, 1]
    assert rows.boxes.tolist() == [[0.25, 0, 1, 1], [-1, 0.5, 0.2, 3]]
    assert rows.label.tolist() == [12, 1]
    np.testing.assert_array_equal(rows.score, [0.5, np.nan])


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("\ufeffv,1,0,0,1,1,3\n", [1]),
        ("v,1,0,0,1,1,3\r\nv,1,0,0,1,1,3\r\n", [1, 1]),
        ("v,1,0,0,1,1,3\rv,1,0,0,1,1,3\r", [1, 1]),
        ("v,1,0,0,1,1,3.0\nv,1.0,0,0,1,1,3e0", [1, 1]),
        ("\nv,1,0,0,1,1,3\n\n", [1]),
        ('"v",1,0,0,1,1,3,0.25\n', [0.25]),
        ("v, 1, 0,0 ,1,1, 3, 0.25\n", [0.25]),
        ("", []),
    ],
    ids=[
        "byte order mark",
        "crlf",
        "cr",
        "whole numbers",
        "blank lines",
        "quotes",
        "spaces",
        "empty",
    ],
)
def test_unusual_but_legal(text, scores, tmp_path):
    rows = read_boxes(written(tmp_path, text))
    assert rows.score.tolist() == scores
    assert {video for video, _ in rows.keys} == ({"v"} if scores else set())
    assert rows.label.tolist() == [3] * len(scores)


def test_names_keep_their_characters(tmp_path):
    text = 'vidéo,1,0,0,1,1,3\n"a,b",1,0,0,1,1,3\n"a ""b""",1,0,0,1,1,3\nday/1,1,0,0,1,1,3\n'
    names = [video for video, _ in read_boxes(written(tmp_path, text)).keys]
    assert names == ["vidéo", "a,b", 'a "b"', "day/1"]


def test_names_that_share_their_first_words_differ(tmp_path):
    """Names are compared eight characters at a time; only the last, the first or the length
    differs here."""
    names = ["a" * 8, "a" * 16, "a" * 15 + "b", "b" + "a" * 15, "a" * 7, "a" * 8, "b"]
    rows = read_boxes(written(tmp_path, "".join(f"{name},1,0,0,1,1,3\n" for name in names)))
    assert [rows.keys[i][0] for i in rows.image] == names


def test_a_row_of_two_columns_names_an_image(tmp_path):
    path = written(tmp_path, "v,1,0,0,1,1,3\nv,2\nw,3,1,0,0,1,3\n")
    rows = read_boxes(path, images_without_boxes=True)
    assert list(rows.keys) == [("v", "1"), ("v", "2"), ("w", "3")]
    assert rows.image.tolist() == [0, 2]
    assert rows.where(1) == f"{path}, line 3"


def test_images_with_one_hash_are_not_mixed_up(monkeypatch):
    monkeypatch.setattr("external.ava_evaluation.fast_rows.MIXER", np.uint64(0))
    row = "v,{},0,0,1,1,3\n"
    assert fast_rows((row.format(1) * 2).encode(), 1) is not None
    assert fast_rows((row.format(1) + row.format(2)).encode(), 1) is None


BAD = [
    ("v,1,0,0,1,1", r"expected 7 or 8 columns, video,timestamp,.*got 6: 'v,1,0,0,1,1'"),
    ("v,1,0,0,1,1,3,0.5,9", "expected 7 or 8 columns, .*got 9"),
    ("v,1,0,0,1,1,3,0.5", "expected 7 columns as above, got 8"),
    ("v,1", "expected 7 or 8 columns, .*got 2: 'v,1'"),
    ("v,1,0,0,x,1,3", "x2 is not a number: 'x'"),
    ("v,1,0,,1,1,3", "y1 is not a number: ''"),
    ("v,1,0,0,1,1_0,3", "y2 is not a number: '1_0'"),
    ("v,1,0,0,1,\u0661,3", "y2 is not a number: '\u0661'"),
    ("v,1,0,0,1,1,3.5", "action_id must be a whole number, got '3.5'"),
    ("v,1,0,0,1,1,nan", "action_id must be a whole number, got 'nan'"),
    ("v,1,0,0,1,1,stand", "action_id is not a number: 'stand'"),
    ("v,1,0,0,1,1,99999999999999999999", "action_id must fit 64 bits, got '9+'"),
    ("v,1,0,0,1,1,9223372036854775808", "action_id must fit 64 bits"),
    ("v,1,0,0,1,1,1e999999999", "action_id must fit 64 bits"),
    ("v,t,0,0,1,1,3", "timestamp is not a number: 't'"),
    ("v,nan,0,0,1,1,3", "timestamp must be 0 or more and at most .*, got 'nan'"),
    ("v,-1,0,0,1,1,3", "timestamp must be 0 or more and at most .*, got '-1'"),
    ("v,1e30,0,0,1,1,3", "timestamp must be 0 or more and at most .*, got '1e30'"),
    ("video,timestamp,x1,y1,x2,y2,action_id", "timestamp is not a number: 'timestamp'.*no header"),
    ('v"w,1,0,0,1,1,3', "a quote inside a cell or not closed on its line"),
    ('"v"w,1,0,0,1,1,3', "a quote inside a cell or not closed on its line"),
    ('"v,1,0,0,1,1,3', "a quote inside a cell or not closed on its line"),
    ("\ufeffv,1,0,0,1,1,3", "a byte order mark inside the file"),
    (",1,0,0,1,1,3", "expected a video's name of 1 to"),
    ("v\0,1,0,0,1,1,3", "expected a video's name of 1 to"),
    ("v\x1b[2J,1,0,0,1,1,3", "expected a video's name of 1 to"),
    ("w" * 2000 + ",1,0,0,1,1,3", "expected a video's name of 1 to"),
    ("w" * 100_000 + ",1,0,0,1,1,3", "longer than 65,536 characters"),
    ("../v,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
    ("/v,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
    ("a/../../v,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
    ("a\\..\\v,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
    ("C:v,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
    (".,1,0,0,1,1,3", "a video's name must not lead out of its folder"),
]


@pytest.mark.parametrize(("row", "message"), BAD, ids=[repr(row[:30]) for row, _ in BAD])
def test_a_wrong_row_is_named_by_file_and_line(row, message, tmp_path):
    good = "v,1,0,0,1,1,3\n"
    path = written(tmp_path, good * 2 + row + "\n" + good)
    with pytest.raises(ValueError, match=rf"rows\.csv, line 3: {message}"):
        read_boxes(path)


def test_a_column_missing_here_and_one_too_many_there_do_not_cancel(tmp_path):
    """Read on regardless, the second name would be a label and every field a number."""
    path = written(tmp_path, "1,1,0,0,1,1,3\n1,1,0,0,1,1\n5,1,0,0,1,1,3,5\n")
    with pytest.raises(ValueError, match=r"line 2: expected 7 or 8 columns, .*got 6"):
        read_boxes(path)


def test_the_line_is_right_after_many_chunks_and_blank_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("external.ava_evaluation.rows.CHUNK_BYTES", 100)
    path = written(tmp_path, "\n" + "v,1,0,0,1,1,3\n" * 500 + "v,1,0,0,1,1,x\n" + "short\n")
    with pytest.raises(ValueError, match="line 502: action_id is not a number: 'x'"):
        read_boxes(path)


def test_rows_know_their_lines_across_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("external.ava_evaluation.rows.CHUNK_BYTES", 100)
    good = "v,1,0,0,1,1,3\n"
    rows = read_boxes(written(tmp_path, good * 20 + "\n" + good * 20))
    assert len(rows) == 40
    assert rows.where(19).endswith(", line 20")
    assert rows.where(39).endswith(", line 41")


def test_two_columns_are_offered_where_they_are_allowed(tmp_path):
    with pytest.raises(ValueError, match=r"expected 7 or 8 columns.*, or 2, video,timestamp, for"):
        read_boxes(written(tmp_path, "v,1,0\n"), images_without_boxes=True)


def test_text_that_is_not_utf_8_is_named_by_line(tmp_path):
    path = written(tmp_path, b"v,1,0,0,1,1,3\nv\xe4,1,0,0,1,1,3\n")
    for reader in (read_boxes, lambda p: list(read_rows(p))):
        with pytest.raises(ValueError, match=r"rows\.csv, line 2: expected UTF-8 .* 0xe4"):
            reader(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_by_any_line_end_across_chunks(end, tmp_path, monkeypatch):
    good = "v,1,0,0,1,1,3"
    for size in range(30, 60):  # a chunk ends at every place of a line, also inside of CR LF
        monkeypatch.setattr("external.ava_evaluation.rows.CHUNK_BYTES", size)
        path = written(tmp_path, end.join([good] * 20 + ["", "v,1,0,0,1,1,x", good]))
        with pytest.raises(ValueError, match=r"rows\.csv, line 22: action_id is not a number"):
            read_boxes(path)
        path = written(tmp_path, end.join([good] * 7 + [""]))
        assert len(read_boxes(path)) == 7
        assert [where.rpartition(" ")[2] for where, _ in read_rows(path)] == list("1234567")


SCORED = "v,1,0,0,1,1,3,0.25"


@pytest.mark.parametrize("chunk", [20, 1 << 20])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_row_without_score_among_others_is_refused(chunk, place, tmp_path, monkeypatch):
    """A row that was cut short would count with score 1, the best of all."""
    monkeypatch.setattr("external.ava_evaluation.rows.CHUNK_BYTES", chunk)
    rows = [SCORED] * 4
    rows[place] = "v,1,0,0,1,1,3"
    line, above, got = (2, 7, 8) if place == 0 else (place + 1, 8, 7)
    message = rf"rows\.csv, line {line}: expected {above} columns as above, got {got}"
    for end in ("", "\n"):
        with pytest.raises(ValueError, match=message):
            read_boxes(written(tmp_path, "\n".join(rows) + end))


@pytest.mark.parametrize("chunk", [20, 1 << 20])
def test_a_last_row_that_was_cut_short_is_no_image_without_boxes(chunk, tmp_path, monkeypatch):
    monkeypatch.setattr("external.ava_evaluation.rows.CHUNK_BYTES", chunk)
    path = written(tmp_path, f"{SCORED}\n\n{SCORED}\nv,2")
    for reader in (lambda p: read_boxes(p, True), lambda p: list(read_rows(p))):
        with pytest.raises(ValueError, match=r"rows\.csv, line 4: the file was cut short"):
            reader(path)
    whole = written(tmp_path, f"{SCORED}\n\n{SCORED}\nv,2\n")
    assert len(read_boxes(whole, True).keys) == 2
    assert len(read_boxes(written(tmp_path, "v,2"), True).keys) == 1


def test_a_pipe_is_refused_instead_of_read_as_empty(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for reader in (read_boxes, read_exclusions, lambda p: list(read_rows(p))):
        with pytest.raises(ValueError, match="pipe: expected a file, this is a pipe or a device"):
            reader(tmp_path / "pipe")
        with pytest.raises(ValueError, match="this is a pipe or a device"):
            reader(Path("/dev/zero"))


def test_whole_numbers_are_exact():
    for text, value in (
        ("9007199254740993.0", 2**53 + 1),
        ("9223372036854775807.0", 2**63 - 1),
        ("0902", 902),
        (" 9.02e2 ", 902),
        ("-0", 0),
    ):
        assert parse_whole(text, "id", "f") == value


def test_exclusions_are_whole_seconds(tmp_path):
    assert read_exclusions(written(tmp_path, "v,0902\n\nw,1.0\r")) == {("v", 902), ("w", 1)}
    assert read_exclusions(written(tmp_path, "")) == set()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,1,2", "line 2: expected 2 columns, video,timestamp, got 3: 'v,1,2'"),
        ("v,1.5", "line 2: timestamp must be a whole number, got '1.5'"),
        ("v,-1", "line 2: timestamp must be 0 or more"),
        ("../v,1", "line 2: a video's name must not lead out of its folder"),
        ("v" * 200_000 + ",1", "line 2: longer than 65,536 characters"),
    ],
)
def test_a_wrong_exclusion(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_exclusions(written(tmp_path, f"v,1\n{row}\n"))
