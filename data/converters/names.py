"""Names of actions, persons and videos, as files of several tools and systems write them.

One name has one form here: composed Unicode (NFC; macOS writes it decomposed) and single blanks. A
video's name is one component of a path, whatever path, URL or Windows path the file gives.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote

from data.converters.values import shown
from data.video.folders import name_of

# What CVAT writes where an attribute was left open.
UNDEFINED = ("", "__undefined__")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
HOST_ALONE = re.compile(r"(?!file:)[^/:]+://[^/]*/*$")
# Controls, lone halves of characters beyond 16 bits, and separators of lines and paragraphs.
UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
LONGEST_LABEL = 1000
"""Longest name [characters] that a label map may have."""

LONGEST = 255
"""Longest name of a video [bytes]: it becomes the name of a folder."""


@lru_cache(maxsize=4096)
def clean_name(text: str) -> str:
    """A name in composed Unicode on one line, with single blanks and none around it."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def named(values: Iterable[str]) -> tuple[str, ...]:
    """The values that name something, each once, in order."""
    names = (clean_name(value) for value in values)
    return tuple(dict.fromkeys(name for name in names if name not in UNDEFINED))


def check_writable(name: str, what: str, where: str) -> str:
    """`name`, unless it would not come back from a text file or label map."""
    if len(name) > LONGEST_LABEL:
        raise ValueError(
            f"{where}: {what} has {len(name):,} characters, expected {LONGEST_LABEL:,} at most"
        )
    bad = next((c for c in name if unicodedata.category(c) in UNWRITABLE), None)
    if bad is not None:
        raise ValueError(
            f"{where}: {what} {shown(name)} holds the character {bad!r}, which no name may have"
        )
    return name


def check_alike(names: Mapping[str, str], what: str, hint: str) -> None:
    """Raise `ValueError` for two names that differ only in case or in blanks.

    Args:
        names: Each name, and where it stands first.
        what: Of what they are the names, in the plural.
        hint: What to do about it.
    """
    known: dict[str, str] = {}
    for name, where in names.items():
        other = known.setdefault("".join(name.casefold().split()), name)
        if other != name:
            raise ValueError(
                f"{what} {_blanks_shown(other)} ({names[other]}) and {_blanks_shown(name)} "
                f"({where}) differ only in case or blanks: {hint}"
            )


def _blanks_shown(name: str) -> str:
    """A name for a message, in which several blanks would become one."""
    return shown(name).replace("  ", "␣␣")


@dataclass
class VideoNames:
    """Names of the videos of one annotation file.

    Attributes:
        given: The name that the user gives to the only video of the file; None takes the file's.
    """

    given: str | None = None
    _known: dict[str, tuple[Location, str]] = field(default_factory=dict)
    _found: dict[tuple[str, bool], str] = field(default_factory=dict)

    def of(self, text: str, where: str, url: bool = False) -> str:
        """The name of the video that the file calls `text`: a name, a path or a URL.

        Args:
            url: `text` is (part of) a URL although no scheme says so.

        Raises:
            ValueError: Where `text` gives no name, for two videos of one name (`a/one.mp4`,
                `b/one.mp4`), and for a second video where the user gave the only one's name.
        """
        if (text, url) not in self._found:
            location = locate(text, url or is_url(text))
            self._found[text, url] = self._checked(location, where)
        return self._found[text, url]

    def of_picture(self, text: str, where: str) -> str:
        """The same for the part of a picture's name that tells the video; folders do not count."""
        return self._checked(Location(PurePosixPath(text).name), where)

    def _checked(self, location: Location, where: str) -> str:
        name = check_video_name(location.name, where)
        known, first = self._known.setdefault(name, (location, where))
        if location.contradicts(known):
            raise ValueError(
                f"{where}: {location} and {known} ({first}) are both named {name!r}: rename one, "
                "or convert them one by one with --video"
            )
        self._known[name] = (known.joined(location), first)
        if self.given is not None and len(self._known) > 1:
            other = next(iter(self._known))
            raise ValueError(
                f"{where}: this is video {name!r}, after {other!r}: --video names the only video "
                "of a file"
            )
        return self.given or name


@dataclass(frozen=True)
class Location:
    """A video's name without ending, and what the file says of where it lies."""

    name: str
    folder: str = ""
    ending: str = ""
    query: str = ""

    def contradicts(self, other: Location) -> bool:
        """Whether both say where their video lies, and not the same."""
        pairs = (
            (self.folder, other.folder),
            (self.ending, other.ending),
            (self.query, other.query),
        )
        return any(one and two and one != two for one, two in pairs)

    def joined(self, other: Location) -> Location:
        """What both know together."""
        return Location(
            self.name,
            self.folder or other.folder,
            self.ending or other.ending,
            self.query or other.query,
        )

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return repr(f"{self.folder}/{self.name}{self.ending}{query}".lstrip("/"))


def locate(text: str, is_url: bool = False) -> Location:
    """Take a path or a URL apart; without folders and a video's ending `a/b.1.mp4` is `b.1`."""
    text, query = plain_path(text, is_url)
    path = PurePosixPath(text)
    name = name_of(path)
    folder = "" if path.parent == PurePosixPath() else str(path.parent)
    return Location(name.strip(), folder, path.name[len(name) :].lower(), query)


def plain_path(text: str, is_url: bool) -> tuple[str, str]:
    """A path with `/` in composed Unicode, and a URL's query; of a URL without its escapes."""
    text, query = unicodedata.normalize("NFC", text).strip(), ""
    if is_url:
        text, _, query = text.partition("#")[0].partition("?")
        text = HOST_ALONE.sub("", text)
        text = unicodedata.normalize("NFC", unquote(text))
    return text.replace("\\", "/"), query


def is_url(text: str) -> bool:
    """Whether a text begins with a scheme such as `https://`."""
    return SCHEME.match(text.strip()) is not None


def check_video_name(name: str, where: str) -> str:
    """`name`, if it can be that of a folder with the video's frames, inside any other folder."""
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"{where}: expected the name of a video, got {shown(name)} (--video)")
    check_writable(name, "the video's name", where)
    if len(name.encode("utf-8")) > LONGEST:
        raise ValueError(
            f"{where}: the video's name {shown(name)} is longer than {LONGEST} bytes (--video)"
        )
    return name
