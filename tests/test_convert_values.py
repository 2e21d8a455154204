"""Numbers, times and rates: what is read, exactly, and what is refused at once."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from data.converters.picture_names import PictureNames
from data.converters.values import parse_clock, parse_count, parse_rate, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4", 4),
        (" 4.25 ", "4.25"),
        ("1e2", 100),
        ("0:02", 2),
        ("00:01:05.5", "65.5"),
        ("00:01:05,500", "65.5"),
        ("1:00:00", 3600),
        ("75:30", 4530),
    ],
)
def test_times_are_seconds_or_clocks(text: str, seconds: int | str) -> None:
    assert parse_clock(text, "second", "here") == Fraction(seconds)


@pytest.mark.parametrize("text", ["0:61", "1:75:00", "0:1:2:3", "1.5:00", ":30", "1:", "-0:02"])
def test_what_is_no_clock_names_the_formats(text: str) -> None:
    with pytest.raises(ValueError, match=r"^here: second is .*M:SS .* or H:MM:SS"):
        parse_clock(text, "second", "here")


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "1_0", "²", "1e-999999999", "1e999999999", "9" * 5000, "0x10", "--1"],
)
def test_what_is_no_number_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"^here: second is not a number"):
        parse_time(text, "second", "here")
    with pytest.raises(ValueError, match="expected a number from"):
        parse_rate(text)


def test_numbers_are_bounded() -> None:
    assert parse_count("30.0", "frame", "here") == 30
    for text in ("-1", "1.5", "1e10", str(2**63)):
        with pytest.raises(ValueError, match=r"here: frame is .*, expected a whole number from 0"):
            parse_count(text, "frame", "here")
    with pytest.raises(ValueError, match="expected at most 10,000,000 seconds"):
        parse_time("1e300", "second", "here")


def test_rates_may_be_fractions() -> None:
    assert parse_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_rate("29.97") == Fraction(2997, 100)
    for text in ("0", "-25", "1/0", "1e-9", "1e300", "25/", "/25", "1/2/3"):
        with pytest.raises(ValueError, match="expected a number from 1/10,000 to 10,000"):
            parse_rate(text)


def test_a_pattern_that_explodes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.converters.picture_names.ONE_SEARCH", 0.1)
    names = PictureNames(r"(?P<video>(a|aa)+)$b(?P<frame>\d+)")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"^here: --picture-name .* takes too long"):
        names.read("a" * 1000, "here")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression"),
        ("(?P<video>x)(?P<second>y){9" + "9" * 30 + "}", "--picture-name"),
        ("(" * 499 + ")" * 499, "--picture-name"),
        ("x" * 1001, "1,001 characters"),
        ("(?P<video>.*)", "the groups video and frame"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PictureNames(pattern)
