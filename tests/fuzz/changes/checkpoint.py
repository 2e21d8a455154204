"""Changes of checkpoints."""

from __future__ import annotations

import io
import random
from pathlib import Path

import torch

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.tensors import spoil_checkpoint
from tests.fuzz.values import hostile


def checkpoint_spoiled(content: bytes, random_: random.Random) -> Changed:
    tree = torch.load(io.BytesIO(content), weights_only=False)
    tree, words = spoil_checkpoint(tree, random_)
    file = io.BytesIO()
    torch.save(tree, file)
    return Changed(file.getvalue(), words)


def checkpoint_old_format(content: bytes, _: random.Random) -> Changed:
    tree, file = torch.load(io.BytesIO(content), weights_only=False), io.BytesIO()
    torch.save(tree, file, _use_new_zipfile_serialization=False)
    return Changed(file.getvalue(), "in PyTorch's old format", Meaning.SAME)


def checkpoint_code(_: bytes, random_: random.Random) -> Changed:
    value = random_.choice([hostile(random_), Path("x"), torch.nn.ReLU(), {"model": print}])
    file = io.BytesIO()
    torch.save(value, file)
    return Changed(file.getvalue(), f"holds {str(value)[:30]}", Meaning.BROKEN)


CHECKPOINT: list[Change] = [
    *[checkpoint_spoiled] * 14, checkpoint_old_format, checkpoint_code, *BYTES
]  # fmt: skip
