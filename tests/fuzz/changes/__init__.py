"""Changes of a file's bytes: some keep its meaning, some break it, most may do either."""

from __future__ import annotations

import random

from tests.fuzz.changes.arrays import FLO, MAT, NPY, NPZ
from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.checkpoint import CHECKPOINT, checkpoint_old_format
from tests.fuzz.changes.csv import CSV
from tests.fuzz.changes.film import FILM
from tests.fuzz.changes.json import JSON
from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.pbtxt import PBTXT
from tests.fuzz.changes.pickle import PICKLE
from tests.fuzz.changes.words import WORDS
from tests.fuzz.changes.xml import XML
from tests.fuzz.changes.yaml import YAML
from tests.fuzz.changes.zip import ZIP

__all__ = ["FORMATS", "Changed", "Meaning", "change"]

FORMATS: dict[str, list[Change]] = {
    "csv": CSV,
    "json": JSON,
    "yaml": YAML,
    "pbtxt": PBTXT,
    "xml": XML,
    "pickle": PICKLE,
    "checkpoint": CHECKPOINT,
    # What a run saves and resumes from, always in PyTorch's new format, which has checksums.
    "saved": [change for change in CHECKPOINT if change is not checkpoint_old_format],
    "zip": ZIP,
    "film": FILM,
    "words": WORDS,
    "frame": BYTES,
    "npy": NPY,
    "flo": FLO,
    "mat": MAT,
    "npz": NPZ,
}


def change(content: bytes, kind: str, random_: random.Random) -> Changed:
    """One change of a file of a kind in `FORMATS`."""
    return random_.choice(FORMATS[kind])(content, random_)
