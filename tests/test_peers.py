"""Processes that watch each other: deaths, silence, orderly ends, strangers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.config.step import Config
from utils.engine.agreement import check_same, settings_facts, weights_facts
from utils.system import peers
from utils.system.peers import PeerWatch, watch_peers


class Store:
    """What processes share while they meet."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def get(self, name: str) -> str:
        while name not in self.values:
            time.sleep(0.01)
        return self.values[name]


@pytest.fixture(autouse=True)
def living(monkeypatch: pytest.MonkeyPatch) -> list[PeerWatch]:
    """The watches would end this very program: they are only noted instead."""
    ended: list[PeerWatch] = []
    monkeypatch.setattr(PeerWatch, "_end_program", lambda self: ended.append(self))
    monkeypatch.setattr(peers, "GRACE", 0.1)
    monkeypatch.setattr(peers, "ORDERLY_GRACE", 0.1)
    monkeypatch.setattr(peers, "BEAT", 0.1)
    return ended


def watches(size: int, timeout: float) -> list[PeerWatch]:
    """Those of `size` processes, here threads that only connect."""
    store, made = Store(), {}

    def begin(rank: int) -> None:
        made[rank] = watch_peers(store, rank, size, timeout, join=10)

    threads = [threading.Thread(target=begin, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [made[rank] for rank in range(size)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stop(watch: PeerWatch) -> None:
    """As a process that stands still: it neither sends nor hears."""
    watch._is_closing = True
    watch._thread.join()


def test_a_process_that_dies_is_named_to_all(living: list[PeerWatch]) -> None:
    first, second, third = watches(3, timeout=0)
    stop(second)
    second.peers[0].connection.close()
    assert first.wait_for_loss(5)
    assert third.wait_for_loss(5)
    for watch in (first, third):
        assert watch.lost.startswith("process 1 is gone: killed, crashed")
        assert "a training goes on from its newest checkpoint" in watch.describe()
    wait_for(lambda: len(living) == 2)


@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_stands_still_is_named(number: int) -> None:
    two = watches(2, timeout=1)
    time.sleep(1.5)
    assert not any(watch.lost for watch in two)
    stop(two[number])
    other = two[1 - number]
    assert other.wait_for_loss(5)
    assert other.lost.startswith(f"process {number} stands still: no sign of life for 1 s")


def test_an_orderly_end_is_no_loss() -> None:
    first, second = watches(2, timeout=1)
    second.close()
    assert not first.wait_for_loss(1.5)
    first.close()


def test_an_end_by_an_error_tells_why() -> None:
    first, second, third = watches(3, timeout=0)
    third.close("process 2 has ended: a.csv: no such file", 143)
    for watch in (first, second):
        assert watch.wait_for_loss(5)
        assert (watch.lost, watch.exit_code) == ("process 2 has ended: a.csv: no such file", 143)


def test_a_process_that_never_comes_is_named() -> None:
    with pytest.raises(ConnectionError, match=r"processes 1, 2 of 3 did not come within 0\.2 s"):
        watch_peers(Store(), 0, 3, timeout=1, join=0.2)


def test_strangers_are_not_taken_for_processes() -> None:
    store, found = Store(), []
    main = threading.Thread(target=lambda: found.append(watch_peers(store, 0, 2, 0, join=10)))
    main.start()
    port = json.loads(store.get("step/peers"))[1]
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"wrong 1")
        assert stranger.recv(10) == b""
    second = watch_peers(store, 1, 2, 0, join=10)
    main.join()
    assert [peer.rank for peer in found[0].peers] == [1]
    second.close()
    found[0].close()


def test_what_differs_is_named_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "d": 4}]
    monkeypatch.setattr("utils.engine.agreement.gather_objects", lambda facts: parts)
    with pytest.raises(ValueError, match="the processes differ") as caught:
        check_same(parts[0])
    line = str(caught.value)
    assert "b is 2 in process 0, 9 in process 2; c is 3 in process 0, unknown in process 2" in line
    monkeypatch.setattr("utils.engine.agreement.gather_objects", lambda facts: parts[:2])
    check_same(parts[0])


def test_other_weights_and_other_code_are_named_and_other_paths_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine may have code and weights at a place of its own: contents are compared."""

    def facts(name: str, code: str, weights: bytes) -> dict:
        root = tmp_path / name
        (root / "models").mkdir(parents=True)
        (root / "models/a.py").write_text(code)
        (root / "cls.pt").write_bytes(weights)
        config = Config()
        config.train.init = str(root / "cls.pt")
        return settings_facts(config, root) | weights_facts(config)

    parts = [facts("one", "a = 1", b"w"), facts("two", "a = 1", b"w")]
    monkeypatch.setattr("utils.engine.agreement.gather_objects", lambda facts: parts)
    check_same(parts[0])
    parts.append(facts("three", "a = 2", b"v"))
    with pytest.raises(ValueError, match="the processes differ") as caught:
        check_same(parts[0])
    for name in ("the code", "the file train.init"):
        wanted = f"{name} is {parts[0][name]!r} in process 0, {parts[2][name]!r} in process 2"
        assert wanted in str(caught.value)
