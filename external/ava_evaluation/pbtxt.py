"""Label maps in protobuf's text format, AVA's `.pbtxt`: reading in one pass, and writing.

    item { name: "walk" id: 14 }    # to the end of the line: a comment

An entry has any name (`item`, `label`) and holds `name` and `id` or `label_id`; its other fields
are passed over. Strings, comments, separators and escapes are those of protobuf's text format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MAX_DEPTH = 100
"""Braces within braces; protobuf's own limit."""

IDS = ("id", "label_id")

# Each alternative begins with another character and never gives back what it took: one match
# costs as much as it is long.
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\v\f]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<number>[-+]?\.?[0-9][A-Za-z0-9_.]*(?:(?<=[eE])[-+][0-9]+)?)
      | (?P<sign>[-:{}<>\[\],;/])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<octal>[0-7]{1,3})|[xX](?P<hex>[0-9a-fA-F]{1,2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<letter>[abfnrtv?\\'\"]))|\\"
)
_LETTERS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_CLOSING = {"{": "}", "<": ">", "[": "]"}


class Token(NamedTuple):
    """A piece of the text that is neither blank nor comment; kind "" stands for the end."""

    kind: str
    text: str
    line: int


class PbtxtError(ValueError):
    """What is wrong, without the file's name.

    Args:
        line: Where, counted from 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def parse_pbtxt(text: str) -> list[tuple[int, str]]:
    """Return (id, name) of each entry, in the order of the text. Raises `PbtxtError`."""
    tokens = _Tokens(text)
    entries = []
    while tokens.next.kind:
        opening = tokens.take_word("an entry such as 'item {'")
        if tokens.next.text == ":":
            tokens.take()
        if tokens.next.text not in ("{", "<"):
            raise PbtxtError(opening.line, f"expected '{{' after {opening.text!r}, {tokens.got()}")
        entries.append(_entry(tokens, opening))
        tokens.skip_separator()
    return entries


def _entry(tokens: _Tokens, opening: Token) -> tuple[int, str]:
    """Read the fields of an entry up to its closing brace."""
    closing = _CLOSING[tokens.take().text]
    found: dict[str, int | str] = {}
    while tokens.next.text != closing or tokens.next.kind != "sign":
        if not tokens.next.kind:
            raise PbtxtError(opening.line, f"'{opening.text} {{' has no closing {closing!r}")
        field = tokens.take_word(f"a field or {closing!r}")
        key = "id" if field.text in IDS else field.text
        if field.text == opening.text:
            raise PbtxtError(
                field.line,
                f"{field.text!r} inside the one of line {opening.line}: a {closing!r} is missing",
            )
        if key not in ("id", "name"):
            _skip_value(tokens, field)
        elif key in found:
            raise PbtxtError(field.line, f"{field.text!r} stands twice in one entry")
        else:
            tokens.take_sign(":", field)
            found[key] = tokens.take_id() if key == "id" else tokens.take_string(field)
        tokens.skip_separator()
    tokens.take()
    number, name = found.get("id"), found.get("name")
    if not isinstance(number, int) or not isinstance(name, str):
        listed = ", ".join(found) or "neither"
        raise PbtxtError(opening.line, f"expected an entry with a name and an id, got {listed}")
    return number, name


def _skip_value(tokens: _Tokens, field: Token) -> None:
    """Pass over the value of a field: a message, a list, strings, a number or a word."""
    colon = tokens.next.text == ":"
    if colon:
        tokens.take()
    if tokens.next.text == "-":
        tokens.take()
    if tokens.next.kind == "sign" and tokens.next.text in _CLOSING:
        _skip_nested(tokens)
    elif colon and tokens.next.kind == "string":
        tokens.take_string(field)
    elif colon and tokens.next.kind in ("word", "number"):
        tokens.take()
    else:
        raise PbtxtError(field.line, f"expected a value of {field.text!r}, {tokens.got()}")


def _skip_nested(tokens: _Tokens) -> None:
    """Pass over everything up to the brace that closes the next token."""
    open_braces: list[Token] = []
    while True:
        token = tokens.take()
        if token.kind == "sign" and token.text in _CLOSING:
            open_braces.append(token)
        elif token.kind == "sign" and token.text in _CLOSING.values():
            opened = open_braces.pop()
            if token.text != _CLOSING[opened.text]:
                raise PbtxtError(
                    token.line,
                    f"{token.text!r} does not close {opened.text!r} of line {opened.line}",
                )
        if not token.kind:
            raise PbtxtError(open_braces[-1].line, f"{open_braces[-1].text!r} is not closed")
        if len(open_braces) > MAX_DEPTH:
            raise PbtxtError(token.line, f"nested too deeply, at most {MAX_DEPTH} braces")
        if not open_braces:
            return


class _Tokens:
    """The tokens of a text, one ahead: `next` is what `take` will return."""

    def __init__(self, text: str) -> None:
        self._stream = _tokens(text)
        self.next = next(self._stream)

    def take(self) -> Token:
        token = self.next
        if token.kind:
            self.next = next(self._stream)
        return token

    def take_word(self, expected: str) -> Token:
        if self.next.kind != "word":
            raise PbtxtError(self.next.line, f"expected {expected}, {self.got()}")
        return self.take()

    def take_sign(self, sign: str, field: Token) -> None:
        if self.next.text != sign or self.next.kind != "sign":
            raise PbtxtError(field.line, f"expected {sign!r} after {field.text!r}, {self.got()}")
        self.take()

    def take_id(self) -> int:
        """Take a whole number as decimals: protobuf would read 010 as 8."""
        text = self.next.text
        plain = self.next.kind == "number" and text.isdigit() and (text == "0" or text[0] != "0")
        if not plain or len(text) > 19 or int(text) >= 2**63:
            raise PbtxtError(
                self.next.line, f"expected a whole number of 0 or more as id, {self.got()}"
            )
        return int(self.take().text)

    def take_string(self, field: Token) -> str:
        """Take a string, or several that follow each other and are one."""
        if self.next.kind != "string":
            raise PbtxtError(
                self.next.line, f"expected a quoted text as {field.text!r}, {self.got()}"
            )
        content = b""
        line = self.next.line
        while self.next.kind == "string":
            content += _unquoted(self.take())
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise PbtxtError(line, "expected UTF-8 text, the escapes give other bytes") from None

    def skip_separator(self) -> None:
        if self.next.kind == "sign" and self.next.text in (",", ";"):
            self.take()

    def got(self) -> str:
        return f"got {_short(self.next.text)}" if self.next.kind else "the file ends"


def _tokens(text: str) -> Iterator[Token]:
    """Yield the tokens, then one of kind "". Raises `PbtxtError`."""
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            quoted = text[position] in "\"'"
            rest = text[position:].split("\n", 1)[0] if quoted else text[position]
            reason = "a quote is not closed on its line" if quoted else "an unexpected character"
            raise PbtxtError(line, f"{reason}: {_short(rest)}")
        kind = match.lastgroup or ""
        if kind != "blank":
            yield Token(kind, match[0], line)
        line += match[0].count("\n")
        position = match.end()
    yield Token("", "", line)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _unquoted(token: Token) -> bytes:
    """Return what a quoted string stands for, as UTF-8: octal and hexadecimal escapes are bytes."""
    parts, end = [], 1
    inside = token.text[:-1]
    for escape in _ESCAPE.finditer(inside):
        parts.append(inside[end : escape.start()].encode())
        parts.append(_escaped(escape, token.line))
        end = escape.end()
    parts.append(inside[end:].encode())
    return b"".join(parts)


def _escaped(escape: re.Match[str], line: int) -> bytes:
    kind = escape.lastgroup
    if kind is None:
        raise PbtxtError(line, "an unknown escape after a backslash in a quoted text")
    text = escape[kind]
    if kind == "letter":
        return _LETTERS.get(text, text).encode()
    value = int(text, 8 if kind == "octal" else 16)
    if kind in ("octal", "hex"):
        if value > 255:
            raise PbtxtError(line, f"the escape \\{text} is no byte")
        return bytes([value])
    if value > 0x10FFFF or 0xD800 <= value < 0xE000:
        raise PbtxtError(line, f"the escape of {text} is no character")
    return chr(value).encode()


def format_pbtxt(classes: Mapping[int, str]) -> str:
    """Return the text of a label map, ids ascending; `parse_pbtxt` gives its entries back."""
    return "".join(
        f'item {{\n  name: "{_quoted(name)}"\n  id: {number}\n}}\n'
        for number, name in sorted(classes.items())
    )


def _quoted(name: str) -> str:
    """Escape quotes, backslashes and characters that would end or garble a line."""
    text = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return re.sub(
        "[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]",
        lambda found: "".join(f"\\{byte:03o}" for byte in found[0].encode()),
        text,
    )
