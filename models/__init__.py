"""Backbones, heads, the progressive loop, sampling and losses."""

from models.registry import load_detector, open_checkpoint
from models.step.build import build_detector
from models.step.detector import StepDetector

__all__ = ["StepDetector", "build_detector", "load_detector", "open_checkpoint"]
