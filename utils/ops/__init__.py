"""Operators on boxes: RoI align, RoI max pooling and non-maximum suppression.

No other package imports the compiled module. Where it is not built, this package uses torchvision's
operators and warns once, when it is imported.
"""

from utils.ops.nms import nms, nms_classes
from utils.ops.roi import roi_align, roi_pool
from utils.ops.selftest import SelfTest, run_self_tests

__all__ = ["SelfTest", "nms", "nms_classes", "roi_align", "roi_pool", "run_self_tests"]
