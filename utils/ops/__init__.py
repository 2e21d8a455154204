"""Operators on boxes: RoI align, RoI max pooling and non-maximum suppression.

The only door to the compiled module. Where that is not built, torchvision's operators stand in
and importing this package warns once.
"""

from utils.ops.nms import nms, nms_classes
from utils.ops.roi import roi_align, roi_pool

__all__ = ["nms", "nms_classes", "roi_align", "roi_pool"]
