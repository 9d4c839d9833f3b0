"""Which number a text means: "4", "$1,200.50", "12 %", "1/5"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["NumberRead", "number_in"]

_PLAIN = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_FRACTION = re.compile(r"([-+]?\d{1,9})\s*/\s*(\d{1,9})")
_WITHIN = re.compile(r"(?<![\w.])[-+]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?(?![\w]|\.\d)")
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRead:
    """A number, what had to be done to get it, and whether another reader might see another number there."""

    value: int | float
    kind: str
    cost: float
    is_sure: bool


def number_in(text: str) -> NumberRead | None:
    """Read the one number that *text* is, or holds among other words; None where there is none, or several."""
    if len(text) > _MOST_CHARS:
        return None
    said = text.strip().strip("\"'`*").strip()
    if _PLAIN.fullmatch(said):
        return _read(said, "number", 1.0, is_sure=True)
    bare = said.strip("$€£¥").strip()
    bare = re.sub(r"^([-+])[$€£¥]", r"\1", bare)
    bare = re.sub(r"\s*(?:USD|EUR|GBP|JPY)$", "", bare)
    if _PLAIN.fullmatch(bare):
        return _read(bare, "currency", 2.0, is_sure=True)
    if _GROUPED.fullmatch(bare):
        return _read(bare.replace(",", ""), "separators", 2.0, is_sure=False)
    if bare.endswith("%"):
        inner = bare[:-1].strip().replace(",", "")
        return _read(inner, "percent", 3.0, is_sure=False) if _PLAIN.fullmatch(inner) else None
    fraction = _FRACTION.fullmatch(bare)
    if fraction is not None:
        over = int(fraction[2])
        if over == 0:
            return None
        return NumberRead(value=int(fraction[1]) / over, kind="fraction", cost=3.0, is_sure=False)
    found = _WITHIN.findall(said)
    only = number_in(found[0]) if len(found) == 1 and found[0] != said else None
    return None if only is None else NumberRead(value=only.value, kind="words", cost=5.0, is_sure=False)


def _read(digits: str, kind: str, cost: float, *, is_sure: bool) -> NumberRead | None:
    is_whole = re.fullmatch(r"[-+]?\d+", digits) is not None
    value = int(digits) if is_whole else float(digits)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return NumberRead(value=value, kind=kind, cost=cost, is_sure=is_sure)
