"""STEP on a backbone that sees frames one by one: features are computed once per frame and kept.

Letters: B clips, F frames of a window, n frames, C channels of a frame, D of a feature, T feature
steps of a clip; here a feature step is a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.step.detector import StepDetector
from models.step.features import Features, FrameTable
from utils.geometry.tubes import key_chunk


class FrameDetector(StepDetector):
    """`StepDetector` with features frame by frame, and results about all frames of the clip."""

    def extract(self, images: Tensor) -> Features:
        """Run backbone and context once over `images` `[B, F, C, H, W]`, uint8 or scaled."""
        clips, frames = images.shape[:2]
        rows = torch.arange(clips * frames, device=images.device).view(clips, frames)
        return self.frame_features(images.flatten(0, 1)).windows(rows)

    def frame_features(self, images: Tensor) -> FrameTable:
        """The features of single frames `[n, C, H, W]`, uint8 or scaled.

        `FrameTable.windows` makes windows of them for `run_steps`.
        """
        pixels = self.backbone.input_spec.normalize(images)
        maps = self.backbone.run_stages(self.laid_out(pixels))  # [n, D, h, w]
        context = None if self.context is None else self.context(maps)  # [n, D, P, P]
        return FrameTable(maps, context, images.shape[-2], images.shape[-1])

    def laid_out(self, pixels: Tensor) -> Tensor:
        """`pixels` in the memory format that the backbone is fastest with."""
        if self.layout() == torch.channels_last_3d:
            return pixels.contiguous(memory_format=torch.channels_last)
        return pixels

    def reported(self, length: int) -> slice:
        """The feature steps that a result is about: all frames of the clip in the middle."""
        return key_chunk(length, self.clip_steps)
