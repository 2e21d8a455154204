"""Hostile values, and trees of plain values with one of them put in."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

NUMBERS: list[Any] = [
    0, -1, 1, 2, 0.5, -0.5, 1.5, 1e-9, 1e-300, 1e30, 1e300, -1e300, float("nan"), float("inf"),
    float("-inf"), 2**31, 2**32, 2**63, -(2**63) - 1, 2**64, 10**20, 10**400, True, False,
]  # fmt: skip

TEXTS = [
    "", " ", "x", "0", "-1", "nan", "None", "null", "../x", "/x", "..", ".", "a/b", "a\\b", "CON",
    "x\ny", "x\ry", "x\0y", "x\ty", "\x1b[31mx", "\u202ex", "\ufeffx", "x" * 300, "x" * 70_000,
    "=1+1", "a,b", 'a"b', "a'b", "é", "e\u0301", "行動", "\U0001f600", "\ud800", "%s%n", "<b>",
    "{}", "1e999", "0x10", "1_0", "٣", " 1 ", "1.", "+1", "-0", "99999999999999999999",
]  # fmt: skip

SHAPES: list[Any] = [None, [], {}, [[]], [None], {"a": None}, {"": 0}, [1, 2, 3], "x", 7]


def nested(depth: int, mapping: bool = False) -> Any:
    """Lists (or mappings) one in another."""
    tree: Any = 0
    for _ in range(depth):
        tree = {"a": tree} if mapping else [tree]
    return tree


def hostile(random_: random.Random) -> Any:
    """One value of a kind that is likely to be wrong."""
    kind = random_.random()
    if kind < 0.45:
        return random_.choice(NUMBERS)
    if kind < 0.75:
        return random_.choice(TEXTS)
    if kind < 0.95:
        return copy.deepcopy(random_.choice(SHAPES))
    return nested(random_.choice([5, 50, 200]), random_.random() < 0.5)


def places(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where something stands in a tree: the path of every part, itself first."""
    yield path
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)
    for key, part in items:
        yield from places(part, (*path, key))


def put(tree: Any, path: tuple, value: Any) -> Any:
    """A copy of the tree with `value` at `path`."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(tree, dict):
        return {**tree, key: put(tree[key], rest, value)}
    parts = list(tree)
    parts[key] = put(parts[key], rest, value)
    return type(tree)(parts) if type(tree) in (list, tuple) else parts


def at(tree: Any, path: tuple) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def without(tree: Any, path: tuple) -> Any:
    """A copy of the tree without the part at `path`."""
    *above, key = path
    parent = at(tree, tuple(above))
    if isinstance(parent, dict):
        kept: Any = {k: v for k, v in parent.items() if k != key}
    else:
        kept = [v for i, v in enumerate(parent) if i != key]
    return put(tree, tuple(above), kept)


def spoil(tree: Any, random_: random.Random) -> tuple[Any, str]:
    """A tree with one change, and the change in words. Shallow parts are as likely as deep ones."""
    found = list(places(tree))
    depth = random_.choice(sorted({len(path) for path in found}))
    path = random_.choice([path for path in found if len(path) == depth])
    name = ".".join(map(str, path)) or "all"
    kind = random_.random()
    if path and kind < 0.2:
        return without(tree, path), f"{name} removed"
    parent = at(tree, path[:-1]) if path else None
    if kind < 0.25 and isinstance(parent, dict):
        extra = random_.choice(TEXTS)
        return put(tree, path[:-1], {**parent, extra: at(tree, path)}), f"{extra[:20]!r} added"
    if kind < 0.3 and isinstance(parent, list):
        twice = [*parent, *parent[-1:]]
        return put(tree, path[:-1], twice), f"{name} twice"
    value = hostile(random_)
    return put(tree, path, value), f"{name} = {str(value)[:30]!r}"
