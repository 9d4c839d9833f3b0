"""Step 8: one record per call, with every attempt, for whoever watches the feature."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from labkit.call.result import Result
from labkit.errors import CallInvalid

__all__ = ["CallRecord", "Sink", "emit", "in_notebook", "open_sink"]

log = logging.getLogger("labkit.call")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call as it went.

    Args:
        at: When it was recorded, UTC, ISO 8601.
        outcome: ``ok``, or the reason's outcome; ``cancelled`` for a call nobody waited for.
        input: The validated input as JSON data; None when content is not recorded or the input was invalid.
        value: The value as JSON data; None when content is not recorded or there is none.
    """

    call: str
    call_id: str
    at: str
    fingerprint: str
    outcome: str
    result: Result[Any]
    input: Any = None
    content: bool = False

    def data(self) -> dict[str, Any]:
        """The record as JSON data; without content, no attempt's text and no value before or after a repair."""
        result = self.result
        shown: dict[str, Any] = {
            "call": self.call,
            "call_id": self.call_id,
            "at": self.at,
            "fingerprint": self.fingerprint,
            "outcome": self.outcome,
            "source": result.source,
            "degraded": result.degraded,
            "elapsed_s": result.elapsed_s,
            "confidence": result.confidence,
            "usage": result.usage,
            "cost_usd": result.cost_usd,
            "steps": dict(result.steps),
            "versions": dict(result.versions),
            "notes": result.notes,
            "reason": result.reason,
            "attempts": result.attempts,
            "repairs": result.repairs,
        }
        if self.content:
            shown |= {"input": self.input, "value": result.value}
        else:
            shown["attempts"] = [dataclasses.replace(attempt, text=None) for attempt in result.attempts]
            shown["repairs"] = [
                dataclasses.replace(r, before=None, after=None, alternatives=()) for r in result.repairs
            ]
        data: dict[str, Any] = to_jsonable_python(shown, fallback=repr)
        return data


Sink = Callable[[CallRecord], None]
"""Where records go. It should not wait: it runs at the end of the call."""


class JsonLines:
    """Appends each record to a file as one line of JSON.

    Args:
        path: Made, with its folders, when it is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()

    def __call__(self, record: CallRecord) -> None:
        line = json.dumps(record.data(), ensure_ascii=False) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line)


def open_sink(where: str) -> Sink:
    """Open the sink that *where* names: ``jsonl:PATH``, or a URL whose scheme an installed package serves.

    Schemes beside ``jsonl`` come from the entry points ``labkit.sinks`` (labkit's own store serves ``sqlite`` and
    ``postgresql``), so that the runtime does not depend on them.

    Raises:
        CallInvalid: Nothing serves the scheme.
    """
    import importlib.metadata  # 15 ms that most processes never need

    scheme, colon, rest = where.partition(":")
    if scheme == "jsonl" and rest:
        return JsonLines(rest)
    served = {point.name: point for point in importlib.metadata.entry_points(group="labkit.sinks")}
    if colon and scheme in served:
        sink: Sink = served[scheme].load()(where)
        return sink
    known = ", ".join(["jsonl:PATH", *(f"{name}:..." for name in sorted(served))])
    raise CallInvalid(f"records cannot go to {where!r}: write one of {known} (LABKIT_RECORDS or GuardedCall(sink=...))")


def sink_from_environment() -> Sink | None:
    where = os.environ.get("LABKIT_RECORDS", "")
    return open_sink(where) if where else None


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def emit(record: CallRecord, sink: Sink | None) -> None:
    """Hand *record* to *sink*, and say in the log when the call was degraded. A broken sink cannot break the call."""
    if record.result.reason is not None:
        reason = record.result.reason
        # what a sender got wrong is not the feature's failure
        level = logging.INFO if reason.step in ("input", "validate") else logging.WARNING
        log.log(
            level,
            "%s answered by %s: step %s ended with %s: %s",
            record.call, record.result.source, reason.step, reason.outcome, reason.message,
            extra={"call_id": record.call_id},
        )  # fmt: skip
    if sink is None:
        return
    try:
        sink(record)
    except Exception:
        log.exception("a record of %s was lost: its sink failed", record.call)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
