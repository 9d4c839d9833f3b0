"""What else differs between two runs: schema, fallbacks, latency and cost, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import TooFewCases
from labkit.evals.contrast import Contrast, PrimaryTest, Verdict, contrast
from labkit.evals.pairing import Paired
from labkit.evals.stats import Interval, paired_t, quantile_interval
from labkit.extras import needs
from labkit.store.facts import percentile

if TYPE_CHECKING:
    from labkit.evals.pairing import Column

__all__ = ["Difference", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure of both runs.

    Args:
        name: "pass rate", "p50 latency", ...
        unit: "share", "s" or "usd".
        a: Measure of A; None where it is not known.
        b: Measure of B.
        estimate: B less A, None where it cannot be estimated.
        interval: 95% interval of *estimate*, None where none can be given.
        higher_is_better: Which way is good.
    """

    name: str
    unit: Literal["share", "s", "usd"]
    a: float | None
    b: float | None
    estimate: float | None
    interval: Interval | None
    higher_is_better: bool

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies; inconclusive when it holds 0 or there is none."""
        if self.interval is None:
            return "inconclusive"
        if self.interval.low > 0:
            return "better" if self.higher_is_better else "worse"
        if self.interval.high < 0:
            return "worse" if self.higher_is_better else "better"
        return "inconclusive"


def measured(pairs: Paired, passed: Contrast, primary: PrimaryTest) -> list[Difference]:
    """Give the pass rate first, then the rest."""

    def share(name: str, a: Column, b: Column) -> Difference:
        seen = contrast(a.tolist(), b.tolist(), pairs.clusters, primary=primary)
        return _of(name, seen, higher_is_better=name != "served by fallback")

    return [
        _of("pass rate", passed, higher_is_better=True),
        share("valid schema", pairs.a.schema_valid, pairs.b.schema_valid),
        share("served by fallback", pairs.a.degraded, pairs.b.degraded),
        _median(pairs),
        _p95(pairs),
        _cost(pairs),
    ]


def _of(name: str, seen: Contrast, *, higher_is_better: bool) -> Difference:
    return Difference(
        name=name, unit="share", a=seen.a_rate, b=seen.b_rate, estimate=seen.difference, interval=seen.interval,
        higher_is_better=higher_is_better,
    )  # fmt: skip


def _median(pairs: Paired) -> Difference:
    """The interval is that of the paired log differences, carried back to seconds at A's median.

    A percentile's own difference has no simple paired interval; the ratio of a typical case does.
    """
    a, b = percentile(pairs.a.latencies_s, 0.5), percentile(pairs.b.latencies_s, 0.5)
    interval = None
    ratio = _paired(pairs, pairs.a.log_elapsed, pairs.b.log_elapsed)
    if ratio is not None and a is not None:
        interval = Interval(a * math.expm1(ratio.low), a * math.expm1(ratio.high))
    return _seconds("p50 latency", a, b, interval)


def _p95(pairs: Paired) -> Difference:
    a, b = percentile(pairs.a.latencies_s, 0.95), percentile(pairs.b.latencies_s, 0.95)
    return _seconds("p95 latency", a, b, _mover(pairs.a.latencies_s, pairs.b.latencies_s, 0.95))


def _mover(a: Sequence[float], b: Sequence[float], q: float) -> Interval | None:
    """Give the interval of the difference of two quantiles from the interval of each; None where one has an open end.

    It takes the runs for independent; on the same cases it is a little wider than need be.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect measures", Statistics in Medicine 27.
    """
    try:
        of_a, of_b = quantile_interval(a, q), quantile_interval(b, q)
    except TooFewCases:
        return None
    at_a, at_b = percentile(a, q), percentile(b, q)
    ends = (*of_a, *of_b, at_a, at_b)
    if None in ends:
        return None
    low_a, high_a, low_b, high_b, at_a, at_b = (end for end in ends if end is not None)
    return Interval(
        at_b - at_a - math.hypot(at_b - low_b, high_a - at_a), at_b - at_a + math.hypot(high_b - at_b, at_a - low_a)
    )


def _seconds(name: str, a: float | None, b: float | None, interval: Interval | None) -> Difference:
    estimate = None if a is None or b is None else b - a
    return Difference(name=name, unit="s", a=a, b=b, estimate=estimate, interval=interval, higher_is_better=False)


def _cost(pairs: Paired) -> Difference:
    a, b = (_mean_of_all(side.cost_usd) for side in (pairs.a, pairs.b))
    found = None if a is None or b is None else _paired(pairs, pairs.a.cost_usd, pairs.b.cost_usd)
    return Difference(
        name="cost per 1,000", unit="usd", a=a, b=b, estimate=None if a is None or b is None else b - a,
        interval=None if found is None else Interval(found.low * 1000, found.high * 1000), higher_is_better=False,
    )  # fmt: skip


def _mean_of_all(costs: Column) -> float | None:
    """For 1,000 cases; None where any is unknown."""
    mean = float(costs.mean()) * 1000
    return None if math.isnan(mean) else mean


def _paired(pairs: Paired, a: Column, b: Column) -> Interval | None:
    """The 95% interval of the mean of b - a over the cases that both know; None where no spread can be estimated."""
    with needs("numpy", "a comparison"):
        import numpy as np

    known = ~(np.isnan(a) | np.isnan(b))
    clusters: Any = None
    if pairs.clusters is not None:
        clusters = [cluster for cluster, is_known in zip(pairs.clusters, known, strict=True) if is_known]
    try:
        return paired_t(a[known].tolist(), b[known].tolist(), clusters).interval
    except TooFewCases:
        return None
