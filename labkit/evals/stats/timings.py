"""Percentiles of timings, of one run and of the difference of two, over cases that were asked side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import TooFewCases
from labkit.evals.stats.arguments import check_share
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.quantiles import quantile_interval
from labkit.extras import needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Places = NDArray[np.int64]

__all__ = ["PercentileDifference", "Timings", "percentile_difference"]

_STRETCHES = (30, 10, 6)  # how many consecutive parts of a run are looked at for noise that lasts
_SURPRISE = 2.576  # standard errors of the spread of these parts: one run in two hundred, without any stretch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timings:
    """Seconds of the answers of a run.

    Args:
        seconds: One per answer.
        units: What each answer belongs to, a whole number in the order of asking: its case, or its cluster.
        n_units: How many of these there are.
    """

    seconds: Column
    units: Places
    n_units: int

    def percentile(self, q: float) -> float | None:
        """Give the smallest of the seconds that at least a share *q* of them does not exceed; None without any."""
        with needs("numpy", "a percentile"):
            import numpy as np

        n = len(self.seconds)
        return float(np.partition(self.seconds, _rank(n, q) - 1)[_rank(n, q) - 1]) if n else None

    def interval(self, q: float, confidence: float = 0.95) -> Interval[float | None]:
        """Give the interval of the percentile, between two of the seconds.

        Ranks are those of independent timings, of as many as would tell as much: answers to one case, or in one
        cluster, are alike.

        Raises:
            TooFewCases: Neither end can be given.

        Source: Woodruff (1952), "Confidence intervals for medians and other position measures", JASA 47; where cases
        are timed once, ``quantile_interval``.
        """
        if len(self.seconds) == len(set(self.units.tolist())):
            return quantile_interval(self.seconds.tolist(), q, confidence)
        shares = self.shares_below(q)
        found = self.between(q, confidence, shares[shares != 0])
        if found == (None, None):
            raise TooFewCases(f"{len(self.seconds)} timings of {self.n_units} cases bound the {q:g} quantile nowhere")
        return found

    def between(self, q: float, confidence: float, shares: Column) -> Interval[float | None]:
        """Give the interval of the percentile from what each unit adds to the share of answers up to it."""
        with needs("numpy", "a percentile"):
            import numpy as np

        n, told = len(self.seconds), len(shares)
        variance = float(np.sum(shares**2)) * told / max(1, told - 1)
        half = _t(told - 1, confidence) * math.sqrt(variance)
        rank = _rank(n, q) / n
        alone = n if variance <= 0 or rank in (0, 1) else min(n, rank * (1 - rank) / variance)
        tail, ordered = (1 - confidence) / 2, np.sort(self.seconds)
        low: float | None = max(1.0, n * (q - half) + 0.5)
        high: float | None = min(float(n), n * (q + half) + 0.5)
        # beyond the smallest and the largest of so few lies nobody knows how much
        low, high = (low if (1 - q) ** alone <= tail else None), (high if q**alone <= tail else None)
        low, high = (None if at is None else float(np.interp(at, np.arange(1, n + 1), ordered)) for at in (low, high))
        return Interval(low, high)

    def shares_below(self, q: float) -> Column:
        """What each unit adds to the share of answers up to the percentile, less what it would add on average."""
        with needs("numpy", "a percentile"):
            import numpy as np

        n, rank = len(self.seconds), _rank(len(self.seconds), q)
        is_below = np.zeros(n)
        is_below[np.argsort(self.seconds, kind="stable")[:rank]] = 1.0
        shares: Column = np.bincount(self.units, weights=is_below - rank / n, minlength=self.n_units) / n
        return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileDifference:
    """How far a percentile of B lies above that of A.

    Args:
        estimate: Seconds.
        interval: 95%; None where so few timings bound the difference on neither side, or only on one.
        in_stretches: Noise that lasted over many cases and met one run more than the other was seen; the interval
            allows for it.
    """

    estimate: float
    interval: Interval | None
    in_stretches: bool


def percentile_difference(a: Timings, b: Timings, q: float, confidence: float = 0.95) -> PercentileDifference:
    """Estimate how far the *q*-percentile of B lies above that of A, on the same cases.

    Each percentile has an interval of its own; put together they allow for the answers of both runs to one case being
    fast or slow together. The interval is of the very difference that is shown, whatever the two distributions are.

    Args:
        a: Units as those of *b*: the same number stands for the same case.
        q: Inside (0, 1).
        confidence: Of the interval.

    Raises:
        TooFewCases: A run has no timing.

    Source: Zou (2007), "Toward using confidence intervals to compare correlations", Psychological Methods 12, for the
    difference of two dependent estimates from their intervals; the intervals as ``Timings.interval``; parts of
    consecutive cases: Kuensch (1989), "The Jackknife and the Bootstrap for General Stationary Observations", Annals of
    Statistics 17.
    """
    check_share(q, "q")
    with needs("numpy", "a percentile"):
        import numpy as np

    at_a, at_b = a.percentile(q), b.percentile(q)
    if at_a is None or at_b is None:
        raise TooFewCases("a run without timings has no percentile: every answer came from the cache")
    present = np.flatnonzero(np.bincount(a.units, minlength=a.n_units) + np.bincount(b.units, minlength=b.n_units))
    shares = np.stack([side.shares_below(q)[present] for side in (a, b)])
    gathered = _stretches(shares)
    told = shares if gathered is None else gathered
    lengths = np.sqrt(np.sum(told**2, axis=1))
    together = float(told[0] @ told[1] / (lengths[0] * lengths[1])) if lengths.all() else 0.0
    estimate = at_b - at_a
    of_a, of_b = (side.between(q, confidence, each) for side, each in zip((a, b), told, strict=True))
    interval = None
    if of_a.low is not None and of_a.high is not None and of_b.low is not None and of_b.high is not None:
        interval = Interval(
            estimate - _apart(at_b - of_b.low, of_a.high - at_a, together),
            estimate + _apart(of_b.high - at_b, at_a - of_a.low, together),
        )
    return PercentileDifference(estimate=estimate, interval=interval, in_stretches=gathered is not None)


def _apart(x: float, y: float, together: float) -> float:
    return math.sqrt(max(0.0, x * x + y * y - 2 * together * x * y))


def _stretches(shares: Column) -> Column | None:
    """Gather what consecutive units add, where their noise lasts and does not meet both runs alike; None: it does not.

    Were units independent, the sums over consecutive ones would spread as they do one by one.
    """
    import numpy as np

    n = shares.shape[1]
    found: tuple[float, Column] | None = None
    for parts in _STRETCHES:
        if n < 3 * parts:
            continue
        gathered = np.add.reduceat(shares, np.linspace(0, n, parts + 1).astype(int)[:-1], axis=1)
        seen, alone = (float(np.sum((each[1] - each[0]) ** 2)) for each in (gathered, shares))
        if seen > alone * (1 + _SURPRISE * math.sqrt(2 / (parts - 1))) and (found is None or seen > found[0]):
            found = seen, gathered
    return None if found is None else found[1]


def _t(df: int, confidence: float) -> float:
    with needs("scipy", "an interval of a percentile"):
        from scipy.special import stdtrit

    return float(stdtrit(max(1, df), (1 + confidence) / 2))


def _rank(n: int, q: float) -> int:
    return max(1, math.ceil(q * n))
