"""Rows gathered by case: means over repeats, with what could not be judged, and which cases stand for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.evals.contrast import Judged, Units
from labkit.extras import needs
from labkit.store.facts import Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Places = NDArray[np.int64]

__all__ = ["judged", "units_of"]


def judged(values: Column, case: Places, cases: int) -> Judged:
    """Average what rows have over their cases.

    Args:
        values: One per row; nan where it could not be judged.
        case: Of each row, from 0.
        cases: How many there are.
    """
    with needs("numpy", "an interval"):
        import numpy as np

    known = ~np.isnan(values)
    rows = np.bincount(case, minlength=cases)
    counts = np.bincount(case[known], minlength=cases)
    sums = np.bincount(case[known], weights=values[known], minlength=cases)
    mean: Column = np.divide(sums, counts, out=np.full(cases, np.nan), where=counts > 0)
    missing = rows - counts
    unjudged = int(missing.sum())
    if not unjudged:
        return Judged.of(mean)
    return Judged(mean=mean, least=sums / rows, most=(sums + missing) / rows, unjudged=unjudged)


def units_of(cases: Sequence[Fact]) -> tuple[Units, int]:
    """Say what stands for itself among cases, given a row of each, and how many ask what another one asks.

    Cases of one cluster belong together, and so do those that ask the same, unless they name clusters of their own:
    a copy of a case is no new evidence.
    """
    with needs("numpy", "an interval"):
        import numpy as np

    weights = np.fromiter((fact.weight for fact in cases), dtype=np.float64, count=len(cases))
    free = [fact.case_hash for fact in cases if fact.cluster is None]
    alike = len(free) - len(set(free)) and sum(1 for each in _counts(free).values() for _ in range(each) if each > 1)
    clusters = None
    if alike or len(free) < len(cases):
        # a tuple, so that no cluster's name is taken for a hash
        keys = [(fact.cluster,) if fact.cluster is not None else (None, fact.case_hash) for fact in cases]
        numbers: dict[tuple[str | None, ...], int] = {}
        clusters = np.fromiter(
            (numbers.setdefault(key, len(numbers)) for key in keys), dtype=np.int64, count=len(cases)
        )
        if len(numbers) == len(cases):
            clusters = None
    is_even = bool(np.all(weights == weights[0]))
    return Units(clusters=clusters, weights=None if is_even else weights), alike


def _counts(keys: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts
