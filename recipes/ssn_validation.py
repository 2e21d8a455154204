"""SSN and its actionness classifier judged while they train: losses of the validation proposals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from data.datasets.proposal_samples import ProposalSamples
from data.loading.loader import build_loader
from utils.config.actionness import ActionnessConfig
from utils.config.ssn import SSNConfig
from utils.engine.interfaces import Validation
from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.runs.results import Table
from utils.segment_structures import ProposalBatch
from utils.structures import ProposalKind
from utils.system.distributed import all_sum, rank, world_size

Measure = Callable[[], dict[str, float]]
"""Further figures of the detector as it stands, by name; `mAP`, if there, decides on the best."""


class Summable(Protocol):
    """A criterion whose losses are sums over counts."""

    def sums(self, samples: Any, /) -> Tensor:
        """Return what is summed over proposals."""

    def named(self, sums: Tensor, counts: Sequence[int], /) -> dict[str, Tensor]:
        """Return the losses by name, of sums and the proposals of each kind they are of."""


class ProposalValidator:
    """The validation proposals, and the losses of a detector in training on them."""

    def __init__(
        self,
        config: SSNConfig | ActionnessConfig,
        samples: ProposalSamples,
        training_pass: nn.Module,
        criterion: Summable,
        device: torch.device,
        measure: Measure | None = None,
    ) -> None:
        self.samples, self.training_pass, self.criterion = samples, training_pass, criterion
        self.device, self.precision = device, config.train.precision
        self.measure = measure
        self.loader = build_loader(
            samples,
            max(config.train.batch_size // world_size() // config.train.accumulate, 1),
            config.data.workers,
            rank=rank(),
            world_size=world_size(),
            timeout=config.data.batch_timeout,
        )

    def digest(self) -> str:
        """As `SegmentSet.digest`."""
        return self.samples.digest()

    def __call__(self) -> Validation:
        """Return losses and accuracies, the same on every process."""
        was_training = self.training_pass.training
        self.training_pass.eval()
        figures = self._figures()
        score = -figures["total"]
        if self.measure is not None:
            figures |= self.measure()
            score = figures.get("mAP", score)
        self.training_pass.train(was_training)
        metrics: dict[str, Any] = {"proposals": figures, "videos": len(self.samples)}
        return Validation(score, metrics, figures, summarize(figures))

    @torch.inference_mode()
    def _figures(self) -> dict[str, float]:
        """Losses and accuracies over all validation proposals, by name."""
        counts = torch.zeros(len(ProposalKind), device=self.device, dtype=torch.long)
        sums: Tensor | None = None
        for batch in progress_bar(self.loader, "validation"):
            moved: ProposalBatch = batch.to(self.device)
            with autocast(self.device, self.precision):
                samples = self.training_pass(moved)
            own = self.criterion.sums(samples).double()
            sums = own if sums is None else sums + own
            counts += moved.counts
        total = all_sum(torch.zeros(8, device=self.device).double() if sums is None else sums)
        of_kinds = all_sum(counts).tolist()
        named = self.criterion.named(total, of_kinds)
        absent = {f"{kind.name.lower()} accuracy" for kind in ProposalKind if not of_kinds[kind]}
        return {name: float(value) for name, value in named.items() if name not in absent}


def summarize(figures: Mapping[str, float]) -> str:
    """Return a line for the reader: the loss, its parts and the accuracies, the mAP if any."""
    parts = [f"{name} {value:.3f}" for name, value in figures.items() if name != "total"]
    return f"loss {figures['total']:.4f} ({', '.join(parts)})"


def format_metrics(metrics: Mapping[str, Any]) -> str:
    """Return a validation's metrics for a terminal."""
    return f"validation on {metrics['videos']} videos: {summarize(metrics['proposals'])}"


def metrics_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """Return the same as a table of `results.md`."""
    rows = [(name, f"{value:.4f}") for name, value in metrics["proposals"].items()]
    return [Table(("validation proposals", "value"), rows)]
