"""A live stream on this machine, as long as asked: latency, memory, interruptions survived.

`python -m benchmarks.live CHECKPOINT VIDEO [--seconds 60] [--fps 30]` runs demo.py on the video,
repeated and sent over HTTP in three parts, and tells how its memory went.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.live_server import LiveServer, encode_parts, read_images
from utils.system.cli import ROOT

PARTS = 3


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--fps", type=int, default=30)
    return parser.parse_args()


def resident(process: int) -> int:
    """Return the bytes of memory that a process has now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def watch(command: list[str], server: LiveServer, frames: int) -> tuple[list[int], str]:
    """Run the demo until everything is sent; return its memory each second and its last line."""
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        memory = []
        while server.sent < frames and process.poll() is None:
            time.sleep(1)
            memory.append(resident(process.pid))
        time.sleep(2)  # for the last windows
        process.terminate()
        assert process.stderr is not None
        return memory, process.stderr.read().strip().splitlines()[-1]


def main() -> None:
    arguments = parse_arguments()
    images = read_images(arguments.video, arguments.fps * arguments.seconds)
    parts = encode_parts(images, arguments.fps, PARTS)
    server = LiveServer(parts, arguments.fps)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.jsonl"
        command = [sys.executable, "demo.py", "--checkpoint", str(arguments.checkpoint.resolve())]
        command += ["--input", server.address, "--lines", str(lines)]
        memory, said = watch(command, server, PARTS * len(parts[0]))
        records: list[dict[str, Any]] = [json.loads(line) for line in lines.open()]
    server.close()
    tenths = [memory[len(memory) * k // 10] / 2**20 for k in range(10)] + [memory[-1] / 2**20]
    gaps = [b["time"] - a["time"] for a, b in pairwise(records)]
    print(said)
    print(f"memory [MiB] at each tenth of the time: {', '.join(f'{m:.0f}' for m in tenths)}")
    print(f"{len(records)} lines; longest times between them {sorted(gaps)[-4:]} s")


if __name__ == "__main__":
    main()
