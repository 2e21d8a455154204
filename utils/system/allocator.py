"""Lets large tensors reuse memory that the process already has.

glibc returns every large block to the system when it is freed. Each large result of an operator
then begins with page faults, which cost several times an addition. Keeping the memory speeds up
operators that are bound by memory (docs/performance.md). In return a process holds the most memory
that it has needed until it ends. On GPUs PyTorch's own allocator does this.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Names and numbers of mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER, _STEP = 2**31 - 1, 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; return whether it does. Does nothing without glibc.

    Changes nothing if the user has chosen an allocator (`LD_PRELOAD`, such as jemalloc or tcmalloc)
    or set a `MALLOC_` variable.
    """
    if sys.platform != "linux" or "LD_PRELOAD" in os.environ:
        return False
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _STEP))
    return all(mallopt(option, value) for option, value in options)
