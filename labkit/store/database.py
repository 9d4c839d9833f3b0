"""Opening a store: what a file is before anything is written to it, pragmas, and errors that say what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from labkit.errors import MissingDependency, StoreError
from labkit.store import schema
from labkit.store.migrations import MIGRATIONS

__all__ = ["default_url", "open_engine"]


def default_url() -> str:
    """LABKIT_STORE, or ``labkit.db`` in the working directory."""
    return os.environ.get("LABKIT_STORE") or "sqlite:///labkit.db"


def open_engine(url: str | None = None) -> sa.Engine:
    """Open the store at *url*, making its tables where there are none and bringing older ones up to date.

    Args:
        url: ``sqlite:///runs.db`` or ``postgresql://user@host/name``; None: what LABKIT_STORE says, else
            ``labkit.db`` here.

    Raises:
        StoreError: Not a URL, not a database, damaged, not labkit's, or made by a later labkit; it is left as it is.
        MissingDependency: The database's driver is not installed.
    """
    url = url or default_url()
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":  # SQLAlchemy would take psycopg2, which the extra does not bring
            parsed = parsed.set(drivername="postgresql+psycopg")
        # a server may have dropped a connection since it was last used: that is found out before it matters
        engine = sa.create_engine(parsed, pool_pre_ping=parsed.get_backend_name() == "postgresql")
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is not a store: write a URL such as sqlite:///runs.db") from error
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "a driver", extra="postgres", purpose=f"the store {url!r}") from error
    shown = parsed.render_as_string(hide_password=True)
    sa.event.listen(engine, "handle_error", _Translate(shown))
    try:
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _set_pragmas)
            sa.event.listen(engine, "begin", _begin_immediate)
            if parsed.database in (None, "", ":memory:"):
                raise StoreError(f"{shown} is in memory, where each thread would have its own: give a file")
            _look_before_touching(Path(parsed.database), shown)
        _prepare(engine, shown)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _look_before_touching(path: Path, shown: str) -> None:
    """Read what *path* is. The pragmas would write to it, were it another program's."""
    if not path.is_file() or not path.stat().st_size:
        return
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            _refuse_strangers(tables, shown)
            found = db.execute(f"SELECT version FROM {schema.versions.name}").fetchone() if tables else None
            _refuse_newer(found and found[0], shown)
            pages, page_bytes = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    except sqlite3.DatabaseError as error:
        raise StoreError(_unusable(shown, error)) from error
    in_wal = path.with_name(path.name + "-wal")
    held = path.stat().st_size + (in_wal.stat().st_size if in_wal.is_file() else 0)
    if pages * page_bytes > held:
        raise StoreError(
            f"{shown} is damaged: it should have {pages * page_bytes:,} bytes and has {held:,}. "
            "Restore it from a copy, or give another file."
        )


def _prepare(engine: sa.Engine, shown: str) -> None:
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        _refuse_strangers(tables, shown)
        found = connection.execute(sa.select(schema.versions.c.version)).scalar() if tables else None
    _refuse_newer(found, shown)
    if found == schema.VERSION:
        return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7061726)"))  # SQLite is locked by its "begin"
        schema.versions.create(connection, checkfirst=True)
        version = connection.execute(sa.select(schema.versions.c.version)).scalar()  # another may have been quicker
        for step in range(version, schema.VERSION) if version is not None else ():
            MIGRATIONS[step](connection)
        schema.metadata.create_all(connection)
        if version is None:
            connection.execute(schema.versions.insert().values(version=schema.VERSION))
        else:
            connection.execute(schema.versions.update().values(version=schema.VERSION))


def _refuse_strangers(tables: set[str], shown: str) -> None:
    if tables and schema.versions.name not in tables:
        raise StoreError(
            f"{shown} holds another program's tables ({', '.join(sorted(tables)[:3])}): give a store of labkit's own"
        )


def _refuse_newer(found: int | None, shown: str) -> None:
    if found is not None and found > schema.VERSION:
        raise StoreError(
            f"{shown} has version {found}, this labkit writes version {schema.VERSION}: "
            "upgrade labkit, or give another store"
        )


class _Translate:
    """Makes of a driver's error one of ours; a broken constraint stays what it is, its cause is known to the caller."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __call__(self, context: Any) -> StoreError | None:
        if isinstance(context.sqlalchemy_exception, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            return None
        return StoreError(_unusable(self._shown, context.original_exception))


def _unusable(shown: str, error: BaseException) -> str:
    said = " ".join(str(error).split())
    if "locked" in said:
        return f"{shown} was locked by another process for 10 s: end it, or use PostgreSQL for several writers"
    return f"{shown} cannot be used as a store: {said}. Check the address, or give another."


def _set_pragmas(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions by itself: "begin" below does
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that reads first cannot wait for the writer's lock: it fails at once with "locked".
    if connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
