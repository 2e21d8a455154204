"""What this machine has: versions, processor, GPUs, memory and disk."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from utils.ops import _backend

State = Literal["ok", "note", "problem"]

GIB = 1 << 30
LEAST_SHARED, LEAST_DISK = GIB // 4, 5 * GIB
"""Below these a training with worker processes, or an extraction, is likely to run out."""

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "av", "scipy", "msgspec")
"""Distributions whose versions decide what works."""


class Finding(NamedTuple):
    """A fact about the machine.

    Attributes:
        name, value: What it is about, and what was found.
        state: "problem" is what keeps commands from working, "note" what makes them slower or
            leaves something out.
        advice: What to do about it; empty where there is nothing to do.
    """

    name: str
    value: str
    state: State = "ok"
    advice: str = ""


def versions() -> list[Finding]:
    """Return the versions of Python, of the system and of the packages that matter."""
    found = [
        Finding("Python", f"{platform.python_version()} ({sys.executable})"),
        Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    return found + [_version(name) for name in PACKAGES]


def _version(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "no package of this name; another build of it may be there", "note")


def operators() -> list[Finding]:
    """Return whether the compiled operators are used, and with which instructions."""
    level = torch.backends.cpu.get_cpu_capability()
    try:
        module = importlib.import_module("utils.ops._C")
    except ImportError as error:
        advice = "build them with `make build` (a C++ compiler is needed)"
        return [
            Finding("operators", f"torchvision's, slower: {error}", "note", advice),
            Finding("instructions", level),
        ]
    found = [
        Finding("operators", f"compiled ({Path(str(module.__file__)).name})"),
        Finding("instructions", f"{level}: kernels of PyTorch and of the operators"),
    ]
    if torch.cuda.is_available() and not _backend.with_cuda():
        advice = "with nvcc installed, `FORCE_CUDA=1 make build` builds them"
        found.append(Finding("on GPUs", "torchvision's operators", "note", advice))
    return found


def processors() -> list[Finding]:
    """Return the CPUs that this process may use, and the GPUs."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [Finding("CPUs", f"{usable} usable, {torch.get_num_threads()} threads of PyTorch")]
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        value = f"{card.name}, {card.total_memory / GIB:.0f} GiB, compute {card.major}.{card.minor}"
        found.append(Finding(f"GPU {index}", value))
    if not torch.cuda.is_available():
        found.append(_missing_gpu())
    return found


def _missing_gpu() -> Finding:
    """Return why there is no GPU, as far as it shows."""
    if torch.version.cuda is None:
        return Finding("GPU", "none; this PyTorch is built for CPUs", "note")
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", "none; no NVIDIA driver is installed", "note")
    try:
        # A driver that hangs must not hang the doctor.
        run = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
        seen = run.stdout.strip() or run.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        seen = str(error)
    advice = f"PyTorch is built for CUDA {torch.version.cuda}: is the driver new enough?"
    return Finding("GPU", f"PyTorch sees none; nvidia-smi says: {seen}", "problem", advice)


def space(folders: dict[str, Path]) -> list[Finding]:
    """Return free memory, and free disk space at each of `folders` (or where it will be made)."""
    found = [_memory()]
    shared = Path("/dev/shm")
    if shared.is_dir():
        advice = "loader processes hand batches over through it: data.workers=0, or enlarge it"
        found.append(_free("shared memory", shared, LEAST_SHARED, advice))
    for name, folder in folders.items():
        there = next(f for f in (folder, *folder.resolve().parents) if f.is_dir())
        found.append(_free(f"disk of {name}", there, LEAST_DISK, "frames of AVA take 500 GB"))
    return found


def _memory() -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return Finding("memory", "unknown on this system", "note")
    sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    free, total = sizes.get("MemAvailable", 0), sizes["MemTotal"]
    return Finding("memory", f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB")


def _free(name: str, folder: Path, least: int, advice: str) -> Finding:
    usage = shutil.disk_usage(folder)
    value = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} GiB"
    return Finding(name, value) if usage.free >= least else Finding(name, value, "note", advice)
