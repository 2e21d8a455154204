"""The video backbones by the name that a configuration gives them."""

from __future__ import annotations

from collections.abc import Callable

from models.backbones.base import Backbone
from models.backbones.i3d import I3D
from models.backbones.tiny3d import Tiny3D
from models.layers import Freeze

BACKBONES: dict[str, Callable[[int, Freeze], Backbone]] = {"i3d": I3D, "tiny3d": Tiny3D}
"""By `model.backbone`; built from `model.width` and what batch norm keeps."""
