"""Samples of SSN and of its actionness classifier: drawn proposals of a video, with snippets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data.datasets.segment_proposals import Floats, PooledProposal, ProposalPools, SamplingRules
from data.datasets.segment_set import SegmentSet
from data.snippets.sources import read_snippets
from data.snippets.times import (
    LENGTHS,
    SnippetPlan,
    actionness_snippets,
    proposal_snippets,
)
from data.snippets.views import CropView, TrainingView, View
from utils.segment_structures import ProposalSample, collate_proposals
from utils.structures import ProposalKind

Planner = Callable[[PooledProposal, int, np.random.Generator], SnippetPlan]
"""The snippets of a proposal in a video of so many frames."""


@dataclass(frozen=True)
class SnippetOptions:
    """How snippets are seen and drawn.

    Attributes:
        modality: RGB, Flow or RGBDiff.
        side: Of the images [pixels].
        training: Augmented, and drawn anew in each epoch; False: the centre, and the same draws in
            every epoch.
        flip: Mirror half of the proposals in training.
        multi_scale: Crops of several sizes and places in training, not the centre alone.
        replace_unreadable: Let neighbours stand for frames that cannot be read.
    """

    modality: str
    side: int
    training: bool
    flip: bool = True
    multi_scale: bool = True
    replace_unreadable: bool = False

    def view(self, rng: np.random.Generator) -> View:
        """What is seen of the images of a proposal."""
        if self.training:
            return TrainingView(self.side, self.modality, rng, self.flip, self.multi_scale)
        return CropView(self.side)


class ProposalSamples:
    """`samples[epoch, i]` is a draw of the proposals of video `i % V`, V videos.

    Args:
        classes: Id to name.
        pools: What is drawn from.
        passes: Draws of each video in an epoch.
    """

    collate = staticmethod(collate_proposals)

    def __init__(
        self,
        found: SegmentSet,
        classes: dict[int, str],
        pools: ProposalPools,
        plan: Planner,
        options: SnippetOptions,
        seed: int = 0,
        passes: int = 1,
        own: bool = True,
        binary: bool = False,
    ) -> None:
        """Draw by a plan.

        Args:
            plan: Which snippets a proposal has.
            own: Draw a video's proposals from its own, as far as there are any.
            binary: Labels are 0 and 1.

        In validation a kind of proposal that no video has is not drawn, which `note` says.

        Raises:
            ValueError: In training, naming the list, for a kind that it does not have.
        """
        self.found, self.classes, self.pools, self.plan = found, classes, pools, plan
        self.options, self.seed, self.passes = options, seed, passes
        self.own, self.binary = own, binary
        self.note = ""
        counts = dict(zip(ProposalKind, pools.rules.counts, strict=True))
        lacking = [kind for kind in counts if counts[kind] and not pools.everywhere[kind]]
        if not lacking:
            return
        names = " or ".join(kind.name.lower() for kind in lacking)
        lacks = f"{found.path}: no video has a proposal that is {names} by the rules of sampling"
        if options.training:
            raise ValueError(
                f"{lacks} ({pools.counts()}): a list with sliding windows, too, has all "
                "kinds, and the thresholds of the section train decide which is which"
            )
        foreground, incomplete, background = (counts[k] * (k not in lacking) for k in counts)
        pools.rules = replace(pools.rules, counts=(foreground, incomplete, background))
        self.note = f"{lacks}; validation is without ({pools.counts()})"

    def __len__(self) -> int:
        return len(self.found) * self.passes

    def digest(self) -> str:
        """As `SegmentSet.digest`."""
        return self.found.digest()

    def describe(self, index: int) -> str:
        """Return the video of sample `index`, for messages."""
        return f"video {self.found.videos[index % len(self.found)].video}"

    def __getitem__(self, index: tuple[int, int]) -> ProposalSample:
        """The sample at `(epoch, index)`. A `ValueError` names the file."""
        epoch, place = index
        rng = np.random.default_rng((self.seed, epoch if self.options.training else 0, place))
        number = place % len(self.found)
        drawn = self.pools.draw(number, rng, self.own)
        unreadable: list[str] = []
        parts = [self._read(proposal, rng, unreadable) for proposal in drawn]
        labels = [min(p.label, 1) if self.binary else p.label for p in drawn]
        return ProposalSample(
            torch.stack([snippets for snippets, _ in parts]),
            torch.tensor([scaling for _, scaling in parts]),
            torch.tensor([int(p.kind) for p in drawn]),
            torch.tensor(labels),
            torch.tensor([p.target for p in drawn]),
            self.found.videos[number].video,
            list(dict.fromkeys(unreadable)),
        )

    def _read(
        self, proposal: PooledProposal, rng: np.random.Generator, unreadable: list[str]
    ) -> tuple[Tensor, tuple[float, float]]:
        """The snippets of a proposal `[S, C, side, side]`, and the share of its context."""
        source = self.found.source(proposal.video)
        if self.options.replace_unreadable:
            source = source.forgiving(unreadable)
        plan = self.plan(proposal, len(source), rng)
        view = self.options.view(rng)
        return read_snippets(source, plan.first, self.options.modality, view), plan.scaling


def plan_structured(modality: str, training: bool) -> Planner:
    """The nine snippets of SSN: random ones of each part in training, else the middle ones."""

    def plan(proposal: PooledProposal, frames: int, rng: np.random.Generator) -> SnippetPlan:
        drawn = rng if training else None
        return proposal_snippets(proposal.start, proposal.end, frames, LENGTHS[modality], drawn)

    return plan


def plan_windows(segments: int) -> Planner:
    """A random snippet of each of `segments` parts, in validation too."""

    def plan(proposal: PooledProposal, frames: int, rng: np.random.Generator) -> SnippetPlan:
        first = actionness_snippets(proposal.start, proposal.end, rng, segments)
        return SnippetPlan(first, (0.0, 0.0))

    return plan


def segment_samples(
    found: SegmentSet,
    rules: SamplingRules,
    options: SnippetOptions,
    given_stats: Floats | None = None,
    seed: int = 0,
    passes: int = 1,
    own: bool = True,
) -> ProposalSamples:
    """Return the samples of SSN.

    Args:
        given_stats: Of the training set, for validation.
    """
    pools = ProposalPools(found.videos, rules, given_stats)
    plan = plan_structured(options.modality, options.training)
    return ProposalSamples(found, found.classes, pools, plan, options, seed, passes, own)
