"""Validated answers kept for the next identical call, and for the day the model is down."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from labkit.errors import CallInvalid

__all__ = ["Cache", "CacheEntry", "CacheStore", "SqliteCacheStore"]

log = logging.getLogger("labkit.cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A kept answer: *value* is JSON data that passed schema, guards and rules; *stored_at* is Unix time in seconds."""

    value: Any
    stored_at: float


class CacheStore(Protocol):
    """Where answers are kept. A store that cannot answer logs a warning and misses; it never raises."""

    async def get(self, key: str) -> CacheEntry | None: ...

    async def put(self, key: str, entry: CacheEntry) -> None: ...

    async def close(self) -> None: ...


class SqliteCacheStore:
    """Answers in one SQLite file (WAL, JSON, never pickle), or in this process's memory.

    A read takes some 30 microseconds and a write 150, so both run on the loop: a thread would cost as much again.

    Args:
        path: A file, or ":memory:".
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    async def get(self, key: str) -> CacheEntry | None:
        try:
            with self._lock:
                row = self._open().execute("SELECT value, stored_at FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else CacheEntry(value=json.loads(row[0]), stored_at=row[1])
        except (sqlite3.Error, OSError, ValueError) as error:
            log.warning("cache %s: reading failed, taken as a miss: %s", self._path, error)
            return None

    async def put(self, key: str, entry: CacheEntry) -> None:
        try:
            with self._lock:
                self._open().execute(
                    "INSERT INTO answers (key, value, stored_at) VALUES (?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, stored_at = excluded.stored_at",
                    (key, json.dumps(entry.value), entry.stored_at),
                )
        except (sqlite3.Error, OSError) as error:
            log.warning("cache %s: writing failed, the answer is not kept: %s", self._path, error)

    async def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # autocommit: every statement is its own transaction; the lock lets threads share the connection
            db = sqlite3.connect(self._path, timeout=0.2, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(key TEXT PRIMARY KEY, value TEXT NOT NULL, stored_at REAL NOT NULL)"
            )
            self._db = db
        return self._db


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keep answers that passed every check.

    Args:
        ttl_s: How long an answer serves as if it were new.
        stale_for_s: How long after that it may still serve as the ``Stale`` fallback.
        path: A file that outlives the process; None keeps answers in memory, shared by all calls of the process.

    Raises:
        CallInvalid: A negative time.
    """

    ttl_s: float = 3600.0
    stale_for_s: float = 86_400.0
    path: str | None = None
    store: CacheStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.ttl_s < 0 or self.stale_for_s < 0:
            raise CallInvalid(f"Cache(ttl_s={self.ttl_s}, stale_for_s={self.stale_for_s}): times may not be negative")
        object.__setattr__(self, "store", _store_at(self.path or ":memory:"))

    async def fresh(self, key: str) -> CacheEntry | None:
        """Give the answer under *key* if it is younger than ``ttl_s``."""
        return await self._younger_than(key, self.ttl_s)

    async def stale(self, key: str) -> CacheEntry | None:
        """Give the answer under *key* if it is younger than ``ttl_s + stale_for_s``."""
        return await self._younger_than(key, self.ttl_s + self.stale_for_s)

    async def keep(self, key: str, value: Any) -> None:
        """Keep *value*, JSON data, under *key* from now on."""
        await self.store.put(key, CacheEntry(value=value, stored_at=time.time()))

    async def _younger_than(self, key: str, age_s: float) -> CacheEntry | None:
        entry = await self.store.get(key)
        return entry if entry is not None and time.time() - entry.stored_at < age_s else None


_stores: dict[str, CacheStore] = {}
_stores_lock = threading.Lock()


def _store_at(path: str) -> CacheStore:
    with _stores_lock:
        return _stores.setdefault(path, SqliteCacheStore(path))
