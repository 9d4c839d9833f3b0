"""Where records go: a function, a file of JSON lines, or whatever an installed package serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from labkit.addresses import masked
from labkit.call.private_files import open_private
from labkit.call.record import CallRecord
from labkit.errors import CallInvalid
from labkit.options import Called

__all__ = ["BatchSink", "JsonLines", "Sink", "open_sink", "sink_from_environment"]


@runtime_checkable
class BatchSink(Protocol):
    """A sink that takes many records at a time."""

    def prepare(self, record: CallRecord) -> Any:
        """Give what is to be written of *record*. It runs in the call, while the record is at hand, and is quick."""
        ...

    def write(self, prepared: Sequence[Any]) -> None:
        """Write them, in order. It runs on a thread of its own and may wait."""
        ...


Sink = Annotated[Callable[[CallRecord], None], Called("record")] | BatchSink
"""A function of one record, or a ``BatchSink``."""


class JsonLines:
    """Appends each record to a file as one line of JSON. Several processes may share the file.

    Args:
        path: Made, with its folders, when it is not there, for its owner to read; opened for every batch, so that it
            may be rotated.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def prepare(self, record: CallRecord) -> bytes:
        """Give the record's line."""
        return record.line()

    def write(self, prepared: Sequence[bytes]) -> None:
        """Append the lines; they are in the system's cache when it returns."""
        lines = b"".join(prepared)
        try:
            self._append(lines)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append(lines)

    def _append(self, lines: bytes) -> None:
        # one write each time: lines of two processes do not mix
        with open(self._path, "ab", buffering=0, opener=open_private) as file:
            written = file.write(lines)
            while written < len(lines):
                written += file.write(lines[written:])


def open_sink(where: str) -> Sink:
    """Open the sink that *where* names: ``jsonl:PATH``, or a URL whose scheme an installed package serves.

    Schemes beside ``jsonl`` come from the entry points ``labkit.sinks`` (labkit's own store serves ``sqlite`` and
    ``postgresql``), so that the runtime does not depend on them. A place is opened once a process.

    Raises:
        CallInvalid: Nothing serves the scheme.
    """
    if where not in _opened:
        _opened[where] = _open(where)
    return _opened[where]


_opened: dict[str, Sink] = {}


def _open(where: str) -> Sink:
    scheme, colon, rest = where.partition(":")
    if scheme == "jsonl" and rest:
        return JsonLines(rest)
    import importlib.metadata  # 15 ms that most processes never need

    served = {point.name: point for point in importlib.metadata.entry_points(group="labkit.sinks")}
    if colon and scheme in served:
        sink: Sink = served[scheme].load()(where)
        return sink
    known = ", ".join(["jsonl:PATH", *(f"{name}:..." for name in sorted(served))])
    raise CallInvalid(
        f"records cannot go to {masked(where)!r}: write one of {known} (LABKIT_RECORDS or GuardedCall(sink=...))"
    )


def sink_from_environment() -> Sink | None:
    where = os.environ.get("LABKIT_RECORDS", "")
    return open_sink(where) if where else None
