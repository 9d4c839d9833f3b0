"""How two versions differ in a measure of cases: both means, the difference with its interval, a p-value.

The verdict is what the interval says, and the p-value is of the test that the interval is the inverse of; which one
that is follows from the kind of data, see ``labkit.evals.stats.inference``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import TooFewCases
from labkit.evals.stats.arguments import two_sided_z
from labkit.evals.stats.inference import EXACT_UP_TO, Inference, SignFlips, mean_difference
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.rates import wilson
from labkit.extras import needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Places = NDArray[np.int64]

__all__ = [
    "Contrast", "Judged", "Outcome", "PrimaryTest", "Table", "Units", "Verdict", "contrast", "mean_interval", "mean_of",
    "verdict_of",
]  # fmt: skip

PrimaryTest = Literal["mcnemar", "paired_t"]
"""McNemar where each case is asked once and stands for itself; means of cases where they repeat or cluster."""

Verdict = Literal["better", "worse", "inconclusive"]
Outcome = Literal["both", "only_a", "only_b", "neither"]

_POWER = 0.8


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """One measure of one run, a number in [0, 1] for each case.

    Args:
        mean: Over the case's rows that have the measure; nan where none has.
        least: What the mean would be if the others had 0.
        most: What it would be if they had 1.
        unjudged: Rows that have none.
    """

    mean: Column
    least: Column
    most: Column
    unjudged: int = 0

    @classmethod
    def of(cls, values: Column) -> Judged:
        """Give the measure of cases that were all judged."""
        return cls(mean=values, least=values, most=values)

    def at(self, places: Places) -> Judged:
        """Give that of some of the cases."""
        return replace(self, mean=self.mean[places], least=self.least[places], most=self.most[places])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What stands for itself among cases.

    Args:
        clusters: A whole number for each case: what it belongs to. None: every case stands for itself.
        weights: Of each case; None weighs all the same.
    """

    clusters: Places | None = None
    weights: Column | None = None

    def at(self, places: Places) -> Units:
        """Give those of some of the cases."""
        with needs("numpy", "a comparison"):
            import numpy as np

        clusters = None if self.clusters is None else np.unique(self.clusters[places], return_inverse=True)[1]
        return Units(clusters=clusters, weights=None if self.weights is None else self.weights[places])


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """B against A in one measure, on the same cases.

    Args:
        n: Cases that were judged in both.
        a_rate: Mean over these cases, by weight.
        a_interval: 95%.
        difference: B's mean less A's.
        interval: Of *difference*, 95% unless it is one of several that hold together. Where rows could not be judged it
            reaches from the one end if they had gone all against B to the other if they had gone all for it.
        judged_interval: The same of the judged rows alone.
        unjudged: Rows of both runs that could not be judged.
        confidence: Of the intervals of the difference.
        p_value: Two-sided, of the judged rows.
        test: What *p_value* and the intervals are by, in words.
        table: Who passed what.
    """

    n: int
    a_rate: float
    b_rate: float
    a_interval: Interval
    b_interval: Interval
    difference: float
    interval: Interval
    judged_interval: Interval
    unjudged: int
    confidence: float
    p_value: float
    test: str
    table: Table
    _inferences: tuple[Inference, Inference, Inference] = field(repr=False, compare=False)

    @property
    def inference(self) -> Inference:
        """The test of the judged rows."""
        return self._inferences[0]

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies; more is taken for better."""
        return verdict_of(self.interval)

    @property
    def turned(self) -> bool:
        """The judged rows alone would tell a difference, which those that were not judged could turn."""
        return self.verdict == "inconclusive" != verdict_of(self.judged_interval)

    @property
    def minimum_detectable_effect(self) -> float | None:
        """The smallest difference that so many cases show in four of five tries; None where nothing would."""
        half = _half(self.interval)
        effect = half * (1 + NormalDist().inv_cdf(_POWER) / two_sided_z(self.confidence))
        return effect if effect < 1 else None

    def more_cases(self) -> int | None:
        """Give how many cases more than these a comparison takes to show this difference in four of five tries.

        None where there is no such number: no difference was seen, nothing could be shown, or it is unjudged rows that
        stand in the way.
        """
        effect = self.minimum_detectable_effect
        if effect is None or not self.difference or self.turned:
            return None
        return max(1, math.ceil(self.n * (effect / self.difference) ** 2) - self.n)

    def with_confidence(self, confidence: float, towards_zero: float | None = None) -> Contrast:
        """Give the contrast with intervals of another confidence.

        Args:
            confidence: Inside (0, 1).
            towards_zero: Of the end next to 0, where it is another; it is taken only where it leaves 0 out.
        """
        judged, interval = _intervals(self._inferences, confidence, self.unjudged)
        if towards_zero is not None and verdict_of(interval) == "inconclusive":
            inner_judged, inner = _intervals(self._inferences, towards_zero, self.unjudged)
            judged, interval = _towards_zero(judged, inner_judged), _towards_zero(interval, inner)
        return replace(self, confidence=confidence, interval=interval, judged_interval=judged)


def verdict_of(interval: Interval | None) -> Verdict:
    """Say what an interval of B - A says where more is better; one that ends at 0 holds it."""
    if interval is None:
        return "inconclusive"
    return "better" if interval.low > 0 else "worse" if interval.high < 0 else "inconclusive"


def outcome_of(a: float, b: float, is_graded: bool = False) -> Outcome:
    """Say who passed, of repeats by the majority; of grades, who got more, and whether both got all there is."""
    if is_graded:
        if abs(a - b) > 1e-9:
            return "only_a" if a > b else "only_b"
        return "both" if a >= 1 - 1e-9 else "neither"
    if a > 0.5:
        return "both" if b > 0.5 else "only_a"
    return "only_b" if b > 0.5 else "neither"


def _won(a: Column, b: Column, is_graded: bool) -> tuple[Any, Any]:
    """Who passed; of grades who got more, and both where they got all there is."""
    if not is_graded:
        return a > 0.5, b > 0.5
    return (a > b + 1e-9) | ((a >= 1 - 1e-9) & (b >= 1 - 1e-9)), (b > a + 1e-9) | ((a >= 1 - 1e-9) & (b >= 1 - 1e-9))


def contrast(
    a: Judged, b: Judged, units: Units | None = None, *, primary: PrimaryTest, is_graded: bool = False
) -> Contrast:
    """Contrast two versions on the same cases.

    Args:
        a: Of each case.
        b: The same cases in the same order.
        units: What stands for itself; None: every case.
        primary: The test that was fixed before the run.
        is_graded: Cases got grades and did not pass or fail.

    Raises:
        TooFewCases: No case was judged in both.
    """
    with needs("numpy", "a comparison"):
        import numpy as np

    units = units or Units()
    known = ~(np.isnan(a.mean) | np.isnan(b.mean))
    is_whole = bool(known.all())
    if not known.any():
        raise TooFewCases("no case was judged in both")
    places = np.flatnonzero(known)
    seen_a, seen_b, of_seen = (a, b, units) if is_whole else (a.at(places), b.at(places), units.at(places))
    pair = np.concatenate([seen_a.mean, seen_b.mean])
    is_binary = primary == "mcnemar" and bool(np.all((pair == 0) | (pair == 1)))

    def inferred(difference: Column, among: Units) -> Inference:
        return mean_difference(difference, among.clusters, among.weights, is_binary=is_binary, bound=1.0)

    judged = inferred(seen_b.mean - seen_a.mean, of_seen)
    unjudged = a.unjudged + b.unjudged
    inferences = (judged, judged, judged)
    if unjudged:
        worst, best = b.least - a.most, b.most - a.least
        inferences = judged, inferred(worst, units), inferred(best, units)
    judged_interval, interval = _intervals(inferences, 0.95, unjudged)
    won_a, won_b = _won(seen_a.mean, seen_b.mean, is_graded)
    both, only_a, only_b = (int(np.sum(each)) for each in (won_a & won_b, won_a & ~won_b, won_b & ~won_a))
    return Contrast(
        n=len(places), a_rate=mean_of(seen_a.mean, of_seen), b_rate=mean_of(seen_b.mean, of_seen),
        a_interval=mean_interval(seen_a.mean, of_seen), b_interval=mean_interval(seen_b.mean, of_seen),
        difference=judged.mean, interval=interval, judged_interval=judged_interval, unjudged=unjudged, confidence=0.95,
        p_value=judged.p, test=judged.test,
        table=Table(both=both, only_a=only_a, only_b=only_b, neither=len(places) - both - only_a - only_b),
        _inferences=inferences,
    )  # fmt: skip


def mean_of(values: Column, units: Units) -> float:
    """Give the mean of the cases, by weight."""
    if units.weights is None:
        return math.fsum(values) / len(values)
    return math.fsum(values * units.weights) / math.fsum(units.weights)


def mean_interval(values: Column, units: Units | None = None) -> Interval:
    """Give the 95% interval of a mean of numbers in [0, 1], one per case.

    Wilson's where every case stands for itself: of passes as they are, of other numbers on as many trials as have their
    spread, by Student's t. Over clusters, and where weights differ, from means of halves of the units, see
    ``SignFlips``.

    Source: Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology 24, for the number of trials.
    """
    with needs("numpy", "an interval"):
        import numpy as np

    units = units or Units()
    n, mean = len(values), mean_of(values, units)
    is_even = units.weights is None or bool(np.all(units.weights == units.weights[0]))
    if units.clusters is None and is_even:
        if np.all((values == 0) | (values == 1)):
            return wilson(float(np.sum(values)), n)
        return _on_trials(mean, float(np.var(values)) / n, n)
    found = mean_difference(values, units.clusters, units.weights, bound=1.0)
    if not isinstance(found, SignFlips) or found.units <= EXACT_UP_TO or float(np.var(found.sums / found.sizes)) == 0:
        return _on_trials(mean, _spread(found, mean), found.units)
    low, high = found.interval()
    return Interval(max(0.0, low), high)


def _on_trials(mean: float, variance: float, n: int) -> Interval:
    """Wilson's interval on as many trials as would have the *variance*, and wider as t is with *n* units."""
    if not 0 < mean < 1 or n < 2 or variance <= 0:
        return wilson(min(1.0, max(0.0, mean)) * n, n)
    with needs("scipy", "a t interval"):
        from scipy.special import stdtrit

    t = float(stdtrit(n - 1, 0.975))
    trials = mean * (1 - mean) / (variance * n / (n - 1)) * (two_sided_z(0.95) / t) ** 2
    return wilson(mean * trials, trials)


def _spread(found: Inference, mean: float) -> float:
    """Variance of a mean over units of any size."""
    if not isinstance(found, SignFlips):
        return 0.0
    residuals = found.sums - mean * found.sizes
    return float((residuals**2).sum()) / float(found.sizes.sum()) ** 2


def _intervals(
    inferences: tuple[Inference, Inference, Inference], confidence: float, unjudged: int
) -> tuple[Interval, Interval]:
    """Of the judged rows, and of all whatever the others would have been."""
    judged = inferences[0].interval(confidence)
    if not unjudged:
        return judged, judged
    worst, best = (each.interval(confidence) for each in inferences[1:])
    return judged, Interval(min(judged.low, worst.low), max(judged.high, best.high))


def _towards_zero(outer: Interval, inner: Interval) -> Interval:
    if inner.low > 0:
        return Interval(inner.low, outer.high)
    return Interval(outer.low, inner.high) if inner.high < 0 else outer


def _half(interval: Interval) -> float:
    return (interval.high - interval.low) / 2
