"""Backbones, heads, the progressive loop, sampling and losses."""

from models.registry import load_detector, open_checkpoint
from models.ssn.actionness import ActionnessModel
from models.ssn.checkpoint import load_actionness, load_segment_detector
from models.ssn.detector import SegmentDetector, SegmentOutput
from models.step.build import build_detector
from models.step.detector import StepDetector

__all__ = [
    "ActionnessModel",
    "SegmentDetector",
    "SegmentOutput",
    "StepDetector",
    "build_detector",
    "load_actionness",
    "load_detector",
    "load_segment_detector",
    "open_checkpoint",
]
