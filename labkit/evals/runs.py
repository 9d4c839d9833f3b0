"""What an evaluation leaves: one row per case and repeat, and the run they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any, Literal

from labkit.call.result import Result
from labkit.evals.cases import Case
from labkit.evals.scorers import Score
from labkit.evals.stats import Interval, wilson

__all__ = ["EvalRun", "Row", "Status", "status_of"]

Status = Literal[
    "ok", "invalid_input", "invalid_schema", "rule_violation", "fallback_used", "deadline", "provider_error",
    "harness_error", "cancelled",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case as one run answered it.

    Args:
        case: As it was asked.
        repeat: From 0.
        result: What the call gave; its value is JSON data when the row was read back from a store.
        scores: By scorer name.
        finished_at: UTC, ISO 8601.
    """

    case: Case
    result: Result[Any]
    scores: Mapping[str, Score] = field(default_factory=dict)
    repeat: int = 0
    finished_at: str = ""

    @property
    def case_id(self) -> str:
        return self.case.id

    @property
    def case_hash(self) -> str:
        return self.case.hash

    @property
    def status(self) -> Status:
        return status_of(self.result)

    @property
    def passed(self) -> bool | None:
        """Every scorer passed; None when any could not tell, or nothing was scored."""
        verdicts = [score.passed for score in self.scores.values()]
        if not verdicts or None in verdicts:
            return None
        return all(verdicts)

    @property
    def model_passed(self) -> bool | None:
        """Like ``passed``, but an answer that a fallback had to give counts as failed."""
        return False if self.result.degraded else self.passed


@dataclass(frozen=True, kw_only=True, eq=False)
class EvalRun:
    """A finished evaluation.

    Args:
        run_id: Unique in its store.
        call: The call's name.
        model: Its primary model.
        versions: Hash of each of its parts.
        dataset: Name and hash of what it was asked.
        scorers: Name to hash of each scorer.
        rows: In the dataset's order.
        started_at: UTC, ISO 8601.
        elapsed_s: Wall time of the evaluation.
    """

    run_id: str
    call: str
    model: str
    fingerprint: str
    versions: Mapping[str, str]
    dataset: str
    dataset_hash: str
    scorers: Mapping[str, str]
    rows: Sequence[Row]
    started_at: str
    elapsed_s: float
    deadline_s: float

    @cached_property
    def judged(self) -> list[Row]:
        """The rows whose scorers could all tell."""
        return [row for row in self.rows if row.passed is not None]

    @property
    def passed(self) -> int:
        return sum(1 for row in self.judged if row.passed)

    @property
    def pass_rate(self) -> float | None:
        """Share of judged rows whose served answer passed; None when none was judged."""
        return self.passed / len(self.judged) if self.judged else None

    @property
    def pass_interval(self) -> Interval | None:
        """95% Wilson interval of ``pass_rate``."""
        return wilson(self.passed, len(self.judged)) if self.judged else None

    @property
    def model_pass_rate(self) -> float | None:
        """Share of judged rows that the main path itself answered, and passed: a fallback cannot hide in it."""
        return sum(1 for row in self.judged if row.model_passed) / len(self.judged) if self.judged else None

    @property
    def schema_valid_rate(self) -> float:
        """Share of rows in which every answer of the model fitted the schema at the first go."""
        return 1.0 - sum(1 for row in self.rows if _broke_schema(row)) / len(self.rows)

    @property
    def fallback_rate(self) -> float:
        """Share of rows that the main path did not answer."""
        return sum(1 for row in self.rows if row.result.degraded) / len(self.rows)

    @property
    def latencies_s(self) -> list[float]:
        """Seconds until the result, by row, without cache hits: they would hide the model's own time."""
        return [row.result.elapsed_s for row in self.rows if row.result.source != "cache"]

    @property
    def cost_usd(self) -> float | None:
        """Over all rows; None when any price is unknown."""
        costs = [row.result.cost_usd for row in self.rows]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def row(self, case_id: str) -> Row:
        """Give the first row of a case.

        Raises:
            KeyError: The run has no such case.
        """
        return self._by_case[case_id]

    @cached_property
    def _by_case(self) -> dict[str, Row]:
        return {row.case_id: row for row in reversed(self.rows)}

    def __repr__(self) -> str:
        return f"EvalRun({self.run_id!r}, {self.call}: {self._said()})"

    def _repr_html_(self) -> str:
        return (
            f"<div><b>{escape(self.call)}</b> · {escape(self._said())} "
            f"<span style='opacity:.6'>run {escape(self.run_id)}</span></div>"
        )

    def _said(self) -> str:
        if self.pass_rate is None or self.pass_interval is None:
            rate = f"{len(self.rows)} rows, not scored"
        else:
            low, high = self.pass_interval
            interval = f"95% interval {low:.1%} to {high:.1%}"
            rate = f"{self.passed} of {len(self.judged)} passed, {self.pass_rate:.1%} ({interval})"
        lost = len(self.rows) - len(self.judged)
        return (
            rate + (f", {lost} not judged" if lost and self.judged else "") + f", {self.fallback_rate:.1%} by fallback"
        )


def status_of(result: Result[Any]) -> Status:
    """Say in a word how a case went."""
    if result.reason is None:
        return "ok"
    if result.ok:
        return "fallback_used"
    if result.reason.step in ("input", "validate"):
        return "invalid_input"
    match result.reason.outcome:
        case "parse" | "schema" | "truncated":
            return "invalid_schema"
        case "guard" | "rule" | "low_confidence" | "refused":
            return "rule_violation"
        case "deadline":
            return "deadline"
        case "cancelled":
            return "cancelled"
        case "bug":
            return "harness_error"
        case _:
            return "provider_error"


def _broke_schema(row: Row) -> bool:
    return any(attempt.outcome in ("parse", "schema", "truncated") for attempt in row.result.attempts)
