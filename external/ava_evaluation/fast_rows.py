"""Rows of text to numbers, all rows of a chunk at once.

Handles what evaluation files hold as a rule: rows of one width, plain decimals, no quotes. A number
is read eight digits at a time from one 64-bit word, its digits as an integer divided by a power of
ten, and is always the float64 nearest to its text. A field that is not plain (a sign, an exponent,
more digits) goes to the parsers of `cells`; a chunk that is not goes to `parse_rows`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import ImageKey, run_starts
from external.ava_evaluation.cells import check_time, check_video_name, parse_number, parse_whole
from external.ava_evaluation.rows import COLUMNS, Block

IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint64]
BoolArray = NDArray[np.bool_]

WORD = 8
DIGIT_ZEROS = np.uint64(0x3030303030303030)
"""Eight times the character "0": xor turns digits into their values."""
POINTS = np.uint64(0x2E2E2E2E2E2E2E2E)
"""Eight times the decimal point."""
ONES = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)
ABOVE_NINE = np.uint64(0x7676767676767676)
"""Added to bytes of at most 9, it leaves their high bits unset."""
MIXER = np.uint64(0x9E3779B97F4A7C15)
"""An odd constant without pattern (2^64 over the golden ratio), for hashing."""
MAX_DECIMALS = 19
"""10^19 is the largest power of ten in 64 bits."""
INTEGER_POWERS = np.array([10**k for k in range(MAX_DECIMALS + 1)], dtype=np.uint64)
POWERS = INTEGER_POWERS.astype(np.float64)
"""Exact, as every power of ten up to 10^22 is in float64."""
EXACT = 2.0**53
"""Integers below are exact in float64."""
KEY_LIMIT = 1100
"""Longest text `video,timestamp` [bytes] that is compared here, word by word."""
MAX_MANTISSA = 2.0**63
"""Digits beyond do not surely fit 64 bits."""


def fast_rows(
    text: bytes, first_line: int, known_keys: dict[bytes, ImageKey] | None = None
) -> Block | None:
    """Parse whole lines that end in LF; None if they are not plain, or not right.

    `parse_rows` says what and where.

    Args:
        known_keys: Images met before, by their text; new ones are added. Where the rows of an image
            are scattered over the file, every chunk meets most images again.
    """
    fields = _split(text)
    if fields is None:
        return None
    try:
        keys, image = _images(fields, {} if known_keys is None else known_keys)
        label = _integers(fields, 6)
        numbers = [_decimals(fields, column) for column in (2, 3, 4, 5, 7)[: len(fields.end) - 3]]
    except (ValueError, OverflowError):
        return None
    n = len(label)
    return Block(
        keys=keys,
        image=image,
        boxes=np.stack(numbers[:4], axis=1),
        label=label,
        score=numbers[4] if len(fields.end) == 8 else np.ones(n),
        lines=range(first_line, first_line + n),
        columns=len(fields.end),
        last=len(fields.end),
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
    if columns not in (7, 8) or b'"' in text:
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


def _images(
    fields: _Fields, known: dict[bytes, ImageKey]
) -> tuple[list[ImageKey], NDArray[np.int32]]:
    """Number the images by appearance. Raises ValueError for a name or timestamp that is none.

    An image is its text `video,timestamp`, told apart by a hash that is then verified.
    """
    begin, end = fields.begin[0], fields.end[1]
    width = end - begin
    if int(width.max()) > KEY_LIMIT:
        raise ValueError("a long name")
    words, mixed = [], width.astype(np.uint64)
    for offset in range(0, int(width.max()), WORD):
        word = fields.words[np.minimum(begin + offset, len(fields.words) - 1)]
        words.append(word << _outside(np.clip(width - offset, 0, WORD)))
        mixed = (mixed ^ words[-1]) * MIXER
        mixed ^= mixed >> np.uint64(32)
    starts = run_starts(mixed)
    _, first, number = np.unique(mixed[starts], return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    number = np.argsort(by_appearance)[number]
    representative = starts[first[by_appearance]]
    image = np.repeat(number, np.diff(starts, append=len(width)))
    for column in (width, *words):
        if (column != column[representative[image]]).any():
            raise ValueError("two images have the same hash")
    keys = [
        _key(fields.text[b:e], known)
        for b, e in zip(begin[representative].tolist(), end[representative].tolist(), strict=True)
    ]
    return keys, image.astype(np.int32)


def _key(text: bytes, known: dict[bytes, ImageKey]) -> ImageKey:
    """Return the image of `video,timestamp`. Raises ValueError where it names none."""
    if text not in known:
        video, seconds = text.decode().split(",")
        known[text] = check_video_name(video, ""), _time(seconds, "")
    return known[text]


_time = lru_cache(1 << 14)(check_time)  # the seconds of one video are those of the others


def _integers(fields: _Fields, column: int) -> IntArray:
    """Return the integers of a column. Raises ValueError."""
    end = fields.end[column]
    width = end - fields.begin[column]
    value, plain = _digits(fields.words, end, np.minimum(width, WORD))
    plain &= (width > 0) & (width <= WORD)
    return _repaired(value.astype(np.int64), plain, fields, column, parse_whole)


def _decimals(fields: _Fields, column: int) -> NDArray[np.float64]:
    """Return the numbers of a column, each the float64 nearest to its text. Raises ValueError."""
    begin, end = fields.begin[column], fields.end[column]
    point = np.minimum(begin + _point(fields.words[begin]), end)
    whole, decimals = point - begin, np.maximum(end - point - 1, 0)
    integer, plain = _digits(fields.words, point, whole)
    plain &= (whole > 0) & ((whole < WORD) | (point == end)) & (decimals <= MAX_DECIMALS)
    fraction, digits = _digits(fields.words, end, np.minimum(decimals, WORD))
    plain &= digits
    for done in range(WORD, MAX_DECIMALS, WORD):
        rows = np.flatnonzero(plain & (decimals > done))
        if not rows.size:
            break
        upper, digits = _digits(
            fields.words, end[rows] - done, np.minimum(decimals[rows] - done, WORD)
        )
        fraction[rows] += upper * INTEGER_POWERS[done]
        plain[rows] &= digits
    scale = POWERS.take(decimals, mode="clip")
    estimate = integer * scale + fraction
    plain &= estimate < MAX_MANTISSA
    value = estimate / scale
    wide = np.flatnonzero(plain & (estimate >= EXACT))
    if wide.size:
        mantissa = integer[wide] * INTEGER_POWERS[decimals[wide]] + fraction[wide]
        value[wide], plain[wide] = _nearest_quotient(mantissa, scale[wide])
    return _repaired(value, plain, fields, column, parse_number)


def _nearest_quotient(
    mantissa: WordArray, power: NDArray[np.float64]
) -> tuple[NDArray[np.float64], BoolArray]:
    """Divide integers by exact powers of ten; returns the quotient and whether it is the nearest.

    A first quotient q is off by at most its last bit. The remainder, mantissa - q * power, is taken
    without error (Dekker's product of halves) and gives a correction c. Uncertain are only those
    where q + c falls so close to the middle between two floats that the error of c matters.
    """
    high = mantissa.astype(np.float64)
    low = (mantissa - high.astype(np.uint64)).view(np.int64).astype(np.float64)
    quotient = high / power
    q_high, q_low = _halves(quotient)
    p_high, p_low = _halves(power)
    product = quotient * power
    lost = ((q_high * p_high - product) + q_high * p_low + q_low * p_high) + q_low * p_low
    correction = ((high - product) + (low - lost)) / power
    smaller, larger = (quotient + correction * (1 + sign * 2.0**-40) for sign in (-1, 1))
    return quotient + correction, smaller == larger


def _halves(value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split each number into two of at most 26 bits that sum to it (Veltkamp)."""
    shifted = value * (2.0**27 + 1)
    high = shifted - (shifted - value)
    return high, value - high


def _point(word: WordArray) -> IntArray:
    """Return the position of the first decimal point in each word, 8 if it has none."""
    other = word ^ POINTS
    zero_bytes = (other - ONES) & ~other & HIGH_BITS  # its lowest bit is at the first zero byte
    below = (zero_bytes & (~zero_bytes + np.uint64(1))) - np.uint64(1)
    return np.bitwise_count(below).astype(np.int64) >> 3


def _outside(width: IntArray) -> WordArray:
    """Return the number of bits in the characters of a word beyond the first `width`."""
    return (WORD * (WORD - width)).astype(np.uint64)


def _digits(words: WordArray, end: IntArray, width: IntArray) -> tuple[WordArray, BoolArray]:
    """Read the `width` <= 8 characters before `end` as one integer each; no character is 0.

    Returns:
        The values and whether all characters were digits. Neighbouring digits are joined to pairs,
        pairs to fours, fours to eights.
    """
    outside = _outside(width)
    word = (words[end - WORD] ^ DIGIT_ZEROS) >> outside << outside
    plain = ((word + ABOVE_NINE) | word) & HIGH_BITS == 0
    word = word * np.uint64(10 * 2**8 + 1) >> np.uint64(8)
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1) >> np.uint64(16)
    word = (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10**4 * 2**32 + 1) >> np.uint64(32)
    return word, plain


def _repaired(
    values: NDArray[Any],
    plain: BoolArray,
    fields: _Fields,
    column: int,
    parse: Callable[[str, str, str], float],
) -> NDArray[Any]:
    """Parse what is not plain one by one, in place. Raises ValueError."""
    rows = np.flatnonzero(~plain)
    begin, end = fields.begin[column, rows].tolist(), fields.end[column, rows].tolist()
    texts = [fields.text[b:e].decode() for b, e in zip(begin, end, strict=True)]
    values[rows] = [parse(text, COLUMNS[column], "") for text in texts]
    return values
