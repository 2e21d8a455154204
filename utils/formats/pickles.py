"""What a PyTorch file claims, checked before PyTorch reads it.

PyTorch's `weights_only` runs no code of a file, but trusts its numbers: a tensor that claims more
values than the file holds makes it ask for that much memory, or read beyond its own. Here the
pickles inside a file are read with stand-ins for tensors, which only count.
"""

from __future__ import annotations

import argparse
import io
import math
import mmap
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from utils.formats.numpy_values import PICKLE_NAMES

# Bytes of a value by kind of storage; whatever else there is (quantised ones) no weight is made of.
_VALUE_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1,
    "BoolStorage": 1, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip

# PyTorch's functions for tensors that hold no plain array of values.
_OTHER_TENSORS = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_meta_tensor_no_storage": "a meta tensor, which has no values",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_wrapper_subclass": "a tensor subclass",
    "_rebuild_from_type_v2": "a tensor subclass",
}

# What `torch.load(weights_only=True)` understands of pickle; sets are left out.
_OPCODES = (
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.NEWOBJ,
    pickle.BUILD, pickle.APPEND, pickle.APPENDS, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.NONE,
    pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2,
    pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINSTRING, pickle.LONG1, pickle.BINPERSID,
    pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT,
)  # fmt: skip

_LEGACY_PICKLES = 5  # magic number, version, system, content, names of the storages


class Refused(Exception):
    """The file asks for something that no checkpoint of weights needs."""


@dataclass
class _Storage:
    """Stands for `count` values of a storage."""

    count: int


@dataclass
class _Tensor:
    """Stands for a tensor."""


class _Reader(pickle._Unpickler):
    """Reads a pickle with stand-ins for all that is PyTorch's.

    The Python class, not the C one: that takes memory for as many objects as a file claims.

    Args:
        size_of: Bytes that the file holds for the storage of a name, `None` where there is none.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        op[0]: pickle._Unpickler.dispatch[op[0]] for op in _OPCODES
    }

    def __init__(self, file: Any, size_of: Callable[[str], int | None]):
        super().__init__(file, encoding="utf-8")
        self.size_of = size_of

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a class or function; raises `Refused` for any other."""
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module == "torch" and name in _VALUE_BYTES:
            return name
        if name in _OTHER_TENSORS or name.startswith(("QInt", "QUInt")):
            raise Refused(
                f"holds {_OTHER_TENSORS.get(name, 'a quantised tensor')}, expected plain ones"
            )
        raise Refused(
            "refused: a checkpoint may hold tensors, plain values and an argparse.Namespace, and "
            f"this file wants to run something else: {module}.{name}"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the stand-in of a storage `('storage', kind, name, device, count, ...)`."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise Refused("is damaged: a storage is not described as PyTorch does")
        kind, name, count = pid[1], pid[2], pid[4]
        if kind not in _VALUE_BYTES or type(count) is not int or count < 0:
            raise Refused("is damaged: a storage is not described as PyTorch does")
        held = self.size_of(str(name))
        if held is None or count * _VALUE_BYTES[kind] > held:
            raise Refused(
                f"is damaged: tensor {str(name)[:40]} claims {count} values, for which the file "
                f"holds {held or 0} bytes"
            )
        return _Storage(count)

    def load_setitem(self) -> None:
        """Set one entry of a dict; see `load_setitems`."""
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        """Set entries of a dict. Keys are plain: the hash of nested tuples may take for ever."""
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def _set_items(target: Any, items: list[Any]) -> None:
    if type(target) not in (dict, OrderedDict):
        raise Refused("is damaged: entries for something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int, float, bool, type(None)):
            raise Refused(f"holds a dict with a {type(key).__name__} as a key")
        target[key] = value


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> _Tensor:
    """Stand in for `torch._utils._rebuild_tensor_v2`, and for its elder without `more`."""
    numbers = [offset, *size, *stride]
    if (
        not isinstance(storage, _Storage)
        or len(size) != len(stride)
        or any(type(number) is not int or number < 0 for number in numbers)
    ):
        raise Refused("is damaged: a tensor is not described as PyTorch does")
    count = math.prod(size)
    last = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if count > storage.count or (count and offset + last >= storage.count):
        raise Refused(
            f"is damaged: a tensor claims the shape {list(size)[:8]}, of which the file holds "
            f"{storage.count} values"
        )
    return _Tensor()


def _parameter(data: Any, *more: Any) -> Any:
    return data


def _nothing(*arguments: Any) -> None:
    return None


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("argparse", "Namespace"): argparse.Namespace,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): _nothing,
    **PICKLE_NAMES,
}


def check_pytorch_file(path: Path) -> None:
    """Raise `ValueError` naming `path` unless the file holds what it claims.

    A zip file, as PyTorch has written them since 1.6, must hold each entry whole, by its checksum,
    which PyTorch does not look at. The format before has no checksums.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"  # as PyTorch tells them apart
        if is_zip:
            _check_zip(path)
        else:
            _check_legacy(path)
    except Refused as refused:
        raise ValueError(f"{path}: {refused}") from None
    # Nothing but the two parsers runs in the block, over bytes from anywhere: what they raise is
    # about the file, and it can be nearly anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not a readable checkpoint: {reason}") from error


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        sizes = {entry.filename: entry.file_size for entry in entries}
        if len(sizes) < len(entries):
            raise Refused("is damaged: an entry of it stands twice")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise Refused("holds compressed entries, which PyTorch does not write")
        if sum(sizes.values()) > path.stat().st_size:
            raise Refused("is damaged: its entries are larger than the file")
        damaged = archive.testzip()
        if damaged is not None:
            raise Refused(f"not a whole checkpoint: {damaged} in it has changed")
        names = [name for name in sizes if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise Refused("not a checkpoint: a zip file without PyTorch's data.pkl")
        folder = names[0].removesuffix("data.pkl")
        content = io.BytesIO(archive.read(names[0]))
        _Reader(content, lambda name: sizes.get(f"{folder}data/{name}")).load()


def _check_legacy(path: Path) -> None:
    """PyTorch's own reader compares each storage with its claim; all together must fit."""
    left = path.stat().st_size
    if not left:
        raise Refused("not a checkpoint: an empty file")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(_LEGACY_PICKLES):
            _Reader(content, lambda name: left).load()
