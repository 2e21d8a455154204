"""Label maps: three formats read, one written, and every fault named by file and line."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from external.ava_evaluation.pbtxt import parse_pbtxt
from utils.formats.labels import format_label_map, read_label_map, write_label_map


def written(folder: Path, text: str | bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


ITEMS = """
# comment
item {
  name: "walk {fast}"
  id: 14
}
item { id: 2 name: 'a "b" id: 7' }
"""
LABEL_ENTRIES = """
label {
  name: "walk {fast}"
  label_id: 14
  label_type: PERSON_MOVEMENT
}
label { name: "a \\"b\\" id: 7" label_id: 2 label_type: PERSON_INTERACTION }
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.pbtxt", ITEMS),
        ("map.pbtxt", LABEL_ENTRIES),
        ("map.yaml", "14: walk {fast}\n2: 'a \"b\" id: 7'\n"),
        ("map.yml", "- {id: 14, name: 'walk {fast}'}\n- {id: 2, name: 'a \"b\" id: 7'}\n"),
        ("map.csv", 'id,name\n14,walk {fast}\n2,"a ""b"" id: 7"\n'),
        ("map.csv", '14,walk {fast},PERSON_MOVEMENT\n2,"a ""b"" id: 7",x\n'),
    ],
)
def test_label_maps(name, text, tmp_path):
    labels = read_label_map(written(tmp_path, text, name))
    assert list(labels.items()) == [(2, 'a "b" id: 7'), (14, "walk {fast}")]


