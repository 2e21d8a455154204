"""The backbones by the name that a configuration gives them: of windows, and of single frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from models.backbones.base import Backbone
from models.backbones.i3d import I3D
from models.backbones.images import ImageInput
from models.backbones.tiny2d import Tiny2D
from models.backbones.tiny3d import Tiny3D
from models.backbones.vgg16 import VGG16
from models.layers import Freeze

BACKBONES: dict[str, Callable[[int, Freeze], Backbone]] = {"i3d": I3D, "tiny3d": Tiny3D}
"""By `model.backbone`; built from `model.width` and what batch norm keeps."""

IMAGE_BACKBONES: dict[str, Callable[[int, ImageInput], Backbone]] = {
    "vgg16": VGG16,
    "tiny2d": Tiny2D,
    "tiny2d_fine": partial(Tiny2D, stride=8),
}
"""Those that see frame by frame; built from `model.width` and what a frame consists of."""
