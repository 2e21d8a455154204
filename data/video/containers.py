"""Whether a video file is as long as its container says: FFmpeg just stops where a file ends.

The containers are walked by their outermost parts, without reading what is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

# The demuxers of FFmpeg that read videos, or sound, for a clear message. Others read lists of
# further files (concat, HLS), text (tty) or single pictures: not to be tried on what a user names.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,h264,"
    "hevc,m4v,mjpeg,ivf,mxf,nut,rm,dv,wtv,vvc,av1,obu,h263,vc1,webp_anim,swf,yuv4mpegpipe,"
    "wav,mp3,aac,flac,aiff,w64"
)
TS_PACKETS = (188, 192, 204)
"""Sizes [bytes] of a transport stream's packets: plain, with a time stamp, with a checksum."""

PROGRAM_END, PACK = 0xB9, 0xBA
SECOND_FLV = "second header"
ASF_OBJECTS = ("3026b275", "3626b275", "90080033", "d329e2d6")  # header, data, two kinds of index
EBML_HEADER, SEGMENT = 0x1A45DFA3, 0x18538067
# Besides these two: Void, CRC-32, SeekHead, Info, Tracks, Cluster, Cues, Tags, Chapters, files.
ELEMENTS = {EBML_HEADER, SEGMENT, 0xEC, 0xBF, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675}
ELEMENTS |= {0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469}
BOXES = {"ftyp", "styp", "moov", "moof", "mdat", "mfra", "sidx", "ssix", "free", "skip", "wide"}
BOXES |= {"uuid", "meta", "udta", "prft", "emsg"}


class Part(NamedTuple):
    """An outermost part of a file: its name, and where it begins and ends [bytes].

    Attributes:
        end: `None` where the file does not say, as while it is being recorded.
    """

    name: str
    start: int
    end: int | None


def check_complete(path: Path, format_name: str) -> None:
    """Compare the file with the sizes that its parts claim.

    Args:
        format_name: As FFmpeg names it.

    Raises:
        ValueError: Naming the file if it is truncated, or if it is two videos put one behind the
            other in a container of which only the first would be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        if "mpegts" in format_name:
            _check_packets(path, file, size)
        if format_name == "gif":
            _check_gif_end(path, file, size)
        for key, (walk, first) in _WALKS.items():
            if key in format_name.split(","):
                _check_parts(path, walk(file, size), first, size)


def _check_parts(path: Path, parts: Iterator[Part], first: str, size: int) -> None:
    """Refuse a part that ends after the file, and a second one of the name `first`."""
    found = 0
    for part in parts:
        if part.end is not None and part.end > size:
            raise ValueError(f"{path}: truncated: {size} bytes, expected {part.end} at least")
        found += part.name == first
        if found > (first != SECOND_FLV):
            raise ValueError(
                f"{path}: a second video begins at byte {part.start}; only transport streams can "
                "be joined by appending one to another"
            )


def _boxes(file: BinaryIO, size: int) -> Iterator[Part]:
    """The boxes of MP4 and its kin (ISO 14496-12, 4.2); stops where something else follows."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or name.decode("latin-1") not in BOXES:  # 0: up to the file's end
            return
        yield Part(name.decode(), at, at + length)
        at += length


def _elements(file: BinaryIO, size: int) -> Iterator[Part]:
    """The outermost elements of Matroska (RFC 8794); of a segment of unknown size its clusters."""
    at = 0
    while at < size:
        file.seek(at)
        name, start = _vint(file.read(8), at, keep_marker=True)
        file.seek(start)
        length, start = _vint(file.read(8), start, keep_marker=False)
        if name not in ELEMENTS:
            return
        if length is None and name == SEGMENT:
            yield Part(hex(name), at, None)
            at = start  # its elements follow
            continue
        if length is None:
            return
        yield Part(hex(name), at, start + length)
        at = start + length


def _vint(data: bytes, at: int, keep_marker: bool) -> tuple[int | None, int]:
    """A variable-length number of EBML and where it ends; `None` for none or an unknown size."""
    if not data or data[0] == 0:
        return None, at
    length = 9 - data[0].bit_length()
    value = int.from_bytes(data[:length], "big")
    mask = (1 << (7 * length)) - 1
    if not keep_marker:
        value &= mask
        if value == mask:
            return None, at + length
    return value, at + length


