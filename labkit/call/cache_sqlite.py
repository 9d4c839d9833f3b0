"""Kept answers in one SQLite file, or in this process's memory."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time

from labkit.call.cache_entry import CacheEntry

__all__ = ["SqliteCacheStore"]

log = logging.getLogger("labkit.cache")

# A file that another process has locked is a miss; waiting for it would hold up every call on the loop.
_LOCK_WAIT_S = 0.02
_SWEEP_EVERY = 256


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
        self._puts = 0

    async def get(self, key: str) -> CacheEntry | None:
        try:
            with self._lock:
                row = self._open().execute("SELECT value, stored_at FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else CacheEntry(value=json.loads(row[0]), stored_at=row[1])
        except (sqlite3.Error, OSError, ValueError) as error:
            log.warning("cache %s: reading failed, taken as a miss: %s", self._path, error)
            return None

    async def put(self, key: str, entry: CacheEntry, keep_s: float) -> None:
        try:
            with self._lock:
                db = self._open()
                db.execute(
                    "INSERT OR REPLACE INTO answers (key, value, stored_at, keep_until) VALUES (?, ?, ?, ?)",
                    (key, json.dumps(entry.value), entry.stored_at, entry.stored_at + keep_s),
                )
                self._puts += 1
                if self._puts % _SWEEP_EVERY == 0:
                    db.execute("DELETE FROM answers WHERE keep_until < ?", (time.time(),))
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
            db = sqlite3.connect(self._path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(key TEXT PRIMARY KEY, value TEXT NOT NULL, stored_at REAL NOT NULL, keep_until REAL NOT NULL)"
            )
            self._db = db
        return self._db
