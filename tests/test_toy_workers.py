"""Processes that make toy videos: order, errors, and none of them alive without their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.toy.workers import FEW, each_video
from tests.helpers import ROOT


def _slow_first(number: int) -> int:
    time.sleep(0.3 * (number == 0))
    return number * number


def _refuse(number: int) -> int:
    if number == 3:
        raise ValueError("no video 3")
    return number


def _die(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


@pytest.mark.parametrize("count", [0, 2, FEW + 1])
def test_results_come_in_the_order_of_the_videos(count: int):
    assert list(each_video(_slow_first, range(count))) == [n * n for n in range(count)]


@pytest.mark.parametrize("count", [4, FEW + 1])
def test_what_a_video_raises_ends_the_rest(count: int):
    with pytest.raises(ValueError, match="no video 3"):
        list(each_video(_refuse, range(count)))


def test_a_process_that_dies_names_its_video():
    with pytest.raises(OSError, match="made 3 ended: exit code 7"):
        list(each_video(_die, range(FEW)))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_script(tmp_path: Path, signum: signal.Signals):
    command = [sys.executable, "scripts/make_toy_segments.py", "--root", str(tmp_path / "toy")]
    script = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(_group(script.pid)) < 3:  # itself and two that work, or track resources
        assert time.monotonic() < deadline
        assert script.poll() is None
        time.sleep(0.05)
    script.send_signal(signum)
    script.wait(30)
    while left := _group(script.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _group(number: int) -> list[str]:
    """The processes of a group that are no zombies, by their `/proc`."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = place.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == number and state != "Z":
            found.append(place.parent.name)
    return found
