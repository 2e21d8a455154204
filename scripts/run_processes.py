"""Start a program in several processes, as `torchrun` does, and say in one line how it ended.

    python scripts/run_processes.py --standalone --nproc-per-node 2 train.py --config FILE

Takes torchrun's arguments. Each process prints itself why it ended; torchrun would add two screens
of its own traceback.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    """Run the processes; the exit code of the first that failed, as a shell gives it."""
    if "LOGLEVEL" not in os.environ:
        logging.disable(logging.ERROR)  # what torchrun says of processes that have spoken
    try:
        run.main(sys.argv[1:])
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=lambda item: item[1].timestamp)
        code = failure.exitcode
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        print(
            f"error: process {rank} ended {how}; what it said is above. The same command goes on "
            "from the newest checkpoint",
            file=sys.stderr,
        )
        return code if code >= 0 else 128 - code
    except SignalException as error:
        print(f"stopped by {signal.Signals(error.sigval).name}", file=sys.stderr)
        return 128 + int(error.sigval)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
