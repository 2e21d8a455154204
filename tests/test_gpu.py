"""The detectors, their training and the commands on a GPU, beside the same on a CPU.

The operators' own comparisons are in test_ops_nms.py and test_ops_roi.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.video.windows import write_video
from models import load_detector
from models.ssn.build import detector_of
from models.step.criterion import StepCriterion, one_action_loss
from models.step.inference import prepare_for_inference
from models.step.training import DetectionPass
from models.step.tube_training import TubePass
from recipes import CONFIGS
from recipes.training import train
from tests import runs, segment_runs, tube_runs
from tests.demo_runs import FPS, pictures
from tests.entries import Script, write_checkpoint
from tests.helpers import (
    SHARED,
    clip_batch,
    needs_shared,
    random_boxes,
    random_clips,
    random_targets,
    released_checkpoint,
    seeded_frames,
    tiny_detector,
)
from tests.tube_helpers import SIDE, random_frames, random_tubes, tiny_tube_detector, tube_batch
from utils.config.loading import load
from utils.config.ssn import ModelConfig as SegmentModelConfig
from utils.geometry.boxes import box_iou
from utils.geometry.grid import grid_proposals
from utils.geometry.tubes import replicate_boxes

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")
TAUS = [0.2, 0.35, 0.5]
SCRIPT = "demo"


@pytest.fixture(autouse=True)
def without_tf32() -> Iterator[None]:
    """cuDNN rounds a convolution's inputs to ten bits unless it is told not to."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


# ------------------------------------------------------------------------ detectors


@needs_shared
@pytest.mark.parametrize("prepared", [False, True])
def test_the_release_s_outputs(prepared: bool, tmp_path: Path):
    """Every step of the recorded AVA detector, to the tolerances of the CPU."""
    reference = np.load(SHARED / "reference/step_release.npz")
    torch.save(released_checkpoint(), tmp_path / "step.pth")
    detector = load_detector(tmp_path / "step.pth").to(CUDA)
    if prepared:
        detector = prepare_for_inference(detector, key_frame_only=False)
    tubes = replicate_boxes(torch.from_numpy(reference["proposals"]), 3).to(CUDA)
    index = torch.zeros(34, dtype=torch.int64, device=CUDA)
    with torch.no_grad():
        features = detector.extract(seeded_frames(36).to(CUDA))
        for step in range(3):
            output = detector.decode(detector.run_head(step, features, tubes, index), tubes)
            for ours, theirs, tolerance in (("scores", "prob", 1e-4), ("tubes", "tubes", 0.05)):
                recorded = reference[f"step{step + 1}_{theirs}"]
                error = np.abs(output[ours].cpu().numpy() - recorded).max()
                assert error < tolerance, f"step {step + 1} {ours}: {error}"
            if step < 2:
                tubes = detector.next_tubes(step + 1, output, features)


