"""What a comparison needs of a row, and what a run comes to: small enough to hold for 100,000 rows at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Fact", "is_summary", "percentile", "summary_of"]


class Fact(NamedTuple):
    """One row in brief.

    A tuple and no dataclass: 200,000 of them are made while somebody waits for a comparison.

    Args:
        passed: Every scorer passed; None when one could not tell and none failed it, or nothing was scored.
        degraded: The main path did not answer.
        schema_valid: Every answer of the model fitted the schema at the first go.
        elapsed_s: Until the result.
        cost_usd: None when a price is unknown.
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

    @property
    def model_passed(self) -> bool | None:
        """Like ``passed``, but an answer that a fallback had to give counts as failed."""
        return False if self.degraded else self.passed


def percentile(values: Sequence[float], q: float) -> float | None:
    """Give the smallest of *values* that at least a share *q* of them does not exceed; None without any."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)] if values else None


def summary_of(facts: Sequence[Fact]) -> dict[str, Any]:
    """Count what history shows of a run. Latencies leave cache hits out: they would hide the model's own time."""
    timed = [fact.elapsed_s for fact in facts if fact.source != "cache"]
    judged = [fact for fact in facts if fact.passed is not None]
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
        "cost_usd": None if None in costs else math.fsum(cost for cost in costs if cost is not None),
    }


_NOT_ALWAYS = frozenset({"p50_s", "p95_s", "cost_usd"})


def is_summary(data: Any) -> bool:
    """Say whether *data*, read from a store, is what ``summary_of`` gives."""
    if not isinstance(data, dict):
        return False
    return all(
        isinstance(data.get(name, ""), int | float) or (name in _NOT_ALWAYS and data.get(name, "") is None)
        for name in summary_of([])
    )
