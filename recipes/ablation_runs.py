"""Whether a run or a test that an ablation finds was made with the settings that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from external.files import read_json, read_yaml
from recipes.results_files import file_digest
from utils.config.base import BaseConfig, differences, differences_of_run, names_of, options_of
from utils.formats.schema import shown
from utils.runs.checkpoint_store import CheckpointStore
from utils.runs.results import has_results

TESTED = ("data", "test")
"""Sections whose options `test.py` takes."""


def saved_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a run, finished or begun; `None` where nothing has been trained yet.

    Raises:
        ValueError: Naming the run's `config.yaml` if that is damaged.
    """
    found: Any = None
    if has_results(folder):
        found = read_json(folder / "results.json").get("config", {})
    elif CheckpointStore(folder).files():
        found = read_yaml(folder / "config.yaml")
    return found if found is None or isinstance(found, dict) else {}


def other_training(folder: Path, wanted: BaseConfig) -> dict[str, str]:
    """Return what makes the run in `folder` another one than `wanted`: option to both values.

    A run that is not finished is judged as `train.py` does before it resumes. Of a finished run two
    more differences do not count. `train.init` may lie elsewhere, together with all runs. And the
    options of the section test decide nothing unless several validations chose the best checkpoint.

    Returns:
        As `utils.config.base.differences`; empty where nothing has been trained yet.
    """
    before = saved_settings(folder)
    if before is None:
        return {}
    found = differences_of_run(wanted, before)
    found.pop("model.num_classes", None)  # training takes it from the annotation
    if not has_results(folder):
        return found
    if _init_place(before) == _init_place(wanted.to_dict()):
        found.pop("train.init", None)
    if _section(before, "train").get("validate_every") == 0:
        found = {name: text for name, text in found.items() if not name.startswith("test.")}
    return found


def _init_place(values: Mapping[str, Any]) -> Path:
    """Return `train.init`, relative to the folder of all runs where it lies in there."""
    train = _section(values, "train")
    init, output = Path(train.get("init", "")), Path(train.get("output", ""))
    return init.relative_to(output) if init.is_relative_to(output) else init


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def words_for_test(wanted: BaseConfig, folder: Path) -> dict[str, str]:
    """Return, by option, the values that `test.py` must be told: the checkpoint may have others.

    These are the options that differ from the finished run in `folder`, and all with which a run
    may be continued: its best checkpoint may be from before it was.
    """
    changed = differences(wanted, saved_settings(folder) or {})
    values, words = wanted.values(), {}
    for option in options_of(type(wanted)).values():
        always = option.may_change and not option.may_differ
        if option.section in TESTED and (always or option.full_name in changed):
            words[option.full_name] = _word(values[option.section][option.name])
    return words


def _word(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def other_test(
    figures: Any, wanted: BaseConfig, checkpoints: Sequence[Path], fusion: str
) -> dict[str, str]:
    """Return what makes a test another one than it would be now: option to both values.

    Args:
        figures: The content of its `metrics.json`.
        wanted: Its settings now, in the sections data and test.
        checkpoints: Those that it would be of, compared by their content.
        fusion: How they would be fused; empty: there is one.

    Returns:
        As `utils.config.base.differences`; options count that say more than how processes work.
    """
    options = figures.get("options") if isinstance(figures, dict) else None
    if not isinstance(options, dict):
        return {"its options": "are not recorded"}
    before = wanted.to_dict() | {section: options.get(section, {}) for section in TESTED}
    may_differ = names_of(type(wanted), lambda option: option.may_differ)
    found = {n: text for n, text in differences(wanted, before).items() if n not in may_differ}
    kind = {"kind": fusion, "weights": [1.0] * len(checkpoints)} if fusion else None
    if figures.get("fusion") != kind:
        found["fusion"] = f"was {shown(figures.get('fusion'))}, is {shown(kind)}"
    missing = [str(path) for path in checkpoints if not path.is_file()]
    if missing:
        found["checkpoints"] = f"{', '.join(missing)} not there"
    elif figures.get("checkpoints_sha256") != [file_digest(path) for path in checkpoints]:
        found["checkpoints"] = f"{', '.join(map(str, checkpoints))} replaced since"
    return found


def told(differing: Mapping[str, str]) -> str:
    """Return differences as text for a message, the first five in full."""
    lines = [f"{name} {text}" for name, text in differing.items()]
    more = f" (and {len(lines) - 5} more)" if len(lines) > 5 else ""
    return "; ".join(lines[:5]) + more
