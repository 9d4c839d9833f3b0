"""Call records in a store: the sink behind ``LABKIT_RECORDS=sqlite:///PATH``.

For a file the standard library does: a service that only makes calls installs nothing more. It writes the tables that
``labkit.store.schema`` describes, so that ``RunStore`` and it share a file.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labkit.call.record import CallRecord
from labkit.call.sinks import BatchSink
from labkit.call.sqlite_file import SqliteFile
from labkit.errors import MissingDependency, StoreError, StoreGone
from labkit.store.places import place_of
from labkit.store.version import TABLE, VERSION, refuse

__all__ = ["open_sink", "row_of"]

log = logging.getLogger("labkit.records")

_TABLES = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (version INTEGER NOT NULL, PRIMARY KEY (version))",
    "CREATE TABLE IF NOT EXISTS call_records (call_id VARCHAR NOT NULL, call VARCHAR NOT NULL, at VARCHAR NOT NULL, "
    "source VARCHAR NOT NULL, outcome VARCHAR NOT NULL, record JSON NOT NULL, PRIMARY KEY (call_id))",
    "CREATE INDEX IF NOT EXISTS ix_call_records_call ON call_records (call)",
    f"INSERT INTO {TABLE} SELECT {VERSION} WHERE NOT EXISTS (SELECT * FROM {TABLE})",
)


def open_sink(url: str) -> BatchSink:
    """Open the store at *url* as a sink of records.

    Raises:
        StoreError: The store cannot be opened.
        MissingDependency: It is in PostgreSQL, whose extra is not installed.
    """
    file = place_of(url).file
    if file is not None:
        return _InFile(file)
    try:
        from labkit.store.records_shared import InDatabase
    except MissingDependency as error:
        raise MissingDependency("SQLAlchemy", extra="postgres", purpose="call records in PostgreSQL") from error
    return InDatabase(url)


def row_of(record: CallRecord) -> dict[str, Any]:
    """Give the row of a record; its column ``record`` is JSON data."""
    return {
        "call_id": record.call_id,
        "call": record.call,
        "at": record.at,
        "source": record.source,
        "outcome": record.outcome,
        "record": record.data(),
    }


class _InFile:
    """Appends records to a SQLite file. Several processes, threads and stores of runs may share it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._inherited: list[sqlite3.Connection] = []
        self._db: sqlite3.Connection | None = self._open()

    def prepare(self, record: CallRecord) -> tuple[str, ...]:
        """Give the record's row."""
        row = row_of(record)
        return (*(row[name] for name in ("call_id", "call", "at", "source", "outcome")), json.dumps(row["record"]))

    def write(self, prepared: Sequence[tuple[str, ...]]) -> None:
        """Insert the rows in one transaction; in a new file where somebody took the old one away.

        Raises:
            StoreError: They could not be written.
        """
        with self._lock:
            if self._db is not None and self._pid != os.getpid():
                # SQLite's connections do not survive a fork, not even to be closed
                self._inherited.append(self._db)
                self._db = None
            try:
                self._insert(prepared)
            except StoreGone as gone:
                log.warning("%s; going on in a new file", gone)
                if self._db is not None:
                    self._db.close()
                    self._db = None
                self._file = SqliteFile(self._file.path, self._file.shown)
                self._insert(prepared)

    def _insert(self, rows: Sequence[tuple[str, ...]]) -> None:
        if self._db is None:
            self._db = self._open()
        try:
            self._file.check()
            with _transaction(self._db) as db:
                # OR IGNORE: what was written into a file that went away meanwhile is written again
                db.executemany("INSERT OR IGNORE INTO call_records VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._file.check()
        except sqlite3.Error as error:
            raise self._file.gone() or StoreError(self._file.unusable(error)) from error

    def _open(self) -> sqlite3.Connection:
        self._file.look(refuse(self._file.shown))
        self._pid = os.getpid()
        try:
            opened = self._file.connect_to_write(threads=True)
        except sqlite3.Error as error:
            raise StoreError(self._file.unusable(error)) from error
        try:
            with _transaction(opened) as db:
                for statement in _TABLES:
                    db.execute(statement)
        except sqlite3.Error as error:
            opened.close()
            raise StoreError(self._file.unusable(error)) from error
        return opened


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
