"""Results that are being prepared: removed at the end, and after a kill by the next command."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT
from utils.system.outputs import made_here
from utils.system.staging import staged_results, staging_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from utils.system.staging import staging_folder
with staging_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print("there", flush=True)
    sys.stdin.read()
"""


def test_a_staging_folder_is_gone_after_its_block(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as folder, staging_folder(tmp_path) as other:
        assert folder != other
        (folder / "x").write_text("")
        assert not list(other.iterdir())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_and_a_living_one_s_stays(tmp_path: Path) -> None:
    foreign = tmp_path / ".unfinished-mine"
    foreign.mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with staging_folder(tmp_path):
            assert len(list(tmp_path.glob("*/content/half"))) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    with staging_folder(tmp_path):
        assert not list(tmp_path.glob("*/content/half"))
    assert list(tmp_path.iterdir()) == [foreign]


def test_results_are_noted_as_made_by_their_command(tmp_path: Path) -> None:
    with staged_results(tmp_path, "demo") as folder:
        (folder / "a.csv").write_text("a")
        assert made_here(tmp_path) == {}
    assert made_here(tmp_path) == {"demo": ["a.csv"]}
    assert (tmp_path / "a.csv").read_text() == "a"
