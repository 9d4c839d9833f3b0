"""Whether a text says anything."""

from __future__ import annotations

import unicodedata

__all__ = ["is_blank"]

_LONGEST = 100  # nobody sends more blanks than this by mistake, and each is looked at


def is_blank(text: str) -> bool:
    """Whether *text* is nothing but blanks and characters that nobody sees."""
    return len(text) < _LONGEST and all(each.isspace() or unicodedata.category(each) == "Cf" for each in text)
