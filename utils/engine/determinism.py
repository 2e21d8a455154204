"""Randomness that can be repeated: what is drawn depends on (seed, iteration, process) alone.

Samples carry seeds of their own; what is left is dropout. Because its generators are seeded anew at
each iteration there is no random state to save, and a resumed or repeated iteration draws what it
drew before.
"""

from __future__ import annotations

import os

import numpy as np
import torch


def seed_iteration(seed: int, iteration: int, rank: int = 0) -> None:
    """Seed PyTorch's generators, on all devices, for one iteration of one process."""
    sequence = np.random.SeedSequence((seed, iteration, rank))
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def set_deterministic(on: bool, device: torch.device) -> None:
    """Ask for algorithms that give the same bits every time. Call before the first CUDA call.

    On a CPU all of ours do, as long as the number of threads stays. On a GPU the gradients of max
    pooling and of RoI operators do not: PyTorch warns of each, and the rest is deterministic.
    """
    torch.use_deterministic_algorithms(on, warn_only=device.type == "cuda")
    torch.backends.cudnn.benchmark = False
    if on:
        # cuBLAS reads it when it starts; both of its two deterministic settings would do.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
