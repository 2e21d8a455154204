"""Changes of files of arrays: NumPy's, Middlebury's flow, MATLAB's, archives of arrays."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from typing import Any

import numpy as np

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.values import hostile

NUMBERS = [0, 1, -1, 2, 7, 2**15, 2**24, 2**31 - 1, -(2**31)]


def _saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _spoiled(array: np.ndarray, random_: random.Random) -> tuple[np.ndarray, str]:
    """An array of another shape, type or with a wild value, and what is other."""
    wild = array.astype(np.float64).copy()
    if wild.size:
        value = random_.choice([np.nan, np.inf, -np.inf, 1e30, -1e9, 1e300])
        wild.flat[random_.randrange(wild.size)] = value
    changed: list[tuple[np.ndarray, str]] = [
        (wild, "a wild value"),
        (array.astype(random_.choice(["<i8", "<f2", ">f4", "<u1", "?", "<c8"])), "another type"),
        (array[:0], "no row"),
        (array[..., :-1], "a column less"),
        (np.moveaxis(array, 0, -1), "axes turned"),
        (array.reshape(-1), "flat"),
        (array[None], "an axis more"),
        (np.asfortranarray(array), "columns first"),
        (np.array(3.0), "one number"),
        (np.array([str(v) for v in array.reshape(-1)[:9]]), "texts"),
        (np.array([{"a": 1}, None], dtype=object), "objects"),
    ]
    return random_.choice(changed)


def npy_spoiled(content: bytes, random_: random.Random) -> Changed:
    changed, words = _spoiled(np.load(io.BytesIO(content)), random_)
    return Changed(_saved(changed), words)


def npy_header(content: bytes, random_: random.Random) -> Changed:
    """What the header says in place of the shape, the type or the version."""
    shape = random_.choice(
        ["(2, 1000000, 1000000)", "(2, -8, 10)", "(2, 8)", "2", "(2, 8, 10, 'a')", "(" * 500,
         "9" * 5000, "__import__('os')", "{'a': 1}"]
    )  # fmt: skip
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    version = random_.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x09\x00"])
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    body = content[-640:]
    return Changed(b"\x93NUMPY" + version + size + header + body, f"its header claims {shape[:30]}")


def flo_number(content: bytes, random_: random.Random) -> Changed:
    place, number = random_.choice([0, 4, 8]), random_.choice(NUMBERS)
    packed = struct.pack("<i", number)
    return Changed(content[:place] + packed + content[place + 4 :], f"byte {place} = {number}")


def flo_value(content: bytes, random_: random.Random) -> Changed:
    place = 12 + 4 * random_.randrange((len(content) - 12) // 4)
    value = random_.choice([float("nan"), float("inf"), -float("inf")])
    packed = struct.pack("<f", value)
    changed = content[:place] + packed + content[place + 4 :]
    return Changed(changed, f"a motion of {value}", Meaning.BROKEN)


def mat_field(content: bytes, random_: random.Random) -> Changed:
    """A field of a video's or of a tube's structure with another value, or without it."""
    import scipy.io

    table = scipy.io.loadmat(io.BytesIO(content))["annot"]
    row = table[0, random_.randrange(table.shape[1])]
    if random_.random() < 0.6:
        tubes = row["tubes"]
        row = tubes[0, random_.randrange(tubes.shape[1])]
    field = random_.choice(row.dtype.names)
    value = _matlab_value(random_)
    row[field] = value
    return Changed(_matlab({"annot": table}), f"{field} = {str(value)[:30]!r}")


def mat_other(_: bytes, random_: random.Random) -> Changed:
    tree = random_.choice([{"other": 1}, {"annot": 1}, {"annot": []}, {"annot": {"name": "x"}}])
    return Changed(_matlab(tree), f"holds {tree}", Meaning.BROKEN)


def _matlab(tree: dict[str, Any]) -> bytes:
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, tree)
    # The header's text has the time: the same trial would have another file a second later.
    return b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:]


def _matlab_value(random_: random.Random) -> Any:
    """A hostile value of a kind that a MATLAB file can hold."""
    value = hostile(random_)
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return np.array([[value]])
    if isinstance(value, str):
        return np.array([value.encode("utf-8", "replace").decode()[:100]])
    return np.array(random_.choice([[], [[]], [[1.0, 2.0, 3.0]], np.zeros((0, 4))]))


def npz_entry(content: bytes, random_: random.Random) -> Changed:
    """One array spoiled, left out, doubled or renamed."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = random_.randrange(len(entries))
    name, data = entries[at]
    kind = random_.random()
    if kind < 0.6:
        changed, words = _spoiled(np.load(io.BytesIO(data)), random_)
        entries[at] = (name, _saved(changed))
    elif kind < 0.75:
        words = "removed"
        del entries[at]
    elif kind < 0.85:
        words = "there twice"
        entries.append((name, data))
    else:
        other = random_.choice(["../x.npy", "spans.npy", "v1/more.npy", "v1/spans", "/a/spans.npy"])
        words = f"called {other}"
        entries[at] = (other, data)
    return Changed(_zipped(entries, zipfile.ZIP_STORED), f"{name} {words}")


def npz_packed(content: bytes, _: random.Random) -> Changed:
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    return Changed(_zipped(entries, zipfile.ZIP_DEFLATED), "packed", Meaning.BROKEN)


def _zipped(entries: list[tuple[str, bytes]], how: int) -> bytes:
    import warnings

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return file.getvalue()


NPY: list[Change] = [*[npy_spoiled] * 6, *[npy_header] * 3, *BYTES]
FLO: list[Change] = [*[flo_number] * 4, *[flo_value] * 2, *BYTES]
MAT: list[Change] = [*[mat_field] * 8, *[mat_other] * 2, *BYTES]
NPZ: list[Change] = [*[npz_entry] * 6, npz_packed, *BYTES]
