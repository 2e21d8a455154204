"""Which videos FFmpeg, as it is built here, can read and write."""

from __future__ import annotations

import av

USUAL = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg")
"""Codecs of the videos that people have."""


def encoder() -> str:
    """Return the name of the encoder that we write videos with: H.264's, else MPEG-4's."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def missing_decoders() -> list[str]:
    """Return those of the `USUAL` codecs that cannot be read."""
    return [name for name in USUAL if not _can_decode(name)]


def _can_decode(name: str) -> bool:
    try:
        av.codec.Codec(name, "r")
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False
    return True
