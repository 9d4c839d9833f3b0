"""What a guarded call gives back: the value, where it came from, and everything that happened on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Generic, Literal, TextIO, TypeVar

from pydantic_core import to_jsonable_python

from labkit.call.durations import seconds
from labkit.call.repairs import Repair
from labkit.errors import CallFailed, Outcome
from labkit.models.protocol import FinishReason, Usage, Wire
from labkit.terminal import printable

__all__ = [
    "STEPS", "UNKNOWN_COST", "AnswerSource", "AttemptRecord", "Explanation", "FieldError", "FlagReading", "Note",
    "Reason", "Result", "Step",
]  # fmt: skip

T = TypeVar("T")

AnswerSource = Literal["model", "cache", "shortcut", "fallback_model", "stale", "rules", "default", "error"]
"""Where a result's value came from."""

Step = Literal["input", "validate", "context", "prompt", "model", "output", "rules", "record", "fallback"]
STEPS: tuple[Step, ...] = ("input", "validate", "context", "prompt", "model", "output", "rules", "record", "fallback")
"""The nine steps of a call, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One fault of a value: *path* is dotted, "" for the whole; *type* is pydantic's identifier of the fault."""

    path: str
    type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why the main path did not answer: the step that ended it, how, and what it said."""

    step: Step
    outcome: Outcome
    message: str
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened in a step and did not end it: a source left out, a rung that had no answer."""

    step: Step
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagReading:
    """What a feature flag said for one call.

    Args:
        value: What the call went by: a kill switch's state, or a variant's name.
        variant: What the flag service calls it.
        reason: OpenFeature's: TARGETING_MATCH, STATIC, SPLIT, CACHED, DEFAULT where nobody decided, ERROR, ...
        error: Why the default had to serve, None where it did not have to.
    """

    key: str
    value: bool | str
    variant: str | None = None
    reason: str = "UNKNOWN"
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One request to a model, whatever came of it.

    Args:
        n: 1 for the call's first request, counted over retries, re-asks and fallback models.
        kind: Why it was made.
        model: The model asked for, as the user names it.
        outcome: How it ended, judged after output, guards and rules.
        began_s: When it was sent, after the beginning of the call.
        latency_s: From sending to the last byte or to giving up.
        waited_s: Backoff before it was sent.
        served_model: The model that answered, None when none did.
        status: HTTP status of a refusal, None without one.
        message: What went wrong, "" when nothing did.
        errors: Faults of the value, for outcome ``schema``.
        text: What the model said, None when nothing came.
        reasoning: What it thought before, where its provider gives that; not shown unless asked for.
    """

    n: int
    kind: Literal["first", "retry", "reask", "hedge", "sample", "fallback"]
    model: str
    outcome: Outcome
    latency_s: float
    began_s: float = 0.0
    waited_s: float = 0.0
    served_model: str | None = None
    wire: Wire | None = None
    first_chunk_s: float | None = None
    status: int | None = None
    message: str = ""
    errors: tuple[FieldError, ...] = ()
    usage: Usage | None = None
    cost_usd: float | None = None
    finish_reason: FinishReason | None = None
    request_id: str | None = None
    text: str | None = None
    reasoning: str | None = field(default=None, repr=False)


UNKNOWN_COST = "cost unknown: give Model(price=lk.Price(prompt_usd=..., completion_usd=...))"


class Explanation(str):
    """A text of several lines that is shown as it is, not as a literal."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result(Generic[T]):
    """The answer of a guarded call. It never hides how it came about.

    Args:
        value: The validated value, None only when ``source`` is ``error``.
        source: Where the value came from.
        degraded: The main path did not answer; ``reason`` says why.
        user_message: A sentence that may be shown to the person who waits, None when there is nothing to say.
        confidence: In [0, 1], None where it was not scored.
        repairs: Everything that was done to the output before it was accepted.
        attempts: Every request to a model, in order.
        usage: Tokens over all attempts, None when no attempt reported any.
        cost_usd: Over all attempts, None when a price is not known. A guess where ``is_cost_estimated`` says so.
        steps: Seconds spent in each step that ran.
        notes: What else happened.
        flags: The feature flags as they were read for this call.
        versions: Hash of each part of the call, the sum of which is the fingerprint.
        is_hidden: What is marked as sensitive is not in it: it was written down.
    """

    value: T | None
    source: AnswerSource
    call: str
    call_id: str
    elapsed_s: float
    reason: Reason | None = None
    user_message: str | None = None
    confidence: float | None = None
    repairs: tuple[Repair, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    usage: Usage | None = None
    cost_usd: float | None = None
    steps: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    flags: tuple[FlagReading, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    is_hidden: bool = False

    @property
    def ok(self) -> bool:
        """There is a value, from whatever source."""
        return self.source != "error"

    @property
    def degraded(self) -> bool:
        """The main path did not answer."""
        return self.reason is not None

    @property
    def is_cost_estimated(self) -> bool:
        """Whether ``cost_usd`` counts tokens that no provider reported."""
        return self.cost_usd is not None and self.usage is not None and self.usage.estimated

    def __repr__(self) -> str:
        why = f", degraded by {self.reason.step}: {self.reason.outcome}" if self.reason is not None else ""
        return f"Result({self.value!r}, source={self.source!r}{why}, {seconds(self.elapsed_s)})"

    def unwrap(self) -> T:
        """Give the value.

        Raises:
            CallFailed: There is none; the message says which step failed and how.
        """
        if self.source == "error":
            why = f"{self.reason.step}: {self.reason.outcome}: {self.reason.message}" if self.reason else "no value"
            raise CallFailed(
                f"{self.call} has no value ({why}). Check result.ok first, or end fallbacks with SafeDefault."
            )
        return self.value  # type: ignore[return-value]  # a value of None is possible where the output type allows it

    def hidden(self) -> Result[Any]:
        """Give the result as it may be shown and written down: itself, unless something in it is marked sensitive."""
        return self

    def data(self) -> Any:
        """The value as JSON data, whole: what a view, a store or a log holds is that of ``hidden()``."""
        return to_jsonable_python(self.value, fallback=str)

    def explain(self, file: TextIO | None = None) -> Explanation:
        """Give the nine steps with their times and what happened in each, as a text that shows itself.

        It is shown as it is at the end of a cell and in Python's own shell; ``print`` it elsewhere, or log it.

        Args:
            file: Print it there, too.
        """
        said = Explanation(printable(self._explanation()))
        if file is not None:
            print(said, file=file)
        return said

    def _explanation(self) -> str:
        state = "degraded" if self.degraded else "ok" if self.ok else "error"
        lines = [f"{self.call}: {self.source}, {state}, {seconds(self.elapsed_s)}"]
        for step in STEPS:
            spent = self.steps.get(step)
            took = f"{seconds(spent) if spent is not None else '-':>11}"
            said = "; ".join(self._happened(step))
            lines.append(f"  {STEPS.index(step) + 1} {step:<9}{took}  {said}".rstrip())
        return "\n".join(lines)

    def _happened(self, step: Step) -> list[str]:
        said = [note.message for note in self.notes if note.step == step]
        if step == "model":
            said += [
                f"{attempt.kind} {attempt.model}: {attempt.outcome}"
                + (f" ({attempt.message})" if attempt.message else "")
                for attempt in self.attempts
            ]
            if self.cost_usd is None and self.usage is not None:
                said.append(UNKNOWN_COST)
        if step == "output":
            said += [f"{repair.kind} at {repair.path or 'the top'}" for repair in self.repairs if repair.by is None]
        if step == "rules":
            said += [f"fixed by {repair.by}" for repair in self.repairs if repair.by is not None]
        if self.reason is not None and self.reason.step == step:
            said.append(f"ended here: {self.reason.outcome}: {self.reason.message}")
        if step == "fallback" and self.degraded:
            said.append(f"answered by {self.source}" if self.ok else "nothing could answer")
            if self.user_message:
                said.append(f"the user is told: {self.user_message}")
        return said

    def _repr_html_(self) -> str:
        tone = "#b42318" if not self.ok else "#8a6100" if self.degraded else "#1a7f5a"
        head = f"{self.source} · {seconds(self.elapsed_s)}"
        if self.reason is not None:
            head += f" · degraded: {self.reason.step} {self.reason.outcome}: {self.reason.message}"
        data = self.data()
        rows = list(data.items()) if isinstance(data, dict) else [("value", data)] if self.ok else []
        if self.user_message and self.degraded:
            rows.append(("the user is told", self.user_message))
        body = "".join(
            f"<tr><th style='text-align:left;font-weight:500;opacity:.7'>{escape(str(name))}</th>"
            f"<td style='text-align:left;white-space:pre-wrap'>{escape(_as_json(shown))}</td></tr>"
            for name, shown in rows
        )
        return (
            f"<div style='border-left:3px solid {tone};padding-left:10px'><b>{escape(self.call)}</b> "
            f"<span style='color:{tone}'>{escape(head)}</span><table>{body}</table></div>"
        )


def _as_json(value: Any) -> str:
    """Write a value as the views do: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
