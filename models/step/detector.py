"""STEP's progressive loop: Algorithm 1 of the paper is `StepDetector.run_steps`.

    features <- backbone(window)                      `extract`, once
    tubes    <- coarse proposals, replicated over T   34 boxes, the same for every clip
    for step = 1..S:                                  `run_steps`
        tubes <- the regressed tubes, a clip longer   `next_tubes` (Eq. 1); extended where the
                 to either side if due, made valid    temporal schedule `chunks` grows (Eq. 4, 5)
        classify and regress them                     `run_head` (`heads.py`), `decode`
    the last step's output is the detection

The loop is the same for AVA and UCF101. What differs is passed in: the context, the heads, and what
turns a head's numbers into probabilities and boxes (`outcome.py`).

The schedule is an entry of `SCHEDULES` (`utils/geometry/tubes.py`), chosen by `model.schedule`. The
facts that the code relies on: docs/method.md, "Tubes and steps".

Letters: B clips, F frames, C channels of a frame, D channels of a feature, E of the context, h, w
the map's height and width, N tubes of all clips together, T feature steps of a clip, T' of a tube,
Tw of the window, P side of the pooled grid, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.backbones.base import Backbone
from models.step.features import ClipFeatures, Features
from models.step.heads import Head, HeadOutput
from models.step.outcome import Activation, Regression, several_labels, shared_boxes
from models.step.pooling import TubePooling
from utils.geometry.boxes import make_valid
from utils.geometry.tubes import (
    center_steps,
    extend_tubes,
    first_chunk,
    is_extended_after,
    key_box_index,
    last_chunk,
    replicate_boxes,
)
from utils.structures import ClipSpec, StepOutput


class StepDetector(nn.Module):
    """Backbone, context branch and one head per step; `models.build_detector` assembles them.

    Args:
        chunks: The temporal schedule, for each step the clips that its tubes span.
        clip_steps: T.
        extension: How tubes grow, see `extend_tubes`.
        pool_mode: "align" or "pool".
        pool_size: P.
        activation, regression: What turns a head's raw numbers into probabilities and boxes.
    """

    def __init__(
        self,
        backbone: Backbone,
        context: nn.Module | None,
        heads: Sequence[Head],
        chunks: tuple[int, ...],
        clip_steps: int = 3,
        extension: str = "predict",
        pool_mode: str = "align",
        pool_size: int = 7,
        activation: Activation = several_labels,
        regression: Regression = shared_boxes,
    ):
        super().__init__()
        assert len(heads) == len(chunks), f"{len(heads)} heads for {len(chunks)} steps"
        self.backbone = backbone
        self.context = context
        self.heads = nn.ModuleList(heads)
        self.chunks = chunks
        self.clip_steps = clip_steps
        self.extension = extension
        self.activation, self.regression = activation, regression
        self.pool = TubePooling(pool_mode, pool_size, backbone.input_spec.spatial_stride)
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

        Args:
            images: `[B, F, C, H, W]`: uint8 pixels, or floats as the backbone's
                `InputSpec.normalize` gives them; `clip_spec` says F and C, and of what H and W are
                multiples.
            proposals: B tensors `[M_i, 4]`, pixels of the images.

        Returns:
            One `StepOutput` per step over all `sum M_i` tubes, clips in order. Tubes are as
            regressed: only what is handed to the next step is clipped.
        """
        self._check_input(images, proposals)
        return self.run_steps(self.extract(images), proposals)

    def run_steps(self, features: Features, proposals: list[Tensor]) -> list[StepOutput]:
        """Algorithm 1 on the features of B windows; `forward` has arguments and result."""
        clip_index = index_clips(proposals)
        tubes = self.first_tubes(proposals)  # [N, T, 4]
        outputs: list[StepOutput] = []
        for step in range(len(self.heads)):
            if step > 0:
                tubes = self.next_tubes(step, outputs[-1], features)  # [N, T', 4]
            outputs.append(self.run_step(step, features, tubes, clip_index))
        return outputs

    def first_tubes(self, proposals: list[Tensor]) -> Tensor:
        """The tubes `[N, T', 4]` of the first step: all clips' proposals, replicated over time."""
        boxes = torch.cat(proposals).float()
        return replicate_boxes(boxes, self.chunks[0] * self.clip_steps)

    def run_step(
        self, step: int, features: Features, tubes: Tensor, clip_index: Tensor
    ) -> StepOutput:
        """Classify and regress `tubes` `[N, T', 4]` of clips `clip_index` `[N]` at `step`."""
        return self.decode(self.run_head(step, features, tubes, clip_index), tubes)

    def extract(self, images: Tensor) -> Features:
        """Run backbone and context once over `images` `[B, F, C, H, W]`, uint8 or scaled."""
        images = self.backbone.input_spec.normalize(images)
        clips = images.transpose(1, 2)  # [B, C, F, H, W]
        maps = self.backbone(clips.contiguous(memory_format=self.layout()))
        context = None if self.context is None else self.context(maps)  # [B, E, Tw]
        return ClipFeatures(maps, context, images.shape[-2], images.shape[-1])

    def layout(self) -> torch.memory_format:
        """The memory format in which the backbone is to be run."""
        # Training is faster channels-last, on a CPU by a quarter (docs/performance.md).
        return torch.channels_last_3d if self.training else self.memory_format

    def anticipates(self, step: int) -> bool:
        """Whether what the head of `step` anticipates is used: the tubes grow by it (Eq. 5)."""
        return self.extension == "predict" and is_extended_after(step, self.chunks)

    def next_tubes(self, step: int, previous: StepOutput, features: Features) -> Tensor:
        """The tubes `[N, T', 4]` that `step` starts from (Eq. 1): extended if due, then made valid.

        Args:
            previous: The output of the step before. Tubes are extended as regressed and clipped
                afterwards: a line through clipped boxes would have another slope than the person's
                motion.
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
        maps, rows = features.center_maps(length)  # [X, D, h, w], [B, T']
        pooled = self.pool(maps, rows[clip_index], tubes)  # [N, D, T', P, P]
        only = None
        if self.key_frame_only and step == len(self.heads) - 1:
            only = self.reported(length)
        return self.heads[step](pooled, features.center_context(length), clip_index, only)

    def reported(self, length: int) -> slice:
        """The feature steps that a result is about, of a tube of `length`: the key frame's."""
        key = key_box_index(length, self.clip_steps)
        return slice(key, key + 1)

    def decode(self, head: HeadOutput, tubes: Tensor) -> StepOutput:
        """Turn a head's output into probabilities and boxes, decoded frame by frame.

        The anticipated tubes are decoded against the proposals of the first and the last chunk.
        A head without a local branch leaves the tubes where they are.
        """
        t, key = self.clip_steps, key_box_index(tubes.shape[1], self.clip_steps)
        scores = self.activation(head.logits)  # [N, K]
        ends = (head.before, first_chunk(tubes, t)), (head.after, last_chunk(tubes, t))
        before, after = (
            None if deltas is None else self.regression(deltas, chunk, scores)[0]  # [N, T, 4]
            for deltas, chunk in ends
        )
        if head.deltas is None:
            return StepOutput(scores, tubes, before, after, tubes[:, key])
        if head.deltas.shape[1] < tubes.shape[1]:  # only some of the boxes were regressed
            part = self.reported(tubes.shape[1])
            tubes, key = tubes[:, part], key - part.start
        decoded, every = self.regression(head.deltas, tubes, scores)  # [N, T', 4], [N, T', K, 4]
        every = None if every is None else center_steps(every, t)  # [N, T, K, 4]
        return StepOutput(scores, decoded, before, after, decoded[:, key], every)

    def _check_input(self, images: Tensor, proposals: list[Tensor]) -> None:
        """Raise `ValueError` for input that would fail later with a misleading message."""
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
