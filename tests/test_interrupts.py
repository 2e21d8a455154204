"""Ctrl-C, and failing processes, end a command with a line, whatever it is doing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

# Stands for a library that takes long to import, and tells when it is being imported.
SLOW = """
import time
print("importing", flush=True)
time.sleep(20)
"""
ENTRIES = {"train.py": "torch", "demo.py": "torch", "test.py": "torch"} | {
    f"scripts/{path.name}": "numpy"
    for path in sorted((ROOT / "scripts").glob("*.py"))
    if path.name not in ("run_processes.py", "hard_examples.py")  # without NumPy
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_control_c_while_a_script_imports_shows_no_traceback(entry: str, tmp_path: Path) -> None:
    (tmp_path / f"{ENTRIES[entry]}.py").write_text(SLOW)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, entry, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + signal.SIGINT, "interrupted\n")


CHILD = """
import os, signal, sys
if os.environ["RANK"] == "1":
    print("error: the reason", file=sys.stderr)
    {end}
import time
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("end", "code", "how"),
    [
        ("sys.exit(2)", 2, "ended with exit code 2"),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            128 + signal.SIGKILL,
            "ended by SIGKILL",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_process_that_fails_ends_the_launch_with_a_line(
    end: str, code: int, how: str, tmp_path: Path
) -> None:
    (tmp_path / "child.py").write_text(CHILD.format(end=end))
    launcher = [sys.executable, "scripts/run_processes.py", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [*launcher, str(tmp_path / "child.py")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.strip().splitlines()
    assert re.match(f"error: process 1 {how}; what it said is above", lines[-1])
    assert lines[-2] == "error: the reason"
