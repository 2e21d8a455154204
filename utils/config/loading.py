"""From YAML files and `key=value` overrides to a checked configuration.

A file holds options by section. Two optional lines stand at its top. `detector: NAME` says which
detector the options are for; without it they are for STEP. `base: FILE` names another file, by a
path relative to this one; its values hold where this file sets none. Option names are unique across
sections, so an override may leave the section out: `train.epochs=3` and `epochs=3` are the same.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from external.files import parse_yaml, read_text, real_path
from utils.config.base import DEFAULT_DETECTOR, BaseConfig, options_of, sections_of
from utils.config.options import LONGEST_TEXT, Option, coerce, type_name
from utils.formats.schema import shown

C = TypeVar("C", bound=BaseConfig)

WHAT = "configuration file"
LARGEST_FILE = 1 << 18
"""Bytes of a configuration file; ours have one or two thousand."""

Values = dict[str, dict[str, Any]]
"""Values by section and option."""


class ConfigFile(NamedTuple):
    """A file as it was read: the entries at its top, and its sections, not checked yet."""

    path: Path
    detector: str | None
    base: Path | None
    sections: Any


def load(
    kinds: Mapping[str, type[C]],
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    base: C | None = None,
) -> C:
    """Read a YAML file and apply `key=value` overrides to the defaults, or to `base`.

    Args:
        kinds: The class of settings of each detector, by the detector's name.
        path: The file; without one there are overrides only.
        overrides: `key=value` texts, the last of a key wins.
        base: Settings that hold where neither file nor override sets a value, such as those of a
            checkpoint.

    Raises:
        ValueError: Naming the file (or the override) and the key, for an unknown key, with the
            nearest known one, and for a value of the wrong type or out of range.
    """
    files = [] if path is None else read_files(new_place(Path(path)))
    config = _pick(kinds, files, base)
    values: Values = {name: {} for name in sections_of(config)}
    if base is not None:
        values = base.values()
    for file in files:
        _merge_file(config, values, file)
    for override in overrides:
        try:
            _merge_override(config, values, override)
        except ValueError as error:
            raise ValueError(f"{error}{_of_others(kinds, config, override)}") from None
    resolved = from_dict(config, values, source=str(path or "the configuration"))
    if not resolved.train.name and path is not None:
        resolved.train.name = Path(path).stem
    return resolved


def from_dict(config: type[C], values: Mapping[str, Mapping[Any, Any]], source: str) -> C:
    """Build a configuration from values by section; every key and value is checked.

    Args:
        config: The class to build.
        values: Sections, of which those that are missing keep their defaults.
        source: Where the values come from, for errors.

    Raises:
        ValueError: Naming `source` and the option.
    """
    built = {}
    for section, cls in sections_of(config).items():
        options = values.get(section, {})
        known = {key: _known(config, key, section, source) for key in options}
        built[section] = cls(
            **{
                key: known[key].checked(value, f"{source}: {section}.{key}")
                for key, value in options.items()
            }
        )
    try:
        return config(**built)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def kind_of(kinds: Mapping[str, type[C]], name: object, where: str | Path) -> type[C]:
    """Return the class of the detector `name`; `None` is STEP, which files did not have to name.

    Raises:
        ValueError: Naming `where` for a detector that is none of `kinds`.
    """
    name = DEFAULT_DETECTOR if name is None else name
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(
            f"{where}: unknown detector {shown(name)}{_closest(shown(name), list(kinds))}"
        )
    return kinds[name]


def detector_of(kinds: Mapping[str, type[C]], path: Path) -> type[C]:
    """Return the class of settings of the detector that the file `path` is for.

    Raises:
        ValueError: Naming the file for one that cannot be read, or an unknown detector.
    """
    return _pick(kinds, read_files(new_place(path)), None)


def read_files(path: Path) -> list[ConfigFile]:
    """Return the file `path` and those that it is based on, the first base first.

    Raises:
        ValueError: Naming the file for one that cannot be read or parsed, for a base that is
            missing and for files that are based on each other.
    """
    files = [_read(path)]
    while (base := files[0].base) is not None:
        if real_path(base) in [real_path(file.path) for file in files]:
            way = " -> ".join(str(file.path) for file in reversed(files))
            raise ValueError(f"{files[0].path}: base: leads back to {base} ({way})")
        try:
            files.insert(0, _read(base))
        except ValueError as error:
            raise ValueError(f"{files[0].path}: base: {error}") from None
    return files


def _read(path: Path) -> ConfigFile:
    """Read one file; its sections are not checked yet."""
    content = parse_yaml(read_text(path, WHAT, LARGEST_FILE), path, WHAT)
    if not isinstance(content, dict):
        return ConfigFile(path, None, None, content)
    detector, base = content.pop("detector", None), content.pop("base", None)
    if base is not None:
        base = path.parent / _text(base, f"{path}: base")
    if detector is not None:
        detector = _text(detector, f"{path}: detector")
    return ConfigFile(path, detector, base, content)


def _text(value: Any, where: str) -> str:
    """Return `value` if it is text and not empty."""
    text: str = coerce(value, str, where)
    if not text:
        raise ValueError(f"{where}: expected a name, got nothing")
    return text


def _pick(kinds: Mapping[str, type[C]], files: Sequence[ConfigFile], base: C | None) -> type[C]:
    """Return the class of the settings: of the last file that names a detector, else of `base`."""
    named = next((file for file in reversed(files) if file.detector is not None), None)
    config = None if named is None else kind_of(kinds, named.detector, named.path)
    if base is None:
        return kind_of(kinds, None, "the configuration") if config is None else config
    if named is not None and config is not type(base):
        raise ValueError(
            f"{named.path}: detector: expected {type(base).detector}, got {named.detector}"
        )
    return type(base)


@cache
def new_place(path: Path) -> Path:
    """Return the new path of a configuration that has moved within `configs/`; others unchanged."""
    if path.parent.name != "configs" or path.exists():
        return path
    found = sorted(path.parent.glob(f"*/{path.name}"))
    if len(found) != 1:
        return path
    if os.environ.get("RANK", "0") == "0":  # the first process of several says it for all
        print(f"{path} is now {found[0]}", file=sys.stderr)
    return found[0]


def _merge_file(config: type[BaseConfig], values: Values, file: ConfigFile) -> None:
    """Set the values that a file has, naming the file in every error."""
    if file.sections is None:
        return
    if not isinstance(file.sections, dict):
        raise ValueError(
            f"{file.path}: expected sections {', '.join(values)}, got {shown(file.sections)}"
        )
    for section, options in file.sections.items():
        if not isinstance(section, str) or section not in values:
            hint = _closest(shown(section), list(values))
            raise ValueError(f"{file.path}: unknown section {shown(section)}{hint}")
        if options is None:
            continue
        if not isinstance(options, dict):
            raise ValueError(
                f"{file.path}: section {section} must hold options, got {shown(options)}"
            )
        for key, value in options.items():
            option = _known(config, key, section, str(file.path))
            where = f"{file.path}: {option.full_name}"
            values[section][option.name] = option.checked(value, where)


def _merge_override(config: type[BaseConfig], values: Values, override: str) -> None:
    """Set the value of a `key=value`."""
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"expected key=value, got {shown(override)}")
    section, dot, name = key.rpartition(".")
    if dot and section not in values:
        raise ValueError(
            f"{shown(override)}: unknown section {shown(section)}{_closest(section, list(values))}"
        )
    option = _known(config, name, section, shown(override))
    values[option.section][option.name] = option.checked(_parsed(option, text), option.full_name)


def _parsed(option: Option, text: str) -> Any:
    """Return the text of an override as YAML reads it; text options take it as it is."""
    if option.hint is str:
        return text
    expected = type_name(option.hint)
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{option.full_name}: expected {expected}, got {shown(text)}")
    return parse_yaml(text, f"{option.full_name}={shown(text)}", f"value for {expected}")


def _known(config: type[BaseConfig], key: Any, section: str, source: str) -> Option:
    """Return the option `key` (of `section`, where one is given); else an error."""
    option = options_of(config).get(key) if isinstance(key, str) else None
    if option is not None and section in ("", option.section):
        return option
    name = shown(key).strip("'")
    prefix = f"{section}." if section else ""
    raise ValueError(f"{source}: unknown option {prefix}{name}; {meant_option(config, name)}")


def _of_others(kinds: Mapping[str, type[BaseConfig]], config: type[BaseConfig], text: str) -> str:
    """Return which other detectors have the option of the override `text`, which `config` lacks."""
    key = text.partition("=")[0].rpartition(".")[2]
    others = [name for name, kind in kinds.items() if key in options_of(kind)]
    if key in options_of(config) or not others:
        return ""
    return f" (an option of {', '.join(others)}; the configuration is for {config.detector})"


def meant_option(config: type[BaseConfig], key: str) -> str:
    """Return a line about what somebody may have meant by `key`, which is no option."""
    if key.lower() in config.meant:
        return config.meant[key.lower()]
    options = options_of(config)
    found = difflib.get_close_matches(key, list(options), n=1, cutoff=0.5)
    if not found:
        return "--help lists all options"
    return f"did you mean {options[found[0]].full_name}?"


def _closest(word: str, known: list[str]) -> str:
    found = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.0)
    return f"; did you mean {found[0]}?" if found else ""
