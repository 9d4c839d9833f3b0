"""Which number a text means: "4", "$1,200.50", "12 %", "1/5"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["NumberRead", "number_in"]

_PLAIN = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_THOUSAND = re.compile(r"[-+]?\d{1,3}\.\d{3}")
_FRACTION = re.compile(r"([-+]?\d{1,9})\s*/\s*(\d{1,9})")
_WITHIN = re.compile(r"(?<![\w.])[-+]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?(?![\w]|\.\d)")
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRead:
    """A number, what had to be done to get it, and its digits as they were written."""

    value: int | float
    digits: str
    kind: str
    cost: float


def number_in(text: str) -> NumberRead | None:
    """Read the one number that *text* is, or holds among other words; None where there is none, or several."""
    if len(text) > _MOST_CHARS:
        return None
    said = text.strip().strip("\"'`*").strip()
    if _PLAIN.fullmatch(said):
        return _read(said, "number", 1.0)
    bare = said.strip("$€£¥").strip()
    bare = re.sub(r"^([-+])[$€£¥]", r"\1", bare)
    bare = re.sub(r"\s*(?:USD|EUR|GBP|JPY)$", "", bare)
    if _PLAIN.fullmatch(bare):
        # what "€1.200" is depends on where it was written
        return _read(bare, "separators" if _THOUSAND.fullmatch(bare) else "currency", 2.0)
    if _GROUPED.fullmatch(bare):
        return _read(bare.replace(",", ""), "separators", 2.0)
    if bare.endswith("%"):
        inner = bare[:-1].strip().replace(",", "")
        return _read(inner, "percent", 3.0) if _PLAIN.fullmatch(inner) else None
    fraction = _FRACTION.fullmatch(bare)
    if fraction is not None:
        over = int(fraction[2])
        if over == 0:
            return None
        value = int(fraction[1]) / over
        return NumberRead(value=value, digits=str(value), kind="fraction", cost=3.0)
    found = _WITHIN.findall(said)
    only = number_in(found[0]) if len(found) == 1 and found[0] != said else None
    return None if only is None else NumberRead(value=only.value, digits=only.digits, kind="words", cost=5.0)


def _read(digits: str, kind: str, cost: float) -> NumberRead | None:
    is_whole = re.fullmatch(r"[-+]?\d+", digits) is not None
    value = int(digits) if is_whole else float(digits)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return NumberRead(value=value, digits=digits, kind=kind, cost=cost)
