"""Reading image files: the one place where all frames and pictures of a dataset are decoded."""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

import cv2
import numpy as np

from external.files import open_regular

# What is wrong with an image is said once, by us.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Seconds before an image that could not be read is read again.
RETRY_DELAYS = (0.05, 0.2)
# Largest image [pixels] that is decoded, twice an 8K frame and more; a file of 70 bytes may claim
# gigabytes.
PIXEL_LIMIT = 1 << 27
BYTE_LIMIT = 1 << 30

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start of frame: the segments of a JPEG that hold its size (ITU-T T.81, table B.1).
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = {0x00, 0x01, *range(0xD0, 0xD9), 0xFF}
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"


def read_image(path: str | Path) -> np.ndarray:
    """Read a JPEG, PNG, BMP or WebP as RGB uint8 `[H, W, 3]`; where that fails, twice again.

    A disk or a network may fail for a moment.

    Raises:
        ValueError: Naming the file if it is missing, no regular file, of another format, truncated,
            damaged, or larger than `PIXEL_LIMIT`.
    """
    for delay in RETRY_DELAYS:
        try:
            return _read_image_once(path)
        except (OSError, ValueError):
            if not os.path.lexists(path):
                break
            sleep(delay)
    try:
        return _read_image_once(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error


def _read_image_once(path: str | Path) -> np.ndarray:
    with open_regular(path, "image") as file:
        if os.fstat(file.fileno()).st_size > BYTE_LIMIT:
            raise ValueError(f"{path}: larger than {BYTE_LIMIT >> 20} MiB, too large for an image")
        content = file.read()
    _check_header(content, path)
    try:
        # From memory: OpenCV's `imread` fills what is missing of a truncated JPEG with grey.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"{path}: not a readable image: {error.err}") from error
    if image is None:
        raise ValueError(f"{path}: not a readable image, or only the beginning of one")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _check_header(content: bytes, path: str | Path) -> None:
    """Refuse files that OpenCV would decode as another format, to gigabytes, or partly grey.

    Costs a hundredth of decoding.
    """
    whole = True  # of the other formats OpenCV notices a missing end itself
    if content.startswith(_JPEG):
        height, width, whole = _jpeg_header(content)
    elif content.startswith(_PNG):
        width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    elif content.startswith(b"BM"):
        width, height = (_little_endian(content[i : i + 4]) for i in (18, 22))
    elif content[8:12] == b"WEBP":
        width = height = 0  # 16,383 at most
    else:
        raise ValueError(f"{path}: not a readable image: expected a JPEG, PNG, BMP or WebP")
    if height * width > PIXEL_LIMIT:
        raise ValueError(
            f"{path}: claims {width} x {height} pixels, expected {PIXEL_LIMIT:,} at most"
        )
    if not whole:
        raise ValueError(f"{path}: not a readable image, or only the beginning of one")


def _little_endian(number: bytes) -> int:
    return abs(int.from_bytes(number, "little", signed=True))  # a BMP's rows may go upwards


def _jpeg_header(content: bytes) -> tuple[int, int, bool]:
    """Height and width of a JPEG, and whether its end stands after its first scan.

    In a scan every byte of 255 is marked as data, so that the end cannot stand there by chance; one
    before the scan is a thumbnail's. Decoders skip what is between two segments, so do we.
    """
    height, width, at = 0, 0, 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 9 <= len(content):
        marker = content[at + 1]
        if marker in _JPEG_ALONE:
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = (int.from_bytes(content[at + i : at + i + 2], "big") for i in (5, 7))
        if marker == _JPEG_SCAN:
            return height, width, content.find(_JPEG_END, at) >= 0
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return height, width, False
