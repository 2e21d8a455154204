"""Tubes as flat arrays, for rooms that may not reach into `external` themselves."""

from __future__ import annotations

from external.act_evaluation import Tubes, make_tubes

__all__ = ["Tubes", "make_tubes"]
