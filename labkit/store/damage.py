"""What cannot be read in a store: named by its run and row, never a decoder's error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from labkit.errors import StoreError

__all__ = ["UNREADABLE", "Damaged", "damage", "data"]

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading something damaged may raise; pydantic's and the JSON decoder's errors are ValueErrors."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """What stands where JSON should."""

    why: str


def data(text: Any) -> Any:
    """Read a column of JSON; what is none becomes ``Damaged``, for the column alone does not know its row."""
    try:
        return json.loads(text)
    except UNREADABLE as error:
        return Damaged(f"{type(error).__name__}: {error}")


def damage(run_id: str, what: str, why: BaseException | str, *, where: str = "the store") -> StoreError:
    """Give the error for what cannot be read.

    Args:
        what: The part, as a noun phrase.
        where: The store's address.
    """
    said = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    said = " ".join(said.split())[:200]
    return StoreError(f"{where}: run {run_id!r}, {what}: damaged ({said}). Restore the store from a copy.")
