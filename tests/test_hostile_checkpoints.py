"""Checkpoints from anywhere: each fault is one line that names the file, and no memory is lost."""

import argparse
import pickle
import random
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from models import build_detector, load_detector
from models.registry import DETECTORS
from models.step.build import load_kinetics
from models.weights.checkpoint import LoadedCheckpoint
from models.weights.settings import saved_classes
from tests.helpers import tiny_model
from utils.config.step import Config, ModelConfig
from utils.formats.checkpoints import read_checkpoint


def tiny_content() -> dict[str, Any]:
    torch.manual_seed(0)
    model = tiny_model()
    state = build_detector(model).state_dict()
    classes = {i: f"class {i}" for i in range(1, 6)}
    return {"model": dict(state), "config": Config(model=model).to_dict(), "classes": classes}


def refusal(content: object, path: Path) -> str:
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        load_detector(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


WEIGHT = "heads.0.classifier.weight"
NO_WEIGHTS = {
    "none": (None, f"{WEIGHT} is None, expected a tensor"),
    "number": (3, "is 3, expected a tensor"),
    "text": ("x" * 1000, "expected a tensor"),
    "list": ([1.0] * 1000, "expected a tensor"),
    "sparse": (torch.zeros(5, 48).to_sparse(), "a sparse tensor"),
    "csr": (torch.zeros(5, 48).to_sparse_csr(), "a sparse tensor"),
    "quantised": (torch.quantize_per_tensor(torch.zeros(5, 48), 1.0, 0, torch.qint8), "quantised"),
    "meta": (torch.zeros(5, 48, device="meta"), "a meta tensor"),
    "nested": (torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "a nested tensor"),
    "complex": (torch.zeros(5, 48, dtype=torch.complex64), "complex numbers"),
    "integers": (torch.zeros(5, 48, dtype=torch.int64), "is torch.int64, expected torch.float32"),
    "one dimension": (torch.zeros(5), "is [5], expected [5, 48]"),
    "nan": (torch.full((5, 48), torch.nan), f"{WEIGHT} holds values that are not finite"),
    "too large": (torch.full((5, 48), 1e300, dtype=torch.float64), "not finite"),
    "expanded": (torch.zeros(1).expand(10**6, 10**6), "is damaged: a tensor claims the shape"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_is_no_weight_is_named(tmp_path: Path, name: str) -> None:
    value, said = NO_WEIGHTS[name]
    content = tiny_content()
    content["model"][WEIGHT] = value
    assert said in refusal(content, tmp_path / "a.pt")


def test_an_option_of_another_version_is_named(tmp_path: Path) -> None:
    content = tiny_content()
    content["config"]["data"]["layout"] = "flat"
    said = "unknown option data.layout: it was trained by another version of this code"
    assert said in refusal(content, tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("model", "num_classes", 10**9),
        ("model", "clip_steps", 10**9),
        ("model", "width", 10**6),
        ("model", "width", 512),  # in range, and not what the weights say
        ("model", "fc_dim", 2**40),
        ("data", "image_size", 160000),
        ("data", "fps", None),
        ("test", "max_detections", 1e300),
        ("train", "det_lr", float("nan")),
    ],
)
def test_absurd_settings_are_refused(
    tmp_path: Path, section: str, option: str, value: object
) -> None:
    content = tiny_content()
    content["config"][section][option] = value
    said = refusal(content, tmp_path / "a.pt")
    assert option in said or "does not fit the model" in said
    assert len(said) < 600


def test_a_negative_variance_is_no_statistic(tmp_path: Path) -> None:
    content = tiny_content()
    content["model"]["backbone.conv1.batch3d.running_var"][0] = -1
    assert "running_var holds negative variances" in refusal(content, tmp_path / "a.pt")


@pytest.mark.parametrize(
    "classes", [{1: "a" * 10**6}, {"1": "a"}, {1: 2}, {True: "a"}, ["a"], None, {2**70: "a"}, {}]
)
def test_other_classes_are_refused(classes: object) -> None:
    with pytest.raises(ValueError, match=r"^a\.pt: .*classes[^\n]{0,300}$"):
        saved_classes({"classes": classes}, 1, "a.pt")


@pytest.mark.parametrize(
    "config", [None, [], {"model": 3}, {"modell": {}}, {"model": {1: 2}}, {3: 4}]
)
def test_other_configurations_are_refused(config: object) -> None:
    with pytest.raises(ValueError, match=r"^a\.pt: "):
        LoadedCheckpoint({"config": config, "model": {}}, "a.pt", DETECTORS)


# ------------------------------------------------------------------------------ the file itself


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


CALLS = {
    "memory": Call(bytearray, 10**13),
    "wrong arguments": Call(torch._utils._rebuild_tensor_v2, 1, 2),
    "no storage": Call(torch._utils._rebuild_tensor_v2, None, 0, (1,), (1,), False, None),
    "negative size": Call(torch._utils._rebuild_tensor_v2, None, 0, (-1,), (1,), False, None),
    "parameter": Call(torch._utils._rebuild_parameter),
    "namespace": Call(argparse.Namespace, 3, 4),
    "code": Call(eval, "1"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("zipped", [True, False])
def test_calls_in_a_pickle_are_refused(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / "a.pt"
    torch.save({"base_net": CALLS[name]}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a\.pt: [^\n]+$"):
        read_checkpoint(path)


def test_a_claim_beyond_the_file_is_refused(tmp_path: Path) -> None:
    """PyTorch itself would read beyond its memory."""
    path, claiming = tmp_path / "a.pt", tmp_path / "b.pt"
    torch.save({"w": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(claiming, "w") as changed:
        for entry in whole.infolist():
            content = whole.read(entry)
            if entry.filename.endswith("/data/0"):
                content = content[:4]
            changed.writestr(entry.filename, content)
    with pytest.raises(ValueError, match=r"b\.pt: is damaged: tensor 0 claims 1000 values"):
        read_checkpoint(claiming)


def test_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 10**6)
    with pytest.raises(ValueError, match=r"a\.pt: holds compressed entries"):
        read_checkpoint(path)


def test_keys_that_hash_for_ever_are_refused(tmp_path: Path) -> None:
    key: tuple = ()
    for _ in range(60):
        key = (key, key)
    path = tmp_path / "a.pt"
    # Built by hand: pickling such a dict would hash the key here.
    pairs = pickle.dumps(key, protocol=2)[:-1]
    content = b"\x80\x02}" + pairs[2:] + b"K\x01s."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", "3")
    with pytest.raises(ValueError, match=r"a\.pt: holds a dict with a tuple as a key"):
        read_checkpoint(path)


def test_flipped_bits_are_refused_or_fall_between_the_entries(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(tiny_content(), path)
    whole, generator, messages = path.read_bytes(), random.Random(1), []
    for _ in range(12):
        damaged = bytearray(whole)
        damaged[generator.randrange(len(whole))] ^= 64
        path.write_bytes(damaged)
        with suppress(ValueError):
            read_checkpoint(path)
            messages.append("read")
    assert len(messages) <= 2  # the padding between entries has no checksum


# ------------------------------------------------------------------------------ the release's


def released(changes: dict[str, Any]) -> dict[str, Any]:
    head = {
        "downsample.weight": torch.zeros(8, 1024, 1, 1, 1),
        "global_cls.weight": torch.zeros(3, 8 * 49 + 1024, 1, 1, 1),
        "local_reg.weight": torch.zeros(4, 8 * 49),
        "local_conv.0.conv4.weight": torch.zeros(16, 4, 1, 1),
    }
    return {"base_net": {}, "det_net0": head, "context_net": {}} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"det_net0": None}, "det_net0: expected weights by name, got NoneType"),
        ({"det_net0": {}}, "det_net0: downsample.weight: expected 5 dimensions, got nothing"),
        ({"det_net0": {3: torch.zeros(1)}}, "det_net0: expected names of weights, got 3"),
        ({"base_net": [1]}, "base_net: expected weights by name, got list"),
        ({"base_net": {"x": torch.zeros(1)}}, "unknown entry 'x'"),
        ({"det_net2": {}}, "expected heads det_net0, det_net1"),
        ({"cfg": 3}, "cfg: expected settings by name, got 3"),
        ({"cfg": {"T": "x"}}, "model.clip_steps: expected "),
        ({"cfg": {"T": 10**9}}, "model.clip_steps: expected "),
        ({"cfg": {"temporal_mode": [1]}}, "model.extension: expected one of predict"),
        ({"context_net": 5}, "context_net: expected weights by name, got int"),
        ({"cfg": {}}, "conv3d_1a_7x7.conv3d.weight is missing"),
    ],
)
def test_other_parts_in_a_released_file_are_named(tmp_path: Path, changes: dict, said: str) -> None:
    assert said in refusal(released(changes), tmp_path / "a.pth")


@pytest.mark.parametrize("shape", [(3,), (0, 1416, 1, 1, 1), (3, 0)])
def test_a_classifier_of_another_shape_is_named(tmp_path: Path, shape: tuple) -> None:
    content = released({})
    content["det_net0"]["global_cls.weight"] = torch.zeros(shape)
    assert "global_cls.weight: expected 5 dimensions" in refusal(content, tmp_path / "a.pth")


# ------------------------------------------------------------------------------ Kinetics


@pytest.fixture(scope="module")
def i3d() -> Any:
    return build_detector(
        ModelConfig(num_classes=3, steps=1, schedule="spatial", fc_dim=8, context=False)
    )


@pytest.mark.parametrize("layout", ["bare", "uncounted", "module", "state_dict", "both", "old"])
def test_kinetics_files_of_every_layout_load(tmp_path: Path, i3d: Any, layout: str) -> None:
    state = dict(i3d.backbone.state_dict()) | dict(i3d.heads[0].tail.state_dict())
    expected = state["mixed_5b.branch_0.conv3d.weight"] + 1
    state["mixed_5b.branch_0.conv3d.weight"] = expected.clone()
    if layout in ("uncounted", "old"):
        state = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    if layout in ("module", "both"):
        state = {f"module.{k}": v for k, v in state.items()}
    content: dict = {"state_dict": state} if layout in ("state_dict", "both") else state
    path = tmp_path / "k.pth"
    torch.save(content, path, _use_new_zipfile_serialization=layout != "old")
    load_kinetics(i3d, path)
    assert torch.equal(i3d.heads[0].tail.mixed_5b.branch_0.conv3d.weight, expected)


@pytest.mark.parametrize("content", [{}, {"x": 1}, {"state_dict": {}}, tiny_content()])
def test_other_files_are_no_kinetics_weights(tmp_path: Path, i3d: Any, content: dict) -> None:
    torch.save(content, tmp_path / "k.pth")
    with pytest.raises(ValueError, match=r"k\.pth: expected a Kinetics I3D state dict"):
        load_kinetics(i3d, tmp_path / "k.pth")
