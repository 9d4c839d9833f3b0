"""Step 8: one record per call, with every attempt, for whoever watches the feature."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from labkit.call.redaction import holds_sensitive, redacted, scrubbed
from labkit.call.repairs import Repair
from labkit.call.result import AnswerSource, AttemptRecord, FlagReading, Note, Reason, Result
from labkit.call.sensitive_result import without_model_texts
from labkit.models.protocol import Usage

__all__ = ["CallRecord", "in_notebook", "now", "record_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call as it went. It shares nothing with the result that its owner may still change.

    Args:
        at: When it was recorded, UTC, ISO 8601.
        fingerprint: Of the call, or of the variant that a flag chose.
        outcome: ``ok``, or the reason's outcome; ``cancelled`` for a call nobody waited for.
        attempts: Every request; without content, none has its text or reasoning.
        repairs: What was done to the output; without content, neither before nor after.
        content: Whether input, value and texts are held.
        input: The validated input as JSON data; None when content is not recorded or the input was invalid.
        value: The value as JSON data; None when content is not recorded or there is none.
    """

    call: str
    call_id: str
    at: str
    fingerprint: str
    outcome: str
    source: AnswerSource
    degraded: bool
    reason: Reason | None
    elapsed_s: float
    confidence: float | None
    usage: Usage | None
    cost_usd: float | None
    steps: Mapping[str, float]
    versions: Mapping[str, str]
    notes: tuple[Note, ...]
    flags: tuple[FlagReading, ...]
    attempts: tuple[AttemptRecord, ...]
    repairs: tuple[Repair, ...]
    content: bool = False
    input: Any = None
    value: Any = None

    def data(self) -> dict[str, Any]:
        """The record as JSON data."""
        data: dict[str, Any] = to_jsonable_python(self, fallback=repr, inf_nan_mode="strings")
        return data

    def line(self) -> bytes:
        """The record as one line of JSON, with its end."""
        try:
            return to_json(self, fallback=repr, inf_nan_mode="strings") + b"\n"
        except (PydanticSerializationError, UnicodeError):
            # half a surrogate pair in a model's text has no UTF-8; escaped it can still be read
            return json.dumps(self.data(), default=repr).encode() + b"\n"


def record_of(
    result: Result[Any],
    *,
    fingerprint: str,
    given: Any,
    content: bool,
    secrets: tuple[str, ...] = (),
    kind: Any = None,
) -> CallRecord:
    """Write *result* down.

    Args:
        given: The validated input.
        content: Whether to hold what was asked and answered, or only how it went.
        secrets: Texts to hide wherever they stand.
        kind: The output's type, where it can hold fields that are marked.
    """
    attempts, repairs = result.attempts, result.repairs
    if not content or holds_sensitive(kind):
        said = without_model_texts(result)
        attempts, repairs = said["attempts"], said["repairs"]
    record = CallRecord(
        call=result.call,
        call_id=result.call_id,
        at=now(),
        fingerprint=fingerprint,
        outcome="ok" if result.reason is None else result.reason.outcome,
        source=result.source,
        degraded=result.degraded,
        reason=result.reason,
        elapsed_s=result.elapsed_s,
        confidence=result.confidence,
        usage=result.usage,
        cost_usd=result.cost_usd,
        steps=result.steps,
        versions=result.versions,
        notes=result.notes,
        flags=result.flags,
        attempts=attempts,
        repairs=repairs,
        content=content,
        input=redacted(given) if content else None,
        value=redacted(result.value, kind) if content else None,
    )
    return scrubbed(record, secrets)


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
