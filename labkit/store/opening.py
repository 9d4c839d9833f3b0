"""Opening a store of runs for somebody who may have given one, its address, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias

from labkit.errors import MissingDependency
from labkit.store.places import place_of

if TYPE_CHECKING:
    from labkit.store.runs import RunStore

__all__ = ["StoreLike", "opened", "run_store"]

StoreLike: TypeAlias = "str | PathLike[str] | RunStore | None"
"""A store, its URL, the path of its file, or None for the one that ``labkit.store.places`` finds."""


def run_store(store: StoreLike, *, reading: bool = False) -> RunStore:
    """Give *store* itself, or open it where it is an address; then it is the caller's to close.

    Raises:
        MissingDependency: SQLAlchemy, or the driver of PostgreSQL, is not installed.
        StoreError: It cannot be opened; see ``labkit.store.database.open_database``.
    """
    if store is not None and not isinstance(store, str | PathLike):
        return store
    is_shared = place_of(store).file is None
    try:
        # not at the top: without SQLAlchemy, what needs no store is to work
        from labkit.store.runs import RunStore
    except MissingDependency as error:
        if not is_shared:
            raise
        raise MissingDependency("SQLAlchemy", extra="postgres", purpose="a store in PostgreSQL") from error
    return RunStore(store, reading=reading)


@contextmanager
def opened(store: StoreLike, *, reading: bool = False) -> Iterator[RunStore]:
    """Like ``run_store``; what was opened here is closed at the end."""
    kept = run_store(store, reading=reading)
    try:
        yield kept
    finally:
        if kept is not store:
            kept.close()
