"""How two versions differ in a share of cases: both rates, the difference with its interval, a p-value.

Where each case was asked once and stands for itself: exact McNemar with a Tango score interval. Where cases were
repeated or come in clusters: paired t over cases or clusters, its p-value by exact sign flips while they are few.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labkit.errors import TooFewCases
from labkit.evals.stats import (
    Interval,
    cases_needed,
    cases_needed_numeric,
    clopper_pearson,
    mcnemar_exact,
    minimum_detectable_effect,
    paired_t,
    sign_flip,
    tango,
    wilson,
)

__all__ = ["Contrast", "Outcome", "PrimaryTest", "Table", "Verdict", "contrast", "rate_interval"]

PrimaryTest = Literal["mcnemar", "paired_t"]
"""Exact McNemar where each case is asked once and stands for itself; paired t where cases repeat or cluster."""

Verdict = Literal["better", "worse", "inconclusive"]
Outcome = Literal["both", "only_a", "only_b", "neither"]

# So many signs can be flipped in every way at no cost; from here on t is close enough.
_EXACT_UP_TO = 16

# With fewer, no flip of signs is rarer than 5%, whatever was answered.
_FEWEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Judged cases by who passed, of repeats the majority. *only_a* regressed from A to B, *only_b* improved."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def discordant(self) -> int:
        return self.only_a + self.only_b


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """B against A in one share, on the same cases.

    Args:
        n: Cases.
        a_rate: Mean over the cases.
        a_interval: 95%.
        difference: B's rate less A's.
        interval: 95%, of *difference*.
        p_value: Two-sided.
        test: What *p_value* is by, in words.
        table: Who passed what.
        variance: Of one case's difference, clusters accounted for; None where it cannot be estimated.
    """

    n: int
    a_rate: float
    b_rate: float
    a_interval: Interval
    b_interval: Interval
    difference: float
    interval: Interval
    p_value: float
    test: str
    table: Table
    variance: float | None

    @property
    def minimum_detectable_effect(self) -> float | None:
        """The smallest difference that so many cases show in four of five tries; None where it is not estimable."""
        return minimum_detectable_effect(self.n, self.variance) if self.variance else None

    def more_cases(self) -> int | None:
        """Give how many more cases would show a difference of this size in four of five tries; None: no such number."""
        try:
            if self.test == _MCNEMAR:
                needed = cases_needed(self.table.only_b, self.table.only_a, self.n)
            elif self.variance and self.difference:
                needed = cases_needed_numeric(self.difference, self.variance)
            else:
                return None
        except (TooFewCases, ValueError):
            return None
        return max(0, math.ceil(needed) - self.n)


def outcome_of(a: float, b: float) -> Outcome:
    """Say who passed; of repeats the majority decides."""
    if a > 0.5:
        return "both" if b > 0.5 else "only_a"
    return "only_b" if b > 0.5 else "neither"


def contrast(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str] | None = None, *, primary: PrimaryTest
) -> Contrast:
    """Contrast two versions on the same cases.

    Args:
        a: Share of each case's answers that passed; at least one case.
        b: The same cases in the same order.
        clusters: Of each case; None where each stands for itself.
        primary: The test that was fixed before the run.
    """
    counts = Counter(map(outcome_of, a, b))
    table = Table(
        both=counts["both"], only_a=counts["only_a"], only_b=counts["only_b"], neither=counts["neither"]
    )  # fmt: skip
    n = len(a)
    if primary == "mcnemar" and clusters is None:
        difference = (table.only_b - table.only_a) / n
        spread = table.discordant / n - difference**2
        return Contrast(
            n=n, a_rate=(table.both + table.only_a) / n, b_rate=(table.both + table.only_b) / n,
            a_interval=wilson(table.both + table.only_a, n), b_interval=wilson(table.both + table.only_b, n),
            difference=difference, interval=tango(table.only_b, table.only_a, n),
            p_value=mcnemar_exact(table.only_a, table.only_b), test=_MCNEMAR, table=table,
            variance=spread if spread > 0 else None,
        )  # fmt: skip
    sums: dict[str, float] = {}
    sizes: Counter[str] = Counter()
    for key, x, y in zip(clusters or map(str, range(n)), a, b, strict=True):
        sums[key] = sums.get(key, 0.0) + y - x
        sizes[key] += 1
    difference, units = (math.fsum(b) - math.fsum(a)) / n, len(sums)
    try:
        found = paired_t(a, b, clusters)
        spread = found.se
    except TooFewCases:
        spread = 0.0
    few = units <= _EXACT_UP_TO
    if few:
        interval = _by_flips(list(sums.values()), [sizes[key] for key in sums])
    else:
        interval = found.interval if spread else _without_spread(difference, units)
    # What was never seen is not impossible: no interval is narrower than when so many agree throughout.
    unseen = tango(0, 0, units).high
    return Contrast(
        n=n, a_rate=math.fsum(a) / n, b_rate=math.fsum(b) / n, a_interval=rate_interval(a, clusters),
        b_interval=rate_interval(b, clusters), difference=difference,
        interval=Interval(
            max(-1.0, min(interval.low, difference - unseen)), min(1.0, max(interval.high, difference + unseen))
        ),
        p_value=sign_flip(list(sums.values())) if few or not spread else found.p,
        test=("exact sign flips" if few else "paired t" if spread else "sign flips")
        + ("" if clusters is None else " over clusters"),
        table=table, variance=n * spread**2 if spread and units >= _FEWEST else None,
    )  # fmt: skip


def _by_flips(sums: Sequence[float], sizes: Sequence[int]) -> Interval:
    """Give the 95% interval of a mean difference that the sign-flip test does not reject; at most 16 units.

    Args:
        sums: Of the differences of each unit's cases.
        sizes: How many cases each unit has.

    Source: Fisher's test inverted, as in Good (2005), "Permutation, Parametric and Bootstrap Tests of Hypotheses", 3.3.
    """
    middle = math.fsum(sums) / sum(sizes)

    def holds(difference: float) -> bool:
        return sign_flip([total - difference * size for total, size in zip(sums, sizes, strict=True)]) > 0.05

    def end(limit: float) -> float:
        if holds(limit):
            return limit
        inside, outside = middle, limit
        for _ in range(16):  # to 1/30,000: a hundredth of a point
            between = (inside + outside) / 2
            inside, outside = (between, outside) if holds(between) else (inside, between)
        return outside

    return Interval(end(-1.0), end(1.0))


def _without_spread(difference: float, units: int) -> Interval:
    """Give the 95% interval of a mean difference where all units agree, so that t has no width to give.

    That so many agree bounds the share of all that do, by Clopper and Pearson; the rest may differ by anything in
    [-1, 1].
    """
    agree = clopper_pearson(units, units).low
    return Interval(agree * difference - (1 - agree), agree * difference + (1 - agree))


def rate_interval(shares: Sequence[float], clusters: Sequence[str] | None = None) -> Interval:
    """Give the 95% interval of a mean of shares, one per case, over cases or clusters.

    Wilson's where every share is 0 or 1 and every case stands for itself, else Student's t; Wilson's on as many trials
    as there are clusters where these agree throughout.
    """
    n, units = len(shares), len(shares) if clusters is None else len(set(clusters))
    if units == n and all(share in (0.0, 1.0) for share in shares):
        return wilson(round(math.fsum(shares)), n)
    mean = math.fsum(shares) / n
    try:
        found = paired_t([0.0] * n, shares, clusters)
    except TooFewCases:
        return wilson(round(mean * units), units)
    if not found.se:
        return wilson(round(mean * units), units)
    return Interval(max(0.0, found.low), min(1.0, found.high))


_MCNEMAR = "exact McNemar"
