"""Has a rate moved over many runs? A control chart that remembers, with limits from the binomial variance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_count

__all__ = ["Drift", "DriftPoint", "ewma_chart"]

# From twice as many runs on the centre stays what it is, so that an old alarm is not taken back by newer runs.
_MOST_REFERENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPoint:
    """One monitored run.

    Args:
        run: Its place among the runs, from 0.
        ewma: The weighted mean up to it, in [0, 1].
        low: Lower control limit, in [0, 1].
        high: Upper control limit.
    """

    run: int
    ewma: float
    low: float
    high: float

    @property
    def out(self) -> Literal["below", "above"] | None:
        """The side on which it is out of control."""
        return "below" if self.ewma < self.low else "above" if self.ewma > self.high else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What the chart shows.

    Args:
        centre: The rate that is expected.
        reference: How many of the first runs *centre* was taken from; 0 where it was given.
        points: The runs after them, at least one.
    """

    centre: float
    reference: int
    points: tuple[DriftPoint, ...]

    @property
    def first_out(self) -> DriftPoint | None:
        """The first run out of control, also if later ones were in again; None while all are in."""
        return next((point for point in self.points if point.out), None)

    @property
    def since(self) -> DriftPoint | None:
        """The run with which the present stretch out of control began; None while the last run is in."""
        side = self.points[-1].out
        stretch = list(itertools.takewhile(lambda point: side is not None and point.out == side, self.points[::-1]))
        return stretch[-1] if stretch else None


def ewma_chart(
    passed: Sequence[int], n: Sequence[int], *, weight: float = 0.2, width: float = 3.0, target: float | None = None
) -> Drift:
    """Chart a rate over runs by its exponentially weighted moving average.

    The limits are those of independent cases. Runs over the same cases vary less, so that the chart is then slower to
    cry out than it might be, never quicker.

    Args:
        passed: Cases that passed, one count a run, oldest first.
        n: Cases of each run, each at least 1; they may differ.
        weight: Of the newest run, in (0, 1]; 1 is Shewhart's chart, which has no memory.
        width: Distance of the limits, in standard deviations; 3 is usual.
        target: The rate expected; None takes the pooled rate of the first half of the runs, at most 10 of them, and
            widens the limits by what is not known of it. The runs it was taken from are not monitored themselves.

    Raises:
        TooFewCases: Fewer than two runs, or fewer than one with a target.
        OptionInvalid: Lengths differ, a run has no case or more passed than it has, or *weight* or *width* or *target*
            cannot be.

    Source: Roberts (1959), "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1; the choice of
    weight and width: Lucas and Saccucci (1990), Technometrics 32; Montgomery, "Introduction to Statistical Quality
    Control", section 9.2, with the exact variance for the first runs and for unequal ones. The variance of one case is
    not taken at x / n, where it would be 0 if all passed and one failure after that an infinite surprise, but with
    width^2 / 2 passes and as many failures added: Agresti and Coull (1998), The American Statistician 52. Of simulated
    histories of 30 steady runs, at rates from 0.5 to 0.9999, at most 4 in 100 ever left the limits.
    """
    if len(passed) != len(n):
        raise OptionInvalid(f"{len(passed)} counts of passed cases for {len(n)} runs: give one each")
    counts = [
        (as_count(x, f"passed[{i}]"), as_count(m, f"n[{i}]")) for i, (x, m) in enumerate(zip(passed, n, strict=True))
    ]
    for run, (x, m) in enumerate(counts):
        if m < 1 or x > m:
            raise OptionInvalid(
                f"run {run} has {x} passed of {m}: give at least one case, and no more passed than cases"
            )
    if not 0 < weight <= 1 or not 0 < width < math.inf or (target is not None and not 0 <= target <= 1):
        raise OptionInvalid(
            f"weight={weight} in (0, 1], width={width} above 0 and target={target} in [0, 1] are wanted"
        )
    if len(counts) < (2 if target is None else 1):
        raise TooFewCases(f"{len(counts)} runs show no drift: it takes a rate to expect, of a run or given, and a run")
    reference = 0 if target is not None else min(_MOST_REFERENCE, len(counts) // 2)
    known = sum(m for _, m in counts[:reference])
    centre = target if target is not None else sum(x for x, _ in counts[:reference]) / known
    spread = _spread(centre, sum(m for _, m in counts[: reference or _MOST_REFERENCE]), width)
    ewma, variance, forgotten = centre, 0.0, 1.0
    points = []
    for run, (x, m) in enumerate(counts[reference:], start=reference):
        ewma += weight * (x / m - ewma)
        variance = weight**2 * spread / m + (1 - weight) ** 2 * variance
        forgotten *= 1 - weight
        # what is not known of the centre counts as much as it is not what the average still remembers of its start
        uncertain = spread / known * (1 - forgotten) ** 2 if known else 0.0
        half = width * math.sqrt(variance + uncertain)
        points.append(DriftPoint(run=run, ewma=ewma, low=max(0.0, centre - half), high=min(1.0, centre + half)))
    return Drift(centre=centre, reference=reference, points=tuple(points))


def _spread(rate: float, n: int, width: float) -> float:
    """Variance of one case where *rate* of *n* passed, never 0."""
    mended = (rate * n + width**2 / 2) / (n + width**2)
    return mended * (1 - mended)
