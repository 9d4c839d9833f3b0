"""What a comparison needs of a row, and what a run comes to: small enough to hold for 100,000 rows at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Fact", "Grade", "graded_in", "is_summary", "judged_in", "percentile", "summary_of"]


class Grade(NamedTuple):
    """What one scorer made of a row.

    Args:
        value: In [0, 1]; None where it could not tell.
        passed: None where it could not tell, or says how good and not whether good enough.
        cost_usd: Of scoring; None when a price is unknown.
    """

    name: str
    value: float | None
    passed: bool | None
    cost_usd: float | None = 0.0


class Fact(NamedTuple):
    """One row in brief.

    A tuple and no dataclass: 200,000 of them are made while somebody waits for a comparison.

    Args:
        passed: Every scorer that says whether passed; None when one could not tell, or none says.
        degraded: The main path did not answer.
        schema_valid: Every answer of the model fitted the schema at the first go.
        elapsed_s: Until the result.
        cost_usd: None when a price is unknown.
        scores: What each scorer made of it.
    """

    case_id: str
    repeat: int
    case_hash: str
    tags: tuple[str, ...]
    cluster: str | None
    weight: float
    status: str
    source: str
    passed: bool | None
    degraded: bool
    schema_valid: bool
    elapsed_s: float
    cost_usd: float | None
    scores: tuple[Grade, ...] = ()

    def value_of(self, name: str) -> float | None:
        """Give the value of the scorer *name*; None where it could not tell."""
        for grade in self.scores:
            if grade.name == name:
                return grade.value
        return None

    @property
    def may_pass(self) -> bool:
        """Whether it passed, or might have if every scorer could have told."""
        return self.passed is not False and not any(grade.passed is False for grade in self.scores)

    @property
    def model_passed(self) -> bool | None:
        """Like ``passed``, but an answer that a fallback had to give counts as failed."""
        return False if self.degraded else self.passed


def percentile(values: Sequence[float], q: float) -> float | None:
    """Give the smallest of *values* that at least a share *q* of them does not exceed; None without any."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)] if values else None


def graded_in(facts: Sequence[Fact]) -> frozenset[str]:
    """Name the scorers that say how good an answer is, and not whether it is good enough."""
    return frozenset(
        grade.name for fact in facts for grade in fact.scores if grade.value is not None and grade.passed is None
    )


def judged_in(facts: Sequence[Fact]) -> list[Fact]:
    """Give the rows of which it is known whether they passed.

    What such a scorer failed only because there was no answer to grade is not.
    """
    graded = graded_in(facts)
    if not graded:
        return [fact for fact in facts if fact.passed is not None]
    return [
        fact
        for fact in facts
        if fact.passed is not None
        and any(grade.passed is not None and grade.name not in graded for grade in fact.scores)
    ]


def summary_of(facts: Sequence[Fact]) -> dict[str, Any]:
    """Count what history shows of a run. Latencies leave cache hits out: they would hide the model's own time."""
    timed = [fact.elapsed_s for fact in facts if fact.source != "cache"]
    judged = judged_in(facts)
    costs = [fact.cost_usd for fact in facts]
    return {
        "rows": len(facts),
        "cases": len({fact.case_id for fact in facts}),
        "judged": len(judged),
        "passed": sum(1 for fact in judged if fact.passed),
        "model_passed": sum(1 for fact in judged if fact.model_passed),
        "schema_valid": sum(1 for fact in facts if fact.schema_valid),
        "fallbacks": sum(1 for fact in facts if fact.degraded),
        "errors": sum(1 for fact in facts if fact.source == "error"),
        "p50_s": percentile(timed, 0.5),
        "p95_s": percentile(timed, 0.95),
        "scores": _means(facts),
        "cost_usd": None if None in costs else math.fsum(cost for cost in costs if cost is not None),
    }


def _means(facts: Sequence[Fact]) -> dict[str, dict[str, Any]]:
    """Mean of each scorer's values, how many rows it judged, and whether it says who passed; by the cases' weights."""
    sums: dict[str, list[float]] = {}
    graded = graded_in(facts)
    for fact in facts:
        for name, value, _, _ in fact.scores:
            if value is not None:
                of_scorer = sums.setdefault(name, [0.0, 0.0, 0.0])
                of_scorer[0] += value * fact.weight
                of_scorer[1] += fact.weight
                of_scorer[2] += 1
    return {
        name: {"mean": total / weight, "judged": int(rows), "has_pass": name not in graded}
        for name, (total, weight, rows) in sums.items()
    }


_NOT_ALWAYS = frozenset({"p50_s", "p95_s", "cost_usd"})


def is_summary(data: Any) -> bool:
    """Say whether *data*, read from a store, is what ``summary_of`` gives."""
    if not isinstance(data, dict):
        return False
    if not isinstance(data.get("scores", {}), dict):  # summaries of older runs have none
        return False
    return all(
        isinstance(data.get(name, ""), int | float) or (name in _NOT_ALWAYS and data.get(name, "") is None)
        for name in summary_of([])
        if name != "scores"
    )
