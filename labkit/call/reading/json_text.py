"""JSON of which nothing is lost: numbers remember their characters until it is known what they are for."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["EXACT", "Exact", "Plain", "number_from", "plain"]

# int() refuses longer ones, so that hostile digits do not cost time that grows with their square.
_MOST_DIGITS = 4_000


class Exact(float):
    """A number with the characters it was written in: 1.10 is "1.10" to a text, and so is 1E5 "1E5"."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Exact:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Exact, (self.text,)


class Plain(str):
    """A text that is no JSON string: prose, a refusal, a lone label or number."""

    __slots__ = ()


def number_from(text: str) -> int | float:
    """Give the number that JSON writes as *text*; an int where that has the same characters."""
    digits = text.removeprefix("-")
    if digits.isdigit() and text != "-0" and len(digits) <= _MOST_DIGITS:
        return int(text)
    return Exact(text)


def _constant(text: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[text]


# An int has its own characters; one of too many digits is a ValueError here, and read leniently as an Exact.
EXACT = json.JSONDecoder(parse_float=Exact, parse_constant=_constant)


def plain(value: Any) -> Any:
    """Give JSON data without what reading remembered of it."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Exact):
        return float(value)
    return str(value) if isinstance(value, Plain) else value
