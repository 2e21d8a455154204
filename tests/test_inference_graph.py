"""The detector as a graph: compiled whole, and without a wait for the GPU inside it."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models import build_detector
from models.step.inference import prepare_for_inference
from tests.helpers import random_boxes, random_clips, tiny_detector
from utils.config.step import ModelConfig


@pytest.fixture(autouse=True)
def compiled_anew() -> None:
    """Each compilation counts towards a limit of its function, above which none is whole."""
    torch.compiler.reset()


class Waits(TorchDispatchMode):
    """Notes what makes the host wait for a GPU: values taken from it, contents sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        out = function(*arguments, **(options or {}))
        tensors = [x for x in tree_leaves((arguments, out)) if isinstance(x, Tensor)]
        on_both = len({x.device.type for x in tensors}) > 1
        if on_both or str(function).startswith(("aten._local_scalar_dense", "aten.nonzero")):
            self.found.append(str(function))
        return out


@pytest.mark.parametrize(
    ("prepared", "settings"),
    [
        (False, {"extension": "predict"}),
        (True, {"extension": "predict"}),
        (True, {"extension": "extrapolate", "pool_mode": "pool"}),
        (False, {"extension": "mean", "schedule": "temporal2", "steps": 4}),
    ],
)
def test_nothing_waits_for_the_gpu(prepared: bool, settings: dict):
    """On a GPU that need not be there: fake tensors have a device and sizes, but no contents."""
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        detector = build_detector(ModelConfig(num_classes=60, **settings)).eval()
        if prepared:
            detector = prepare_for_inference(detector)
        images = torch.empty(2, detector.window_frames, 3, 64, 64)
        proposals = [torch.empty(34, 4), torch.empty(20, 4)]
        with Waits() as waits:
            outputs = detector(images, proposals)
    assert outputs[-1].scores.device.type == "cuda"
    assert waits.found == []


def test_the_watch_sees_what_waits():
    with FakeTensorMode(), torch.device("cuda"), Waits() as waits:
        torch.empty(3).new_tensor([1.0, 2.0])
        torch.empty(3).cpu()
    assert len(waits.found) == 2


@pytest.mark.parametrize("prepared", [False, True])
def test_the_detector_compiles_as_one_graph(prepared: bool):
    detector = tiny_detector(steps=3)
    if prepared:
        detector = prepare_for_inference(detector)
    compiled = torch.compile(detector, backend="aot_eager", fullgraph=True)
    images, boxes = random_clips(detector, 2), [random_boxes(3), random_boxes(4, seed=2)]
    with torch.no_grad():
        for a, b in zip(detector(images, boxes), compiled(images, boxes), strict=True):
            torch.testing.assert_close(a.scores, b.scores)
            torch.testing.assert_close(a.tubes, b.tubes)


def test_i3d_ready_for_inference_compiles_as_one_graph():
    """It pools over time, which the small backbone does not."""
    backbone = prepare_for_inference(build_detector(ModelConfig(num_classes=3))).backbone
    compiled = torch.compile(backbone, backend="aot_eager", fullgraph=True)
    clip = torch.rand(1, 3, 12, 32, 32).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        torch.testing.assert_close(compiled(clip), backbone(clip), rtol=1e-4, atol=1e-4)


class Convolutions(TorchDispatchMode):
    """Notes the types of the inputs of convolutions, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[torch.dtype] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if str(function).startswith("aten.convolution."):
            self.found.append(arguments[0].dtype)
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("reduced", [torch.bfloat16, torch.float16])
def test_only_pixels_stay_in_float32_where_bfloat16_is_slow(reduced: torch.dtype, prepared: bool):
    """cuDNN has no fast bfloat16 kernel for three channels; everything later is reduced."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", reduced)
    try:
        with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
            detector = build_detector(ModelConfig(num_classes=60, steps=1)).eval()
            if prepared:
                detector = prepare_for_inference(detector)
            images = torch.empty(1, detector.window_frames, 3, 64, 64)
            with Convolutions() as convolutions:
                maps = detector.extract(images).maps
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
    first, *later = convolutions.found
    assert first == (torch.float32 if reduced == torch.bfloat16 else reduced)
    assert set(later) == {reduced}
    assert maps.dtype == reduced
