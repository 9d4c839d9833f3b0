"""Opening a store: its tables are made or brought up to date, or only read; errors say what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any

from labkit.addresses import harmless, masked
from labkit.call.sqlite_file import SqliteFile, strangers
from labkit.errors import MissingDependency, StoreError, StoreMissing
from labkit.store import schema
from labkit.store.damage import data
from labkit.store.migrations import MIGRATIONS
from labkit.store.places import SEARCHED, Place, place_of
from labkit.store.sql import sa
from labkit.store.version import VERSION, refuse, refuse_newer
from labkit.terminal import printable

__all__ = ["Database", "open_database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An open store.

    Args:
        shown: Its address for messages, without a password.
        file: Where it is SQLite.
    """

    engine: sa.Engine
    shown: str
    file: SqliteFile | None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a transaction; it is committed to the very file that was opened when this returns.

        Raises:
            StoreGone: The file was deleted or replaced.
            StoreError: It could not be written.
        """
        with self.engine.begin() as connection:
            yield connection
        if self.file is not None:
            self.file.check()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that reads as of one moment and holds nobody up."""
        if self.file is not None:
            self.file.check()
        with self.engine.connect().execution_options(reads=True) as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def open_database(given: str | PathLike[str] | None = None, *, reading: bool = False) -> Database:
    """Open a store, making its tables where there are none and bringing older ones up to date.

    Args:
        given: As ``labkit.store.places.place_of`` takes it.
        reading: Nothing is made and nothing written, so that it may stand on a read-only disk; only tables of an older
            labkit are brought up to date, where that is allowed.

    Raises:
        StoreMissing: Opened to read, and there is nothing.
        StoreError: Not an address, not a database, damaged, not labkit's, or made by a later labkit; it is left as it
            is.
        MissingDependency: SQLAlchemy or the database's driver is not installed.
    """
    place = place_of(given)
    opened = _connect(place, reading)
    try:
        if place.file is not None:
            place.file.look(refuse(place.file.shown))
        if not reading:
            is_new = place.is_default and place.file is not None and not place.file.is_there
            _prepare(opened)
            if is_new and place.file is not None:
                print(
                    printable(f"labkit: runs are kept in {place.file.path}"), file=sys.stderr
                )  # once: nobody chose the place
        elif not _is_current(opened, place):
            opened.close()
            open_database(given).close()
    except BaseException:
        opened.close()
        raise
    return opened


def _connect(place: Place, reading: bool) -> Database:
    file = place.file
    if file is not None:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(file.path)),
            creator=lambda: file.connect_to_read(threads=True) if reading else file.connect_to_write(threads=True),
            poolclass=sa.QueuePool,
            json_deserializer=data,
        )
        sa.event.listen(engine, "begin", _begin_immediate)
        shown = file.shown
    else:
        try:
            # the driver that the extra brings, whichever was named
            url = sa.make_url(place.url).set(drivername="postgresql+psycopg")
            # a server may have dropped a connection since it was last used: that is found out before it matters
            engine = sa.create_engine(url, pool_pre_ping=True, json_deserializer=data)
        except (sa.exc.ArgumentError, ValueError) as error:
            raise StoreError("the store's address cannot be read: write postgresql://user@host/name") from harmless(
                error
            )
        except ModuleNotFoundError as error:
            raise MissingDependency("psycopg", extra="postgres", purpose="a store in PostgreSQL") from error
        shown = masked(url.render_as_string(hide_password=True))
    sa.event.listen(engine, "handle_error", _Translate(shown, file))
    return Database(engine=engine, shown=shown, file=file)


def _is_current(opened: Database, place: Place) -> bool:
    """Say whether a store that is only read has this labkit's tables; False where it can be brought up to date.

    Raises:
        StoreMissing: There is none, or it has no runs.
        StoreError: Its tables are an older labkit's and cannot be changed.
    """
    if place.file is not None and not place.file.is_there:
        looked = f": looked in {SEARCHED}; --store, store= or LABKIT_STORE name another" if place.is_default else ""
        raise StoreMissing(f"no runs yet in {place.file.shown}{looked}")
    with opened.read() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if not tables and place.file is None:
            raise StoreMissing(f"no runs yet in {opened.shown}")
        if schema.versions.name not in tables:
            raise strangers(opened.shown, tables)
        found = _version(connection, opened.shown)
    if schema.runs.name not in tables:
        raise StoreMissing(f"no runs yet in {opened.shown}, only call records")
    if found == VERSION and schema.metadata.tables.keys() <= tables:
        return True
    if place.file is not None and not place.file.may_be_written:
        raise StoreError(
            f"{opened.shown} was made by an earlier labkit and may not be written: copy it to where labkit can bring "
            "its tables up to date"
        )
    return False


def _prepare(opened: Database) -> None:
    with opened.read() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if tables and schema.versions.name not in tables:
            raise strangers(opened.shown, tables)
        found = _version(connection, opened.shown) if tables else None
    # call records may have come first, with their own table and no other
    if found == VERSION and schema.metadata.tables.keys() <= tables:
        return
    with opened.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7061726)"))  # SQLite is locked by its "begin"
        schema.versions.create(connection, checkfirst=True)
        version = _version(connection, opened.shown)  # another may have been quicker
        for step in range(version, VERSION) if version is not None else ():
            MIGRATIONS[step](connection)
        schema.metadata.create_all(connection)
        if version is None:
            connection.execute(schema.versions.insert().values(version=VERSION))
        else:
            connection.execute(schema.versions.update().values(version=VERSION))


def _version(connection: sa.Connection, shown: str) -> int | None:
    found = connection.execute(sa.select(schema.versions.c.version)).scalar()
    refuse_newer(found, shown)
    return found


class _Translate:
    """Makes of a driver's error one of ours; a broken constraint stays what it is, its cause is known to the caller."""

    def __init__(self, shown: str, file: SqliteFile | None) -> None:
        self._shown = shown
        self._file = file

    def __call__(self, context: Any) -> StoreError | None:
        if isinstance(context.sqlalchemy_exception, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            return None
        error = context.original_exception
        if self._file is not None:
            return self._file.gone() or StoreError(self._file.unusable(error))
        said = " ".join(str(error).split())
        return StoreError(f"{self._shown} cannot be used as a store: {said}. Check the address, or give another.")


def _begin_immediate(connection: sa.Connection) -> None:
    # A deferred transaction that reads first cannot wait for the writer's lock: it fails at once with "locked".
    if connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
