"""Changes of YAML."""

from __future__ import annotations

import random
import re

import yaml

from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.text import TEXT
from tests.fuzz.values import spoil

_YAML = [
    b"a: {", b"a: [", b'a: "', b"*a", b"&a [*a]", b"a: &b [*b, *b]", b"!!python/object:os.system x",
    b"!!timestamp 2020-99-99", b"2020-01-01", b"? [a]\n: b", b"--- 1\n--- 2", b"%YAML 9.9\n---\na",
    b"a: !!float x", b"a: !!binary =", b"\ta: b", b"a: b: c", b"- a\nb: c", b"!!set {a, b}", b"~",
    b"a: !!int 0x", b"a: 1:99:99", b"<<: 1", b"<<: *x", b"a: |2\n x", b"- " * 500, b"a: " * 500,
    b"[" * 5000, b"{" * 5000, b"!!omap [a]", b"a: !!bool 7", b"'", b"@a", b"`a", b"\xff", b"\x07",
    b"a: 190:20:30.15", b"yes: no", b"? ? a", b"a: !<tag:x> y", b"a: .nan", b"a: 1e999",
]  # fmt: skip


def yaml_snippet(content: bytes, random_: random.Random) -> Changed:
    piece = random_.choice(_YAML)
    if random_.random() < 0.5:
        return Changed(piece, f"replaced by {piece[:30]!r}")
    return Changed(content + b"\n" + piece + b"\n", f"{piece[:30]!r} added")


def yaml_spoiled(content: bytes, random_: random.Random) -> Changed:
    tree, words = spoil(yaml.safe_load(content), random_)
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    return Changed(text.encode("utf-8", "surrogatepass"), words)


def yaml_twice(content: bytes, random_: random.Random) -> Changed:
    """A key that stands twice with different values."""
    keys = [line for line in content.split(b"\n") if re.match(rb"[\w\"']+:", line)]
    if not keys:
        return yaml_spoiled(content, random_)
    line = random_.choice(keys)
    key = line.partition(b":")[0]
    text = content.rstrip(b"\n") + b"\n" + key + b": 7\n"
    return Changed(text, f"{key!r} twice", Meaning.BROKEN)


def yaml_reordered(content: bytes, random_: random.Random) -> Changed:
    tree = yaml.safe_load(content)
    if isinstance(tree, dict):
        keys = list(tree)
        random_.shuffle(keys)
        tree = {key: tree[key] for key in keys}
    flow = random_.random() < 0.5
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, default_flow_style=flow)
    return Changed(text.encode(), "keys in another order", Meaning.SAME)


YAML: list[Change] = [
    *[yaml_spoiled] * 8, *[yaml_snippet] * 6, yaml_twice, yaml_reordered, *TEXT
]  # fmt: skip