@pytest.mark.parametrize(("name", "text"), [("map.yaml", "- a\n- b\n"), ("map.csv", "a\nb\n")])
def test_plain_lists_count_from_one(name, text, tmp_path):
    assert read_label_map(written(tmp_path, text, name)) == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "map.pbtxt",
            'item { name: "a" id: 1 }\nitem { id: 2 }',
            "line 2: expected an entry with a name",
        ),
        ("map.pbtxt", "# nothing\n", "label map is empty"),
        ("map.pbtxt", "v,1,0,0,1,1,3\n", "line 1: expected .\\{. after .v., got .,."),
        ("map.yaml", "1: a\n2: a\n", "name 'a' stands twice, as ids 1 and 2"),
        ("map.csv", "1,a\n1,b\n", "id 1 stands twice: 'a' and 'b'"),
        ("map.csv", "1,a\nx,b\n", "expected rows 'id,name', got 'x,b'"),
        ("map.yaml", "x: a\n", "expected an integer id and a name, got 'x': 'a'"),
        ("map.yaml", "just text", "expected a list or a mapping, got str"),
    ],
)
def test_a_wrong_label_map(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_label_map(written(tmp_path, text, name))


# ---------------------------------------------------------------------------- pbtxt

STAND_WALK = [(1, "stand"), (2, "walk")]


@pytest.mark.parametrize(
    "text",
    [
        'item { name: "stand" # id: 9\n id: 1 }\nitem { name: "walk" id: 2 }',
        "item {\n name: 'stand' # don't move\n id: 1\n}\nitem { name: 'walk' id: 2 }",
        'item { name: "st" \'and\' id: 1, }; item: < id: 2; name: "wa\\154k" >',
        'item { name: "\\x73tand" id: 1 keypoints { id: 7 label: "}" } } item{name:"walk"id:2}',
        '\r\nitem {\r\n id: 1\r\n name: "stand" }\ritem { id: 2 name: "wa\\u006ck" a: [1, -2] }',
        'item { id: 1 display_name: "x" "y" f: -1e-5 t: true name: "stand" }item{id:2 name:"walk"}',
    ],
    ids=["comment", "quote in comment", "joined", "nested", "carriage returns", "other fields"],
)
def test_pbtxt_is_read_as_protobuf_reads_it(text: str) -> None:
    assert parse_pbtxt(text) == STAND_WALK


ENTRY = 'item { name: "a" id: 1 }\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('item { name: "a" id: 1\n', "'item {' has no closing '}'"),
        ('item {\n name: "a"\n id: 1\nitem {\n name: "b" id: 2 }\n}', "line 5: 'item' inside"),
        ('item { id: 1 name: "a }', "line 2: a quote is not closed on its line"),
        ('item { id: 1 name: "a\n" }', "line 2: a quote is not closed on its line"),
        ('item { name: "a" id: 1.5 }', "expected a whole number of 0 or more as id, got '1.5'"),
        ('item { name: "a" id: 010 }', "line 2: expected a whole number of 0 or more as id"),
        ('item { name: "a" id: -1 }', "line 2: expected a whole number of 0 or more as id"),
        ('item { name: "a" id: 9223372036854775808 }', "line 2: expected a whole number"),
        ('item { name: "a" id: "2" }', "line 2: expected a whole number"),
        ('item { name: "a" id: 2 id: 3 }', "line 2: 'id' stands twice in one entry"),
        ('item { name: "a" id: 2 label_id: 3 }', "line 2: 'label_id' stands twice in one entry"),
        ('item { name: "a" name: "b" id: 3 }', "line 2: 'name' stands twice in one entry"),
        ("item { name: a id: 2 }", "line 2: expected a quoted text as 'name', got 'a'"),
        ('item { name "a" id: 2 }', "line 2: expected ':' after 'name', got '\"a\"'"),
        ('item { name: "a\\q" id: 2 }', "line 2: an unknown escape"),
        ('item { name: "\\377" id: 2 }', "line 2: expected UTF-8 text"),
        ('item { name: "\\ud800" id: 2 }', "line 2: the escape of d800 is no character"),
        ('item { name: "" id: 2 }', "id 2 has an empty name"),
        ("item { name: \u201ca\u201d id: 2 }", "line 2: an unexpected character"),
        ('name: "a" id: 2', "line 2: expected '{' after 'name'"),
        ('item { name: "a" id: 2 k { a { ] } }', "line 2: ']' does not close '{' of line 2"),
        ("item { k " + "{" * 200, "line 2: nested too deeply"),
        ('item { name: "a" id: 2 } }', "line 2: expected an entry such as"),
        ('item { id: 2 name: "%s" }' % ("a" * 1001), "has 1,001 characters, expected at most"),
    ],
)
def test_a_broken_pbtxt_names_the_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"map\.pbtxt") as caught:
        read_label_map(written(tmp_path, ENTRY + text, "map.pbtxt"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "piece", ["a{", "a {b{", '"', "a{'", "\\", "{" * 9, "a:", "#", "-1e-", '"a']
)
def test_a_pbtxt_made_to_be_slow_is_refused_at_once(piece: str, tmp_path: Path) -> None:
    path = written(tmp_path, piece * (1_000_000 // len(piece)), "map.pbtxt")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"map\.pbtxt"):
        read_label_map(path)
    assert time.monotonic() - start < 2


# ---------------------------------------------------------------------------- YAML and CSV


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2", "a: \x07", "2020-99-99: a", "[" * 3000, "1: a\n---\n2: b", "{[1]: a}",
     "1: a\n1: b", "!!python/object/apply:os.system [ls]", "*a", "1: &a [*a]", "1: 2020-01-01",
     "1: true", "1: 2",
     "- a\n- yes", "true: a", "1.0: a", "- {id: 1, label_id: 2, name: a}", "- {name: a}", "[]",
     "0x" + "f" * 5000 + ": a", "? !!binary aGk=\n: a", "-1: a", "1: ''", "- - a\n", "~: a", ""],
)  # fmt: skip
def test_a_broken_yaml_map_is_one_line_that_names_the_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"map\.yaml") as caught:
        read_label_map(written(tmp_path, text, "map.yaml"))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1," + "x" * 2_000, "has 2,000 characters, expected at most"),
        (b"1,\xe4", "line 1: expected UTF-8 text, got the byte 0xe4"),
        ("\u00b2,a", "line 1: expected rows 'id,name', got '\u00b2,a'"),
        ("1,a\n2,bend, bow", "line 2: expected 2 columns as above, got 3"),
        ("id,name\n1.0,a", "line 2: expected rows 'id,name', got '1.0,a'"),
        ("1,a\n" + "9" * 30 + ",b", "line 2: expected rows 'id,name'"),
        ('1,"a', "line 1: not a label map"),
        ("1,", "id 1 has an empty name"),
    ],
)
def test_a_broken_csv_map_names_the_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"map\.csv") as caught:
        read_label_map(written(tmp_path, text, "map.csv"))
    assert message in str(caught.value)


# ---------------------------------------------------------------------------- writing


def hostile_name(rng: np.random.Generator) -> str:
    alphabet = "ab 7\"'\\#{}<>:,;\n\r\t\0\x7f\x85\u2028\ufeff\u00e4\u4e2d\U0001f600"
    return "x" + "".join(rng.choice(list(alphabet), rng.integers(0, 12)))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read_back_whatever_the_names(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    names = {hostile_name(rng) for _ in range(40)}
    ids = rng.choice(2**40, len(names), replace=False).tolist()
    classes = dict(sorted(zip(ids, names, strict=True)))
    write_label_map(classes, tmp_path / "map.pbtxt")
    assert list(read_label_map(tmp_path / "map.pbtxt").items()) == list(classes.items())
    text = (tmp_path / "map.pbtxt").read_text()
    assert len(text.splitlines()) == 4 * len(classes), "a name begins a new line"


@pytest.mark.parametrize("classes", [{}, {1: "a", 2: "a"}, {1: "\udcff"}, {-1: "a"}, {1: " "}])
def test_what_could_not_be_read_is_not_written(classes: dict[int, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, each has its own words
        write_label_map(classes, tmp_path / "map.pbtxt")
    assert not list(tmp_path.iterdir())


def test_a_label_map_is_written_as_ava_writes_it() -> None:
    text = format_label_map({2: "walk", 1: "bend/bow (at the waist)"})
    assert text.startswith('item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\nitem {\n')
