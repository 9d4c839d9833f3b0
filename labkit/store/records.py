"""Call records in a store: the sink behind ``LABKIT_RECORDS=sqlite:///PATH``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from labkit.call.record import CallRecord
from labkit.call.sinks import BatchSink
from labkit.store import schema
from labkit.store.database import open_engine

__all__ = ["open_sink"]


def open_sink(url: str) -> BatchSink:
    """Open the store at *url* as a sink of records.

    Raises:
        StoreError: The store cannot be opened.
    """
    return _Records(open_engine(url))


class _Records:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, record: CallRecord) -> dict[str, Any]:
        """Give the record's row."""
        return {
            "call_id": record.call_id,
            "call": record.call,
            "at": record.at,
            "source": record.source,
            "outcome": record.outcome,
            "record": record.data(),
        }

    def write(self, prepared: Sequence[dict[str, Any]]) -> None:
        """Insert the rows in one transaction."""
        with self._engine.begin() as connection:
            connection.execute(schema.call_records.insert(), list(prepared))