def _chunks(file: BinaryIO, size: int) -> Iterator[Part]:
    """The RIFF chunks of an AVI; a size of 0 or of all ones was never filled in."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        header = file.read(12)
        length, name = int.from_bytes(header[4:8], "little"), header[8:12]
        if header[:4] != b"RIFF" or length in (0, 2**32 - 1):
            return
        yield Part(name.decode("latin-1"), at, at + 8 + length)
        at += 8 + length + length % 2


def _tags(file: BinaryIO, size: int) -> Iterator[Part]:
    """The tags of an FLV."""
    file.seek(0)
    header = file.read(9)
    at = int.from_bytes(header[5:9], "big") + 4
    while at + 11 <= size:
        file.seek(at)
        tag = file.read(4)
        if tag[:3] == b"FLV":
            yield Part(SECOND_FLV, at, None)
        if tag[0] & 0x1F not in (8, 9, 18):
            return
        end = at + 11 + int.from_bytes(tag[1:4], "big")
        yield Part("tag", at, end)
        at = end + 4


def _objects(file: BinaryIO, size: int) -> Iterator[Part]:
    """The objects of an ASF (WMV): header, data and indices."""
    at = 0
    while at + 24 <= size:
        file.seek(at)
        header = file.read(24)
        length, name = int.from_bytes(header[16:24], "little"), header[:4].hex()
        if name not in ASF_OBJECTS or length < 24:  # one that is broadcast may not know its size
            return
        yield Part(name, at, at + length)
        at += length


def _pages(file: BinaryIO, size: int) -> Iterator[Part]:
    """The pages of an Ogg (RFC 3533)."""
    at = 0
    while at + 27 <= size:
        file.seek(at)
        header = file.read(27 + 255)
        if header[:4] != b"OggS":
            return
        lengths = header[27 : 27 + header[26]]
        end = at + 27 + header[26] + sum(lengths)
        yield Part("page", at, end)
        at = end


def _program_packets(file: BinaryIO, size: int) -> Iterator[Part]:
    """The packs and packets of an MPEG program stream (ISO 13818-1, 2.5); stops at any other."""
    at = 0
    while at + 6 <= size:
        file.seek(at)
        header = file.read(14)
        code = header[3]
        if header[:3] != b"\0\0\1" or code < PROGRAM_END:
            return
        length = 6 + int.from_bytes(header[4:6], "big")
        if code == PROGRAM_END:
            length = 4
        elif code == PACK and header[4] >> 6 == 1:  # MPEG-2, with stuffing
            length = 14 + (header[13] & 7 if len(header) == 14 else 0)
        elif code == PACK:
            length = 12
        yield Part("packet", at, at + length)
        at += length


_WALKS: dict[str, tuple[Callable[[BinaryIO, int], Iterator[Part]], str]] = {
    "mp4": (_boxes, "moov"),
    "matroska": (_elements, hex(EBML_HEADER)),
    "avi": (_chunks, "AVI "),
    "flv": (_tags, SECOND_FLV),
    "asf": (_objects, ASF_OBJECTS[0]),
    "ogg": (_pages, ""),
    "mpeg": (_program_packets, ""),
}


def _check_packets(path: Path, file: BinaryIO, size: int) -> None:
    """Transport streams have packets of one size; the last one must be whole."""
    file.seek(0)
    head = file.read(8 * max(TS_PACKETS))
    for length in TS_PACKETS:
        for offset in (0, 4):  # 192: the time stamp comes first
            marks = head[offset::length]
            if len(marks) > 1 and set(marks) == {0x47}:
                if size % length:
                    raise ValueError(
                        f"{path}: truncated: {size} bytes, expected packets of {length} bytes"
                    )
                return


def _check_gif_end(path: Path, file: BinaryIO, size: int) -> None:
    """A GIF ends in a semicolon; zeros may follow."""
    file.seek(max(size - 1024, 0))
    if not file.read().rstrip(b"\0").endswith(b";"):
        raise ValueError(f"{path}: truncated: a GIF's end is missing after {size} bytes")
