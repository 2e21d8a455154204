"""Opening and parsing a user's files, for rooms that may not reach into `external` themselves."""

from __future__ import annotations

from external.files import (
    check_regular,
    open_regular,
    parse_yaml,
    parsing,
    read_csv,
    read_json,
    read_table,
    read_text,
    read_yaml,
)

__all__ = [
    "check_regular",
    "open_regular",
    "parse_yaml",
    "parsing",
    "read_csv",
    "read_json",
    "read_table",
    "read_text",
    "read_yaml",
]
