"""How much a rendering may take. A thread cannot be ended from outside, so it ends by itself, and nothing it does is
large: each single operation is bounded by the weight of what it works on, and between two the clock is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup

from labkit.call.templates.data import Fields, Items, Member, Secret, Text

__all__ = ["MAX_CHARS", "MAX_STEPS", "Budget", "TooMuch", "TookTooLong", "fits", "weight_of"]

MAX_CHARS = 5_000_000
"""Most characters of a message, and of any text on the way to it."""
MAX_STEPS = 1_000_000
"""Most steps of a rendering: about a second."""
MAX_DEPTH = 100
"""Most macros, or levels of a recursive loop, within each other."""

_MAX_SECONDS = 5.0  # where no deadline says less
_ITEM_WEIGHT = 50  # an item costs as much time as so many characters
_WEIGHT_A_STEP = 100
_SMALL = frozenset({int, float, bool, type(None)})
_TEXTS = frozenset({str, Markup, Member, bytes})
_DATA = (Decimal, date, time, timedelta, Secret, Undefined, complex, str, bytes, int, float)


class TooMuch(Exception):
    """A rendering would pass a bound, whoever waits for it."""


class TookTooLong(Exception):
    """A rendering has used up its steps or its time."""


class Budget:
    """What one rendering has left.

    Args:
        steps: One for each turn of a loop and each operation, more for a heavy one.
        seconds: Wall time.
    """

    __slots__ = ("_left", "_until", "depth")

    def __init__(self, *, steps: int = MAX_STEPS, seconds: float = _MAX_SECONDS) -> None:
        self._left = steps
        self._until = monotonic() + seconds
        self.depth = 0

    def spend(self, steps: int = 1) -> None:
        """Count what is about to be done.

        Raises:
            TookTooLong: There is not so much left.
        """
        self._left -= steps
        if self._left < 0 or monotonic() > self._until:
            raise TookTooLong(f"it goes on for too long, over {MAX_STEPS:,} steps or its time: loop over less")

    def spend_on(self, *values: Any) -> int:
        """Count an operation on *values*; give their weight.

        Raises:
            TooMuch: They are too heavy for one operation.
            TookTooLong: There is not so much left.
            TypeError: One of them is no data.
        """
        weight = 0
        for value in values:
            weight += len(value) if type(value) is str else weight_of(value)
        self.spend(1 + weight // _WEIGHT_A_STEP)
        return weight

    def stop(self) -> None:
        """End the rendering, from another thread: nobody waits for it any more."""
        self._until = -math.inf


def fits(chars: int) -> None:
    """Refuse a text of more than ``MAX_CHARS`` before it is made.

    Raises:
        TooMuch: It would be longer.
    """
    if chars > MAX_CHARS:
        raise TooMuch(f"a text of over {MAX_CHARS:,} characters is more than a prompt may hold")


def weight_of(value: Any) -> int:
    """Say how heavy *value* is: its characters, and fifty for each item, wherever it is nested and as often as it is.

    Lists within lists within lists are small in memory and endless when they are written out or compared.

    Raises:
        TooMuch: It is heavier than ``MAX_CHARS``.
        TypeError: It, or something in it, is no data.
    """
    total = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind in _TEXTS:
            total += len(item)
        elif kind in _SMALL:
            total += 8
        else:
            total += _weight_of_container(item, waiting, MAX_CHARS - total)
        if total > MAX_CHARS:
            raise TooMuch(
                f"a value of over {MAX_CHARS // _ITEM_WEIGHT:,} items or {MAX_CHARS:,} characters is too large for one "
                "operation of a template: let the source give less"
            )
    if isinstance(value, (Fields, Items)):
        value.weight = total  # it is looked at once however often a loop uses it
    return total


def _weight_of_container(item: Any, waiting: list[Any], room: int) -> int:
    """Give the weight of *item* without what it holds, which is added to *waiting* where there is room for it."""
    if isinstance(item, (Fields, Items)):
        if item.weight is not None:
            return item.weight
        parts: Any = item.values() if isinstance(item, Fields) else item
    elif isinstance(item, Mapping):
        parts = [*item.keys(), *item.values()] if len(item) * _ITEM_WEIGHT <= room else ()
    elif isinstance(item, (Sequence, set, frozenset)) and not isinstance(item, range):
        parts = item
    elif isinstance(item, (range, Text)):
        return _ITEM_WEIGHT * (len(item) if isinstance(item, range) else 1)
    elif isinstance(item, _DATA):
        return _ITEM_WEIGHT
    else:
        raise TypeError(f"a {type(item).__name__} is no data: a template can call it, and do nothing else with it")
    weight = _ITEM_WEIGHT * (1 + len(item))
    if weight <= room:
        waiting.extend(parts)
    return weight
