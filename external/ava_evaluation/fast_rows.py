"""Rows of text to numbers, all rows of a chunk at once.

Handles what evaluation files hold as a rule: rows of one width, plain decimals, no quotes. A number
is read eight digits at a time from one 64-bit word and is exact: its digits as an integer below
2^53, divided by a power of ten up to 10^16, is the correctly rounded value. What is not plain
(a sign, an exponent, more digits) goes to `float`; a chunk that is not plain goes to `parse_rows`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import ImageKey
from external.ava_evaluation.rows import Block, check_seconds

IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint64]

WORD = 8
DIGIT_ZEROS = np.uint64(0x3030303030303030)
"""Eight times the character "0": xor turns digits into their values."""
POINTS = np.uint64(0x2E2E2E2E2E2E2E2E)
"""Eight times the decimal point."""
ONES = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)
ABOVE_NINE = np.uint64(0x7676767676767676)
"""Added to bytes of at most 9, it leaves their high bits unset."""
POWERS = np.array([float(10**k) for k in range(2 * WORD + 1)])
"""Exact in float64, as every power of ten up to 10^22."""


def fast_rows(text: bytes, first_line: int) -> Block | None:
    """Parse whole lines; None if they are not plain, or not right (`parse_rows` says where)."""
    fields = _split(text)
    if fields is None:
        return None
    try:
        keys, image = _images(fields)
        label = _integers(fields, 6)
        numbers = [_decimals(fields, column) for column in (2, 3, 4, 5, 7)[: len(fields.end) - 3]]
    except ValueError:
        return None
    n = len(label)
    return Block(
        keys=keys,
        image=image,
        boxes=np.stack(numbers[:4], axis=1),
        label=label,
        score=numbers[4] if len(fields.end) == 8 else np.ones(n),
        lines=range(first_line, first_line + n),
    )


@dataclass(frozen=True)
class _Fields:
    """Where the fields of n rows stand in the text."""

    text: bytes
    """Padded with a word on either side."""
    words: WordArray
    """The eight characters from each position on, the first in the lowest byte."""
    begin: IntArray
    """[columns, n]."""
    end: IntArray
    """[columns, n], exclusive."""


def _split(text: bytes) -> _Fields | None:
    """Find the fields; None unless every row has the same 7 or 8 of them and no quotes."""
    columns = text[: text.find(b"\n")].count(b",") + 1
    if columns not in (7, 8) or b'"' in text or b"\r" in text:
        return None
    padded = b"\n".rjust(WORD, b"\0") + text + bytes(WORD)
    characters = np.frombuffer(padded, dtype=np.uint8)
    is_line_end = characters == ord("\n")
    marks = np.flatnonzero(is_line_end | (characters == ord(",")))
    rows, rest = divmod(len(marks) - 1, columns)
    if rest or np.count_nonzero(is_line_end) != rows + 1 or not is_line_end[marks[::columns]].all():
        return None
    return _Fields(
        text=padded,
        words=np.ndarray(len(padded) - WORD + 1, dtype="<u8", buffer=padded, strides=(1,)),
        begin=np.ascontiguousarray(marks[:-1].reshape(rows, columns).T) + 1,
        end=np.ascontiguousarray(marks[1:].reshape(rows, columns).T),
    )


def _images(fields: _Fields) -> tuple[list[ImageKey], NDArray[np.int32]]:
    """Number the images, `video,timestamp` as text; rows of one image mostly stand together."""
    begin, end = fields.begin[0], fields.end[1]
    width = end - begin
    new = np.diff(width, prepend=-1) != 0
    for offset in range(0, int(width.max()), WORD):
        word = fields.words[np.minimum(begin + offset, len(fields.words) - 1)]
        word = word << _outside(np.clip(width - offset, 0, WORD))
        new[1:] |= word[1:] != word[:-1]
    starts = np.flatnonzero(new)
    number_of: dict[bytes, int] = {}
    numbers = [
        number_of.setdefault(fields.text[b:e], len(number_of))
        for b, e in zip(begin[starts].tolist(), end[starts].tolist(), strict=True)
    ]
    keys = []
    for text in number_of:
        video, seconds = text.decode(errors="surrogateescape").split(",")
        keys.append((video, check_seconds(seconds, "")))
    return keys, np.array(numbers, dtype=np.int32)[np.cumsum(new) - 1]


def _integers(fields: _Fields, column: int) -> IntArray:
    """Return the integers of a column. Raises ValueError."""
    end = fields.end[column]
    width = end - fields.begin[column]
    value, plain = _digits(fields.words, end, np.minimum(width, WORD))
    plain &= (width > 0) & (width <= WORD)
    return _repaired(value.astype(np.int64), plain, fields, column, int)


def _decimals(fields: _Fields, column: int) -> NDArray[np.float64]:
    """Return the numbers of a column, each the float64 nearest to its text. Raises ValueError."""
    begin, end = fields.begin[column], fields.end[column]
    point = np.minimum(begin + _point(fields.words[begin]), end)
    whole, decimals = point - begin, np.maximum(end - point - 1, 0)
    integer, plain = _digits(fields.words, point, whole)
    plain &= (whole > 0) & ((whole < WORD) | (point == end)) & (decimals <= 2 * WORD)
    tail, digits = _digits(fields.words, end, np.minimum(decimals, WORD))
    plain &= digits
    fraction = tail.astype(np.float64)
    long = np.flatnonzero(plain & (decimals > WORD))
    if long.size:
        upper, digits = _digits(fields.words, end[long] - WORD, decimals[long] - WORD)
        fraction[long] += upper * POWERS[WORD]
        plain[long] &= digits
    scale = POWERS.take(decimals, mode="clip")
    mantissa = integer * scale + fraction
    plain &= mantissa < 2.0**53
    return _repaired(mantissa / scale, plain, fields, column, float)


def _point(word: WordArray) -> IntArray:
    """Return the position of the first decimal point in each word, 8 if it has none."""
    other = word ^ POINTS
    zero_bytes = (other - ONES) & ~other & HIGH_BITS  # its lowest bit is at the first zero byte
    below = (zero_bytes & (~zero_bytes + np.uint64(1))) - np.uint64(1)
    return np.bitwise_count(below).astype(np.int64) >> 3


def _outside(width: IntArray) -> WordArray:
    """Return the number of bits in the characters of a word beyond the first `width`."""
    return (WORD * (WORD - width)).astype(np.uint64)


def _digits(
    words: WordArray, end: IntArray, width: IntArray
) -> tuple[WordArray, NDArray[np.bool_]]:
    """Read the `width` <= 8 characters before `end` as one integer each; no character is 0.

    Returns the values and whether all characters were digits. Neighbouring digits are joined to
    pairs, pairs to fours, fours to eights.
    """
    outside = _outside(width)
    word = (words[end - WORD] ^ DIGIT_ZEROS) >> outside << outside
    plain = ((word + ABOVE_NINE) | word) & HIGH_BITS == 0
    word = word * np.uint64(10 * 2**8 + 1) >> np.uint64(8)
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1) >> np.uint64(16)
    word = (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10**4 * 2**32 + 1) >> np.uint64(32)
    return word, plain


def _repaired(values, good, fields: _Fields, column: int, parse):
    """Parse what is not plain one by one."""
    rows = np.flatnonzero(~good)
    if rows.size:
        spans = zip(
            fields.begin[column, rows].tolist(), fields.end[column, rows].tolist(), strict=True
        )
        values[rows] = [parse(fields.text[b:e]) for b, e in spans]
    return values
