"""Backbones, heads, the progressive loop, sampling and losses."""

from models.registry import load_detector, open_checkpoint
from models.ssn.checkpoint import load_segment_detector
from models.ssn.detector import SegmentDetector, SegmentOutput
from models.step.build import build_detector
from models.step.detector import StepDetector

__all__ = [
    "SegmentDetector",
    "SegmentOutput",
    "StepDetector",
    "build_detector",
    "load_detector",
    "load_segment_detector",
    "open_checkpoint",
]
