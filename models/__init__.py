"""Backbones, heads, the progressive loop, sampling and losses."""

from models.build import build_detector, load_detector
from models.detector import StepDetector

__all__ = ["StepDetector", "build_detector", "load_detector"]
