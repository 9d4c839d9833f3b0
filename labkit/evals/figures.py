"""What a run comes to, figure by figure, each with its interval: what floors are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.contrast import Judged, Units, mean_interval, mean_of
from labkit.evals.runs import EvalRun
from labkit.evals.stats import Interval, mean_difference
from labkit.extras import needs
from labkit.store.facts import Fact

__all__ = ["FIGURES", "Figure", "figure_of", "is_ceiling", "is_share"]


_UNKNOWN: Interval[float | None] = Interval(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a run.

    Args:
        value: None where it is not known.
        interval: 95%; an end that so few rows cannot give is None. Where rows could not be judged it holds whatever
            they would have been.
    """

    value: float | None
    interval: Interval[float | None] = _UNKNOWN


_SHARES: Mapping[str, Callable[[Fact], float | None]] = {
    "pass_rate": lambda fact: fact.passed,
    "model_pass_rate": lambda fact: fact.model_passed,
    "schema_valid_rate": lambda fact: fact.schema_valid,
    "fallback_rate": lambda fact: fact.degraded,
}
_PERCENTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "p95_s": 0.95}
_COSTS = ("cost_usd", "cost_usd_per_call")

FIGURES = (*_SHARES, *_PERCENTILES, *_COSTS)
"""Names of the figures that every run has; costs are of one call."""


def is_ceiling(name: str) -> bool:
    """Whether less of it is better."""
    return name == "fallback_rate" or name in _PERCENTILES or name in _COSTS


def is_share(name: str) -> bool:
    """Whether it goes from 0 to 1."""
    return name not in _PERCENTILES and name not in _COSTS


def figure_of(run: EvalRun, name: str) -> Figure:
    """Give a figure of a run by its name: one of ``FIGURES``, or of its scorers, of which it is the mean.

    Raises:
        OptionInvalid: It has no such figure.
    """
    if name in _PERCENTILES:
        return _percentile(run, _PERCENTILES[name])
    if name in _COSTS:
        return _cost(run)
    if name == "pass_rate":
        return _share(*run.metric_by_case("pass"))
    if name in _SHARES:
        return _share(*run.by_case(_SHARES[name]))
    if name not in run.scores and name not in run.scorers:
        names = (*FIGURES, *run.scores)
        raise OptionInvalid(f"run {run.run_id} has no figure {name!r}; there are {', '.join(names)}")
    return _share(*run.metric_by_case(name))


def _share(seen: Judged, units: Units) -> Figure:
    with needs("numpy", "an interval"):
        import numpy as np

    places = np.flatnonzero(~np.isnan(seen.mean))
    if not len(places):
        return Figure(value=None)
    known, among = seen.at(places), units.at(places)
    interval: Any = mean_interval(known.mean, among)
    if seen.unjudged:
        interval = Interval(
            min(interval.low, mean_interval(seen.least, units).low),
            max(interval.high, mean_interval(seen.most, units).high),
        )
    return Figure(value=mean_of(known.mean, among), interval=interval)


def _percentile(run: EvalRun, q: float) -> Figure:
    value = run.timings.percentile(q)
    try:
        return Figure(value=value, interval=run.timings.interval(q)) if value is not None else Figure(value=None)
    except TooFewCases:
        return Figure(value=value)


def _cost(run: EvalRun) -> Figure:
    if run.cost_usd is None:
        return Figure(value=None)
    costs, units = run.by_case(lambda fact: fact.cost_usd)
    low, high = mean_difference(costs.mean, units.clusters).interval()
    return Figure(value=run.cost_usd / len(run.facts), interval=Interval(max(0.0, low), high))
