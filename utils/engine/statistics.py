"""Batch norm's running statistics: the same in all processes, and as they were before a pass."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.system.distributed import broadcast_tensors


def moving_statistics(model: nn.Module) -> list[Tensor]:
    """Return the running statistics that a forward pass changes; frozen layers have none."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    return [buffer for layer in layers for buffer in layer.buffers()]


def broadcast_statistics(model: nn.Module) -> None:
    """Give every process the main one's running statistics, as DistributedDataParallel would.

    All processes call this together. Each moves its own statistics by its share of a batch; a
    checkpoint holds those of the main process.
    """
    broadcast_tensors(moving_statistics(model))


class SavedStatistics:
    """The running statistics of batch norm as they are now.

    A forward pass changes them, and passes without gradients read them: whoever repeats an
    iteration needs those from before it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.buffers = moving_statistics(model)
        self.values = [buffer.clone() for buffer in self.buffers]

    def restore(self) -> None:
        """Put them back."""
        for buffer, value in zip(self.buffers, self.values, strict=True):
            buffer.copy_(value)
