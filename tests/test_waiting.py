"""Nothing that never comes is waited for: batches, loader processes, what hangs in a decoder."""

from __future__ import annotations

import multiprocessing.reduction
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from data.loading.loader import SampleLoader, build_loader
from data.loading.workers import deaths_explained, describe_shortage
from tests.helpers import ROOT
from tests.test_faults import clips
from utils.structures import ClipBatch
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.waiting import time_limit


def hanging_loader(data: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> SampleLoader:
    """It never comes back from second 903."""
    dataset = clips(data)
    load = dataset._load

    def hang(key, seed):
        if key.timestamp == 903:
            time.sleep(60)
        return load(key, seed)

    monkeypatch.setattr(dataset, "_load", hang)
    context = "fork" if workers else None
    return build_loader(dataset, 1, workers, train=True, context=context, timeout=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_read_that_hangs_is_named(data: Path, monkeypatch: pytest.MonkeyPatch, workers: int):
    wanted = (
        r"no batch came within 2 s \(data\.batch_timeout\); being loaded: video toy_train_000, "
    )
    with pytest.raises(TimeoutError, match=wanted + r"second 903 \(epoch 0\)"), deaths_explained():
        for _ in hanging_loader(data, monkeypatch, workers):
            pass


@pytest.mark.parametrize(
    "reason",
    [
        "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)",
        "[Errno 24] Too many open files",
    ],
)
def test_a_batch_that_cannot_be_sent_ends_the_wait(
    data: Path, monkeypatch: pytest.MonkeyPatch, reason: str
):
    """The queue's thread in the worker loses such a batch, of which its reader never learns."""
    dumps = multiprocessing.reduction.ForkingPickler.dumps

    def refuse(content, protocol=None):
        if isinstance(content, tuple) and isinstance(content[1], ClipBatch):
            raise RuntimeError(reason)
        return dumps(content, protocol)

    monkeypatch.setattr(multiprocessing.reduction.ForkingPickler, "dumps", refuse)
    loader = build_loader(clips(data), 1, workers=1, context="fork")
    with pytest.raises(OSError, match="cannot hand over a batch") as caught, deaths_explained():
        next(iter(loader))
    line = str(caught.value)
    assert reason in line
    for words in ("/dev/shm", "MiB free", "ulimit -n", "workers=0", "--shm-size"):
        assert words in line


def test_a_shortage_is_described_where_there_is_no_shared_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("data.loading.workers.SHARED_MEMORY", "/nonexistent")
    assert "/nonexistent is not there" in describe_shortage("x")


def test_the_limit_holds_in_time_only(monkeypatch: pytest.MonkeyPatch):
    with time_limit(5, lambda: "too long"):
        pass
    with time_limit(0, lambda: "too long"):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(TimeoutError, match="too long"), time_limit(0.05, lambda: "too long"):
        time.sleep(5)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


DEAF = """
import signal, time
import utils.system.waiting
utils.system.waiting.GRACE = 0.2
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as code that does not return
with utils.system.waiting.time_limit(0.1, lambda: "too long"):
    time.sleep(30)
"""


def test_what_does_not_listen_to_signals_is_ended_too():
    command = [sys.executable, "-c", DEAF]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (2, "error: too long\n")


@pytest.mark.parametrize(("patience", "least"), [(0.0, 0.0), (0.5, 0.5)])
def test_a_signal_ends_a_wait_at_once_or_when_patience_is_lost(patience: float, least: float):
    started = time.monotonic()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(Interrupted) as caught, StopSignals() as stop, stop.waiting(patience):
        time.sleep(10)
    assert caught.value.signum == signal.SIGINT
    assert least <= time.monotonic() - started < 5


def test_what_comes_in_time_is_taken_though_a_signal_came():
    with StopSignals() as stop:
        with stop.waiting(0.3):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        assert stop.signum == signal.SIGTERM


UNHEARD = """
import os, signal, threading, time
import utils.system.interrupt
utils.system.interrupt.SAME_SIGNAL = utils.system.interrupt.SECONDS_TO_HEAR = 0.2
def send():
    for wait in {waits}:
        time.sleep(wait)
        os.kill(os.getpid(), signal.SIGTERM)
lock = threading.Lock()
with utils.system.interrupt.StopSignals() as stop:
    threading.Thread(target=send, daemon=True).start()
    {block}
print("saved")
"""
# A deadlock in C: no Python runs in the main thread any more.
HANGS = (
    "import ctypes; mutex = ctypes.create_string_buffer(64); "
    "lock = ctypes.CDLL(None).pthread_mutex_lock; lock(mutex); lock(mutex)"
)
WORKS = "time.sleep(1.5)"


@pytest.mark.parametrize(
    ("block", "waits", "code"),
    [(HANGS, [0.2, 0.5], 128 + signal.SIGTERM), (WORKS, [0.2, 0.5], 0), (WORKS, [0.2, 0], 0)],
    ids=["hangs", "works", "twice at once"],
)
def test_a_second_signal_ends_what_does_not_hear_the_first(
    block: str, waits: list[float], code: int
):
    script = UNHEARD.format(block=block, waits=waits)
    command = [sys.executable, "-c", script]
    started = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=40)
    assert ended.returncode == code, ended.stderr
    assert ("saved" in ended.stdout) == (code == 0)
    assert ("ended by SIGTERM without saving" in ended.stderr) == (code != 0)
    assert time.monotonic() - started < 15
