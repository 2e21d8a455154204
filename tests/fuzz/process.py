"""A command in a forked process: its output, its exit code, within limits of time and memory."""

from __future__ import annotations

import io
import os
import resource
import runpy
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import ROOT

MEMORY_LIMIT = 3 << 30
"""Bytes that a command may take beyond what its process has at the start."""

FILE_LIMIT = 256 << 20
"""Largest file [bytes] that a command may write."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code; negative: a signal's number.
        seconds: Of wall time.
        cpu: Seconds of processor time, with that of the processes that the command waited for.
    """

    code: int
    output: str
    seconds: float
    cpu: float
    hung: bool = False


def run_script(path: str, arguments: list[str]) -> None:
    """Run a script of the repository as a user would; called in the forked process."""
    sys.argv = [str(ROOT / path), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def run_module(name: str, arguments: list[str]) -> None:
    """Run `python -m name` as a user would; called in the forked process."""
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def fork(work: Callable[[], None], log: Path, limit: float, folder: Path) -> Ended:
    """Run `work` in a forked process with a group of its own, in `folder`.

    Its output goes to `log`. After `limit` seconds its whole group is killed.
    """
    started = time.monotonic()
    # On a machine that is busy otherwise, everything takes longer.
    limit *= max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    child = os.fork()
    if child == 0:
        _work(work, log, folder)
    hung = not _wait(child, started + limit)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # also what it started and left behind
    _, status, usage = os.wait4(child, 0)
    output = log.read_bytes().decode("utf-8", "backslashreplace")
    code = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(code, output, time.monotonic() - started, cpu, hung)


def _wait(child: int, deadline: float) -> bool:
    """Whether the process ends before the deadline; it stays to be reaped."""
    pause = 0.002
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return True


def _work(work: Callable[[], None], log: Path, folder: Path) -> None:
    """The forked process: never returns."""
    code = 99
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (handle, 1), (handle, 2)):
            os.dup2(source, target)
        for name, number in (("stdout", 1), ("stderr", 2)):
            text = io.FileIO(number, "w", closefd=False)
            writer = io.BufferedWriter(text)
            setattr(sys, name, io.TextIOWrapper(writer, "utf-8", "backslashreplace"))
        os.chdir(folder)
        _limit()
        work()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    memory = pages * resource.getpagesize() + MEMORY_LIMIT
    # The soft limits only: a forked process may fork another, whose limits are set anew.
    for kind, most in (("DATA", memory), ("FSIZE", FILE_LIMIT), ("CORE", 0)):
        number = getattr(resource, f"RLIMIT_{kind}")
        resource.setrlimit(number, (most, resource.getrlimit(number)[1]))
