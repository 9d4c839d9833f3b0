"""Has a rate moved over many runs? A chart that learns what nights usually differ by, and looks for a change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_count
from labkit.extras import needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

__all__ = ["FEWEST_RUNS", "Drift", "DriftPoint", "change_chart"]

FEWEST_RUNS = 5
"""Two nights do not show what nights usually differ by."""

# Nights over the same cases differ by less than counts do, and where nothing ever differed, one answer that does is no
# drift: no night is taken for more certain than twice what its count says.
_LEAST_SPREAD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPoint:
    """What the runs up to one of them say.

    Args:
        run: Its place among the runs, from 0.
        since: The run with which the likeliest change began.
        before: Rate of the runs before that one, in [0, 1].
        recent: Rate from that one on.
        low: Lower control limit of *recent*, in [0, 1].
        high: Upper control limit.
        out: The side on which it is out of control.
    """

    run: int
    since: int
    before: float
    recent: float
    low: float
    high: float
    out: Literal["below", "above"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What the chart shows: one point for each run from the fifth on, at least one."""

    points: tuple[DriftPoint, ...]

    @property
    def first_out(self) -> DriftPoint | None:
        """The first run out of control, also if later ones were in again; None while all are in."""
        return next((point for point in self.points if point.out), None)

    @property
    def now(self) -> DriftPoint | None:
        """The last point where it is out of control, else None."""
        return self.points[-1] if self.points[-1].out else None


def change_chart(passed: Sequence[float], n: Sequence[float], *, below: float = 3.5, above: float = 3.5) -> Drift:
    """Chart a rate over runs: at each of them, is there a run since which it is another?

    Every run is a single observation, and what nights usually differ by is taken from the nights themselves: repeats,
    clusters, the same cases every night and a provider's better and worse days are all in it. For every place the runs
    before are compared with those from it on; a change is told where the clearest of these is clearer than a limit.

    Args:
        passed: Cases that passed, of each run, oldest first; repeats averaged.
        n: Cases of each run, each at least 1; they may differ.
        below: Limit for a fall, as a standard normal score. Of 60 steady nights looked at one after the other, 5 in 100
            ever reach 3.5, 1 in 100 reach 4.0 and 1 in 200 reach 4.3.
        above: Limit for a rise.

    Raises:
        TooFewCases: Fewer than five runs.
        OptionInvalid: Lengths differ, a run has no case or more passed than it has, or a limit is not above 0.

    Source: Hawkins, Qiu and Kang (2003), "The changepoint model for statistical process control", Journal of Quality
    Technology 35; on the angular scale of Anscombe (1948), Biometrika 35, where the spread of a rate does not hang on
    the rate. Why not by binomial limits: Laney (2002), "Improved control charts for attributes", Quality Engineering
    14.
    """
    if len(passed) != len(n):
        raise OptionInvalid(f"{len(passed)} counts of passed cases for {len(n)} runs: give one each")
    for run, (x, m) in enumerate(zip(passed, n, strict=True)):
        if not 1 <= m < math.inf or not 0 <= x <= m:
            raise OptionInvalid(
                f"run {run} has {x} passed of {m}: give at least one case, and no more passed than cases"
            )
    if not (0 < below < math.inf and 0 < above < math.inf):
        raise OptionInvalid(f"below={below} and above={above} are wanted above 0; 3.5 is usual")
    if len(n) < FEWEST_RUNS:
        raise TooFewCases(f"{as_count(len(n), 'runs')} runs show no drift: it takes {FEWEST_RUNS}")
    with needs("numpy", "a control chart"):
        import numpy as np
    with needs("scipy", "a control chart"):
        import scipy.special  # noqa: F401

    counts, sizes = np.asarray(passed, dtype=float), np.asarray(n, dtype=float)
    angles = 2 * np.arcsin(np.sqrt((counts + 0.375) / (sizes + 0.75)))
    points = [_point(run, angles, counts, sizes, below, above) for run in range(FEWEST_RUNS - 1, len(sizes))]
    return Drift(points=tuple(points))


def _point(run: int, angles: Column, counts: Column, sizes: Column, below: float, above: float) -> DriftPoint:
    import numpy as np
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    seen, weights = angles[: run + 1], sizes[: run + 1]
    # places at which the rate may have changed: at least two runs lie before
    at = np.arange(2, run + 1)
    sums, wholes, squares = (np.cumsum(each) for each in (weights * seen, weights, weights * seen**2))
    before, after = sums[at - 1] / wholes[at - 1], (sums[-1] - sums[at - 1]) / (wholes[-1] - wholes[at - 1])
    within = squares[-1] - wholes[at - 1] * before**2 - (wholes[-1] - wholes[at - 1]) * after**2
    df = run - 1
    # of one case: a count's own spread is 1 on this scale
    spread = np.sqrt(np.maximum(within / df, _LEAST_SPREAD**2))
    width = spread * np.sqrt(1 / wholes[at - 1] + 1 / (wholes[-1] - wholes[at - 1]))
    t = (after - before) / width
    score = -np.sign(t) * ndtri(np.maximum(stdtr(df, -np.abs(t)), 1e-300))
    reach = np.where(score < 0, -score / below, score / above)
    best = int(np.argmax(reach))
    since = int(at[best])
    low, high = (
        before[best] - stdtrit(df, ndtr(below)) * width[best], before[best] + stdtrit(df, ndtr(above)) * width[best]
    )  # fmt: skip
    out: Literal["below", "above"] | None = None
    if reach[best] > 1:
        out = "below" if score[best] < 0 else "above"
    return DriftPoint(
        run=run, since=since, before=float(counts[:since].sum() / sizes[:since].sum()),
        recent=float(counts[since : run + 1].sum() / sizes[since : run + 1].sum()),
        low=_rate(low), high=_rate(high), out=out,
    )  # fmt: skip


def _rate(angle: float) -> float:
    return float(math.sin(min(math.pi, max(0.0, angle)) / 2) ** 2)
