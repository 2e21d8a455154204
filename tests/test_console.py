"""Output that nobody reads any more, or that a full disk refuses, ends no work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

PROGRAM = """
import sys, time
from utils.system.console import tolerant_output
with tolerant_output("lost; goes on"):
    for i in range(2000):
        print("line", i, flush=True)
print("all done", file=sys.stderr)
"""


def test_a_reader_that_leaves_is_said_once() -> None:
    command = f"{sys.executable} -c '{PROGRAM}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "line 0\n")
    said = ended.stderr.splitlines()
    assert said == ["warning: lost; goes on ([Errno 32] Broken pipe)", "all done"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_the_output_is_said_once() -> None:
    command = f"{sys.executable} -c '{PROGRAM}' > /dev/full"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert ended.stderr.splitlines() == [
        "warning: lost; goes on ([Errno 28] No space left on device)",
        "all done",
    ]
    assert ended.returncode == 0
