"""What `scripts/doctor.py` says of codecs, datasets and checkpoints: what is there and usable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.video.codecs import USUAL, encoder, missing_decoders
from models import open_checkpoint
from utils.system.machine import Finding

ENDINGS = (".pt", ".pth", ".tar")
"""Of files in `pretrained/` that may be checkpoints."""


def codecs() -> list[Finding]:
    """Return which videos can be read, and with what videos are written."""
    missing = missing_decoders()
    readable = ", ".join(name for name in USUAL if name not in missing)
    found = [Finding("can be read", readable or "nothing", "ok" if readable else "problem")]
    if missing:
        found.append(Finding("cannot be read", ", ".join(missing), "note"))
    if encoder() == "libx264":
        return [*found, Finding("is written", "H.264 (libx264)")]
    advice = "this FFmpeg has no libx264; some browsers do not play MPEG-4"
    return [*found, Finding("is written", "MPEG-4", "note", advice)]


def datasets(root: Path) -> list[Finding]:
    """Return the datasets in the folder `root`, and whether they have annotation and frames."""
    folders = sorted(f for f in root.iterdir() if f.is_dir()) if root.is_dir() else []
    if not folders:
        advice = "`python scripts/make_toy_dataset.py` makes one; docs/ava.md, docs/custom_data.md"
        return [Finding("datasets", f"none in {root.name}/", "note", advice)]
    return [_dataset(folder) for folder in folders]


def _dataset(folder: Path) -> Finding:
    """Return what a dataset's folder holds, by the names of its parts."""
    parts = sorted(part.name for part in folder.iterdir() if not part.name.startswith("."))
    if not parts:
        return Finding(folder.name, "an empty folder", "note")
    advice = "" if len(parts) > 1 else "`python scripts/check_data.py` says what it lacks"
    return Finding(folder.name, ", ".join(parts), "ok" if len(parts) > 1 else "note", advice)


def checkpoints(root: Path) -> list[Finding]:
    """Return the checkpoints of the runs, and in `pretrained/`, and whether they can be opened.

    Args:
        root: Of the repository.
    """
    runs = sorted((root / "runs").glob("*/best.pt"))
    files = (f for f in (root / "pretrained").glob("*") if f.suffix in ENDINGS)
    found = [_checkpoint(path, root) for path in (*runs, *sorted(files))]
    if not found:
        advice = "`make quickstart` trains one; docs/weights.md says where to get others"
        return [Finding("checkpoints", "none in runs/ and pretrained/", "note", advice)]
    return found


def _checkpoint(path: Path, root: Path) -> Finding:
    """Return what a file is a checkpoint of. Files of backbone weights are no detector's."""
    name = str(path.relative_to(root))
    try:
        opened = open_checkpoint(path)
    except (OSError, ValueError) as error:
        return Finding(name, str(error).removeprefix(f"{path}: "), "note")
    model = opened.config.model
    text = f"{opened.config.detector}, {model.backbone}, {model.num_classes} classes"
    return Finding(name, text + (" (the authors' release)" if opened.is_released else ""))


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that keep commands from working."""
    return [finding for finding in findings if finding.state == "problem"]
