"""One difference, one method: the p-value and every interval of an ``Inference`` come from the same test.

The interval holds the differences that the test does not reject, so that an interval without 0 and a p-value below its
level are one fact. Which test it is follows from the kind of data:

    pass or fail, every case once and for itself     McNemar's score test, inverted by Tango
    numbers or means of repeats, more than 16 cases  Student's t
    clusters, weights, or at most 16 units           flips of signs over units
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from labkit.errors import TooFewCases
from labkit.evals.stats.arguments import check_share
from labkit.evals.stats.binary_pairs import mcnemar_score, tango
from labkit.evals.stats.interval import Interval
from labkit.extras import needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Places = NDArray[np.int64]

__all__ = ["EXACT_UP_TO", "Inference", "McNemarScore", "PairedT", "SignFlips", "mean_difference"]

EXACT_UP_TO = 16
"""Units whose signs are flipped in every way, 65,536 of them; with more, t or random flips."""

_FLIPS = 9_999
_MOST_FLIPPED = 256  # units; what the smaller ones add is drawn from the normal distribution it is close to
_FEWEST_MOVED = 4  # with fewer units that differ, no test says anything, and no spread can be seen


class Inference(Protocol):
    """A mean difference with the test that says what is known of it."""

    @property
    def test(self) -> str:
        """What it is by, in words."""

    @property
    def mean(self) -> float: ...

    @property
    def units(self) -> int:
        """Cases, or clusters, that stand for themselves."""

    @property
    def p(self) -> float:
        """Two-sided, of "the mean is 0"."""

    def interval(self, confidence: float = 0.95) -> Interval:
        """The differences that the test does not reject at 1 - *confidence*."""


def mean_difference(
    differences: Column, clusters: Places | None = None, weights: Column | None = None, *, is_binary: bool = False,
    bound: float = math.inf,
) -> Inference:  # fmt: skip
    """Infer the mean of differences, one per case.

    Args:
        differences: b - a, at least one; repeats are averaged before.
        clusters: A whole number from 0 for each case: what it belongs to. None: every case stands for itself.
        weights: Of each case, above 0; None weighs all the same.
        is_binary: Every case was asked once and passed or failed: differences are -1, 0 and 1.
        bound: No mean difference is larger: 1 for shares and scores.

    Raises:
        TooFewCases: No case.
    """
    with needs("numpy", "a comparison"):
        import numpy as np

    n = len(differences)
    if not n:
        raise TooFewCases("a difference of no cases is not estimable: give at least one")
    # Means of the same repeats in another order differ in their last bit; a test would find that significant.
    differences = np.where(np.abs(differences) < 1e-14 * max(1.0, float(np.max(np.abs(differences)))), 0, differences)
    is_even = weights is None or bool(np.all(weights == weights[0]))
    if clusters is None and is_even:
        if is_binary:
            return McNemarScore(improved=int(np.sum(differences > 0)), regressed=int(np.sum(differences < 0)), n=n)
        if n > EXACT_UP_TO:
            return PairedT.of(differences, bound)
    sizes = np.ones(n) if weights is None or is_even else np.asarray(weights, dtype=float)
    sums = differences * sizes
    if clusters is not None:
        sums, sizes = np.bincount(clusters, weights=sums), np.bincount(clusters, weights=sizes)
        sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    return SignFlips(sums=sums, sizes=sizes, bound=bound, of="" if clusters is None else " over clusters")


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemarScore:
    """Pass or fail on *n* cases that stand for themselves."""

    improved: int
    regressed: int
    n: int

    @property
    def test(self) -> str:
        return "McNemar's score test"

    @property
    def mean(self) -> float:
        return (self.improved - self.regressed) / self.n

    @property
    def units(self) -> int:
        return self.n

    @property
    def p(self) -> float:
        return mcnemar_score(self.regressed, self.improved)

    def interval(self, confidence: float = 0.95) -> Interval:
        return tango(self.improved, self.regressed, self.n, confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedT:
    """Numbers on cases that stand for themselves.

    Args:
        gained: Sum of the differences above 0.
        lost: Sum of those below, as a positive number.
        squares: Sum of the squared differences.
        se: Standard error of the mean; 0 where all cases differ by the same.
    """

    mean: float
    se: float
    units: int
    gained: float
    lost: float
    squares: float
    bound: float

    @classmethod
    def of(cls, differences: Column, bound: float) -> PairedT:
        with needs("numpy", "a comparison"):
            import numpy as np

        n, mean = len(differences), float(np.mean(differences))
        se = float(np.std(differences, ddof=1)) / math.sqrt(n)
        # Differences that agree but for rounding, as 0.3 - 0.2 and 0.2 - 0.1 do, would give a t of 1e16.
        if se <= 1e-13 * float(np.max(np.abs(differences))):
            se = 0.0
        return cls(
            mean=mean, se=se, units=n, gained=float(np.sum(differences[differences > 0])),
            lost=float(-np.sum(differences[differences < 0])), squares=float(np.sum(differences**2)), bound=bound,
        )  # fmt: skip

    @property
    def test(self) -> str:
        return "paired t"

    @property
    def p(self) -> float:
        if not self.se:
            return _p_without_spread(self.mean, self.units, self.bound)
        with needs("scipy", "a t interval"):
            from scipy.special import stdtr

        return min(1.0, 2 * float(stdtr(self.units - 1, -abs(self.mean / self.se))))

    def interval(self, confidence: float = 0.95) -> Interval:
        check_share(confidence, "confidence")
        if not self.se:
            return _without_spread(self.mean, self.units, confidence, self.bound)
        with needs("scipy", "a t interval"):
            from scipy.special import stdtrit

        half = float(stdtrit(self.units - 1, (1 + confidence) / 2)) * self.se
        found = Interval(max(-self.bound, self.mean - half), min(self.bound, self.mean + half))
        jump = self.squares / (self.gained + self.lost)
        if (self.gained + self.lost) / jump >= _FEWEST_MOVED:
            return found
        return _joined(found, _of_few(self.gained, self.lost, jump, self.units, confidence))


@dataclass(frozen=True, kw_only=True, eq=False)
class SignFlips:
    """Units of any size: if B is no better, each unit's difference might as well have had the other sign.

    A difference is rejected where, less that difference in every case, so large a sum is rare among all flips of the
    units' signs. That holds with few units and with one that outweighs the others, where a t test does not.

    Its interval needs no search: a flip rejects nothing between the mean of the units it turns and the mean of the
    rest, so the ends are quantiles of the means of random halves of the units.

    Args:
        sums: Of the differences of each unit's cases, by weight.
        sizes: Weight of each unit, above 0: how many cases it has.
        of: " over clusters", or "" where a unit is a case.

    Source: Fisher (1935), "The Design of Experiments", section 21; Hartigan (1969), "Using subsample values as typical
    values", JASA 64; the one flip that is always counted as in Phipson and Smyth (2010), "Permutation P-values Should
    Never Be Zero".
    """

    sums: Column
    sizes: Column
    bound: float
    of: str = ""

    @property
    def test(self) -> str:
        return ("exact sign flips" if self.units <= EXACT_UP_TO else "sign flips") + self.of

    @cached_property
    def mean(self) -> float:
        return math.fsum(self.sums) / math.fsum(self.sizes)

    @property
    def units(self) -> int:
        return len(self.sums)

    @property
    def p(self) -> float:
        with needs("numpy", "a sign-flip test"):
            import numpy as np

        if self.mean == 0 or self._is_flat:
            return _p_without_spread(self.mean, self.units, self.bound) if self.mean else 1.0
        halves = self._halves
        beyond = np.searchsorted(halves, 0.0, "right") if self.mean > 0 else len(halves) - np.searchsorted(halves, 0.0)
        # the flip that turns no unit, or all of them, reaches whatever was seen
        return float(beyond + 1) / (len(halves) / 2 + 1)

    def interval(self, confidence: float = 0.95) -> Interval:
        check_share(confidence, "confidence")
        if self._is_flat:
            return _without_spread(self.mean, self.units, confidence, self.bound)
        halves = self._halves
        beyond = math.floor((1 - confidence) * (len(halves) / 2 + 1) + 1e-9) - 1
        if beyond < 0:
            return Interval(-self.bound, self.bound)
        low, high = float(halves[beyond]), float(halves[-1 - beyond])
        found = Interval(max(-self.bound, low), min(self.bound, high))
        moved = self.sums[self.sums != 0]
        return found if len(moved) > 5 else _joined(found, _of_few(*self._jumps, self.units, confidence))

    @property
    def _jumps(self) -> tuple[float, float, float]:
        """Gains and losses of the units, in the unit of the mean, and the size of a typical one."""
        each = self.sums * (len(self.sums) / math.fsum(self.sizes))
        gained, lost = math.fsum(each[each > 0]), -math.fsum(each[each < 0])
        return gained, lost, math.fsum(each**2) / (gained + lost)

    @cached_property
    def _is_flat(self) -> bool:
        """All units differ by the same, so that no flip tells anything."""
        rates = self.sums / self.sizes
        return float(rates.max() - rates.min()) <= 1e-13 * float(abs(rates).max())

    @cached_property
    def _halves(self) -> Column:
        """Means of halves of the units, sorted; each half beside its rest; without the half that holds none."""
        with needs("numpy", "a sign-flip test"):
            import numpy as np

        total = np.array([math.fsum(self.sums), math.fsum(self.sizes)])
        both = np.column_stack([self.sums, self.sizes])
        if self.units <= EXACT_UP_TO:
            chosen = np.zeros((1, 2))
            for unit in both[1:]:  # the first one stays: its flips are the rests
                chosen = np.concatenate([chosen, chosen + unit])
            chosen = chosen[1:]
        else:
            chosen = _random_halves(both, np.random.default_rng(0))
        rest = total - chosen
        # Sums of the same numbers in another order differ in their last bits, and a tie counts as "so large".
        tie = 1e-12 * float(np.sum(np.abs(self.sums)))
        found = []
        for half in (chosen, rest):
            sums = np.where(np.abs(half[:, 0]) <= tie, 0.0, half[:, 0])
            with np.errstate(divide="ignore", invalid="ignore"):
                means = np.where(half[:, 1] > 0, sums / half[:, 1], np.nan)
            found.append(means)
        # Of a half that holds no unit there is no mean: it is beyond, on the side where its rest is not.
        first, second = found
        first = np.where(np.isnan(first), np.where(second >= self.mean, -np.inf, np.inf), first)
        second = np.where(np.isnan(second), np.where(first >= self.mean, -np.inf, np.inf), second)
        halves: Column = np.sort(np.concatenate([first, second]))
        return halves


def _random_halves(both: Column, generator: Any) -> Column:
    """Sum and size of random halves of the units; of many, the smaller ones by their normal limit."""
    import numpy as np

    n = len(both)
    if n > _MOST_FLIPPED:
        spread = both[:, 0] - both[:, 0].sum() / both[:, 1].sum() * both[:, 1]
        shares = sum(part**2 / max(float(np.sum(part**2)), 1e-300) for part in (both[:, 1], spread))
        order = np.argsort(-np.asarray(shares), kind="stable")
        both, small = both[order[:_MOST_FLIPPED]], both[order[_MOST_FLIPPED:]]
    else:
        small = both[:0]
    heads = np.unpackbits(
        generator.integers(0, 256, (_FLIPS, -(-len(both) // 8)), dtype=np.uint8), axis=1, count=len(both)
    )
    chosen: Column = heads.astype(np.float64) @ both
    if len(small):
        normal = generator.standard_normal((_FLIPS, 2))
        of_size = math.sqrt(float(np.sum(small[:, 1] ** 2)))
        shared = float(np.sum(small[:, 0] * small[:, 1])) / of_size
        own = math.sqrt(max(0.0, float(np.sum(small[:, 0] ** 2)) - shared**2))
        sizes = np.clip(of_size * normal[:, 0], -small[:, 1].sum(), small[:, 1].sum())
        chosen[:, 0] += (small[:, 0].sum() + shared * normal[:, 0] + own * normal[:, 1]) / 2
        chosen[:, 1] += (small[:, 1].sum() + sizes) / 2
    return chosen


def _without_spread(mean: float, units: int, confidence: float, bound: float) -> Interval:
    """The interval of a mean where all units agree, so that no test has a width to give.

    That so many agree bounds the share of all that do, by Clopper and Pearson; the rest may differ by anything.
    """
    agree = ((1 - confidence) / 2) ** (1 / units)
    most = bound if math.isfinite(bound) else 2 * abs(mean)
    return Interval(agree * mean - (1 - agree) * most, agree * mean + (1 - agree) * most)


def _p_without_spread(mean: float, units: int, bound: float) -> float:
    """The level at which ``_without_spread`` begins to hold 0."""
    most = bound if math.isfinite(bound) else 2 * abs(mean)
    return min(1.0, 2 * (most / (most + abs(mean))) ** units) if mean else 1.0


def _of_few(gained: float, lost: float, jump: float, units: int, confidence: float) -> Interval:
    """Tango's interval on jumps of the size that was seen: what a handful of units shows is no spread."""
    found = tango(min(gained / jump, units), min(lost / jump, max(0.0, units - gained / jump)), units, confidence)
    return Interval(found.low * jump, found.high * jump)


def _joined(one: Interval, other: Interval) -> Interval:
    return Interval(min(one.low, other.low), max(one.high, other.high))
