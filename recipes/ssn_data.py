"""What SSN and its actionness classifier are trained and judged on: proposals of a dataset."""

from __future__ import annotations

from dataclasses import replace

from data.datasets.proposal_samples import (
    ProposalSamples,
    SnippetOptions,
    plan_windows,
    segment_samples,
)
from data.datasets.segment_proposals import (
    ACTIONNESS,
    Floats,
    ProposalPools,
    SamplingRules,
)
from data.datasets.segment_set import SegmentSet
from data.datasets.segment_set import read_segment_set as read_set
from models.ssn.build import input_side
from models.ssn.checkpoint import ACTIONNESS_CLASSES
from utils.config.actionness import ActionnessConfig
from utils.config.segments import SegmentModel
from utils.config.ssn import SSNConfig, TrainConfig
from utils.system.distributed import is_main


def read_segment_set(
    config: SSNConfig | ActionnessConfig, split: str, keep_unannotated: bool = False
) -> SegmentSet:
    """Return the videos of `split`, "train" or "val"; says which are missing."""
    model = config.model
    classes = model.num_classes if isinstance(config, SSNConfig) else 0
    found = read_set(config.data, split, model.modality, classes, keep_unannotated)
    _say(found.note)
    return found


def _say(note: str) -> None:
    if note and is_main():
        print(note, flush=True)


def segment_rules(train: TrainConfig) -> SamplingRules:
    """The configured rules of which proposals are what, and how many are drawn."""
    return SamplingRules(
        train.foreground_iou,
        train.incomplete_iou,
        train.incomplete_overlap,
        train.background_iou,
        train.background_coverage,
        (train.foreground, train.incomplete, train.background),
    )


def actionness_rules(config: ActionnessConfig, split: str) -> SamplingRules:
    """The same for the windows of the actionness classifier."""
    train = config.train
    counts = (train.foreground, 0, train.background)
    if split == "val":
        counts = (train.val_foreground, 0, train.val_background)
    return replace(
        ACTIONNESS,
        foreground_iou=train.foreground_iou,
        background_iou=train.background_iou,
        counts=counts,
    )


def snippet_options(
    config: SSNConfig | ActionnessConfig, split: str, model: SegmentModel
) -> SnippetOptions:
    """How the snippets of a split are seen."""
    training = split == "train"
    # A validation with other frames than the dataset's would give a number nobody can compare.
    return SnippetOptions(
        model.modality,
        input_side(model),
        training,
        config.data.flip,
        config.data.multi_scale,
        replace_unreadable=training,
    )


def build_segment_samples(
    config: SSNConfig, split: str, given_stats: Floats | None = None
) -> ProposalSamples:
    """Return SSN's samples of a split; `given_stats` are the training set's, for validation."""
    train = config.train
    samples = segment_samples(
        read_segment_set(config, split),
        segment_rules(train),
        snippet_options(config, split, config.model),
        given_stats,
        train.seed,
        train.passes if split == "train" else 1,
        train.own_proposals,
    )
    _say(samples.note)
    return samples


def build_windows(config: ActionnessConfig, split: str) -> ProposalSamples:
    """Return the actionness classifier's samples of a split."""
    train, found = config.train, read_segment_set(config, split)
    samples = ProposalSamples(
        found,
        ACTIONNESS_CLASSES,
        ProposalPools(found.videos, actionness_rules(config, split)),
        plan_windows(train.segments),
        snippet_options(config, split, config.model),
        train.seed,
        train.passes if split == "train" else 1,
        train.own_proposals,
        binary=True,
    )
    _say(samples.note)
    return samples
