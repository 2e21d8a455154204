"""The training of the progressive loop, whatever is detected: candidates, sampling, heads.

What differs between AVA and UCF101 (overlaps, rules of drawing, targets) is in the passes that
inherit: `training.py`, `tube_training.py`.

Letters: B clips, M candidates of all clips together, n samples of all clips, G annotated persons of
all clips, T' feature steps of a tube, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.step.criterion import StepSamples
from models.step.detector import StepDetector, index_clips
from models.step.features import Features
from models.step.heads import HeadOutput
from models.step.sampling import Drawn, Sample, clip_slices, join_samples
from utils.engine.profiling import section
from utils.structures import ClipTargets
from utils.tube_structures import TubeTargets

Targets = TypeVar("Targets", ClipTargets, TubeTargets)


class TrainingBatch(Protocol[Targets]):
    """What a batch has, whatever else there is in it."""

    images: Tensor
    targets: list[Targets]
    seeds: list[int]


@dataclass
class Candidates:
    """The tubes that a step's samples are drawn from, clip after clip.

    Attributes:
        tubes: `[M, T', 4]`.
        scores: `[M, K]`, class probabilities of the step before; `None` for the first step.
        counts: Candidates of each clip.
    """

    tubes: Tensor
    scores: Tensor | None
    counts: list[int]


class ProgressivePass(nn.Module, Generic[Targets]):
    """Every step trains on tubes sampled from what the steps before it make.

    A pass without gradients runs steps 1 to S - 1 on all proposals. Each step's output makes the
    next step's candidates. Then each head runs with gradients, on its samples only.
    """

    def __init__(self, detector: StepDetector, thresholds: list[float]):
        super().__init__()
        self.detector = detector
        self.thresholds = thresholds

    def forward(self, batch: TrainingBatch[Targets]) -> list[StepSamples]:
        """Predictions and targets of every step for a batch."""
        with section("backbone"):
            features = self.detector.extract(batch.images)
        with section("candidate pass"):
            candidates = self.make_candidates(features.detach(), self.proposals(batch))
        return [
            self._run_step(step, features, own, batch.targets, batch.seeds)
            for step, own in enumerate(candidates)
        ]

    @torch.no_grad()
    def make_candidates(self, features: Features, proposals: list[Tensor]) -> list[Candidates]:
        """The candidates of every step; the heads run in eval mode, with dropout off."""
        detector, counts = self.detector, [len(p) for p in proposals]
        clip_index = index_clips(proposals)
        tubes = detector.first_tubes(proposals)  # [M, T, 4]
        candidates = [Candidates(tubes, None, counts)]
        was_training = detector.heads.training
        detector.heads.eval()
        for step in range(1, len(detector.heads)):
            output = detector.run_step(step - 1, features, tubes, clip_index)
            tubes = detector.next_tubes(step, output, features)  # [M, T', 4]
            candidates.append(Candidates(tubes, output.scores, counts))
        detector.heads.train(was_training)
        # Autocast caches the weights that it casts. Before torch 2.10 it also caches those cast
        # without gradients, and the heads would then get no gradient.
        torch.clear_autocast_cache()
        return candidates

    def _run_step(
        self,
        step: int,
        features: Features,
        candidates: Candidates,
        targets: list[Targets],
        seeds: list[int],
    ) -> StepSamples:
        """Sample the candidates of `step`, run its head on them, and look up their targets."""
        with section("sampling"):
            drawn = self._sample(step, candidates, targets, seeds)
            tubes = candidates.tubes[drawn.index]  # [n, T', 4]
        with section("heads"):
            head = self.detector.run_head(step, features, tubes, drawn.clip)
            return self.compare(step, head, drawn, candidates, targets)

    def _sample(
        self, step: int, candidates: Candidates, targets: list[Targets], seeds: list[int]
    ) -> Drawn:
        """Draw every clip's samples on the host, with one copy from a GPU and one back."""
        overlaps = self.overlaps(candidates.tubes, targets).cpu().numpy()  # [M, G]
        scores = None if candidates.scores is None else candidates.scores.float().cpu().numpy()
        samples = [
            self.draw(
                step,
                overlaps[own, annotated],
                None if scores is None else scores[own],
                sample_generator(seed, step),
            )
            for seed, own, annotated in zip(
                seeds,
                clip_slices(candidates.counts),
                clip_slices([len(target.boxes) for target in targets]),
                strict=True,
            )
        ]
        return join_samples(samples, candidates.counts, targets)

    def proposals(self, batch: Any) -> list[Tensor]:
        """The proposals `[M_i, 4]` of each clip of a batch, pixels of the images."""
        raise NotImplementedError

    def overlaps(self, tubes: Tensor, targets: list[Targets]) -> Tensor:
        """The overlap `[M, G]` of tubes `[M, T', 4]` with the persons of all clips."""
        raise NotImplementedError

    def draw(
        self, step: int, iou: np.ndarray, scores: np.ndarray | None, generator: torch.Generator
    ) -> Sample:
        """Draw the samples of one clip from its candidates.

        Args:
            iou: `[M_i, G_i]`.
            scores: `[M_i, K]` of the step before, `None` at the first.
        """
        raise NotImplementedError

    def compare(
        self,
        step: int,
        head: HeadOutput,
        drawn: Drawn,
        candidates: Candidates,
        targets: list[Targets],
    ) -> StepSamples:
        """Put the predictions for the samples beside their targets."""
        raise NotImplementedError


def sample_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one clip at one step: the same in every batch, worker and process."""
    return torch.Generator().manual_seed((seed * 8 + step) % 2**63)
