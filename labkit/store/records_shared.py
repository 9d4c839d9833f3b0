"""Call records in a database that several machines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.call.record import CallRecord
from labkit.store import schema
from labkit.store.database import open_database
from labkit.store.records import row_of

__all__ = ["InDatabase"]


class InDatabase:
    """Inserts records through SQLAlchemy.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._db = open_database(url)

    def prepare(self, record: CallRecord) -> dict[str, Any]:
        """Give the record's row."""
        return row_of(record)

    def write(self, prepared: Sequence[dict[str, Any]]) -> None:
        """Insert the rows in one transaction."""
        with self._db.write() as connection:
            connection.execute(schema.call_records.insert(), list(prepared))
