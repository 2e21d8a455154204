"""Every option of a configuration in words, for `--help`."""

from __future__ import annotations

from collections.abc import Collection

import yaml

from utils.config.base import BaseConfig, options_of, sections_of
from utils.config.options import Option, type_name


def describe(config: type[BaseConfig], only: Collection[str] = ()) -> str:
    """Return every option (of the sections `only`) with type, default and meaning."""
    lines = []
    for section, cls in sections_of(config).items():
        if only and section not in only:
            continue
        lines.append(f"\n{section}: {(cls.__doc__ or '').splitlines()[0]}")
        defaults = cls()
        for name, option in options_of(config).items():
            if option.section == section:
                lines += _described(option, getattr(defaults, name))
    return "\n".join(lines)


def _described(option: Option, default: object) -> list[str]:
    text = yaml.safe_dump(default, default_flow_style=True)
    text = text.removesuffix("\n").removesuffix("\n...")
    limits = f", {option.range}" if option.range else ""
    return [
        f"  {option.full_name}={text}  ({type_name(option.hint)}{limits})",
        f"      {option.help}",
    ]
