"""Large tensors from memory that the process already has, instead of new pages for each.

glibc hands every large block back to the system when it is freed, so each large result of an
operator begins with page faults: several times the cost of an addition. Keeping the memory makes
what is bound by memory that much faster (docs/performance.md); a process then holds what it once
needed until it ends. GPUs have PyTorch's own allocator for this.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Names and numbers of mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER, _STEP = 2**31 - 1, 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed; whether it does. Elsewhere, nothing happens.

    A chosen allocator (`LD_PRELOAD`, as jemalloc or tcmalloc are) or a set `MALLOC_` variable stays
    as it is.
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
