"""RAFT's flow by torchvision's networks, with weights from a local file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from external.files import check_regular
from utils.formats.pickles import check_pytorch_file

# Sides of an image [pixels]: multiples of the first, and at least the second.
MULTIPLE, SMALLEST = 8, 128

Prepare = Callable[[np.ndarray], Any]
Between = Callable[[Any, Any], np.ndarray]


def raft_method(weights: Path, large: bool) -> tuple[str, Prepare, Between]:
    """Return a name, and how images are prepared and flow is computed (`data/prepare/flow.py`).

    Args:
        weights: A file of torchvision's `raft_large` or, if not `large`, `raft_small`.

    Raises:
        ValueError: Naming it if it is not that.
    """
    import torch
    import torchvision
    from torchvision.models.optical_flow import raft_large, raft_small

    check_regular(weights, "file of weights")
    check_pytorch_file(weights)
    model = (raft_large if large else raft_small)(weights=None).eval()
    name = "raft_large" if large else "raft_small"
    try:
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (RuntimeError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{weights}: not weights of {name}: {reason}") from None

    def prepare(image: np.ndarray) -> tuple[Any, tuple[int, int]]:
        """Pixels in [-1, 1] `[1, 3, H', W']`, edges repeated to sides that RAFT takes."""
        height, width = image.shape[:2]
        rows, columns = (_side(side) - side for side in (height, width))
        padded = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1
        return pixels, (height, width)

    def between(a: Any, b: Any) -> np.ndarray:
        torch.set_num_threads(1)  # the other processors have other videos
        with torch.inference_mode():
            flow = model(a[0], b[0])[-1][0]
        height, width = a[1]
        return flow[:, :height, :width].permute(1, 2, 0).numpy()

    return f"torchvision {torchvision.__version__}, {name}", prepare, between


def _side(side: int) -> int:
    """The next side that RAFT takes."""
    return max(-(-side // MULTIPLE) * MULTIPLE, SMALLEST)
