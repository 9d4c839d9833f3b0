"""Two runs brought together case by case; what was asked several times is averaged within its case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import RunsDiffer
from labkit.evals.runs import EvalRun
from labkit.extras import needs
from labkit.store.facts import Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

__all__ = ["Paired", "Side", "pair_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run's answers to the shared cases: each column has one number per case, the mean over its repeats.

    Args:
        passed: Share of judged answers that passed; nan where none was judged.
        schema_valid: Share that fitted the schema at the first go.
        degraded: Share that the main path did not answer.
        log_elapsed: Mean log of the seconds until the result; nan where every answer came from a cache.
        cost_usd: Mean cost; nan where a price is unknown.
        latencies_s: Of every answer that did not come from a cache, in no order of cases.
    """

    passed: Column
    schema_valid: Column
    degraded: Column
    log_elapsed: Column
    cost_usd: Column
    latencies_s: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The cases two runs share, in A's order.

    Args:
        clusters: Of each case; None where every case stands for itself.
        changed: Cases whose content is not the same in both runs; they are left out.
    """

    case_ids: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    clusters: Sequence[str] | None
    a: Side
    b: Side
    changed: Sequence[str]


def pair_up(a: EvalRun, b: EvalRun) -> Paired:
    """Bring the runs together.

    Raises:
        RunsDiffer: They share no case with the same content.
    """
    firsts, others = _first_facts(a), _first_facts(b)
    shared = [case_id for case_id in firsts if case_id in others]
    changed = [case_id for case_id in shared if firsts[case_id].case_hash != others[case_id].case_hash]
    left_out = set(changed)
    ids = [case_id for case_id in shared if case_id not in left_out] if changed else shared
    if not ids:
        raise RunsDiffer(_nothing_shared(a, b, changed))
    chosen = [firsts[case_id] for case_id in ids]
    index = {case_id: n for n, case_id in enumerate(ids)}
    known = [others[fact.case_id].cluster if fact.cluster is None else fact.cluster for fact in chosen]
    clusters = None
    if any(cluster is not None for cluster in known):
        clusters = [case_id if cluster is None else cluster for case_id, cluster in zip(ids, known, strict=True)]
    return Paired(
        case_ids=ids,
        tags=[fact.tags for fact in chosen],
        clusters=clusters,
        a=_side(a.facts, index),
        b=_side(b.facts, index),
        changed=changed,
    )


def _first_facts(run: EvalRun) -> dict[str, Fact]:
    firsts: dict[str, Fact] = {}
    for fact in run.facts:
        firsts.setdefault(fact.case_id, fact)
    return firsts


def _nothing_shared(a: EvalRun, b: EvalRun, changed: Sequence[str]) -> str:
    if changed:
        return (
            f"case {changed[0]!r} is not the same in runs {a.run_id} and {b.run_id}, nor is any other: input or "
            "expectation was changed between them; evaluate both again on the present dataset"
        )
    return (
        f"runs {a.run_id} ({a.dataset}) and {b.run_id} ({b.dataset}) share no case: evaluate both on the same dataset"
    )


def _side(facts: Sequence[Fact], index: dict[str, int]) -> Side:
    with needs("numpy", "a comparison"):
        import numpy as np

    of_shared = [fact for fact in facts if fact.case_id in index]
    case = np.fromiter((index[fact.case_id] for fact in of_shared), dtype=np.int64, count=len(of_shared))

    def numbers(values: Any) -> Column:
        return np.fromiter(values, dtype=np.float64, count=len(of_shared))

    def means(values: Column) -> Column:
        known = ~np.isnan(values)
        sums = np.bincount(case[known], weights=values[known], minlength=len(index))
        counts = np.bincount(case[known], minlength=len(index))
        found: Column = np.divide(sums, counts, out=np.full(len(index), np.nan), where=counts > 0)
        return found

    nan = float("nan")
    elapsed = numbers(nan if fact.source == "cache" else fact.elapsed_s for fact in of_shared)
    return Side(
        passed=means(numbers(nan if fact.passed is None else fact.passed for fact in of_shared)),
        schema_valid=means(numbers(fact.schema_valid for fact in of_shared)),
        degraded=means(numbers(fact.degraded for fact in of_shared)),
        log_elapsed=means(np.log(np.maximum(elapsed, 1e-9))),  # a clock may not have moved; nan stays nan
        cost_usd=means(numbers(nan if fact.cost_usd is None else fact.cost_usd for fact in of_shared)),
        latencies_s=elapsed[~np.isnan(elapsed)].tolist(),
    )
