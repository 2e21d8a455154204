"""The detectors that the entry scripts can train, test and show: `RECIPES`.

This room is the one that knows both `models` and `data`. A new detector is a file here and a line
in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.base import Recipe
from recipes.step_ava import STEP_AVA
from utils.config.base import DEFAULT_DETECTOR
from utils.formats.schema import shown

RECIPES: dict[str, Recipe[Any]] = {"step": STEP_AVA}
"""Every recipe by the name that `detector:` has in configuration files and checkpoints."""

CONFIGS: dict[str, type[Any]] = {name: recipe.config for name, recipe in RECIPES.items()}
"""The class of settings of each detector, as `utils.config.loading.load` takes it."""


def find_recipe(settings: Mapping[str, Any], source: str | Path) -> Recipe[Any]:
    """Return the recipe that `settings` name under `detector`, STEP's where they name none.

    settings: what a configuration file or a checkpoint's `config` holds, before its keys are
    checked. source: where they come from, for the error.

    Raises `ValueError` naming `source` for a detector that there is not.
    """
    name = settings.get("detector", DEFAULT_DETECTOR)
    if not isinstance(name, str) or name not in RECIPES:
        known = ", ".join(RECIPES)
        raise ValueError(f"{source}: detector: expected one of {known}, got {shown(name)}")
    return RECIPES[name]
