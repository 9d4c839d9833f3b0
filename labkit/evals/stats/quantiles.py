"""Medians, p95 and other quantiles: intervals between order statistics, whatever the distribution."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_count, check_share
from labkit.evals.stats.interval import Interval
from labkit.extras import needs

__all__ = ["quantile_coverage", "quantile_interval", "quantile_ranks"]


def quantile_interval(values: Sequence[float], q: float, confidence: float = 0.95) -> Interval[float | None]:
    """Give the interval of the *q*-quantile, between two of the values.

    Args:
        values: Any order, ties welcome; timings of one experiment without cache hits.
        q: Inside (0, 1): 0.5 for the median, 0.95 for p95.
        confidence: The interval covers at least this, inside (0, 1).

    Returns:
        Ends in the unit of *values*. None for an end that so few values cannot give: below 59 values p95 has no upper
        end at 95%, and the largest value is none. What remains is a one-sided bound.

    Raises:
        TooFewCases: Neither end can be given.
        OptionInvalid: A value is nan, or *q* or *confidence* is not inside (0, 1).

    Source: Conover (1999), "Practical Nonparametric Statistics", 3rd edition, section 3.2; ranks as ``quantile_ranks``.
    """
    for position, value in enumerate(values):
        if value is None or math.isnan(value):
            raise OptionInvalid(f"values[{position}] is {value!r}: leave out what was not measured")
    low, high = quantile_ranks(len(values), q, confidence)
    ordered = sorted(values)
    return Interval(
        None if low is None else float(ordered[low - 1]), None if high is None else float(ordered[high - 1])
    )


def quantile_ranks(n: int, q: float, confidence: float = 0.95) -> tuple[int | None, int | None]:
    """Give the ranks, from 1, of the order statistics that enclose the *q*-quantile.

    Each side may miss with half of 1 - confidence. Where one side cannot be had for half, it takes what the extreme
    value costs and the other gets the rest; where the rest does not do for the other, the one is None. The rule looks
    at n, q and confidence only, never at the values, so the coverage holds.

    Raises:
        TooFewCases: Neither side can be had for half.
        OptionInvalid: *q* or *confidence* is not inside (0, 1).

    Source: Conover (1999), section 3.2: P(X_(r) <= quantile <= X_(s)) >= P(r <= Binomial(n, q) <= s - 1).
    """
    n = as_count(n, "n")
    check_share(q, "q")
    check_share(confidence, "confidence")
    miss = 1 - confidence
    below, above = (1 - q) ** n, q**n  # what the smallest and the largest value miss with
    if min(below, above) > miss / 2:
        raise TooFewCases(
            f"{n} values bound the {q:g} quantile on neither side at {confidence:.0%}: "
            f"measure at least {_values_needed(q, confidence)}"
        )
    both = below + above <= miss
    if above > miss / 2:
        return (_low_rank(n, q, miss - above), n) if both else (_low_rank(n, q, miss / 2), None)
    if below > miss / 2:
        return (1, _high_rank(n, q, miss - below)) if both else (None, _high_rank(n, q, miss / 2))
    return _low_rank(n, q, miss / 2), _high_rank(n, q, miss / 2)


def quantile_coverage(n: int, q: float, low: int | None, high: int | None) -> float:
    """Give the chance that the *q*-quantile lies between two order statistics of *n* values.

    Args:
        n: Values.
        q: Inside (0, 1).
        low: Rank from 1 of the lower end; None for no lower end.
        high: Rank of the upper end; None for no upper end.

    Raises:
        OptionInvalid: Ranks that are not 1 <= low < high <= n, or *q* not inside (0, 1).

    Source: as ``quantile_ranks``; exact for continuous values, a lower limit with ties.
    """
    check_share(q, "q")
    first, last = (0 if low is None else low), (n + 1 if high is None else high)
    if low == 0 or high == n + 1 or not 0 <= first < last <= n + 1:
        raise OptionInvalid(f"ranks {low!r} and {high!r} of {n} values: give 1 <= low < high <= n, None for no end")
    with needs("scipy", "an interval of a percentile"):
        from scipy.special import bdtr, bdtrc

    missed_below = 0.0 if low is None else float(bdtr(low - 1, n, q))
    missed_above = 0.0 if high is None else float(bdtrc(high - 1, n, q))
    return 1 - missed_below - missed_above


def _low_rank(n: int, q: float, miss: float) -> int:
    """The largest r with P(Binomial <= r - 1) <= miss; the caller knows that 1 is such."""
    with needs("scipy", "an interval of a percentile"):
        from scipy.special import bdtr

    return 1 + bisect_right(range(1, n), miss, key=lambda k: float(bdtr(k, n, q)))


def _high_rank(n: int, q: float, miss: float) -> int:
    """The smallest s with P(Binomial >= s) <= miss; the caller knows that n is such."""
    with needs("scipy", "an interval of a percentile"):
        from scipy.special import bdtrc

    return 1 + bisect_left(range(n - 1), -miss, key=lambda k: -float(bdtrc(k, n, q)))


def _values_needed(q: float, confidence: float) -> int:
    return math.ceil(math.log((1 - confidence) / 2) / math.log(min(q, 1 - q)))
