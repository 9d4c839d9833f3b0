"""Kept answers in one SQLite file, or in this process's memory."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time

from labkit.call.cache_entry import CacheEntry
from labkit.call.sqlite_file import SqliteFile, file_named, strangers
from labkit.errors import CallInvalid, LabkitError, StoreError

__all__ = ["SqliteCacheStore"]

log = logging.getLogger("labkit.cache")

# A file that another process has locked is a miss; waiting for it would hold up every call on the loop.
_LOCK_WAIT_S = 0.02
_SWEEP_EVERY = 256

_COLUMNS = ("key", "value", "stored_at", "keep_until")


class SqliteCacheStore:
    """Answers in one SQLite file (WAL, JSON, never pickle), or in this process's memory.

    A read takes some 30 microseconds and a write 150, so both run on the loop: a thread would cost as much again.

    Args:
        path: A file, its SQLite URL, or ":memory:".

    Raises:
        CallInvalid: The file holds something else; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: SqliteFile | None = None
        self.place = ":memory:"
        if path != ":memory:":
            try:
                named = file_named(path)
            except StoreError as error:
                raise CallInvalid(f"Cache(path={path!r}): {error}") from error
            self._file = SqliteFile(named, f"Cache(path={os.fspath(path)!r})")
            self.place = str(self._file.path)
            # a cache that is damaged, or not reached at the moment, is no reason for a service not to start
            with contextlib.suppress(StoreError):
                _refuse_others(self._file)
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._puts = 0

    async def get(self, key: str) -> CacheEntry | None:
        try:
            with self._lock:
                row = self._open().execute("SELECT value, stored_at FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else CacheEntry(value=json.loads(row[0]), stored_at=row[1])
        except (sqlite3.Error, OSError, ValueError, LabkitError) as error:
            log.warning("cache %s: reading failed, taken as a miss: %s", self.place, error)
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
        except (sqlite3.Error, OSError, LabkitError) as error:
            log.warning("cache %s: writing failed, the answer is not kept: %s", self.place, error)

    async def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is not None and self._file is not None and (gone := self._file.gone()) is not None:
            log.warning("%s; going on in a new file", gone)
            self._db.close()
            self._db = None
            self._file = SqliteFile(self._file.path, self._file.shown)
        if self._db is None:
            # autocommit: every statement is its own transaction; the lock lets threads share the connection
            if self._file is None:
                db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            else:
                _refuse_others(self._file)  # again: it may have come since
                db = self._file.connect_to_write(threads=True, wait_s=_LOCK_WAIT_S)
            db.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(key TEXT PRIMARY KEY, value TEXT NOT NULL, stored_at REAL NOT NULL, keep_until REAL NOT NULL)"
            )
            self._db = db
        return self._db


def _refuse_others(file: SqliteFile) -> None:
    """Refuse a file that is not a cache, before a table and a log are added to it.

    Raises:
        CallInvalid: It holds something else.
        StoreError: It cannot be told.
    """

    def refuse(db: sqlite3.Connection, tables: set[str]) -> None:
        if not tables:
            return
        if "labkit_version" in tables:
            raise CallInvalid(f"{file.shown} is a store of runs or call records: give the cache a file of its own")
        columns = tuple(name for _, name, *_ in db.execute("PRAGMA table_info(answers)"))
        if tables != {"answers"} or columns != _COLUMNS:
            raise CallInvalid(str(strangers(file.shown, tables)))

    try:
        file.look(refuse, wait_s=_LOCK_WAIT_S)
    except StoreError as error:
        if getattr(error.__cause__, "sqlite_errorname", "") == "SQLITE_NOTADB" or file.path.is_dir():
            raise CallInvalid(str(error)) from error
        raise
