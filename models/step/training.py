"""The training passes of the two stages: from a batch to predictions beside their targets.

Wrapped in DistributedDataParallel as a whole, so that everything with a gradient is inside one
`forward`. Losses are the criterion's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.step.criterion import StepSamples
from models.step.detector import Features, StepDetector, index_clips
from models.step.heads import HeadOutput
from models.step.sampling import (
    Drawn,
    Sample,
    clip_slices,
    cut_candidates,
    join_samples,
    sample_candidates,
)
from utils.config.step import TrainConfig
from utils.engine.profiling import section
from utils.geometry.boxes import box_iou, encode_boxes
from utils.geometry.jitter import jitter_boxes
from utils.geometry.tubes import key_box_index, replicate_boxes
from utils.structures import ClipBatch, ClipTargets


@dataclass
class Pool:
    """A step's candidate tubes, clip after clip: `tubes` `[M, T', 4]`, `scores` `[M, C]`.

    counts: candidates of each clip. The first step's have no scores yet.
    """

    tubes: Tensor
    scores: Tensor | None
    counts: list[int]


class DetectionPass(nn.Module):
    """Stage *step*: every step trains on tubes sampled from what the steps before it make.

    A pass without gradients runs steps 1 to S-1 on all proposals and keeps each one's output as
    the next step's candidates; then each head sees its samples, with gradients (section 3.4).
    """

    def __init__(
        self,
        detector: StepDetector,
        thresholds: list[float],
        max_positives: int = 5,
        negatives_per_positive: int = 2,
        max_candidates: int = 300,
        hard_sampling: bool = True,
    ):
        super().__init__()
        self.detector = detector
        self.thresholds = thresholds
        self.max_positives = max_positives
        self.negatives_per_positive = negatives_per_positive
        self.max_candidates = max_candidates
        self.hard_sampling = hard_sampling

    def forward(self, batch: ClipBatch) -> list[StepSamples]:
        """Predictions and targets of every step for a batch."""
        with section("backbone"):
            features = self.detector.extract(batch.images)
        with section("candidate pass"):
            pools = self.make_pools(features.detach(), batch.proposals)
        return [
            self._run_step(step, features, pool, batch.targets, batch.seeds)
            for step, pool in enumerate(pools)
        ]

    @torch.no_grad()
    def make_pools(self, features: Features, proposals: list[Tensor]) -> list[Pool]:
        """The candidates of every step; dropout off, running statistics in batch norm."""
        detector, counts = self.detector, [len(p) for p in proposals]
        clip_index = index_clips(proposals)
        tubes = replicate_boxes(torch.cat(proposals).float(), detector.clip_steps)
        pools = [Pool(tubes, None, counts)]
        was_training = detector.heads.training
        detector.heads.eval()
        for step in range(1, len(detector.heads)):
            output = detector.decode(
                detector.run_head(step - 1, features, tubes, clip_index), tubes
            )
            tubes = detector.next_tubes(step, output, features)
            pools.append(Pool(tubes, output.scores, counts))
        detector.heads.train(was_training)
        # Autocast keeps the weights that it has cast, before torch 2.10 also those cast without
        # gradients: the heads would then get none.
        torch.clear_autocast_cache()
        return pools

    def _run_step(
        self,
        step: int,
        features: Features,
        pool: Pool,
        targets: list[ClipTargets],
        seeds: list[int],
    ) -> StepSamples:
        with section("sampling"):
            drawn = self._sample(step, pool, targets, seeds)
            tubes = pool.tubes[drawn.index]
            matched = match_targets(drawn, targets)
        with section("heads"):
            head = self.detector.run_head(step, features, tubes, drawn.clip)
            return self._compare(step, head, tubes, matched)

    def _sample(self, step: int, pool: Pool, targets: list[ClipTargets], seeds: list[int]) -> Drawn:
        """Draw every clip's samples: what comes from a GPU comes at once, and goes back at once."""
        key = key_box_index(pool.tubes.shape[1], self.detector.clip_steps)
        persons = torch.cat([target.boxes for target in targets])
        overlaps = box_iou(pool.tubes[:, key], persons).cpu().numpy()
        scores = None if pool.scores is None else pool.scores.float().cpu().numpy()
        samples = []
        for seed, candidates, annotated in zip(
            seeds,
            clip_slices(pool.counts),
            clip_slices([len(target.boxes) for target in targets]),
            strict=True,
        ):
            iou, best, kept = overlaps[candidates, annotated], None, None
            if scores is not None:
                kept, best = cut_candidates(scores[candidates], self.max_candidates)
                iou = iou[kept]
            sample = sample_candidates(
                iou,
                best,
                self.thresholds[step],
                self.max_positives,
                self.negatives_per_positive,
                _generator(seed, step),
                self.hard_sampling,
            )
            if kept is not None:
                sample.index = kept[sample.index]
            samples.append(sample)
        return join_samples(samples, pool.counts, targets)

    def _compare(
        self, step: int, head: HeadOutput, tubes: Tensor, matched: MatchedTargets
    ) -> StepSamples:
        """Code the matched boxes against the tubes' own, where the losses compare them."""
        assert head.deltas is not None
        key, t = key_box_index(tubes.shape[1], self.detector.clip_steps), self.detector.clip_steps
        samples = StepSamples(
            head.logits,
            matched.labels,
            head.deltas[:, key],
            _encode_where(matched.has_box, matched.boxes, tubes[:, key]),
            matched.has_box,
        )
        chunks = self.detector.chunks
        extends = step + 1 < len(chunks) and chunks[step + 1] > chunks[step]
        if extends and self.detector.extension == "predict":
            assert head.before is not None, f"the head of step {step} does not anticipate"
            assert head.after is not None
            middle = t // 2
            # The anticipated clip lies (chunks + 1) / 2 clips from the key frame's.
            reach = (chunks[step] + 1) // 2 - 1
            references = torch.stack([tubes[:, middle], tubes[:, middle - t]], dim=1)
            samples.neighbor_deltas = torch.stack(
                [head.before[:, middle], head.after[:, middle]], dim=1
            )
            samples.neighbor_mask = matched.neighbor_valid[:, reach]
            samples.neighbor_targets = _encode_where(
                samples.neighbor_mask, matched.neighbors[:, reach], references
            )
        return samples


class ClassificationPass(nn.Module):
    """Stage *cls*: one head classifies jittered ground truth; no boxes are regressed."""

    def __init__(self, detector: StepDetector):
        super().__init__()
        self.detector = detector

    def forward(self, batch: ClipBatch) -> list[StepSamples]:
        """As `DetectionPass.forward`; it does not look at the batch's proposals."""
        height, width = batch.images.shape[-2:]
        with section("backbone"):
            features = self.detector.extract(batch.images)
        with section("sampling"):
            boxes, drawn = self._jitter(batch.targets, batch.seeds, height, width)
            matched = match_targets(drawn, batch.targets)
        with section("heads"):
            tubes = replicate_boxes(boxes, self.detector.clip_steps)
            head = self.detector.run_head(0, features, tubes, drawn.clip)
        return [StepSamples(head.logits, matched.labels)]

    def _jitter(
        self, targets: list[ClipTargets], seeds: list[int], height: int, width: int
    ) -> tuple[Tensor, Drawn]:
        """Every clip's boxes `[n, 4]` around the annotated ones, and whose each of them is."""
        boxes, samples = [], []
        for target, seed in zip(targets, seeds, strict=True):
            jittered, owner = jitter_boxes(target.boxes.cpu(), height, width, _generator(seed, 0))
            boxes.append(jittered)
            person = owner.numpy()
            positive = person >= 0
            index = np.arange(len(person))
            samples.append(Sample(index, person.clip(min=0), positive, positive))
        drawn = join_samples(samples, [len(b) for b in boxes], targets)
        return torch.cat(boxes).to(drawn.index.device), drawn


def build_pass(train: TrainConfig, detector: StepDetector) -> DetectionPass | ClassificationPass:
    """The training pass of the configured stage."""
    if train.task == "cls":
        return ClassificationPass(detector)
    return DetectionPass(
        detector,
        train.thresholds,
        train.max_positives,
        train.negatives_per_positive,
        train.max_candidates,
        train.hard_sampling,
    )


@dataclass
class MatchedTargets:
    """What each of n sampled tubes is compared with.

    labels `[n, K]`, zero unless positive; boxes `[n, 4]` and has_box `[n]`; neighbors
    `[n, R, 2, 4]` and neighbor_valid `[n, R, 2]`, valid for positives only.
    """

    labels: Tensor
    boxes: Tensor
    has_box: Tensor
    neighbors: Tensor
    neighbor_valid: Tensor


def match_targets(drawn: Drawn, targets: list[ClipTargets]) -> MatchedTargets:
    """Look up the person of every sample."""

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(target, name) for target in targets])[drawn.person]

    return MatchedTargets(
        joined("labels") * drawn.is_positive[:, None],
        joined("boxes"),
        drawn.has_box,
        joined("neighbors"),
        joined("neighbor_valid") & drawn.is_positive[:, None, None],
    )


def _encode_where(mask: Tensor, boxes: Tensor, references: Tensor) -> Tensor:
    """Coded `boxes` where `mask`, zeros elsewhere (also where a box would code to NaN)."""
    return encode_boxes(torch.where(mask[..., None], boxes, references), references)


def _generator(seed: int, step: int) -> torch.Generator:
    """Random draws of one clip at one step, the same wherever the clip is processed."""
    return torch.Generator().manual_seed((seed * 8 + step) % 2**63)
