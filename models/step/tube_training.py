"""The training pass for tubes with one action each: UCF101 and its kin (paper, section 3.4).

Overlap is the mean IoU over the frames of the clip; positives and negatives are drawn by score; a
positive trains its action and that action's boxes on all frames of the clip (Eq. 3).

Letters: B clips, M candidates of all clips together, n samples, G annotated tubes of all clips, F
frames of a window, L of a tube, T of a clip, K classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models.step.criterion import StepSamples
from models.step.frame_detector import FrameDetector
from models.step.heads import HeadOutput
from models.step.outcome import BACKGROUND, of_class
from models.step.progressive import Candidates, ProgressivePass, sample_generator
from models.step.sampling import Drawn, Sample, sample_tubes
from utils.geometry.boxes import decode_boxes, encode_where
from utils.geometry.jitter import jitter_boxes
from utils.geometry.tubes import (
    anticipated_clip,
    center_steps,
    first_chunk,
    is_extended_after,
    last_chunk,
    paired_iou,
    tube_iou,
)
from utils.tube_structures import TubeClipBatch, TubeTargets


class TubePass(ProgressivePass[TubeTargets]):
    """Every step trains on tubes sampled from what the steps before it make.

    Args:
        proposals: `[M, 4]`, pixels of the images, the same for every clip.
        thresholds: Overlap of a positive at each step; the last one holds for further steps.
        supervise: "clip" trains boxes on the clip's own frames, "all" on all frames of a tube on
            which its actor is annotated.
        candidates: "proposals", or "annotated": jittered annotated boxes and some of their size on
            the background take their place, as in AVA's classification pre-training.
    """

    boxes: Tensor

    def __init__(
        self,
        detector: FrameDetector,
        proposals: Tensor,
        thresholds: list[float],
        max_positives: int = 5,
        negatives_per_positive: int = 2,
        hard_sampling: bool = True,
        supervise: Literal["clip", "all"] = "clip",
        candidates: Literal["proposals", "annotated"] = "proposals",
    ):
        missing = len(detector.heads) - len(thresholds)
        super().__init__(detector, [*thresholds, *thresholds[-1:] * missing])
        self.register_buffer("boxes", proposals, persistent=False)
        self.max_positives = max_positives
        self.negatives_per_positive = negatives_per_positive
        self.hard_sampling = hard_sampling
        self.supervise, self.candidates = supervise, candidates

    def proposals(self, batch: TubeClipBatch) -> list[Tensor]:
        """As `ProgressivePass.proposals`."""
        if self.candidates == "proposals":
            return [self.boxes.to(batch.images.device)] * len(batch)
        height, width = batch.images.shape[-2:]
        middle = batch.images.shape[1] // 2
        # The steps draw from the generators 0, 1, ... of a clip.
        place = len(self.detector.heads)
        return [
            jitter_boxes(target.boxes[:, middle], height, width, sample_generator(seed, place))[0]
            for target, seed in zip(batch.targets, batch.seeds, strict=True)
        ]

    def overlaps(self, tubes: Tensor, targets: list[TubeTargets]) -> Tensor:
        """As `ProgressivePass.overlaps`: the mean IoU over the frames of the clip."""
        t = self.detector.clip_steps
        annotated = torch.cat([target.boxes for target in targets])  # [G, F, 4]
        return tube_iou(center_steps(tubes, t), center_steps(annotated, t))

    def draw(
        self, step: int, iou: np.ndarray, scores: np.ndarray | None, generator: torch.Generator
    ) -> Sample:
        """As `ProgressivePass.draw`."""
        return sample_tubes(
            iou,
            None if scores is None else scores.max(axis=1),
            self.thresholds[step],
            self.max_positives,
            self.negatives_per_positive,
            generator,
            self.hard_sampling,
        )

    def compare(
        self,
        step: int,
        head: HeadOutput,
        drawn: Drawn,
        candidates: Candidates,
        targets: list[TubeTargets],
    ) -> StepSamples:
        """As `ProgressivePass.compare`: Eq. 2 and 3 compare `logits` with `labels`, and `deltas`
        of each tube's own action with `delta_targets`.
        """
        assert head.deltas is not None
        tubes = candidates.tubes[drawn.index]  # [n, L, 4]
        labels = torch.cat([target.labels for target in targets])[drawn.person]  # [n]
        boxes = torch.cat([target.boxes for target in targets])[drawn.person]  # [n, F, 4]
        real = torch.cat([target.real for target in targets])[drawn.person]  # [n, F]
        real = real & drawn.is_positive[:, None]
        deltas = of_class(head.deltas, labels)  # [n, L, 4]
        length = tubes.shape[1] if self.supervise == "all" else self.detector.clip_steps
        mask, references = center_steps(real, length), center_steps(tubes, length)
        samples = StepSamples(
            head.logits,  # [n, K + 1]
            torch.where(drawn.is_positive, labels + BACKGROUND + 1, BACKGROUND),  # [n]
            center_steps(deltas, length),  # [n, length, 4]
            encode_where(mask, center_steps(boxes, length), references),
            mask,
        )
        if head.before is not None and head.after is not None:
            self._compare_neighbors(step, samples, head, tubes, labels, boxes, real)
        samples.statistics = self._describe(step, samples, tubes, boxes, drawn, candidates, targets)
        samples.statistics |= positives_by_class(samples, len(targets))
        return samples

    def _compare_neighbors(
        self,
        step: int,
        samples: StepSamples,
        head: HeadOutput,
        tubes: Tensor,
        labels: Tensor,
        boxes: Tensor,
        real: Tensor,
    ) -> None:
        """Add the anticipated boxes: all frames of the clip before the tube and of the one after.

        They are coded against the first, or last, clip of the tube.
        """
        chunks, t = self.detector.chunks, self.detector.clip_steps
        assert is_extended_after(step, chunks), "only a head before an extension anticipates"
        assert head.before is not None
        assert head.after is not None
        deltas = [of_class(d, labels) for d in (head.before, head.after)]
        samples.neighbor_deltas = torch.stack(deltas, dim=1)  # [n, 2, T, 4]
        middle, distance = (boxes.shape[1] - t) // 2, anticipated_clip(chunks[step]) * t
        starts = (middle - distance, middle + distance)
        wanted = torch.stack([boxes[:, at : at + t] for at in starts], dim=1)  # [n, 2, T, 4]
        mask = torch.stack([real[:, at : at + t] for at in starts], dim=1)  # [n, 2, T]
        references = torch.stack([first_chunk(tubes, t), last_chunk(tubes, t)], dim=1)
        samples.neighbor_mask = mask
        samples.neighbor_targets = encode_where(mask, wanted, references)

    @torch.no_grad()
    def _describe(
        self,
        step: int,
        samples: StepSamples,
        tubes: Tensor,
        boxes: Tensor,
        drawn: Drawn,
        candidates: Candidates,
        targets: list[TubeTargets],
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """What the log says of a step's samples, each a sum and a count.

        Args:
            positives, negatives: Per clip.
            iou_before, iou_after: Of positives with their actor, as sampled and as regressed.
            recall: Share of actors with a candidate above the threshold.
        """
        assert samples.deltas is not None
        t, positive = self.detector.clip_steps, drawn.is_positive.float()
        start, truth = center_steps(tubes, t), center_steps(boxes, t)  # [n, T, 4]
        moved = decode_boxes(center_steps(samples.deltas, t), start)
        clips, count = positive.new_tensor(len(targets)), positive.sum()
        best = self._best_of_each_actor(candidates, targets)  # [G]
        return {
            "positives": (count, clips),
            "negatives": ((1 - positive).sum(), clips),
            "iou_before": ((paired_iou(start, truth) * positive).sum(), count),
            "iou_after": ((paired_iou(moved, truth) * positive).sum(), count),
            "recall": ((best > self.thresholds[step]).float().sum(), best.new_tensor(len(best))),
        }

    def _best_of_each_actor(self, candidates: Candidates, targets: list[TubeTargets]) -> Tensor:
        """The best overlap `[G]` of each annotated tube with a candidate of its clip."""
        overlaps = self.overlaps(candidates.tubes, targets)  # [M, G]
        clips = torch.arange(len(targets), device=overlaps.device)
        per_clip = torch.tensor(candidates.counts, device=overlaps.device)
        actors = torch.tensor([len(target.boxes) for target in targets], device=overlaps.device)
        own = clips.repeat_interleave(per_clip)[:, None] == clips.repeat_interleave(actors)[None]
        return torch.where(own, overlaps, 0.0).amax(dim=0)  # [G]


@torch.no_grad()
def positives_by_class(samples: StepSamples, clips: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return how many positives of each action there are per clip, each a sum and a count.

    A regression of its own for each action learns from these alone. Named `positives/<id>`, the ids
    of the label map.
    """
    counts = torch.bincount(samples.labels, minlength=samples.logits.shape[1]).float()
    per = counts.new_tensor(clips)
    actions = range(BACKGROUND + 1, len(counts))
    return {f"positives/{action - BACKGROUND}": (counts[action], per) for action in actions}
