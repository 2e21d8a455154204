"""What every detector's configuration is: sections of declared options, checked, saved as YAML.

A detector declares its sections as dataclasses in a file of its own (`step.py` is STEP's), takes
over what it shares from `common.py`, and lists them in a subclass of `BaseConfig`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import yaml

from utils.config.common import MEANT, CommonData, CommonTest, CommonTrain
from utils.config.options import Option, check_range
from utils.system.outputs import write_whole

DEFAULT_DETECTOR = "step"
"""The detector of files and checkpoints that name none: they are from before there were others."""


class BaseConfig:
    """A resolved configuration: every option has a value. Subclasses are dataclasses of sections.

    Attributes:
        detector: The name in files.
        meant: For a word that is no option, what its user may mean.
    """

    detector: ClassVar[str] = DEFAULT_DETECTOR
    meant: ClassVar[Mapping[str, str]] = MEANT

    model: Any
    data: CommonData
    train: CommonTrain
    test: CommonTest

    def __post_init__(self) -> None:
        for name, option in options_of(type(self)).items():
            value = getattr(getattr(self, option.section), name)
            check_range(value, option.range, option.full_name)
        self.check()

    def check(self) -> None:
        """Raise `ValueError`, naming the options, for values that do not go together."""

    def values(self) -> dict[str, dict[str, Any]]:
        """Return the values by section and option, in the order of files."""
        values: dict[str, dict[str, Any]] = {name: {} for name in sections_of(type(self))}
        for name, option in options_of(type(self)).items():
            value = getattr(getattr(self, option.section), name)
            values[option.section][name] = list(value) if isinstance(value, list) else value
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in files: the `values`, and `detector` first where it is not STEP."""
        named = {} if self.detector == DEFAULT_DETECTOR else {"detector": self.detector}
        return {**named, **self.values()}

    def save(self, path: str | Path) -> None:
        """Write the resolved configuration as YAML that `load` reads back."""
        write_whole(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


def sections_of(config: type[BaseConfig]) -> dict[str, type]:
    """Return the sections by name, in the order of the class."""
    fields: Any = config  # mypy cannot know that every subclass is a dataclass
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(fields)}


def options_of(config: type[BaseConfig]) -> dict[str, Option]:
    """Return every option by its name, which is unique across sections."""
    key: Any = config  # mypy takes the class for its instances, which have no hash
    return _options(key)


@cache
def _options(config: Any) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for section, cls in sections_of(config).items():
        hints = typing.get_type_hints(cls)
        for field in _ordered(cls):
            assert field.name not in options, f"two options {field.name} in {config.__name__}"
            facts = {k: v for k, v in field.metadata.items() if k != "after"}
            options[field.name] = Option(section, field.name, hints[field.name], **facts)
    return options


def _ordered(section: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a section in the order of files: each in its place, see `option`."""
    ordered: list[dataclasses.Field[Any]] = []
    place = 0
    for field in dataclasses.fields(section):
        after = field.metadata["after"]
        if after is not None:
            place = [other.name for other in ordered].index(after) + 1 if after else 0
        ordered.insert(place, field)
        place += 1
    return ordered


def differences(config: BaseConfig, before: Mapping[str, Any]) -> dict[str, str]:
    """Return what makes `config` other settings than those of `before`: option to both values.

    An option that `before` lacks had its default: the code computed then what the default computes
    now. An option that only `before` has is a difference, because this code cannot do the same.

    Args:
        config: The settings now.
        before: What `to_dict` returned then, perhaps in another version of the code.

    Returns:
        For each option that differs, by its full name, a text such as "was 3, is 14". Of another
        detector's settings the detector alone, since its options are others.
    """
    detector = before.get("detector", DEFAULT_DETECTOR)
    if detector != config.detector:
        return {"detector": f"was {detector!r}, is {config.detector!r}"}
    now, then = _by_full_name(config.values()), _by_full_name(before)
    sections = sections_of(type(config)).items()
    was = _by_full_name({name: dataclasses.asdict(cls()) for name, cls in sections}) | then
    found: dict[str, str] = {}
    for name, value in was.items():
        if name not in now:
            found[name] = f"was {value!r}, is no option of this version"
        elif value != now[name]:
            note = "" if name in then else " (the default: there was no such option)"
            found[name] = f"was {value!r}{note}, is {now[name]!r}"
    return found


def differences_of_run(config: BaseConfig, before: Mapping[str, Any]) -> dict[str, str]:
    """As `differences`, without the options with which a run may be continued all the same."""
    may_change = names_of(type(config), lambda option: option.may_change)
    found = differences(config, before)
    return {name: values for name, values in found.items() if name not in may_change}


def _by_full_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of sections by `section.name`; what is no section is left out."""
    return {
        f"{section}.{name}": value
        for section, options in values.items()
        if isinstance(options, Mapping)
        for name, value in options.items()
    }


def names_of(config: type[BaseConfig], fact: Callable[[Option], bool]) -> set[str]:
    """Return the full names of the options of which `fact` holds."""
    return {option.full_name for option in options_of(config).values() if fact(option)}
