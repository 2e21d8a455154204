"""How good each step of STEP is on annotated clips of tubes: overlap and action, step by step."""

from __future__ import annotations

import copy
from typing import Any

import torch

from data.datasets.tube_clips import all_clips
from data.datasets.tube_dataset import TubeClips
from data.loading.loader import build_loader
from models.step.build_tubes import tube_clips_of
from models.step.frame_detector import FrameDetector
from models.step.inference import prepare_for_inference
from recipes.tube_data import detector_proposals, read_annotations
from recipes.tube_streaming import portions
from utils.config.step_tubes import TubesConfig
from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.evaluation.detection_loop import check_finite
from utils.evaluation.step_quality import StepQuality
from utils.geometry.tubes import center_steps, replicate_boxes
from utils.structures import StepOutput
from utils.system.distributed import gather_objects, rank, world_size
from utils.tube_structures import TubeTargets


def annotated_clips(config: TubesConfig) -> TubeClips:
    """The validation clips that a tube covers on all frames, at the stride of training clips."""
    data, model = config.data, config.model
    annotations = read_annotations(config, "val")
    clips = all_clips(annotations, model.clip_steps, data.train_stride)
    root = data.folder
    return TubeClips(
        annotations,
        clips[clips.inside > 0],
        window=tube_clips_of(model).window_frames,
        image_size=data.image_size,
        frames=root / data.frames,
        flow=root / data.flow,
        inputs=model.inputs,
        flow_channels=model.flow_channels,
        seed=config.train.seed,
    )


@torch.no_grad()
def measure_quality(
    config: TubesConfig, detector: FrameDetector, clips: TubeClips, device: torch.device
) -> dict[str, Any]:
    """Run a detector over annotated clips; returns what `StepQuality.describe` does.

    All processes call this together and get the same.
    """
    fast = prepare_for_inference(copy.deepcopy(detector))
    loader = build_loader(
        clips,
        portions(0, config.test.test_batch_size, device).clips,
        config.data.workers,
        rank=rank(),
        world_size=world_size(),
        timeout=config.data.batch_timeout,
    )
    quality = StepQuality(config.model.steps)
    boxes = detector_proposals(config.data.proposals, config.data.image_size).to(device)
    for batch in progress_bar(loader, "step by step"):
        batch = batch.to(device)
        with autocast(device, config.train.precision):
            outputs = fast(batch.images, [boxes] * len(batch))
        check_finite(outputs)
        for i, targets in enumerate(batch.targets):
            own = slice(i * len(boxes), (i + 1) * len(boxes))
            _add_clip(quality, targets, boxes, outputs, own, config.model.clip_steps)
    parts = gather_objects(quality)
    parts[0].merge(parts[1:])
    return parts[0].describe()


def _add_clip(
    quality: StepQuality,
    targets: TubeTargets,
    boxes: torch.Tensor,
    outputs: list[StepOutput],
    own: slice,
    clip_steps: int,
) -> None:
    """Count one clip, whose tubes are the rows `own` of the outputs."""
    truth = center_steps(targets.boxes, clip_steps)  # [G, T, 4]
    stages = [replicate_boxes(boxes, clip_steps)]
    stages += [center_steps(output.tubes[own], clip_steps) for output in outputs]
    quality.add(truth, targets.labels, stages, [output.scores[own] for output in outputs])


def format_quality(quality: dict[str, Any]) -> str:
    """Return the quality of the proposals and of each step as one line."""
    parts = [f"proposals mean IoU {_shown(quality['proposals']['mean_iou'])}"]
    parts += [
        f"step {step['step']} mean IoU {_shown(step['mean_iou'])}, recall "
        f"{_shown(step['recall'])}, actions {_shown(step['accuracy'])}"
        for step in quality["steps"]
    ]
    return f"{quality['actors']} actors in {quality['clips']} clips: " + "; ".join(parts)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
