"""Scoring a video's proposals with SSN: all ticks once, then every proposal from their scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.snippet_augment import CropView
from data.snippet_times import LENGTHS, Ints, pooling_plan, video_ticks
from data.snippets import FrameSource, read_snippets
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector
from utils.formats.segment_scores import Floats, SegmentScores


@torch.inference_mode()
def score_video(
    detector: SegmentDetector,
    source: FrameSource,
    spans: Ints,
    crops: int = 1,
    interval: int = 6,
    chunk: int = 32,
) -> SegmentScores:
    """Return the scores of a video's proposals, frames `[P, 2]`; of none, those of the whole video.

    crops: 1 or 10, whose scores are averaged. interval: frames from a tick to the next. chunk:
    snippets that go through the network at a time, at least one tick's crops; memory follows it.
    """
    first = video_ticks(len(source), LENGTHS[detector.modality], interval)
    weight, bias = detector.stacked_heads()
    view, size = CropView(detector.input_side, crops), max(chunk // crops, 1)
    dense = torch.cat(
        [
            _averaged(
                functional.linear(_features(detector, source, part, view), weight, bias), crops
            )
            for part in np.split(first, range(size, len(first), size))
        ]
    )  # [T, W]
    plan = pooling_plan(spans, len(source), len(first))
    ticks, scaling = torch.from_numpy(plan.ticks), torch.from_numpy(plan.scaling)
    output = detector.pool(dense, ticks.to(dense.device), scaling.to(dense))
    regression = detector.denormalise(output.regression)
    return SegmentScores(
        plan.spans, _numbers(output.activity), _numbers(output.completeness), _numbers(regression)
    )


@torch.inference_mode()
def score_actionness(
    model: ActionnessModel, source: FrameSource, crops: int = 1, interval: int = 5, chunk: int = 32
) -> Floats:
    """Return a video's actionness `[T, crops, 2]`, raw scores of background and action."""
    first = video_ticks(len(source), LENGTHS[model.modality], interval)
    view, size = CropView(model.input_side, crops), max(chunk // crops, 1)
    device = model.classifier_fc.weight.device
    parts = []
    for part in np.split(first, range(size, len(first), size)):
        scores = model(read_snippets(source, part, model.modality, view).to(device))
        parts.append(scores.reshape(crops, -1, 2).transpose(0, 1))  # [n, crops, 2]
    return _numbers(torch.cat(parts))


def _features(
    detector: SegmentDetector, source: FrameSource, first: Ints, view: CropView
) -> Tensor:
    """Features of some ticks, `[crops * n, D]`, crop by crop."""
    snippets = read_snippets(source, first, detector.modality, view)
    return detector.features(snippets.to(detector.activity_fc.weight.device))


def _averaged(scores: Tensor, crops: int) -> Tensor:
    """Scores `[crops * n, W]`, crop by crop, as means over the crops `[n, W]`."""
    return scores.reshape(crops, -1, scores.shape[1]).mean(dim=0)


def _numbers(values: Tensor) -> Floats:
    return values.double().cpu().numpy()
