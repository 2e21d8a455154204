"""The training passes of the two stages: from a batch to each step's predictions and targets.

`DetectionPass` is the paper's training of the progressive loop, `ClassificationPass` its
classification pre-training (docs/method.md, "Sampling and targets"). Losses are in `criterion.py`.
DistributedDataParallel wraps a pass as a whole, so one `forward` holds everything with a gradient.

Letters: B clips, M candidates of all clips together, n samples of all clips, T feature steps of a
clip, T' of a tube, K classes, R clips that neighbours reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.step.criterion import StepSamples
from models.step.detector import StepDetector
from models.step.heads import HeadOutput
from models.step.progressive import Candidates, ProgressivePass, sample_generator
from models.step.sampling import (
    Drawn,
    Sample,
    cut_candidates,
    join_samples,
    sample_candidates,
)
from utils.config.step import TrainConfig
from utils.engine.profiling import section
from utils.geometry.boxes import box_iou, encode_where
from utils.geometry.jitter import jitter_boxes
from utils.geometry.tubes import (
    anticipated_clip,
    first_chunk,
    key_box,
    last_chunk,
    middle_box,
    replicate_boxes,
)
from utils.structures import ClipBatch, ClipTargets


class DetectionPass(ProgressivePass[ClipTargets]):
    """Stage *step*: every step trains on tubes sampled from what the steps before it make."""

    def __init__(
        self,
        detector: StepDetector,
        thresholds: list[float],
        max_positives: int = 5,
        negatives_per_positive: int = 2,
        max_candidates: int = 300,
        hard_sampling: bool = True,
    ):
        super().__init__(detector, thresholds)
        self.max_positives = max_positives
        self.negatives_per_positive = negatives_per_positive
        self.max_candidates = max_candidates
        self.hard_sampling = hard_sampling

    def proposals(self, batch: ClipBatch) -> list[Tensor]:
        """As `ProgressivePass.proposals`: those of the dataset."""
        return batch.proposals

    def overlaps(self, tubes: Tensor, targets: list[ClipTargets]) -> Tensor:
        """As `ProgressivePass.overlaps`: the IoU on the key frame."""
        persons = torch.cat([target.boxes for target in targets])
        return box_iou(key_box(tubes, self.detector.clip_steps), persons)

    def draw(
        self, step: int, iou: np.ndarray, scores: np.ndarray | None, generator: torch.Generator
    ) -> Sample:
        """As `ProgressivePass.draw`; the candidates of later steps are cut first."""
        best, kept = None, None
        if scores is not None:
            kept, best = cut_candidates(scores, self.max_candidates)
            iou = iou[kept]
        sample = sample_candidates(
            iou,
            best,
            self.thresholds[step],
            self.max_positives,
            self.negatives_per_positive,
            generator,
            self.hard_sampling,
        )
        if kept is not None:
            sample.index = kept[sample.index]
        return sample

    def compare(
        self,
        step: int,
        head: HeadOutput,
        drawn: Drawn,
        candidates: Candidates,
        targets: list[ClipTargets],
    ) -> StepSamples:
        """As `ProgressivePass.compare`."""
        tubes = candidates.tubes[drawn.index]  # [n, T', 4]
        return self._compare(step, head, tubes, match_targets(drawn, targets))

    def _compare(
        self, step: int, head: HeadOutput, tubes: Tensor, matched: MatchedTargets
    ) -> StepSamples:
        """Put predictions beside targets: coded boxes on the key frame, and anticipated ones.

        The criterion compares `deltas` with `delta_targets` (Eq. 3), and `neighbor_deltas` with
        `neighbor_targets` (the anticipation of Eq. 5).
        """
        assert head.deltas is not None
        t = self.detector.clip_steps
        samples = StepSamples(
            head.logits,  # [n, K]
            matched.labels,  # [n, K]
            key_box(head.deltas, t),  # [n, 4]
            encode_where(matched.has_box, matched.boxes, key_box(tubes, t)),  # [n, 4]
            matched.has_box,  # [n]
        )
        if self.detector.anticipates(step):
            self._compare_neighbors(samples, self.detector.chunks[step], head, tubes, matched)
        return samples

    def _compare_neighbors(
        self,
        samples: StepSamples,
        chunks: int,
        head: HeadOutput,
        tubes: Tensor,
        matched: MatchedTargets,
    ) -> None:
        """Add the anticipated boxes to `samples`: the middle box of each anticipated clip.

        It is coded against the middle box of the chunk that it is regressed from: the first chunk
        for the clip before, the last for the clip after (diagram in `utils/geometry/tubes.py`).
        """
        assert head.before is not None, "the head before an extension does not anticipate"
        assert head.after is not None
        t = self.detector.clip_steps
        chunk_boxes = [middle_box(first_chunk(tubes, t)), middle_box(last_chunk(tubes, t))]
        references = torch.stack(chunk_boxes, dim=1)  # [n, 2, 4]
        deltas = [middle_box(head.before), middle_box(head.after)]
        samples.neighbor_deltas = torch.stack(deltas, dim=1)  # [n, 2, 4]
        distance = anticipated_clip(chunks) - 1  # neighbors[:, 0] are one clip away
        valid = matched.neighbor_valid[:, distance]  # [n, 2]
        samples.neighbor_mask = valid
        samples.neighbor_targets = encode_where(valid, matched.neighbors[:, distance], references)


class ClassificationPass(nn.Module):
    """Stage *cls*: one head classifies jittered annotated boxes, and regresses none."""

    def __init__(self, detector: StepDetector):
        super().__init__()
        self.detector = detector

    def forward(self, batch: ClipBatch) -> list[StepSamples]:
        """Return the samples of the one step; the boxes are drawn around the persons annotated.

        The batch's proposals are not looked at.
        """
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
        """Jittered boxes `[n, 4]` of all clips, and the annotated person that each belongs to."""
        boxes, samples = [], []
        for target, seed in zip(targets, seeds, strict=True):
            jittered, owner = jitter_boxes(
                target.boxes.cpu(), height, width, sample_generator(seed, 0)
            )
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
    """The targets of n sampled tubes.

    Attributes:
        labels: `[n, K]`, zero unless positive.
        boxes: `[n, 4]`, pixels, of use where has_box `[n]`.
        neighbors: `[n, R, 2, 4]`, the person's boxes r + 1 clips before and after, of use where
            neighbor_valid `[n, R, 2]`, which only positives have.
    """

    labels: Tensor
    boxes: Tensor
    has_box: Tensor
    neighbors: Tensor
    neighbor_valid: Tensor


def match_targets(drawn: Drawn, targets: list[ClipTargets]) -> MatchedTargets:
    """The targets of every sample: those of the person that it was drawn for."""

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(target, name) for target in targets])[drawn.person]

    return MatchedTargets(
        joined("labels") * drawn.is_positive[:, None],
        joined("boxes"),
        drawn.has_box,
        joined("neighbors"),
        joined("neighbor_valid") & drawn.is_positive[:, None, None],
    )
