"""The detectors that the entry scripts can train, test and show: `RECIPES`.

This room is the one that knows both `models` and `data`. A new detector is a file here and a line
in the table.
"""

from __future__ import annotations

from typing import Any

from recipes.actionness import ACTIONNESS
from recipes.api import open_detector
from recipes.base import Recipe
from recipes.ssn import SSN
from recipes.step_ava import STEP_AVA
from recipes.step_tubes import STEP_TUBES

RECIPES: dict[str, Recipe[Any]] = {
    "step": STEP_AVA,
    "step_tubes": STEP_TUBES,
    "ssn": SSN,
    "actionness": ACTIONNESS,
}
"""Every recipe by the name that `detector:` has in configuration files and checkpoints."""

CONFIGS: dict[str, type[Any]] = {name: recipe.config for name, recipe in RECIPES.items()}
"""The class of settings of each detector, as `utils.config.loading.load` takes it."""

__all__ = ["CONFIGS", "RECIPES", "open_detector"]