def on_both(model: nn.Module, run: Callable[[nn.Module, torch.device], object]) -> list[object]:
    """What `run` says of `model` on the CPU, and of its copy on the GPU."""
    with torch.no_grad():
        return [run(model, torch.device("cpu")), run(copy.deepcopy(model).to(CUDA), CUDA)]


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "spatial", "context": False},
        {"schedule": "temporal2", "steps": 4, "extension": "mean"},
        {"extension": "extrapolate", "pool_mode": "pool"},
    ],
)
def test_clips_with_persons(settings: dict, prepared: bool):
    detector = tiny_detector(**settings)
    if prepared:
        detector = prepare_for_inference(detector)
    images, boxes = random_clips(detector, 2), [random_boxes(5), random_boxes(3, seed=4)]

    def run(model: nn.Module, device: torch.device) -> object:
        return model(images.to(device), [b.to(device) for b in boxes])

    for a, b in zip(*on_both(detector, run), strict=True):
        torch.testing.assert_close(b.scores.cpu(), a.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(b.tubes.cpu(), a.tubes, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("extension", ["extrapolate", "predict", "none"])
def test_clips_with_tubes(extension: str):
    detector = tiny_tube_detector(extension=extension)
    images = random_frames(detector, 2)

    def run(model: nn.Module, device: torch.device) -> object:
        return model(images.to(device), [(grid_proposals(11) * SIDE).to(device)] * 2)

    for a, b in zip(*on_both(detector, run), strict=True):
        torch.testing.assert_close(b.scores.cpu(), a.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(b.class_tubes.cpu(), a.class_tubes, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("backbone", "side"), [("BNInception", 224), ("InceptionV3", 299)])
def test_segments(backbone: str, side: int):
    torch.manual_seed(0)
    detector = detector_of(SegmentModelConfig(backbone=backbone, num_classes=20)).eval()
    snippets = torch.rand(9, 3, side, side) * 255 - 118

    def run(model: nn.Module, device: torch.device) -> object:
        features = model.features(snippets.to(device))
        return features, *model.heads(features[None], torch.ones(1, 2, device=device))

    for a, b in zip(*on_both(detector, run), strict=True):
        torch.testing.assert_close(b.cpu(), a, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_detector(mode: str):
    """Also as a CUDA graph, which is replayed on other images than it was captured with."""
    torch.compiler.reset()
    detector = prepare_for_inference(tiny_detector(steps=3)).to(CUDA)
    compiled = torch.compile(detector, mode=mode)
    boxes = [random_boxes(6).to(CUDA), random_boxes(6, seed=4).to(CUDA)]
    with torch.no_grad():
        for seed in range(4):
            images = random_clips(detector, 2, seed=seed).to(CUDA)
            found = [(o.scores.clone(), o.tubes.clone()) for o in compiled(images, boxes)]
            for (scores, tubes), plain in zip(found, detector(images, boxes), strict=True):
                torch.testing.assert_close(scores, plain.scores, rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(tubes, plain.tubes, rtol=1e-4, atol=1e-2)


# ------------------------------------------------------------------------ training


def gradients(
    training: nn.Module, criterion: StepCriterion, batch: object
) -> tuple[float, dict[str, Tensor]]:
    loss = criterion(training(batch))["total"]
    loss.backward()
    return loss.item(), {
        name: parameter.grad.cpu()
        for name, parameter in training.named_parameters()
        if parameter.grad is not None
    }


def assert_same_gradients(
    build: Callable[[nn.Module], nn.Module],
    detector: nn.Module,
    criterion: StepCriterion,
    batch: object,
) -> None:
    on_cpu = build(copy.deepcopy(detector))
    on_gpu = build(copy.deepcopy(detector).to(CUDA)).to(CUDA)
    loss, expected = gradients(on_cpu, criterion, batch)
    found, others = gradients(on_gpu, criterion, batch.to(CUDA))
    assert found == pytest.approx(loss, rel=1e-4)
    assert expected.keys() == others.keys()
    for name, value in expected.items():
        error = (others[name] - value).norm() / value.norm().clamp(min=1e-6)
        assert error < 1e-3, f"{name}: {error}"


def test_gradients_of_persons():
    detector = tiny_detector().train()
    proposals = [random_boxes(12, seed=10 + i) for i in range(2)]
    targets = [random_targets(2, seed=0), random_targets(1, seed=1)]
    batch = clip_batch(random_clips(detector, 2), proposals, targets, [5, 6])
    assert_same_gradients(
        lambda model: DetectionPass(model, TAUS), detector, StepCriterion(), batch
    )


def test_gradients_of_tubes():
    detector = tiny_tube_detector().train()
    frames = detector.window_frames
    targets = [random_tubes(2, frames, seed=0), random_tubes(1, frames, seed=5)]
    batch = tube_batch(random_frames(detector, 2), targets)
    assert_same_gradients(
        lambda model: TubePass(model, grid_proposals(11) * SIDE, TAUS),
        detector,
        StepCriterion(5.0, 1.0, one_action_loss),
        batch,
    )


def run_folder(kind: str, tmp_path: Path, *more: str, device: torch.device = CUDA) -> Path:
    """Train a tiny detector of `kind` in this process; the run's folder."""
    data = tmp_path / "data"
    output = tmp_path / "runs"
    if kind in ("ssn", "actionness"):
        if not data.exists():
            segment_runs.write_segment_data(data)
        _, file, _, _, *options = segment_runs.arguments(kind, data, output, *more)
        name = kind
    elif kind == "tubes":
        if not data.exists():
            tube_runs.write_tube_data(data)
        _, file, _, _, *options = tube_runs.arguments(data, output, *more)
        name = "tubes"
    else:
        if not data.exists():
            runs.write_data(data)
        _, file, _, _, *options = runs.arguments(kind, data, output, "init=", *more)
        name = f"toy_{kind}"
    train(load(CONFIGS, Path(file), options), device)
    return output / name


KINDS = ["cls", "step", "tubes", "ssn", "actionness"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_goes_on_where_it_stopped(kind: str, precision: str, tmp_path: Path):
    options = [f"precision={precision}", "workers=1", "iterations=6", "save_every=3"]
    run = run_folder(kind, tmp_path, *options)
    whole = runs.losses_of(run)
    for name in ("best.pt", "latest.pt", "checkpoint_0000006.pt"):
        (run / name).unlink(missing_ok=True)
    assert run_folder(kind, tmp_path, *options) == run
    again = runs.losses_of(run)
    assert [line["iteration"] for line in again] == list(range(1, 7))
    for a, b in zip(whole, again, strict=True):
        assert b == pytest.approx(a, rel=0.05, abs=0.02)
    memory = json.loads((run / "results.json").read_text())["peak_memory_bytes"]
    assert all(value > 0 for value in memory.values())
    assert all(torch.isfinite(value).all() for value in runs.weights_of(run).values())


@pytest.mark.parametrize("kind", ["step", "tubes", "ssn"])
def test_the_losses_are_those_of_the_cpu(kind: str, tmp_path: Path):
    """Draws are of the sample, so both see the same; only arithmetic differs."""
    fixed = [] if kind == "ssn" else ["freeze_stats=true", "freeze_affine=true"]
    options = ["dropout=0", "epochs=1", *(fixed if kind == "step" else [])]
    on_gpu = runs.losses_of(run_folder(kind, tmp_path, *options))
    on_cpu = runs.losses_of(
        run_folder(kind, tmp_path, *options, "name=cpu_run", device=torch.device("cpu")).parent
        / "cpu_run"
    )
    assert len(on_gpu) == len(on_cpu)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert b == pytest.approx(a, rel=2e-2, abs=1e-3)


def test_one_process_of_torchrun_uses_nccl(tmp_path: Path):
    runs.write_data(tmp_path / "data")
    options = runs.arguments("step", tmp_path / "data", tmp_path, "init=", "epochs=1")
    one = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    with runs.start(*one, "train.py", *options, "--device", "cuda") as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "device: cuda:0" in out


# ------------------------------------------------------------------------ commands


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "best.pt", dataset="no_such_dataset")


def test_the_demo_says_what_it_says_on_a_cpu(script: Script, checkpoint: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    write_video(
        tmp_path / "film.mp4",
        [np.clip(p + rng.integers(0, 80, p.shape), 0, 255).astype(np.uint8) for p in pictures()],
        FPS,
    )
    tables = {}
    for device in ("cpu", "cuda"):
        outcome = script(
            "--checkpoint", checkpoint, "--input", tmp_path / "film.mp4", "--device", device,
            "--output", tmp_path / device, "--conf-thresh", "0.1", "--global-thresh", "0.6",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        tables[device] = json.loads((tmp_path / device / "film.json").read_text())["key_frames"]
    for a, b in zip(tables["cpu"], tables["cuda"], strict=True):
        assert len(a["persons"]) == len(b["persons"])
        # Fresh heads score neighbouring boxes alike, and which of them stays is up to rounding.
        boxes = [torch.tensor([person["box"] for person in key["persons"]]) for key in (a, b)]
        assert (box_iou(*boxes).amax(dim=1) > 0.5).all()


def test_what_does_not_fit_into_the_memory_is_said_in_a_line(tmp_path: Path):
    runs.write_data(tmp_path / "data")
    options = runs.arguments("step", tmp_path / "data", tmp_path, "init=", "epochs=1")
    with runs.start(
        "-c",
        "import sys, runpy, torch; torch.cuda.set_per_process_memory_fraction(1e-4);"
        "sys.argv[0] = 'train.py'; runpy.run_path('train.py', run_name='__main__')",
        *options, "width=64", "--device", "cuda",
    ) as process:  # fmt: skip
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "out of memory" in err.splitlines()[-1]
    assert "train.batch_size" in err


def test_the_doctor_computes_every_operator(tmp_path: Path):
    with runs.start("scripts/doctor.py") as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert torch.cuda.get_device_name() in out
