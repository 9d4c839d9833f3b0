"""What a cache keeps, and what anything that keeps it must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

__all__ = ["CacheEntry", "CacheStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A kept answer: *value* is JSON data, by field name, that reads back as the very value that passed
    schema, guards and rules; *stored_at* is Unix time in seconds."""

    value: Any
    stored_at: float


@runtime_checkable
class CacheStore(Protocol):
    """Where answers are kept. A store that cannot answer logs a warning and misses; it never raises."""

    async def get(self, key: str) -> CacheEntry | None:
        """Give what is kept under *key*, however old."""
        ...

    async def put(self, key: str, entry: CacheEntry, keep_s: float) -> None:
        """Keep *entry* for *keep_s* seconds at least, ``math.inf`` for ever."""
        ...

    async def close(self) -> None:
        """Let go of files and connections; the next use opens them anew."""
        ...
