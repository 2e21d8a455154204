"""All benchmarks, one after the other, as one Markdown table.

    python -m benchmarks [name ...]

Each benchmark runs in its own process with its default arguments, which
`python -m benchmarks.NAME --help` lists. The machine and the versions are printed first, so that
the output documents itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.report import HEADER, setting

# In this order. `soak` is a test; `throughput` has rows only with a GPU; `tube_network` takes hours
# on a CPU with its default arguments.
NAMES = (
    "inference",
    "vgg16",
    "operators",
    "loading",
    "flow",
    "stream",
    "training",
    "memory",
    "ava_evaluation",
    "segments",
    "segment_network",
    "tubes",
    "throughput",
)
# A loader process has one thread.
ENVIRONMENT = {"loading": {"OMP_NUM_THREADS": "1"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: expected names of {', '.join(NAMES)}")
    print(f"{setting()}\n\n{HEADER}", flush=True)
    failed = []
    for name in names:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--rows-only"]
        if subprocess.run(command, env={**os.environ, **ENVIRONMENT.get(name, {})}).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
