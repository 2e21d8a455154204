"""STEP's progressive loop: Algorithm 1 of the paper is `StepDetector.forward`.

    features <- backbone(window)                      `extract`, once
    tubes    <- coarse proposals, replicated over T   34 boxes, the same for every clip
    for step = 1..S:
        tubes <- the regressed tubes, a clip longer   `next_tubes` (Eq. 1); extended where the
                 to either side if due, made valid    temporal schedule `chunks` grows (Eq. 4, 5)
        classify and regress them                     `run_head` (`heads.py`), `decode`
    the last step's output is the detection

The schedule is an entry of `SCHEDULES` (`utils/geometry/tubes.py`), chosen by `model.schedule`. The
facts that the code relies on: docs/method.md, "Tubes and steps".

Letters: B clips, F frames, C channels of a frame, D channels of a feature, E of the context, h, w
the map's height and width, N tubes of all clips together, T feature steps of a clip, T' of a tube,
Tw of the window, P side of the pooled grid, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.backbones.base import Backbone
from models.layers import fold_steps, unfold_steps
from models.step.heads import ContextBranch, HeadOutput, TwoBranchHead
from utils.geometry.boxes import decode_boxes, make_valid
from utils.geometry.tubes import (
    center_steps,
    extend_tubes,
    first_chunk,
    key_box_index,
    last_chunk,
    replicate_boxes,
)
from utils.ops import roi_align, roi_pool
from utils.structures import ClipSpec, StepOutput


@dataclass
class Features:
    """The features of a batch of windows, with the size of the images that boxes refer to.

    maps: `[B, D, Tw, h, w]`. context: `[B, E, Tw]` or `None`. height, width: of the images.
    """

    maps: Tensor
    context: Tensor | None
    height: int
    width: int

    def detach(self) -> Features:
        context = None if self.context is None else self.context.detach()
        return Features(self.maps.detach(), context, self.height, self.width)


class StepDetector(nn.Module):
    """Backbone, context branch and one head per step; `models.build_detector` assembles them.

    chunks: the temporal schedule, for each step the clips that its tubes span. clip_steps: T.
    extension: how tubes grow, see `extend_tubes`. pool_mode: "align" or "pool". pool_size: P.
    """

    def __init__(
        self,
        backbone: Backbone,
        context: ContextBranch | None,
        heads: list[TwoBranchHead],
        chunks: tuple[int, ...],
        clip_steps: int = 3,
        extension: str = "predict",
        pool_mode: str = "align",
        pool_size: int = 7,
    ):
        super().__init__()
        assert len(heads) == len(chunks), f"{len(heads)} heads for {len(chunks)} steps"
        self.backbone = backbone
        self.context = context
        self.heads = nn.ModuleList(heads)
        self.chunks = chunks
        self.clip_steps = clip_steps
        self.extension = extension
        self.pool_mode = pool_mode
        self.pool_size = pool_size
        # See `models.step.inference`.
        self.memory_format = torch.contiguous_format
        self.key_frame_only = False

    @property
    def window_frames(self) -> int:
        """Frames the detector looks at."""
        return self.clip_spec.window_frames

    @property
    def clip_spec(self) -> ClipSpec:
        """The clips that it asks of a dataset."""
        return self.backbone.input_spec.clips(self.chunks, self.clip_steps)

    def forward(self, images: Tensor, proposals: list[Tensor]) -> list[StepOutput]:
        """Detect in B windows.

        images: `[B, F, C, H, W]`: uint8 pixels, or floats as the backbone's `InputSpec.normalize`
            gives them; `clip_spec` says F and C, and of what H and W are multiples.
        proposals: B tensors `[M_i, 4]`, pixels of the images.
        Returns one `StepOutput` per step over all `sum M_i` tubes, clips in order. Tubes are as
        regressed: only what is handed to the next step is clipped.
        """
        self._check_input(images, proposals)
        features = self.extract(images)
        clip_index = index_clips(proposals)
        tubes = replicate_boxes(torch.cat(proposals).float(), self.clip_steps)  # [N, T, 4]
        outputs: list[StepOutput] = []
        for step in range(len(self.heads)):
            if step > 0:
                tubes = self.next_tubes(step, outputs[-1], features)  # [N, T', 4]
            head_output = self.run_head(step, features, tubes, clip_index)
            outputs.append(self.decode(head_output, tubes))
        return outputs

    def extract(self, images: Tensor) -> Features:
        """Run backbone and context once over `images` `[B, F, C, H, W]`, uint8 or scaled."""
        images = self.backbone.input_spec.normalize(images)
        clips = images.transpose(1, 2)  # [B, C, F, H, W]
        # Training on a CPU is a quarter faster channels-last (docs/performance.md).
        trains_on_cpu = self.training and images.device.type == "cpu"
        layout = torch.channels_last_3d if trains_on_cpu else self.memory_format
        maps = self.backbone(clips.contiguous(memory_format=layout))  # [B, D, Tw, h, w]
        context = None if self.context is None else self.context(maps)
        return Features(maps, context, images.shape[-2], images.shape[-1])

    def next_tubes(self, step: int, previous: StepOutput, features: Features) -> Tensor:
        """The tubes `[N, T', 4]` that `step` starts from (Eq. 1): extended if due, then made valid.

        previous: the output of the step before. Tubes are extended as regressed and clipped
        afterwards: a line through clipped boxes would have another slope than the person's motion.
        """
        size = (features.height, features.width)
        tubes = previous.tubes
        for _ in range(self.chunks[step - 1], self.chunks[step], 2):
            tubes = extend_tubes(
                tubes, previous.before, previous.after, self.extension, self.clip_steps, *size
            )
        return make_valid(tubes, *size)

    def run_head(
        self, step: int, features: Features, tubes: Tensor, clip_index: Tensor
    ) -> HeadOutput:
        """Pool `tubes` `[N, T', 4]` of clips `clip_index` `[N]` and run the head of `step`."""
        length = tubes.shape[1]
        maps = center_steps(features.maps, length, dim=2)  # [B, D, T', h, w]
        pooled = self.pool(maps, tubes, clip_index)  # [N, D, T', P, P]
        context = features.context
        if context is not None:
            context = center_steps(context, length, dim=2)[clip_index]  # [N, E, T']
        key = None
        if self.key_frame_only and step == len(self.heads) - 1:
            key = key_box_index(length, self.clip_steps)
        return self.heads[step](pooled, context, key)

    def pool(self, maps: Tensor, tubes: Tensor, clip_index: Tensor) -> Tensor:
        """Pool each tube's box in feature step k from map k.

        maps `[B, D, T', h, w]`, tubes `[N, T', 4]`, clip_index `[N]` give `[N, D, T', P, P]`.
        """
        steps = maps.shape[2]
        index = clip_index[:, None] * steps + torch.arange(steps, device=tubes.device)  # [N, T']
        boxes = torch.cat([index[..., None].to(tubes.dtype), tubes], dim=2)  # [N, T', 5]
        boxes = boxes.flatten(0, 1)  # [N * T', 5]
        scale = 1.0 / self.backbone.input_spec.spatial_stride
        size = (self.pool_size, self.pool_size)
        if self.pool_mode == "align":
            # Adaptive sampling and the legacy alignment: what released weights were trained with.
            pooled = roi_align(fold_steps(maps), boxes, size, scale, 0, False)
        else:
            pooled = roi_pool(fold_steps(maps), boxes, size, scale)
        return unfold_steps(pooled, steps)  # [N, D, T', P, P]

    def decode(self, head: HeadOutput, tubes: Tensor) -> StepOutput:
        """Turn a head's output into probabilities and boxes, decoded frame by frame.

        The anticipated tubes are decoded against the proposals of the first and the last chunk.
        A head without a local branch leaves the tubes where they are.
        """
        t, key = self.clip_steps, key_box_index(tubes.shape[1], self.clip_steps)
        first, last = first_chunk(tubes, t), last_chunk(tubes, t)  # [N, T, 4]
        if head.deltas is not None and head.deltas.shape[1] < tubes.shape[1]:
            tubes, key = tubes[:, key : key + 1], 0  # only the key box was regressed: [N, 1, 4]
        decoded = tubes if head.deltas is None else decode_boxes(head.deltas, tubes)
        before = None if head.before is None else decode_boxes(head.before, first)
        after = None if head.after is None else decode_boxes(head.after, last)
        return StepOutput(head.logits.float().sigmoid(), decoded, before, after, decoded[:, key])

    def _check_input(self, images: Tensor, proposals: list[Tensor]) -> None:
        """Refuse what would fail deep inside with a message about something else."""
        spec = self.clip_spec
        stride, pixels = (
            spec.side_multiple,
            images.is_floating_point() or images.dtype == torch.uint8,
        )
        if images.ndim != 5 or images.shape[2] != spec.channels or not pixels:
            raise ValueError(
                f"images: expected uint8 or floats [N, frames, {spec.channels}, H, W], "
                f"got {images.dtype} {list(images.shape)}"
            )
        if images.shape[1] != spec.window_frames:
            raise ValueError(
                f"images: this detector looks at {spec.window_frames} frames, got {images.shape[1]}"
            )
        if images.shape[3] % stride or images.shape[4] % stride:
            raise ValueError(
                f"images: H and W must be divisible by {stride}, got {list(images.shape[3:])}"
            )
        if len(proposals) != len(images):
            raise ValueError(
                f"proposals: expected one tensor per clip, {len(images)}, got {len(proposals)}"
            )
        for i, boxes in enumerate(proposals):
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ValueError(f"proposals[{i}]: expected [M, 4], got {list(boxes.shape)}")


def index_clips(per_clip: list[Tensor]) -> Tensor:
    """The clip `[N]` of each row when the tensors `[M_i, ...]` of the clips are joined."""
    return torch.cat(
        [boxes.new_full((len(boxes),), i, dtype=torch.int64) for i, boxes in enumerate(per_clip)]
    )
