"""Learning rates: new layers learn fastest, pre-trained ones slower (docs/method.md, "Learning
rates"). The divisors of the backbone's stages are the backbone's own, `Backbone.rate_divisors`.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Adam

from models.step.detector import StepDetector
from utils.config.step import TrainConfig


def build_optimizer(train: TrainConfig, detector: StepDetector, batch_size: int = 0) -> Adam:
    """Adam at the configured rates, scaled with the batch.

    Args:
        batch_size: Clips of a batch where the dataset has fewer than the configured number.
    """
    scale = rate_scale(batch_size or train.batch_size, train.base_batch_size)
    rates = (train.det_lr * scale, train.det_lr0 * scale, train.base_lr * scale)
    return Adam(parameter_groups(detector, *rates, train.weight_decay))


def parameter_groups(
    detector: StepDetector, det_lr: float, det_lr0: float, base_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Optimiser groups: weights and biases of each rate.

    New layers learn at `det_lr`, the backbone's tail in heads and context at `det_lr0`, the
    backbone at `base_lr` divided by its stage's divisor. Biases have twice the rate and no decay.
    Frozen parameters are in no group.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    divisors = detector.backbone.rate_divisors
    for name, parameter in detector.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = det_lr
        if name.startswith("backbone."):
            rate = base_lr / _divisor(name.removeprefix("backbone."), divisors)
        elif ".tail." in name:
            rate = det_lr0
        groups.setdefault((rate, name.endswith("bias")), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": 2 * rate if is_bias else rate,
            "weight_decay": 0.0 if is_bias else weight_decay,
            "is_bias": is_bias,
        }
        for (rate, is_bias), parameters in groups.items()
    ]


def rate_scale(batch_size: int, base_batch_size: int) -> float:
    """Factor of all learning rates: linear in the global batch (Goyal et al., 2017, section 2.1).

    The configured rates hold for `base_batch_size`; 0 switches the rule off.
    """
    return batch_size / base_batch_size if base_batch_size else 1.0


def _divisor(name: str, divisors: tuple[tuple[str, float], ...]) -> float:
    return next((value for prefix, value in divisors if name.startswith(prefix)), 1.0)
