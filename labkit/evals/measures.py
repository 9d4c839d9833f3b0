"""What else differs between two runs: schema, fallbacks, latency and cost, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.errors import TooFewCases
from labkit.evals.contrast import Contrast, Judged, PrimaryTest, Verdict, contrast, verdict_of
from labkit.evals.pairing import Paired
from labkit.evals.stats import Interval, mean_difference
from labkit.evals.stats.timings import percentile_difference

if TYPE_CHECKING:
    from labkit.evals.pairing import Column

__all__ = ["Difference", "label_of", "measured", "of_contrast", "shown"]


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
        note: What is to be known of it, in a sentence; "" where there is nothing.
    """

    name: str
    unit: Literal["share", "s", "usd"]
    a: float | None
    b: float | None
    estimate: float | None
    interval: Interval | None
    higher_is_better: bool
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies; inconclusive when it holds 0 or there is none."""
        said = verdict_of(self.interval)
        if said == "inconclusive" or self.higher_is_better:
            return said
        return "worse" if said == "better" else "better"


def measured(pairs: Paired, whole: Contrast, primary: PrimaryTest, metric: str) -> list[Difference]:
    """Give what the runs are compared by first, then the other scores, then the rest."""

    def share(name: str, a: Judged, b: Judged) -> Difference:
        seen = contrast(a, b, pairs.units, primary=primary)
        return of_contrast(name, seen, higher_is_better=name != "served by fallback")

    others = {"pass": (pairs.a.passed, pairs.b.passed)} if metric != "pass" else {}
    if len(pairs.b.scores) > 1:
        names = [name for name in pairs.b.scores if name in pairs.a.scores and name != metric]
        others |= {name: (pairs.a.scores[name], pairs.b.scores[name]) for name in names}
    return [
        of_contrast(label_of(metric), whole, higher_is_better=True),
        *(share(label_of(name), a, b) for name, (a, b) in others.items() if _is_judged(a, b)),
        share("valid schema", pairs.a.schema_valid, pairs.b.schema_valid),
        share("served by fallback", pairs.a.degraded, pairs.b.degraded),
        _latency(pairs, "p50 latency", 0.5),
        _latency(pairs, "p95 latency", 0.95),
        _cost(pairs),
    ]


def label_of(metric: str) -> str:
    """The name of what runs are compared by, for people."""
    return "pass rate" if metric == "pass" else metric


def _is_judged(a: Judged, b: Judged) -> bool:
    return bool((~(a.mean != a.mean) & ~(b.mean != b.mean)).any())  # nan is not itself


def of_contrast(name: str, seen: Contrast, *, higher_is_better: bool) -> Difference:
    return Difference(
        name=name, unit="share", a=seen.a_rate, b=seen.b_rate, estimate=seen.difference, interval=seen.interval,
        higher_is_better=higher_is_better,
    )  # fmt: skip


def _latency(pairs: Paired, name: str, q: float) -> Difference:
    a, b = (side.timings.percentile(q) for side in (pairs.a, pairs.b))
    try:
        found = percentile_difference(pairs.a.timings, pairs.b.timings, q)
    except TooFewCases:
        return Difference(name=name, unit="s", a=a, b=b, estimate=None, interval=None, higher_is_better=False)
    note = ""
    if found.in_stretches:
        note = (
            f"{name}: one run met a slow stretch that the other did not (a busy machine, a provider's busy minute), "
            + ("which the interval allows for" if found.interval else "so that the difference is not estimable")
        )
    return Difference(
        name=name, unit="s", a=a, b=b, estimate=found.estimate, interval=found.interval, higher_is_better=False,
        note=note,
    )  # fmt: skip


def _cost(pairs: Paired) -> Difference:
    a, b = (_mean_of_all(side.cost_usd) for side in (pairs.a, pairs.b))
    estimate = interval = None
    if a is not None and b is not None:
        found = mean_difference(pairs.b.cost_usd - pairs.a.cost_usd, pairs.units.clusters)
        estimate = found.mean * 1000
        low, high = (end * 1000 for end in found.interval())
        interval = Interval(low, high) if math.isfinite(low) and math.isfinite(high) else None
    return Difference(
        name="cost per 1,000", unit="usd", a=a, b=b, estimate=estimate, interval=interval, higher_is_better=False
    )


def _mean_of_all(costs: Column) -> float | None:
    """For 1,000 cases; None where any is unknown."""
    mean = float(costs.mean()) * 1000
    return None if math.isnan(mean) else mean


def shown(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Write a measure for people: shares in points, seconds below 1 as milliseconds, never a difference as nothing."""
    if value is None:
        return "unknown"
    sign = "+" if signed else ""
    if unit == "share":
        return f"{value * 100:{sign}.1f}" + ("" if signed else "%")
    if unit == "usd":
        return f"{'-' if value < 0 else sign}${abs(value):.4f}"
    if abs(value) >= 1:
        return f"{value:{sign}.3f} s"
    ms = value * 1000
    places = 0 if abs(ms) >= 100 else 1 if abs(ms) >= 10 else 2 if abs(ms) >= 1 or not ms else 3
    return f"{ms:{sign}.{places}f} ms"
