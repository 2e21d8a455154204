"""Randomness that can be repeated: what is drawn depends on (seed, iteration, process) alone.

Clips and their samples carry seeds of their own (`utils.structures.ClipBatch`); what is left is
dropout. Because its generators are seeded anew at each iteration there is no random state to save,
and a resumed or repeated iteration draws what it drew before.
"""

from __future__ import annotations

import os

import numpy as np
import torch


def seed_iteration(seed: int, iteration: int, rank: int = 0) -> None:
    """Seed PyTorch's generators, on all devices, for one iteration of one process."""
    sequence = np.random.SeedSequence((seed, iteration, rank))
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def set_deterministic(on: bool) -> None:
    """Ask for algorithms that give the same bits every time; those that cannot raise an error.

    On a CPU the bits also depend on the number of threads. Call before the first CUDA call.
    """
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = False
    if on:
        # cuBLAS reads it when it starts; both of its two deterministic settings would do.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
