"""US social security numbers and passport numbers in text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["find_passports", "find_ssns"]

# 000, 666 and 9xx were never given out as areas, nor 00 and 0000 as what follows (SSA, 2011 randomization).
_PARTS = r"(?!000|666|9)\d{3}{0}(?!00)\d{2}{0}(?!0000)\d{4}(?![\w\-]|[.,]\d)"
_HYPHENED = Pattern(r"(?<![\w.\-])" + _PARTS.replace("{0}", "-"), re.ASCII)
_ANNOUNCED_SSN = Pattern(
    r"(?<![a-z])(?:ssn|social[ _\-]?security)(?![a-z])[^\d\n]{0,24}(" + _PARTS.replace("{0}", "[ -]?") + ")",
    re.ASCII | re.IGNORECASE,
)

# A passport number is six to nine digits, often with letters: only the word before it tells it from an order number.
_PASSPORT = Pattern(
    r"(?<![a-z])(?:passport|travel document|reisepass|passeport|pasaporte|passaporto|paspoort)(?![a-z])"
    r"[^\n]{0,32}?(?<![a-z0-9])([a-z]{0,2}\d{6,9}[a-z]?)(?![a-z0-9]|[.,\-/]\d)",
    re.ASCII | re.IGNORECASE,
)


def find_ssns(text: str) -> Iterator[tuple[int, int]]:
    """Places as [start, end): with hyphens anywhere, otherwise only after "SSN" or "social security"."""
    yield from (match.span() for match in _HYPHENED.finditer(text))
    yield from (match.span(1) for match in _ANNOUNCED_SSN.finditer(text))


def find_passports(text: str) -> Iterator[tuple[int, int]]:
    """Places as [start, end), only shortly after a word for passport (English, German, French, Spanish, ...)."""
    yield from (match.span(1) for match in _PASSPORT.finditer(text))
