"""Two runs brought together case by case; what was asked several times is averaged within its case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.errors import RunsDiffer
from labkit.evals.by_case import judged, units_of
from labkit.evals.contrast import Judged, Units
from labkit.evals.runs import EvalRun
from labkit.evals.stats.timings import Timings
from labkit.extras import needs
from labkit.store.facts import Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

__all__ = ["Paired", "Side", "pair_up"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One run's answers to the shared cases, by case.

    Args:
        metric: What the runs are compared by.
        passed: Share of judged answers that passed.
        scores: Mean value of each scorer, by name.
        schema_valid: Share that fitted the schema at the first go.
        degraded: Share that the main path did not answer.
        cost_usd: Mean cost; nan where a price is unknown.
        timings: Of every answer that did not come from a cache.
    """

    metric: Judged
    passed: Judged
    scores: Mapping[str, Judged]
    schema_valid: Judged
    degraded: Judged
    cost_usd: Column
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """The cases two runs share, in A's order.

    Args:
        units: What stands for itself, and the weights.
        alike: Cases that ask what another one asks; they are clusters, for their answers are not independent.
        changed: Cases whose content is not the same in both runs; they are left out.
    """

    case_ids: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    units: Units
    alike: int
    a: Side
    b: Side
    changed: Sequence[str]


def pair_up(a: EvalRun, b: EvalRun, metric: str = "pass") -> Paired:
    """Bring the runs together.

    Args:
        metric: What they are compared by: "pass", or the name of a scorer.

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
    if any(others[case_id].cluster is not None for case_id in ids):
        chosen = [
            fact if fact.cluster is not None else fact._replace(cluster=others[fact.case_id].cluster) for fact in chosen
        ]
    index = {case_id: n for n, case_id in enumerate(ids)}
    units, alike = units_of(chosen)
    return Paired(
        case_ids=ids,
        tags=[fact.tags for fact in chosen],
        units=units,
        alike=alike,
        a=_side(a, index, units, metric),
        b=_side(b, index, units, metric),
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


def _side(run: EvalRun, index: dict[str, int], units: Units, metric: str) -> Side:
    with needs("numpy", "a comparison"):
        import numpy as np

    of_shared = [fact for fact in run.facts if fact.case_id in index]
    case = np.fromiter((index[fact.case_id] for fact in of_shared), dtype=np.int64, count=len(of_shared))

    def numbers(values: Any) -> Column:
        return np.fromiter(values, dtype=np.float64, count=len(of_shared))

    nan = float("nan")
    elapsed = numbers(nan if fact.source == "cache" else fact.elapsed_s for fact in of_shared)
    is_timed = ~np.isnan(elapsed)
    passed = judged(numbers(nan if fact.passed is None else fact.passed for fact in of_shared), case, len(index))
    if any(fact.passed is None and not fact.may_pass for fact in of_shared):
        # a row that one scorer failed cannot have passed, whatever another one could not tell
        lost = numbers(fact.passed is None and not fact.may_pass for fact in of_shared)
        passed = replace(passed, most=passed.most - judged(lost, case, len(index)).mean)
    names = list(dict.fromkeys(grade.name for fact in of_shared for grade in fact.scores))
    if len(names) == 1 and metric == "pass":
        names = []  # the pass is all there is to it
    scores = {
        name: judged(
            numbers(nan if (value := fact.value_of(name)) is None else value for fact in of_shared), case, len(index)
        )
        for name in names
    }
    return Side(
        metric=passed if metric == "pass" else scores[metric],
        passed=passed,
        scores=scores,
        schema_valid=judged(numbers(fact.schema_valid for fact in of_shared), case, len(index)),
        degraded=judged(numbers(fact.degraded for fact in of_shared), case, len(index)),
        cost_usd=judged(
            numbers(nan if fact.cost_usd is None else fact.cost_usd for fact in of_shared), case, len(index)
        ).mean,
        timings=Timings(
            seconds=elapsed[is_timed],
            units=case[is_timed] if units.clusters is None else units.clusters[case[is_timed]],
            n_units=len(index) if units.clusters is None else int(units.clusters.max()) + 1,
        ),
    )
