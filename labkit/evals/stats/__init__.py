"""The statistics under a comparison, each with its source. The unit is the case."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.errors import TooFewCases

__all__ = ["Estimate", "Interval", "cases_needed", "mcnemar_exact", "paired_t", "quantile_interval", "tango", "wilson"]


class Interval(NamedTuple):
    """A confidence interval, low <= high."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its standard error, interval, degrees of freedom and two-sided p-value."""

    mean: float
    se: float
    low: float
    high: float
    df: int
    p: float


def wilson(passed: int, n: int, confidence: float = 0.95) -> Interval:
    """Give the score interval of a proportion, in [0, 1].

    Raises:
        TooFewCases: n is 0.
        ValueError: *passed* is not from 0 to n, or *confidence* not inside (0, 1).

    Source: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22.
    """
    _check_count(passed, n)
    z = _z(confidence)
    rate = passed / n
    scale = 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    return Interval(0.0 if passed == 0 else middle - half, 1.0 if passed == n else middle + half)


def mcnemar_exact(regressed: int, improved: int) -> float:
    """Give the two-sided p-value of as uneven a split of the discordant cases, 1 without any.

    Source: McNemar (1947), Psychometrika 12; the exact form is a binomial test with p = 1/2.
    """
    if regressed < 0 or improved < 0:
        raise ValueError(f"counts of cases are 0 or more, not {regressed} and {improved}")
    discordant = regressed + improved
    tail = sum(math.comb(discordant, k) for k in range(min(regressed, improved) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def tango(improved: int, regressed: int, n: int, confidence: float = 0.95) -> Interval:
    """Give the score interval of a paired difference of proportions, (improved - regressed) / n, in [-1, 1].

    Raises:
        TooFewCases: n is 0.
        ValueError: More discordant cases than cases.

    Source: Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17, equations 5 and 7.
    """
    _check_count(improved + regressed, n)
    z = _z(confidence)
    at = (improved - regressed) / n

    def score(delta: float) -> float:
        b = -improved - regressed + (2 * n - improved + regressed) * delta
        c = -regressed * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * q + delta * (1 - delta))
        distance = improved - regressed - n * delta
        if variance <= 0:
            return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    return Interval(_root(lambda d: score(d) - z, -1.0, at), _root(lambda d: score(d) + z, at, 1.0))


def quantile_interval(values: Sequence[float], q: float, confidence: float = 0.95) -> Interval:
    """Give the interval of the *q*-quantile between two order statistics.

    Raises:
        TooFewCases: So few values that no order statistic bounds it: fewer than 59 cannot bound a 95th percentile.

    Source: Conover (1999), "Practical Nonparametric Statistics", 3rd edition, section 3.2.
    """
    n, tail = len(values), (1 - confidence) / 2
    below = [0.0]
    for k in range(n + 1):
        below.append(below[-1] + math.comb(n, k) * q**k * (1 - q) ** (n - k))  # P(at most k values below)
    low = max((k for k in range(1, n + 1) if below[k] <= tail), default=0)
    high = min((k for k in range(1, n + 1) if below[k] >= 1 - tail), default=0)
    if not low or not high:
        raise TooFewCases(f"the {q:.0%} quantile cannot be bounded from {n} values: measure more")
    ordered = sorted(values)
    return Interval(ordered[low - 1], ordered[high - 1])


def paired_t(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Estimate the mean of b - a over the same cases in the same order, with its 95% interval.

    Raises:
        TooFewCases: Fewer than two pairs.

    Source: Miller (2024), "Adding Error Bars to Evals", section 4.2.
    """
    differences = [y - x for x, y in zip(a, b, strict=True)]
    n = len(differences)
    if n < 2:
        raise TooFewCases(f"a spread cannot be estimated from {n} pairs: give at least 2")
    from scipy import stats

    mean, se = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * se
    p = float(2 * stats.t.sf(abs(mean / se), n - 1)) if se else float(mean == 0)
    return Estimate(mean=mean, se=se, low=mean - half, high=mean + half, df=n - 1, p=p)


def cases_needed(improved: int, regressed: int, n: int, power: float = 0.8, alpha: float = 0.05) -> int:
    """Give how many cases in all would settle a paired difference at the rates of a pilot.

    Raises:
        TooFewCases: The pilot shows no difference, so no number of cases would settle it.

    Source: Connor (1987), "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43.
    """
    _check_count(improved + regressed, n)
    if improved == regressed:
        raise TooFewCases("the pilot shows no difference: no number of cases settles a difference of nothing")
    discordant, difference = (improved + regressed) / n, abs(improved - regressed) / n
    z_alpha, z_beta = _z(1 - alpha), statistics.NormalDist().inv_cdf(power)
    root = math.sqrt(max(0.0, discordant - difference**2))
    return math.ceil((z_alpha * math.sqrt(discordant) + z_beta * root) ** 2 / difference**2)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: give a number inside (0, 1), 0.95 for 95%")
    return statistics.NormalDist().inv_cdf((1 + confidence) / 2)


def _check_count(part: int, n: int) -> None:
    if n < 1:
        raise TooFewCases("a rate of no cases is not estimable: give at least one")
    if not 0 <= part <= n:
        raise ValueError(f"{part} of {n} cases is not possible")


def _root(falling: object, low: float, high: float) -> float:
    """Bisect a falling function; the end whose sign it has everywhere when there is no root between."""
    function = falling
    assert callable(function)
    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    for _ in range(200):
        middle = (low + high) / 2
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
