"""Call records in a store: the sink behind ``LABKIT_RECORDS=sqlite:///PATH``."""

from __future__ import annotations

from labkit.call.record import CallRecord, Sink
from labkit.store import schema
from labkit.store.database import open_engine

__all__ = ["open_sink"]


def open_sink(url: str) -> Sink:
    """Open the store at *url* as a sink of records.

    Raises:
        StoreError: The store cannot be opened.
    """
    engine = open_engine(url)

    def write(record: CallRecord) -> None:
        with engine.begin() as connection:
            connection.execute(
                schema.call_records.insert().values(
                    call_id=record.call_id,
                    call=record.call,
                    at=record.at,
                    source=record.result.source,
                    outcome=record.outcome,
                    record=record.data(),
                )
            )

    return write
