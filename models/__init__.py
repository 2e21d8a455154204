"""Backbones, heads, the progressive loop, sampling and losses."""

from models.step.build import build_detector, load_detector
from models.step.detector import StepDetector

__all__ = ["StepDetector", "build_detector", "load_detector"]
