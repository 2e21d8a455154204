"""RoI pooling of tubes: each box of a tube from the map of its own feature step.

Letters: X maps, N tubes, D channels of a feature, L feature steps of a tube, P side of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.layers import unfold_steps
from utils.ops import roi_align, roi_pool


@dataclass(frozen=True)
class TubePooling:
    """RoI align or RoI pooling, frame by frame.

    Attributes:
        mode: "align" or "pool".
        size: P.
        stride: Pixels of a feature cell.
    """

    mode: str
    size: int
    stride: int

    def __call__(self, maps: Tensor, rows: Tensor, tubes: Tensor) -> Tensor:
        """Pool tube n's box in step k from map `rows[n, k]`.

        maps `[X, D, h, w]`, rows `[N, L]`, tubes `[N, L, 4]` (pixels) give `[N, D, L, P, P]`.
        """
        steps = tubes.shape[1]
        boxes = torch.cat([rows[..., None].to(tubes.dtype), tubes], dim=2)  # [N, L, 5]
        pooled = self.pool(maps, boxes.flatten(0, 1))  # [N * L, D, P, P]
        return unfold_steps(pooled, steps)  # [N, D, L, P, P]

    def pool(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """Pool boxes `[K, 5]`, the number of the map first, from `[X, D, h, w]`: `[K, D, P, P]`."""
        scale, size = 1.0 / self.stride, (self.size, self.size)
        if self.mode == "align":
            # Adaptive sampling and the legacy alignment: what released weights were trained with.
            return roi_align(maps, boxes, size, scale, 0, False)
        return roi_pool(maps, boxes, size, scale)

    def whole(self, maps: Tensor) -> Tensor:
        """Pool the whole image of each of `maps` `[X, D, h, w]`: `[X, D, P, P]`."""
        height, width = (side * self.stride for side in maps.shape[2:])
        boxes = maps.new_zeros(len(maps), 5, dtype=torch.float32)  # [X, 5]
        boxes[:, 0] = torch.arange(len(maps), device=maps.device)
        boxes[:, 3].fill_(width)
        boxes[:, 4].fill_(height)
        return self.pool(maps, boxes)
