"""A table with label names: header, pixels, and its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.converters import Choice, Media, read_marks, to_ava
from tests.conversion import FULL_HD, convert, rows_of, table, written


def test_a_table_with_or_without_header(tmp_path: Path) -> None:
    rows = [(4, " pour  water ", "Anna"), (4, "stand", "Ben"), (5, "stand", "Ben")]
    expected = [
        ("kitchen", 4, (0.1, 0.2, 0.3, 0.4), "pour water", 0),
        ("kitchen", 4, (0.1, 0.2, 0.3, 0.4), "stand", 1),
        ("kitchen", 5, (0.1, 0.2, 0.3, 0.4), "stand", 1),
    ]
    assert rows_of(convert(table(tmp_path, *rows), Media())) == expected
    header = "video,second,x1,y1,x2,y2,label,person\n"
    assert rows_of(convert(table(tmp_path, *rows, header=header), Media())) == expected
    turned = written(tmp_path, "t.csv", "label,video,second,x1,y1,x2,y2\nrun,v,1,0,0,1,1\n")
    assert rows_of(convert(turned, Media())) == [("v", 1, (0, 0, 1, 1), "run", None)]


def test_a_table_in_pixels(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "v,1,192,108,384,540,run\n")
    reading = read_marks(path, FULL_HD, Choice(), pixels=True)
    assert to_ava(reading, FULL_HD).rows[0][2] == (0.1, 0.1, 0.2, 0.5)
    with pytest.raises(ValueError, match=r"t\.csv, line 1: box .* is in pixels, .* give --pixels"):
        read_marks(path, FULL_HD, Choice())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,1,0,0,1,1\n", r"t\.csv, line 1: expected 7 or 8 columns .* got 6"),
        ("v,1,0,0,1,1,run\nv,1,0,0,1,1,run,A\n", "line 2: expected 7 columns .* got 8"),
        ("v,1,0,0,1,x,run\n", "line 1: y2 is not a number: 'x'"),
        ("v,-1,0,0,1,1,run\n", "line 1: second is '-1', expected 0 or more"),
        ("v,nan,0,0,1,1,run\n", "line 1: second is not a number: 'nan'"),
        ("v,1,0,0,0,1,run\n", r"line 1: box without area: .* in \[0, 1\]"),
        ("v,1,0,0,1.2,1,run\n", "line 1: box far outside the picture"),
        ("v,1,1.05,0,1.09,1,run\n", "line 1: nothing of the box is in the picture"),
        ("video,second,x1,y1,x2,label\nv,1,0,0,1,run\n", "line 1: no column y2 in the header"),
        (
            "video,second,x,y,w,h,label\nv,1,0,0,1,1,run\n",
            "no column x1, y1, x2, y2 in the header; unknown columns: 'x', 'y', 'w', 'h'; known "
            "columns: video, second, x1, y1, x2, y2, label, person",
        ),
        ("video,second,x1,y1,x2,y2,label,persn\n", "unknown column 'persn': did you mean person?"),
        ("v,0:61,0,0,1,1,run\n", r"line 1: second is '0:61', .* M:SS \(1:05.5\) or H:MM:SS"),
        ("v,1,0,0,1,1,run\nv,1,0,0,1,1,'x\ny\n", "line 3: expected 7 columns"),
        ('v,1,0,0,1,1,"run\n', "line 1: not a table: unexpected end of data"),
        ("v,1,0,0,1,1," + "x" * 2_000_000, "line 1: not a table: field larger than"),
        ("", "t.csv: the file is empty"),
        ("v,1,0,0,1e-9,1,run\n", "line 1: box too small"),
        (
            "v,1,0,0,1,1,run,A\nv,1,0,0,1,1,run,\n",
            r"line 2: expected a person .* none, .*t\.csv, line 1 has one",
        ),
    ],
)
def test_table_mistakes_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(written(tmp_path, "t.csv", text), Media())


def test_times_on_the_clock_and_columns_of_no_known_name(tmp_path: Path) -> None:
    text = "Video,SECOND,x1,y1,x2,y2,label,notes\nv,0:02,0,0,1,1,run,a\nv,00:01:05,0,0,1,1,run,\n"
    converted = convert(written(tmp_path, "t.csv", text), Media())
    assert [row[1] for row in converted.rows] == [2, 65]
    assert list(converted.left_out.reasons) == ["columns of no known name (notes)"]


@pytest.mark.parametrize(
    ("texts", "persons"),
    [
        (("1.0", "2.0"), [1, 2]),  # as pandas writes a column with a gap
        (("1", "1.0"), [1, 1]),
        (("01", "1"), [0, 1]),  # two names
        (("1.5", "2"), [0, 1]),
        (("99999999999999999999", "1"), [0, 1]),
        (("²", "1"), [0, 1]),
    ],
)
def test_persons_keep_numbers_that_fit(
    tmp_path: Path, texts: tuple[str, str], persons: list[int]
) -> None:
    rows = [(second, "run", text) for second, text in enumerate(texts)]
    assert [row[4] for row in convert(table(tmp_path, *rows), Media()).rows] == persons
