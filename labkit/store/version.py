"""Whose a store is and which labkit made it: looked at before anything is written to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from labkit.call.sqlite_file import strangers
from labkit.errors import StoreError

__all__ = ["TABLE", "VERSION", "refuse", "refuse_newer"]

VERSION = 3
"""Raised with every change of the tables; a store made by a later labkit is refused, not guessed at."""

TABLE = "labkit_version"


def refuse(shown: str) -> Callable[[sqlite3.Connection, set[str]], None]:
    """Give what looks at the file *shown*; it raises StoreError where the file is another program's, or a later one."""

    def look(db: sqlite3.Connection, tables: set[str]) -> None:
        if tables and TABLE not in tables:
            raise strangers(shown, tables)
        found = db.execute(f"SELECT version FROM {TABLE}").fetchone() if tables else None
        refuse_newer(found and found[0], shown)

    return look


def refuse_newer(found: Any, shown: str) -> None:
    """Refuse a store that a later labkit made.

    Raises:
        StoreError: With what to do.
    """
    if found is None:
        return
    if not isinstance(found, int) or found < 1:
        raise StoreError(f"{shown} is damaged: its version is {found!r}. Restore it from a copy, or give another file.")
    if found > VERSION:
        raise StoreError(
            f"{shown} has version {found}, this labkit writes version {VERSION}: upgrade labkit, or give another store"
        )
