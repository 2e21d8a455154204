"""Reading images: what is decoded, and what is refused before it costs memory or shows grey."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.images import read_image
from data.windows import read_images


def write_images(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        assert cv2.imwrite(str(folder / f"{i}.png"), np.full((24, 32, 3), i, dtype=np.uint8))
    return folder


def noise(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, noise(), options)[1].tobytes()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of some 70 bytes, correct but for its data, which end early."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_that_claims(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size than the 96 x 64 that it has."""
    content = bytearray(encode(".jpg"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def test_images_are_rgb(tmp_path: Path) -> None:
    path = str(tmp_path / "1.jpg")
    cv2.imwrite(path, np.full((24, 32, 3), (5, 128, 250), dtype=np.uint8))  # OpenCV writes BGR
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.mean(axis=(0, 1)) == pytest.approx([250, 128, 5], abs=3)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        (".png", ()),
        (".bmp", ()),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    ],
)
def test_a_whole_image_is_read_and_half_of_it_refused(
    suffix: str, options: tuple[int, ...], tmp_path: Path
) -> None:
    path, whole = tmp_path / f"1{suffix}", encode(suffix, *options)
    path.write_bytes(whole)
    error = 0 if suffix != ".jpg" else 60
    assert np.abs(read_image(path)[..., ::-1].astype(int) - noise()).mean() <= error
    half = whole[: len(whole) // 2]
    # A copy that was broken off, alone or in a file that had its size beforehand.
    padded = half + bytes(len(whole) - len(half))
    for content in (half, padded) if suffix in (".jpg", ".png") else (half,):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"1\{suffix}: not a readable image"):
            read_image(path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg(tmp_path: Path) -> None:
    whole, thumbnail = encode(".jpg"), cv2.imencode(".jpg", noise(8, 8))[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    path = tmp_path / "1.jpg"
    path.write_bytes(with_thumbnail + b"what a phone appends")
    assert read_image(path).shape == (64, 96, 3)
    path.write_bytes(with_thumbnail[: -len(whole) // 2] + bytes(len(whole)))
    with pytest.raises(ValueError, match="only the beginning of one"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a JPEG, PNG, BMP or WebP"),
        (b"not an image", "expected a JPEG, PNG, BMP or WebP"),
        (b"P6 99999 99999 255\n" + bytes(100), "expected a JPEG, PNG, BMP or WebP"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n", "expected a JPEG, PNG"),
        (png_that_claims(60000, 60000), "claims 60000 x 60000 pixels"),
        (png_that_claims(30000, 30000), "claims 30000 x 30000 pixels"),
        (png_that_claims(2**31, 1), "claims 2147483648 x 1 pixels"),
        (png_that_claims(0, 0), "not a readable image"),
        (png_that_claims(2**24, 1), "not a readable image"),
        (jpeg_that_claims(65000, 65000), "claims 65000 x 65000 pixels"),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 2**30, -(2**30)) + bytes(99), "claims 1073"),
        (b"\xff\xd8\xff", "not a readable image"),
        (b"\xff\xd8" + b"\xff" * 99, "not a readable image"),
        (b"\x89PNG\r\n\x1a\n", "not a readable image"),
    ],
)
def test_what_is_no_image_is_refused_by_name(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"1\.jpg: .*{said}"):
        read_image(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such image"),
        (os.mkdir, "this is a folder"),
        (os.mkfifo, "this is a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "this is a pipe or a device"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
)
def test_what_is_no_file_is_refused_by_name(make: object, said: str, tmp_path: Path) -> None:
    make(tmp_path / "1.jpg")  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"1.jpg.*{said}"):
        read_image(tmp_path / "1.jpg")


def test_a_picture_of_absurd_size_counts_as_unreadable_in_training(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "v", 3)
    (folder / "1.png").write_bytes(png_that_claims(60000, 60000))
    unreadable: list[str] = []
    paths = [str(folder / f"{i}.png") for i in range(3)]
    assert [image[0, 0, 0] for image in read_images(paths, unreadable)] == [0, 0, 2]
    assert unreadable == [paths[1]]
