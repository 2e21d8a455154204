"""3D convolution units and max pooling with the padding that released I3D weights expect.

Letters: N clips or tubes, C channels, T feature steps, H, W, P side of a pooled grid. Shapes are
`[N, C, T, H, W]` where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Triple = tuple[int, int, int]

FEW_CHANNELS = 3
"""Of an input: for an image's three a GPU has no fast bfloat16 convolution, for four it has one."""


@dataclass(frozen=True)
class Freeze:
    """Which values of batch norm stay as loaded: running statistics; scale and shift.

    With few clips in a batch, the batch's own statistics are noise; the release freezes both.
    """

    stats: bool = True
    affine: bool = True


class FreezableBatchNorm3d(nn.BatchNorm3d):
    """Batch norm; `freeze` says which of its values training leaves as they are."""

    def __init__(self, channels: int, freeze: Freeze):
        super().__init__(channels, eps=1e-5)
        self.freeze_stats = freeze.stats
        if freeze.stats:
            self.eval()
        if freeze.affine:
            self.weight.requires_grad_(False)
            self.bias.requires_grad_(False)

    def train(self, mode: bool = True) -> FreezableBatchNorm3d:
        return super().train(mode and not self.freeze_stats)


def same_padding(kernel: Triple, stride: Triple) -> list[int]:
    """Zeros to pad, as `F.pad` wants them (W front, W back, H ..., T ...).

    Per dimension `max(k - s, 0)` in all, whatever the input's size, the smaller half in front.
    """
    pads: list[int] = []
    for k, s in zip(reversed(kernel), reversed(stride), strict=True):
        total = max(k - s, 0)
        pads += [total // 2, total - total // 2]
    return pads


class ConvUnit(nn.Module):
    """SAME-padded 3D convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        freeze: Freeze = Freeze(),
    ):
        super().__init__()
        self.pads = same_padding(kernel, stride)
        # Equal halves are left to the convolution, which pads without copying its input.
        self.pad_first = self.pads[::2] != self.pads[1::2]
        inner = (0, 0, 0) if self.pad_first else (self.pads[4], self.pads[2], self.pads[0])
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, inner, bias=False)
        self.batch3d: nn.Module = FreezableBatchNorm3d(out_channels, freeze)

    def forward(self, x: Tensor) -> Tensor:
        if self.pad_first:
            x = F.pad(x, self.pads)
        return F.relu(self.batch3d(self.convolve(x)), inplace=True)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution; in float32 where cuDNN would take three times as long in bfloat16."""
        few = x.is_cuda and x.shape[1] <= FEW_CHANNELS
        if not few or torch.compiler.is_compiling() or not _is_bfloat16():
            return self.conv3d(x)
        with torch.autocast("cuda", enabled=False):
            return self.conv3d(x.float()).bfloat16()


def _is_bfloat16() -> bool:
    """Whether a GPU's convolutions are cast to bfloat16."""
    return torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") == torch.bfloat16


class MaxPool(nn.Module):
    """Max pooling with SAME padding by zeros, in ceil mode: `[N, C, T, H, W]` to a smaller map."""

    def __init__(self, kernel: Triple, stride: Triple):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.pads = same_padding(kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self.pads)
        return F.max_pool3d(x, self.kernel, self.stride, ceil_mode=True)


class MaxPoolAfterReLU(MaxPool):
    """`MaxPool` for inputs of 0 or more, such as a ReLU gives; faster on a CPU.

    Takes the maximum over space first and over time afterwards. The values equal those of
    `MaxPool`. Where two inputs are equal, the gradient may go to the other one, so only inference
    uses it.
    """

    def forward(self, x: Tensor) -> Tensor:
        x = self._pool_space(x)  # [N, C, T, H', W']
        return x if self.kernel[0] == 1 else self._pool_time(x)  # [N, C, T', H', W']

    def _pool_space(self, x: Tensor) -> Tensor:
        """The maximum over H and W. Padding with -infinity gives what zeros would."""
        kernel, stride, front = self.kernel[1:], self.stride[1:], (self.pads[2], self.pads[0])
        images, sizes = fold_steps(x), list(zip(x.shape[3:], kernel, stride, strict=True))
        plain = [plain_count(*s, padding) for s, padding in zip(sizes, front, strict=True)]
        if plain != [window_count(*size) for size in sizes]:
            images, front = F.pad(images, self.pads[:4]), (0, 0)
        pooled = F.max_pool2d(images, kernel, stride, front, ceil_mode=True)  # [N * T, C, H', W']
        return unfold_steps(pooled, x.shape[2])

    def _pool_time(self, x: Tensor) -> Tensor:
        """The maximum over T: each window's own step, then its neighbours one after the other."""
        kernel, stride, front = self.kernel[0], self.stride[0], self.pads[4]
        steps = x.shape[2]
        count = window_count(steps, kernel, stride)
        own = x[:, :, : (count - 1) * stride + 1 : stride]
        pooled = own.clone(memory_format=memory_format_of(x))  # [N, C, T', H, W]
        for offset in range(-front, kernel - front):
            first = -(min(offset, 0) // stride)
            last = min(count, -(-(steps - offset) // stride))
            if offset == 0 or last <= first:
                continue
            begin = first * stride + offset
            there = x[:, :, begin : begin + (last - first - 1) * stride + 1 : stride]
            pooled[:, :, first:last].clamp_(min=there)  # a maximum in place
        return pooled


def memory_format_of(x: Tensor) -> torch.memory_format:
    """The memory format of `x`, also of a slice, of which PyTorch does not tell it."""
    return torch.channels_last_3d if x.stride(1) == 1 else torch.contiguous_format


def window_count(size: int, kernel: int, stride: int) -> int:
    """Outputs of SAME padding in ceil mode."""
    return plain_count(size + max(kernel - stride, 0), kernel, stride, 0)


def plain_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """PyTorch's count in ceil mode: a window must not begin in the padding behind."""
    count = -(-(size + 2 * padding - kernel) // stride) + 1
    return count - ((count - 1) * stride >= size + padding)


def init_new_layers(module: nn.Module) -> None:
    """Xavier normal weights and zero biases for all convolutions and linear layers in `module`.

    Layers on `meta` have no values and stay as they are: to draw for them, PyTorch would import its
    compiler, which takes seconds.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear)) and not layer.weight.is_meta:
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def flatten_steps(x: Tensor) -> Tensor:
    """`[N, C, T, P, P]` to `[N, T, C * P * P]`: each feature step flattened, channel first."""
    return x.transpose(1, 2).flatten(2)  # [N, T, C * P * P]


def fold_steps(x: Tensor) -> Tensor:
    """`[N, C, T, H, W]` to `[N * T, C, H, W]`: every feature step an image."""
    n, c, t, h, w = x.shape
    return x.transpose(1, 2).reshape(n * t, c, h, w)  # [N * T, C, H, W]


def unfold_steps(x: Tensor, steps: int) -> Tensor:
    """Invert `fold_steps`: `[N * T, C, H, W]` to `[N, C, T, H, W]`."""
    return torch.unflatten(x, 0, (x.shape[0] // steps, steps)).transpose(1, 2)


def suits_onednn(x: Tensor) -> bool:
    """Whether a layer may call oneDNN's own functions on `x`: float32 on a CPU, nothing else."""
    if torch.compiler.is_compiling():  # the compiler knows convolutions, not these functions
        return False
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
