"""Mixed precision: `torch.amp`, or NVIDIA apex where it is asked for and installed.

Only the network's arithmetic is reduced. Box coding, RoI align's coordinates, losses and NMS stay
in float32: their code casts to float32 itself.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.engine.profiling import section

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The network's arithmetic in `precision`: fp32, fp16 or bf16."""
    return torch.autocast(device.type, _DTYPES[precision], enabled=precision != "fp32")


class Precision:
    """How a loss becomes an update: plainly in fp32 and bf16, with a scaled loss in fp16.

    Args:
        backend: `torch` for `torch.amp`; `apex` for NVIDIA's, at its level O1, fp16 only.

    Raises:
        ValueError: Where apex is asked for and is not there.
    """

    def __init__(self, device: torch.device, precision: str = "fp32", backend: str = "torch"):
        self.device, self.precision = device, precision
        self.apex = find_apex() if backend == "apex" else None
        scales = precision == "fp16" and self.apex is None
        self.scaler = torch.amp.GradScaler(device.type, enabled=scales)

    def prepare(self, model: nn.Module, optimizer: Optimizer) -> nn.Module:
        """Hand both to apex, which wants it before DistributedDataParallel; else nothing."""
        if self.apex is not None:
            model, _ = self.apex.initialize(model, optimizer, opt_level="O1", verbosity=0)
        return model

    def autocast(self) -> Any:
        """The context of a forward pass; apex patches functions instead."""
        return nullcontext() if self.apex is not None else autocast(self.device, self.precision)

    def backward(self, loss: Tensor, optimizer: Optimizer) -> None:
        """Add the gradients of `loss`, scaled where fp16 needs it, to those that are there."""
        with section("backward"):
            if self.apex is not None:
                with self.apex.scale_loss(loss, optimizer) as scaled:
                    scaled.backward()
            else:
                self.scaler.scale(loss).backward()

    def step(self, optimizer: Optimizer, clip_norm: float = 0.0) -> None:
        """A step of `optimizer` along the gradients.

        Args:
            clip_norm: The largest norm of all gradients together; longer ones are shortened to it.
                0: any. A scaled step whose gradients overflow is left out, and the scale lowered.
        """
        with section("optimizer"):
            if clip_norm:
                if self.apex is None:
                    self.scaler.unscale_(optimizer)
                parameters = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(parameters, clip_norm)
            self.scaler.step(optimizer)
            self.scaler.update()

    def update(self, loss: Tensor, optimizer: Optimizer) -> None:
        """Gradients of `loss` alone, and a step of `optimizer`; see `backward` and `step`."""
        optimizer.zero_grad(set_to_none=True)
        self.backward(loss, optimizer)
        self.step(optimizer)

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict() if self.apex is None else self.apex.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        (self.scaler if self.apex is None else self.apex).load_state_dict(state)


def find_apex() -> Any:
    """NVIDIA's `apex.amp`. The package index has an unrelated project named apex, without it.

    Raises:
        ValueError: Saying where to get it.
    """
    try:
        amp = importlib.import_module("apex.amp")
    except ImportError as error:
        raise ValueError(
            f"train.amp_backend=apex: NVIDIA apex is not installed ({error}). Build it from "
            "https://github.com/NVIDIA/apex (the package index's project of that name is another "
            "one), or use train.amp_backend=torch"
        ) from error
    return amp
