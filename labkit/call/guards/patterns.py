"""A regular expression that is compiled when it is first used, so that `import labkit` stays quick."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Pattern"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One regular expression of a guard.

    Guards read text that somebody else wrote, so a pattern must take time in proportion to the text, whatever stands
    in it. Two rules keep it so: a repetition without an upper bound is possessive, and what it may begin with cannot
    stand before it (a lookbehind, or a literal that the repetition excludes), so that no run of characters is read
    from every one of its places. ``tests/call/test_guards_linear.py`` counts the steps of each.
    """

    source: str
    flags: int = 0

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return _compiled(self.source, self.flags).finditer(text)

    def search(self, text: str) -> re.Match[str] | None:
        return _compiled(self.source, self.flags).search(text)

    def match(self, text: str, start: int = 0) -> re.Match[str] | None:
        return _compiled(self.source, self.flags).match(text, start)


@functools.lru_cache(maxsize=256)
def _compiled(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags)
