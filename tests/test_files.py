"""Reading a user's files: every fault is one `ValueError` that names the file."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from external.files import (
    check_output,
    open_regular,
    read_csv,
    read_json,
    read_text,
    read_yaml,
    real_path,
)
from utils.formats.schema import Count, check_shape


def written(folder: Path, content: bytes, name: str = "file.txt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: expected a file, this is a pipe or a device"):
        open_regular(tmp_path / "pipe")


def test_a_device_is_refused():
    with pytest.raises(ValueError, match="/dev/zero: expected a label map, this is a pipe or"):
        read_text("/dev/zero", "label map")


def test_a_loop_of_links_and_an_absent_file_are_named(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="loop': not a readable file"):
        open_regular(tmp_path / "loop")
    with pytest.raises(ValueError, match=r"absent: no such file$"):
        open_regular(tmp_path / "absent")


def test_text_that_is_not_utf8_names_its_line(tmp_path):
    path = written(tmp_path, b"one\ntwo \xe9\n")
    with pytest.raises(ValueError, match="line 2: expected UTF-8 text, got the byte 0xe9"):
        read_text(path)


def test_text_over_the_limit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="larger than"):
        read_text(written(tmp_path, b"12345"), limit=4)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1e', "\x00"])
def test_damaged_json_is_one_error_with_the_file(tmp_path, text: str):
    with pytest.raises(ValueError, match=r"file\.txt: not a JSON file: "):
        read_json(written(tmp_path, text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: *b",
        "a: !!python/object:os.system x",
        "a: 2001-99-99",
        "\x01",
        "[" * 5000,
        "{[]: 1}",
    ],
)
def test_damaged_yaml_is_one_error_with_the_file(tmp_path, text: str):
    with pytest.raises(ValueError, match=r"file\.txt: not a valid YAML file: "):
        read_yaml(written(tmp_path, text.encode()))


def test_a_key_twice_in_yaml_is_refused_with_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"key 'a' stands twice.*line 2"):
        read_yaml(written(tmp_path, b"a: 1\na: 2\n"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_takes_all_line_ends_and_a_byte_order_mark(tmp_path, end: str):
    path = written(tmp_path, b"\xef\xbb\xbf" + f'"a,b",1{end}{end}"c ""d""",2{end}'.encode())
    assert [cells for _, cells in read_csv(path)] == [["a,b", "1"], ['c "d"', "2"]]


@pytest.mark.parametrize(
    "content", [b'ok,1\n"open,2\n', b"ok,1\nx" + b"y" * 2_000_000, b"ok,1\n\xff,2\n"]
)
def test_damaged_csv_names_file_and_line(tmp_path, content: bytes):
    with pytest.raises(ValueError, match=r"file\.txt, line \d: not a CSV file: "):
        list(read_csv(written(tmp_path, content)))


@dataclass
class Inner:
    weights: Tensor
    count: Count


@dataclass
class Outer:
    parts: list[Inner]


def test_a_shape_keeps_tensors_and_builds_dataclasses():
    weights = torch.ones(2)
    outer = check_shape({"parts": [{"weights": weights, "count": 3}]}, Outer, "f", "a test")
    assert outer.parts[0].weights is weights
    assert outer.parts[0].count == 3


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (
            {"weights": 1, "count": 3},
            r"f: expected a test: Expected tensor, got int - at \$\.parts",
        ),
        ({"weights": torch.ones(1), "count": -1}, "count"),
        ({"weights": torch.ones(1), "count": 2**63}, "count"),
        ({"weights": torch.ones(1), "count": "3"}, r"Expected int, got str"),
        ({"weights": torch.ones(1)}, "missing required field count"),
        (None, "Expected object, got null"),
    ],
)
def test_what_does_not_fit_a_shape_is_named(inner, message: str):
    with pytest.raises(ValueError, match=message):
        check_shape({"parts": [inner]}, Outer, "f", "a test")


def test_a_yaml_merge_key_is_no_key_of_its_own(tmp_path):
    content = read_yaml(written(tmp_path, b"a: &a {k: 1, j: 1}\nb:\n  <<: *a\n  j: 2\n"))
    assert content["b"] == {"k": 1, "j": 2}


def test_a_loop_of_links_has_a_real_path(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "loop") == tmp_path / "loop"
    (tmp_path / "link").symlink_to(tmp_path)
    assert real_path(tmp_path / "link") == tmp_path


def test_a_result_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    truth, link, earlier = (tmp_path / name for name in ("truth.csv", "link.csv", "earlier.json"))
    truth.write_text("v,902")
    link.symlink_to(truth)
    earlier.write_text('{\n "protocol": "act"}')
    check_output(tmp_path / "new.json", [truth, None], '{\n "protocol": ')
    check_output(earlier, [truth, None], '{\n "protocol": ')
    with pytest.raises(ValueError, match=r"link\.csv: would overwrite the input"):
        check_output(link, [truth], "v,")
    with pytest.raises(ValueError, match=r"truth\.csv: is there already and was not made"):
        check_output(truth, [], '{\n "protocol": ')
