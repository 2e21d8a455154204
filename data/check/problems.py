"""What is wrong with a dataset, gathered by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Problems:
    """Errors, with which training or testing could not succeed; warnings; and likely causes.

    Attributes:
        errors, warnings: By kind, a line of text for each.
        causes: What would explain many of them.
    """

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = defaultdict(list)
        self.warnings: dict[str, list[str]] = defaultdict(list)
        self.causes: list[str] = []

    def error(self, kind: str, text: str) -> None:
        self.errors[kind].append(text)

    def warn(self, kind: str, text: str) -> None:
        self.warnings[kind].append(text)

    def cause(self, text: str) -> None:
        self.causes.append(text)

    def attempt(self, kind: str, parse: Callable[..., T], *arguments: object) -> T | None:
        """What `parse` returns; `None` where it raises `ValueError`, which becomes an error."""
        try:
            return parse(*arguments)
        except ValueError as error:
            self.error(kind, str(error))
            return None

    @property
    def error_count(self) -> int:
        return sum(map(len, self.errors.values()))

    @property
    def warning_count(self) -> int:
        return sum(map(len, self.warnings.values()))

    def lines(self, limit: int) -> list[str]:
        """Likely causes, errors, then warnings; of each kind `limit` lines at most."""
        lines = [f"likely cause: {cause}" for cause in self.causes]
        for level, kinds in (("error", self.errors), ("warning", self.warnings)):
            for kind, texts in kinds.items():
                lines.append(f"{level}: {kind}: {len(texts):,}")
                lines += [f"  {text}" for text in texts[:limit]]
                if len(texts) > limit:
                    lines.append(f"  ... and {len(texts) - limit:,} more (--limit)")
        return lines
