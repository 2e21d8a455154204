"""The readers of AVA's rows agree: fast, checked, of training, of checking a dataset."""

from fractions import Fraction

import numpy as np
import pytest

from data.check.labels import read_label_file
from data.check.problems import Problems
from data.datasets.ava_records import read_records, write_pickle
from external.ava_evaluation import read_boxes
from external.ava_evaluation.cells import parse_second
from external.ava_evaluation.fast_rows import fast_rows
from external.ava_evaluation.rows import parse_rows, with_line_feeds
from tests.helpers import written


def random_number(rng: np.random.Generator) -> str:
    """A number in one of the ways that files write them, from tiny to huge, up to 18 digits."""
    value = float(rng.standard_normal() * 10.0 ** rng.integers(-8, 12))
    digits = int(rng.integers(0, 18))
    kinds = [repr(value), f"{abs(value):.{digits}f}", f"{rng.random():.{digits}f}", f"{value:.3g}"]
    kinds += [str(int(abs(value))), f"{abs(value):.0f}.", f"{rng.random():.3f}"[1:], "0007.50"]
    return kinds[rng.integers(len(kinds))]


def test_fast_numbers_equal_float_to_the_last_bit():
    rng = np.random.default_rng(0)
    lines = [
        f"v{rng.integers(3)},{rng.integers(3)},{','.join(random_number(rng) for _ in range(4))},"
        f"{rng.integers(10 ** rng.integers(1, 12))},{random_number(rng)}\n"
        for _ in range(3000)
    ]
    text = "".join(lines).encode()
    fast, checked = fast_rows(text, 1), parse_rows(text, 1, "", False)
    assert fast is not None
    assert fast.keys == checked.keys
    for name in ("image", "boxes", "label", "score", "lines"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(checked, name), err_msg=name)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_plain_files_take_the_fast_way(line_end):
    text = f"v,0902,0.25,0.5,1,.75,12,0.123456789012345678{line_end}" * 2
    rows = fast_rows(with_line_feeds(text.encode()), 5)
    assert rows is not None
    assert rows.score.tolist() == [0.123456789012345678] * 2
    assert rows.lines == range(5, 7)


def test_fast_numbers_beside_the_middle_of_two_floats_go_the_right_way():
    """19 decimals are too few for the middle itself; they end just above or below it."""
    rng = np.random.default_rng(1)
    middles = [Fraction(x) + Fraction(np.spacing(x)) / 2 for x in rng.random(500)]
    texts = [f"0.{int(m * 10**19) + beyond:019d}" for m in middles for beyond in (0, 1)]
    rows = fast_rows("".join(f"v,1,{t},0,1,1,3\n" for t in texts).encode(), 1)
    assert rows is not None
    assert rows.boxes[:, 0].tolist() == [float(t) for t in texts]


@pytest.mark.parametrize("text", ["1", "12345678", "123456789", "0.", ".5", "-1", "1e3", "nan"])
def test_fast_numbers_are_what_float_reads(text):
    rows = fast_rows(f"v,1,{text},0,1,1,3\n".encode(), 1)
    assert rows is not None
    np.testing.assert_array_equal(rows.boxes[0, 0], float(text))


@pytest.mark.parametrize(
    "text", ["1.2.3", "", ".", "0x1", "1-2", "x", "0.12x", "0.1x34567890", "0.1x345678901234567"]
)
def test_fast_numbers_refuse_what_float_refuses(text):
    with pytest.raises(ValueError, match="could not convert"):
        float(text)
    assert fast_rows(f"v,1,{text},0,1,1,3\n".encode(), 1) is None


def random_cell(rng: np.random.Generator, column: int) -> str:
    """A cell that is usual for its column, or in one of twelve another one."""
    usual = [
        ["v", "w", "day/1", "a b", "vid\u00e9o", '"a,b"'],
        ["902", "0902", "902.0", "902.5", "9.02e2", " 902"],
        *[["0.5", "0", "1", ".25", "1.", "-0.5", "1e-3", "nan", "+0.5", "0.12345678901234567"]] * 4,
        ["3", "12", "9.0", "0003", "1e1", "-2", " 7", "9007199254740993.0"],
        ["0.5", "1", "0.123456789", "inf", "1e-300", " 0.5 "],
    ][column]
    strange = [
        "", " ", "x", "1_0", "9223372036854775808", "-9223372036854775808", "1e30", "1e999999999",
        "nan", "0x10", "..", "../v", "/v", "a\\..", "C:", 'a"b', '"a"b', '"', "\0", "\ufeff",
        "\u0661", "\u00b2", "1.5", "9" * 30, "0." + "9" * 40, "1e", "--1", "1\x0b", "\x1c1", "1 2",
        "v\x85", "w" * 1100, "inf", "9007199254740993", "9223372036854775807",
    ]  # fmt: skip
    return str(rng.choice(strange if rng.random() < 1 / 12 else usual))


def outcome(parse) -> object:
    try:
        return parse()
    except ValueError as error:
        return str(error)


def test_fast_and_checked_parser_agree_on_any_spelling():
    """What the fast parser takes, the checked one takes, too, and to the same values."""
    rng = np.random.default_rng(2)
    taken = 0
    for _ in range(1500):
        count = int(rng.choice([7, 8]))
        rows = [[random_cell(rng, c) for c in range(count)] for _ in range(rng.integers(1, 4))]
        text = "".join(",".join(row) + "\n" for row in rows).encode(errors="surrogatepass")
        fast, checked = (
            fast_rows(text, 1),
            outcome(lambda text=text: parse_rows(text, 1, "f", False)),
        )
        if fast is None:
            continue
        taken += 1
        assert not isinstance(checked, str), (text, checked)
        assert (fast.keys, fast.columns, fast.last) == (checked.keys, checked.columns, checked.last)
        for name in ("image", "boxes", "label", "score", "lines"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(checked, name), str(text))
    assert taken > 200


def annotated(rng: np.random.Generator) -> str:
    """A row of an annotation, one cell of which is a random one."""
    cells = ["v", "902", "0", "0", "0.5", "1", "3", "7"]
    column = int(rng.integers(8))
    cells[column] = random_cell(rng, column)
    return ",".join(cells)


def test_all_readers_of_annotations_agree(tmp_path):
    """Training, checking and making a pickle take the same files; the evaluation takes them all."""
    rng = np.random.default_rng(3)
    good = "v,902,0,0,0.5,1,3,7\n"
    accepted = 0
    for _ in range(400):
        path = written(tmp_path, good + annotated(rng) + rng.choice(["", "\n", "\r\n"]))
        problems = Problems()
        checked = read_label_file(path, problems)
        trained = outcome(lambda path=path: read_records(path))
        if isinstance(trained, str):
            assert problems.error_count, (path.read_bytes(), trained)
            assert any(trained in listed for listed in problems.errors.values()), trained
        else:
            accepted += 1
            assert not problems.error_count, (path.read_bytes(), problems.errors)
            assert set(checked.images) == set(trained.images)
            keys = {(key.video, key.timestamp) for key in trained.images}
            judged = read_boxes(path, images_without_boxes=True).keys
            assert {(video, parse_second(second, "")) for video, second in judged} == keys
            write_pickle(trained, tmp_path / "labels.pkl")
            assert read_records(tmp_path / "labels.pkl").images == trained.images
    assert accepted > 100
