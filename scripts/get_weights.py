"""Put weights under pretrained/: `python scripts/get_weights.py FILE_OR_LINK [--to NAME]`.

Takes a file on this machine or a link (http, https, Google Drive). Checks that the file loads and
what it is: the authors' STEP release or their *cls* stage, a Kinetics I3D state dict, or a
checkpoint of ours. Only then copies it to pretrained/ under its name. Prints its SHA-256 and the
commands to run next. The links of the authors' files are in pretrained/README.md; their licence is
non-commercial.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
import hashlib
import http.client
import importlib
import re
import tempfile
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from external.files import check_regular
from models.registry import DETECTORS
from models.step.build import build_detector, load_kinetics
from models.weights.checkpoint import LoadedCheckpoint
from models.weights.released import is_released
from utils.config.step import ModelConfig
from utils.formats.checkpoints import read_checkpoint
from utils.system.cli import ROOT, run_main
from utils.system.outputs import check_apart, check_new_file, whole_file

TIMEOUT = 60
"""Longest time that a server may be silent, in seconds."""

LARGEST = 8 << 30
"""Bytes of the largest file that is fetched; the authors' have a few hundred MiB."""


@dataclass
class Kind:
    """The kind of a file of weights.

    Attributes:
        name: For messages.
        file: Its name under pretrained/.
        next: The commands that use it.
    """

    name: str
    file: str
    next: list[str]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="FILE_OR_LINK", help="a file, or a link to one")
    parser.add_argument("--to", metavar="NAME", help="file name in pretrained/; default: by kind")
    parser.add_argument("--folder", type=Path, default=ROOT / "pretrained", metavar="D",
                        help="where to put it (pretrained/)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a file of the same name")
    arguments = parser.parse_args()
    if arguments.to is not None and (
        Path(arguments.to).name != arguments.to
        or arguments.to.startswith(".")
        or not arguments.to.isprintable()
    ):
        parser.error(f"--to: expected the name of a file, got {arguments.to!r}")
    return arguments


def split_link(link: str) -> urllib.parse.SplitResult:
    """Return the parts of a link; raises `ValueError` naming it for one that has none."""
    try:
        return urllib.parse.urlsplit(link)
    except ValueError as error:
        raise ValueError(f"{link}: expected a link: {error}") from None


def is_link(source: str) -> bool:
    """Whether `source` is a link rather than a file."""
    return "://" in source


def fetch(link: str, path: Path) -> None:
    """Download `link` to `path`. Raises `ValueError` naming the link and what went wrong."""
    parts = split_link(link)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{link}: expected a link that begins with http:// or https://")
    if parts.hostname in ("drive.google.com", "docs.google.com"):
        fetch_from_drive(link, path)
        return
    try:
        with urllib.request.urlopen(link, timeout=TIMEOUT) as answer, open(path, "wb") as file:
            copy_stream(answer, file, link)
    # A server may answer anything: http.client raises ValueErrors and errors of its own, too.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"{link}: cannot be fetched: {reason}") from error


def copy_stream(answer: Any, file: Any, link: str) -> None:
    """Copy with a progress bar; raises `ValueError` for a stream that is cut short or endless."""
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else None
    count = 0
    with tqdm(total=total, unit="B", unit_scale=True, desc="download", disable=None) as bar:
        while block := answer.read(1 << 20):
            count += len(block)
            if count > LARGEST:
                raise ValueError(f"larger than {LARGEST >> 30} GiB")
            file.write(block)
            bar.update(len(block))
    if total is not None and count != total:
        raise ValueError(f"cut short after {count} of {total} bytes")


def fetch_from_drive(link: str, path: Path) -> None:
    """Download from Google Drive, which asks a question before a large file."""
    number = re.search(r"(?:/d/|[?&]id=)([\w-]{10,})", link)
    if number is None:
        raise ValueError(
            f"{link}: expected the link of one file, as https://drive.google.com/file/d/ID/view"
        )
    try:
        gdown = importlib.import_module("gdown")
    except ImportError:
        raise ValueError(
            f"{link}: Google Drive's links need the package gdown: pip install gdown. Or fetch the "
            "file with a browser and give its path"
        ) from None
    try:
        found = gdown.download(id=number[1], output=str(path))
    except Exception as error:  # gdown's own kinds; nothing of ours runs in the block
        raise ValueError(f"{link}: cannot be fetched: {' '.join(str(error).split())}") from error
    if found is None or not path.is_file():
        raise ValueError(f"{link}: cannot be fetched; it may be gone, or fetched too often today")


def recognise(path: Path, named: str) -> Kind:
    """Return the kind of the file `path`, after loading it as that kind.

    Args:
        named: The user's name for it, for errors.

    Raises:
        ValueError: If it does not load.
    """
    content = read_checkpoint(path)
    if not (is_released(content) or "config" in content):
        check_kinetics(path)
        use = "python train.py --config configs/step/ava_cls.yaml kinetics=pretrained/{file}"
        return Kind("Kinetics I3D state dict", "i3d_kinetics.pth", [use])
    checkpoint = LoadedCheckpoint(content, path, DETECTORS)
    checkpoint.build()
    is_cls = checkpoint.config.train.task == "cls"
    whose = "of the authors' release" if checkpoint.is_released else "of ours"
    if is_cls:
        use = ["python train.py --config configs/step/ava_step.yaml init=pretrained/{file}"]
        file = "step_cls_ava.pth" if checkpoint.is_released else Path(named).name
        return Kind(f"classification stage {whose}", file, use)
    use = [
        "python demo.py --checkpoint pretrained/{file} --input VIDEO",
        "python test.py --checkpoint pretrained/{file} --data-root DATASET",
    ]
    file = "step_ava.pth" if checkpoint.is_released else Path(named).name
    return Kind(f"STEP detector {whose}", file, use)


def check_kinetics(path: Path) -> None:
    """Raise `ValueError` unless an I3D detector can start from `path`."""
    with torch.random.fork_rng():
        detector = build_detector(ModelConfig(num_classes=1, steps=1, fc_dim=8, local_dim=16))
    load_kinetics(detector, path)


def put(source: Path, place: Path) -> str:
    """Copy `source` to `place`, completely or not at all; return its SHA-256."""
    digest = hashlib.sha256()
    with open(source, "rb") as file, whole_file(place) as copy:
        while block := file.read(1 << 22):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


def get_weights(arguments: argparse.Namespace, folder: Path) -> None:
    """Download to the temporary `folder` if needed, check, put in place, print what to do next."""
    named = arguments.source
    if is_link(named):
        source = folder / "fetched"
        fetch(named, source)
        named = Path(split_link(named).path).name
    else:
        source = check_regular(named, "file of weights")
    try:
        kind = recognise(source, named)
    except ValueError as error:
        if not is_link(arguments.source):
            raise
        raise ValueError(str(error).replace(str(source), arguments.source)) from error
    place = arguments.folder / (arguments.to or kind.file)
    check_apart([place], [source])
    check_new_file(place, arguments.force)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    digest = put(source, place)
    print(f"{place}: {kind.name}, {place.stat().st_size:,} bytes\nSHA-256 {digest}\nnext:")
    for command in kind.next:
        print("  " + command.replace("pretrained/{file}", str(place)))


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="weights-") as folder:
        get_weights(arguments, Path(folder))


if __name__ == "__main__":
    run_main(main)
