"""Opening a store: pragmas, the version check, and errors that say which file and what to do."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from labkit.errors import MissingDependency, StoreError
from labkit.store import schema

__all__ = ["default_url", "open_engine"]


def default_url() -> str:
    """LABKIT_STORE, or ``labkit.db`` in the working directory."""
    return os.environ.get("LABKIT_STORE") or "sqlite:///labkit.db"


def open_engine(url: str | None = None) -> sa.Engine:
    """Open the store at *url*, making its tables where there are none.

    Args:
        url: An SQLAlchemy URL, "sqlite:///runs.db"; None: what LABKIT_STORE says, else ``labkit.db`` here.

    Raises:
        StoreError: Not a URL, not a database, not labkit's, or made by a later labkit; the file is left as it is.
        MissingDependency: The database's driver is not installed.
    """
    url = url or default_url()
    try:
        parsed = sa.make_url(url)
        engine = sa.create_engine(parsed)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is not a store: write a URL such as sqlite:///runs.db") from error
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "a driver", extra="postgres", purpose=f"the store {url!r}") from error
    shown = parsed.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin_immediate)
    try:
        _prepare(engine, shown)
    except sa.exc.DatabaseError as error:
        engine.dispose()
        raise StoreError(
            f"{shown} cannot be used as a store: {error.orig}. Check the path, or give another file."
        ) from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def _prepare(engine: sa.Engine, shown: str) -> None:
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if tables and schema.versions.name not in tables:
            raise StoreError(
                f"{shown} holds another program's tables ({', '.join(sorted(tables)[:3])}): give a file of labkit's own"
            )
        found = connection.execute(sa.select(schema.versions.c.version)).scalar() if tables else None
    if found == schema.VERSION:
        return
    if found is not None:
        raise StoreError(
            f"{shown} has version {found}, this labkit writes version {schema.VERSION}: "
            "upgrade labkit, or give another file"
        )
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        known = connection.execute(sa.select(schema.versions.c.version)).scalar()
        if known is None:  # two processes may make the same store at once
            connection.execute(schema.versions.insert().values(version=schema.VERSION))


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
    connection.exec_driver_sql("BEGIN IMMEDIATE")
