"""Signs of life between the processes of a training, so that none waits for a dead one.

Process 0 has a connection to every other process. Each process regularly sends a heartbeat over it,
and says when and why it ends. If a process is silent for too long, or its connection breaks, all
others end: by an error in the main thread, or directly if the main thread is stuck in a collective
operation.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

BEAT = 1.0
"""Seconds between heartbeats."""

GRACE = 5.0
"""Seconds that the main thread may take to end by itself after another process was lost."""

ORDERLY_GRACE = 60.0
"""The same if the lost process announced its end: this one may be writing the reason to a file."""


class _Peer:
    """A connection to another process."""

    def __init__(self, rank: int, connection: socket.socket):
        self.rank, self.connection = rank, connection
        self.heard, self.buffer, self.has_ended = time.monotonic(), b"", False
        connection.setblocking(False)

    def send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # its death is noticed by what it does not send
            self.connection.send((json.dumps(message) + "\n").encode())

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages received; `None` if the connection is broken."""
        try:
            content = self.connection.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not content:
            return None
        self.heard = time.monotonic()
        *lines, self.buffer = (self.buffer + content).split(b"\n")
        return [json.loads(line) for line in lines]


class PeerWatch:
    """Detects that another process is lost.

    Attributes:
        lost: The message about the lost process; empty while there is none.
        exit_code: This process's exit code in that case.
    """

    def __init__(self, rank: int, peers: dict[int, socket.socket], timeout: float):
        """Watch the other processes.

        Args:
            timeout: Seconds of silence after which a process counts as lost; 0: none.
        """
        self.rank, self.timeout = rank, timeout
        self.peers = [_Peer(number, connection) for number, connection in peers.items()]
        self.lost, self.exit_code, self.is_said = "", 2, False
        self._found, self._is_closing = threading.Event(), False
        self._timer: threading.Timer | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_loss(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether a process is known to be lost."""
        return self._found.wait(seconds)

    def close(self, why: str = "", exit_code: int = 2) -> None:
        """Tell the others that this process ends, and `why` if they cannot continue."""
        self._is_closing = True
        self._thread.join()
        message = {"failed": why, "code": exit_code} if why else {"end": True}
        for peer in self.peers:
            peer.send(message)
            peer.connection.close()
        if self._timer is not None and not self.lost:
            self._timer.cancel()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for peer in self.peers:
            selector.register(peer.connection, selectors.EVENT_READ, peer)
        before = beaten = time.monotonic()
        while not self._is_closing and not self.lost:
            for key, _ in selector.select(BEAT / 4):
                self._hear(key.data, selector)
            now = time.monotonic()
            if now - before > 5 * BEAT:  # it is this process that stood still
                for peer in self.peers:
                    peer.heard = now
            before = now
            if now - beaten >= BEAT:
                beaten = now
                for peer in self.peers:
                    peer.send({})
            self._check_silence(now)

    def _hear(self, peer: _Peer, selector: selectors.BaseSelector) -> None:
        messages = peer.receive()
        for message in messages or ():
            if "end" in message:
                peer.has_ended = True
            elif "failed" in message:
                self._lose(peer, message["failed"], message["code"], ORDERLY_GRACE)
        if messages is None:
            selector.unregister(peer.connection)
            if not peer.has_ended:
                why = "is gone: killed, crashed, or its machine is out of reach"
                self._lose(peer, f"process {peer.rank} {why}", 2, GRACE)
            peer.has_ended = True

    def _check_silence(self, now: float) -> None:
        for peer in self.peers:
            if self.timeout and not peer.has_ended and now - peer.heard > self.timeout:
                why = f"no sign of life for {self.timeout:g} s (train.peer_timeout)"
                self._lose(peer, f"process {peer.rank} stands still: {why}", 2, GRACE)

    def _lose(self, lost: _Peer, text: str, code: int, grace: float) -> None:
        """Record the loss, tell the others, and make this process end."""
        if self.lost:
            return
        self.lost, self.exit_code = text, code
        for peer in self.peers:
            if peer is not lost:
                peer.send({"failed": text, "code": code})
        self._found.set()
        self._timer = threading.Timer(grace, self._end_program)
        self._timer.daemon = True
        self._timer.start()

    def _end_program(self) -> None:
        """End the program from a thread: the main thread waits for the lost process."""
        if not self.is_said:
            print(f"error: {self.describe()} (process {self.rank})", file=sys.stderr, flush=True)
        os._exit(self.exit_code)

    def describe(self) -> str:
        """The loss and how to resume, on one line."""
        return (
            f"{self.lost}. Start the same command again in all processes: a training goes on from "
            "its newest checkpoint"
        )


def watch_peers(store: Any, rank: int, size: int, timeout: float, join: float) -> PeerWatch:
    """Connect all `size` processes and begin to watch.

    Args:
        store: The store of `torch.distributed`, shared by all processes.
        join: Seconds within which all must connect.

    Raises:
        ConnectionError: Naming the processes that did not.
    """
    if rank == 0:
        return PeerWatch(rank, _accept(store, size, join), timeout)
    return PeerWatch(rank, {0: _connect(store, rank, join)}, timeout)


def _accept(store: Any, size: int, join: float) -> dict[int, socket.socket]:
    """Process 0's connections by the other's number."""
    peers: dict[int, socket.socket] = {}
    token, deadline = secrets.token_hex(16), time.monotonic() + join
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        store.set("step/peers", json.dumps([socket.gethostname(), port, token]))
        while len(peers) < size - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = sorted(set(range(1, size)) - peers.keys())
                raise ConnectionError(
                    f"processes {', '.join(map(str, missing))} of {size} did not come within "
                    f"{join:g} s (train.peer_timeout)"
                ) from None
            number = _greet(connection, token)
            if number is None:
                connection.close()
            else:
                peers[number] = connection
    return peers


def _greet(connection: socket.socket, token: str) -> int | None:
    """The rank of the process at the other end; `None` if it is not one of ours."""
    connection.settimeout(10)
    with suppress(OSError, ValueError):
        theirs, number = connection.recv(200).decode().split()
        if secrets.compare_digest(theirs, token):
            connection.sendall(b"welcome\n")
            return int(number)
    return None


def _connect(store: Any, rank: int, join: float) -> socket.socket:
    """The connection to process 0, by the address that works."""
    host, port, token = json.loads(store.get("step/peers"))
    near = ["127.0.0.1"] if host == socket.gethostname() else []
    addresses = dict.fromkeys([*near, os.environ.get("MASTER_ADDR") or host, host])
    for address in addresses:
        with suppress(OSError):
            connection = socket.create_connection((address, port), timeout=min(join, 10))
            connection.sendall(f"{token} {rank}".encode())
            if connection.recv(8) == b"welcome\n":
                return connection
            connection.close()
    raise ConnectionError(
        f"process {rank} cannot reach process 0 at {', '.join(addresses)}, port {port}"
    )
