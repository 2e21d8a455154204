"""The detection loop: runs a detector over a loader and yields its outputs, batch by batch.

Everything arrives as an argument; neither `models` nor `data` is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.structures import ClipBatch, StepOutput


@torch.no_grad()
def detect_batches(
    detector: nn.Module,
    loader: Any,
    device: torch.device,
    precision: str = "fp32",
    on_annotation: bool = False,
    progress: str = "",
) -> Iterator[tuple[ClipBatch, list[StepOutput]]]:
    """Run `detector` in eval mode over `loader`: each batch, on `device`, with its outputs.

    `on_annotation` proposes the annotated boxes instead of the batch's proposals: how the *cls*
    stage, which moves no box, is judged. `progress` titles a bar on the main process.
    """
    was_training = detector.training
    detector.eval()
    try:
        for batch in progress_bar(loader, progress):
            batch = batch.to(device)
            if on_annotation:
                batch.proposals = [t.boxes for t in batch.targets]
            with autocast(device, precision):
                outputs = detector(batch.images, batch.proposals)
            check_finite(outputs)
            yield batch, outputs
    finally:
        detector.train(was_training)


def check_finite(outputs: list[StepOutput]) -> None:
    """Raise `ValueError` for scores that are no numbers: finite weights may overflow all the same.

    Without it a broken detector would merely find nothing.
    """
    for step, output in enumerate(outputs, start=1):
        if not torch.isfinite(output.scores).all():
            raise ValueError(
                f"step {step}: the detector's scores are not finite: the checkpoint's weights are "
                "damaged, or they overflow in this precision"
            )


def collect_detections(
    detector: nn.Module,
    loader: Any,
    evaluator: Any,
    device: torch.device,
    precision: str = "fp32",
    on_annotation: bool = False,
    progress: str = "",
    on_batch: Callable[[ClipBatch, list[StepOutput]], object] | None = None,
) -> None:
    """Fill `evaluator` (`add`, `merge`) with what `detector` finds, over all processes.

    Args:
        on_batch: Is shown every batch of this process as well.
    """
    batches = detect_batches(detector, loader, device, precision, on_annotation, progress)
    for batch, outputs in batches:
        evaluator.add(batch, outputs)
        if on_batch is not None:
            on_batch(batch, outputs)
    evaluator.merge()
