"""Many things in handfuls: what databases and files take at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["batches"]

T = TypeVar("T")

# The least that both databases' limits on the parameters of a statement allow with room.
_SIZE = 500


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Give *items* in lists of at most 500."""
    rest = iter(items)
    while batch := list(islice(rest, _SIZE)):
        yield batch
