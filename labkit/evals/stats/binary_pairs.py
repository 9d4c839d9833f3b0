"""Two versions, pass or fail, on the same cases. *improved*: only the new one passed; *regressed*: only the old one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from labkit.errors import OptionInvalid
from labkit.evals.stats.arguments import as_count, check_part, two_sided_z
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.rates import wilson

__all__ = [
    "NonInferiority",
    "Verdict",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_mid_p",
    "mcnemar_score",
    "newcombe",
    "non_inferiority",
    "tango",
]

Verdict = Literal["pass", "fail", "inconclusive"]


def mcnemar_exact(regressed: float, improved: float) -> float:
    """Give the two-sided p-value of so uneven a split of the discordant cases; 1 when there are none.

    At 5% it takes at least six discordant cases, all one way: five give p = .0625.

    Raises:
        OptionInvalid: A count that is not whole or is below 0.

    Source: McNemar (1947), Psychometrika 12; the exact form is a binomial test with probability 1/2.
    """
    tail, _ = _binomial_tail(regressed, improved)
    return min(1.0, 2 * tail)


def mcnemar_mid_p(regressed: float, improved: float) -> float:
    """Give the mid-p version of ``mcnemar_exact``: less conservative, not guaranteed to hold its level.

    Raises:
        OptionInvalid: A count that is not whole or is below 0.

    Source: Fagerland, Lydersen and Laake (2013), "The McNemar test for binary matched-pairs data", BMC MRM 13.
    """
    tail, at = _binomial_tail(regressed, improved)
    # Half of the observed split's own probability comes off each tail; an even split stands in both and keeps p = 1.
    return min(1.0, 2 * tail - at)


def mcnemar_chi2(regressed: float, improved: float, correction: bool = True) -> tuple[float, float]:
    """Give McNemar's statistic and its p-value by chi-squared with one degree of freedom; (0, 1) without discordance.

    For large counts and for comparing with published figures; ``mcnemar_exact`` holds at any count.

    Args:
        regressed: Cases only the old version passed.
        improved: Cases only the new one passed.
        correction: Edwards' continuity correction: 1 off the absolute difference.

    Raises:
        OptionInvalid: A count that is not whole or is below 0.

    Source: McNemar (1947), Psychometrika 12; Edwards (1948), Psychometrika 13.
    """
    b, c = as_count(regressed, "regressed"), as_count(improved, "improved")
    if b + c == 0:
        return 0.0, 1.0
    distance = max(0, abs(b - c) - 1) if correction else abs(b - c)
    statistic = distance**2 / (b + c)
    return statistic, math.erfc(math.sqrt(statistic / 2))


def mcnemar_score(regressed: float, improved: float) -> float:
    """Give the two-sided p-value that belongs to ``tango``: below 5% exactly where its 95% interval leaves 0 out.

    It holds its level on average over how many cases are discordant, within half a point of 5%, where the exact test
    stays far below it.

    Raises:
        ValueError: A count that is not whole or is below 0.

    Source: McNemar (1947), Psychometrika 12, without correction; its level: Fagerland, Lydersen and Laake (2013), "The
    McNemar test for binary matched-pairs data", BMC Medical Research Methodology 13.
    """
    return mcnemar_chi2(regressed, improved, correction=False)[1]


def tango(improved: float, regressed: float, n: float, confidence: float = 0.95) -> Interval:
    """Give the score interval of the paired difference of pass rates, (improved - regressed) / n.

    It keeps a width where no case is discordant: 0 and 0 of n give plus and minus z² / (n + z²).

    Args:
        improved: Cases only the new version passed.
        regressed: Cases only the old one passed.
        n: All cases, concordant ones too.
        confidence: Of the two-sided interval, inside (0, 1).

    Returns:
        Differences of shares in [-1, 1].

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: A count below 0, more discordant cases than cases, or *confidence* not inside (0, 1).

    Source: Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17, equations 5 and 7.
    """
    _check_pairs(improved, regressed, n)
    z = two_sided_z(confidence)
    at = (improved - regressed) / n

    def rejected(delta: float) -> bool:
        """A true difference of *delta* lies more than z standard errors from the one that was seen."""
        a = 2 * n
        b = (2 * n - improved + regressed) * delta - improved - regressed
        c = -regressed * delta * (1 - delta)
        root = math.sqrt(max(0.0, b * b - 4 * a * c))
        # The textbook root (root - b) / 2a loses all digits when b is large and positive.
        q = (root - b) / (2 * a) if b <= 0 else -2 * c / (b + root)
        variance = n * max(0.0, 2 * q + delta * (1 - delta))
        return (improved - regressed - n * delta) ** 2 > z * z * variance

    return Interval(-_boundary(lambda step: rejected(-step), -at), _boundary(rejected, at))


def newcombe(both: float, improved: float, regressed: float, neither: float, confidence: float = 0.95) -> Interval:
    """Give the square-and-add interval of the paired difference of pass rates: a cross-check of ``tango``.

    Args:
        both: Cases both versions passed.
        improved: Cases only the new one passed.
        regressed: Cases only the old one passed.
        neither: Cases both failed.
        confidence: Of the two-sided interval, inside (0, 1).

    Returns:
        Differences of shares in [-1, 1].

    Raises:
        TooFewCases: No cases at all.
        OptionInvalid: A count below 0, or *confidence* not inside (0, 1).

    Source: Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on
    paired data", Statistics in Medicine 17, method 10.
    """
    for name, count in {"both": both, "improved": improved, "regressed": regressed, "neither": neither}.items():
        if not 0 <= count < math.inf:
            raise OptionInvalid(f"{name}={count!r} is not a count: give a number of 0 or more")
    n = both + improved + regressed + neither
    new, old = wilson(both + improved, n, confidence), wilson(both + regressed, n, confidence)
    at_new, at_old = (both + improved) / n, (both + regressed) / n
    phi = _corrected_phi(both, improved, regressed, neither)
    below = _add_squares(at_new - new.low, old.high - at_old, phi)
    above = _add_squares(new.high - at_new, at_old - old.low, phi)
    return Interval(max(-1.0, at_new - at_old - below), min(1.0, at_new - at_old + above))


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Whether a new version is at most *margin* worse.

    Args:
        verdict: ``pass``: the whole interval is above -margin. ``fail``: the whole of it is below. Else
            ``inconclusive``, also when an end lies on -margin.
        difference: (improved - regressed) / n, a share.
        interval: Its Tango interval.
        margin: The loss that is accepted, a share.
    """

    verdict: Verdict
    difference: float
    interval: Interval
    margin: float


def non_inferiority(
    improved: float, regressed: float, n: float, margin: float, confidence: float = 0.95
) -> NonInferiority:
    """Judge whether the new version's pass rate is at most *margin* below the old one's.

    Args:
        improved: Cases only the new version passed.
        regressed: Cases only the old one passed.
        n: All cases.
        margin: Accepted loss as a share in [0, 1): 0.02 is two points.
        confidence: Of the two-sided interval: at 0.95 either verdict is wrong at most about 2.5% of the time.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: A margin outside [0, 1), or what ``tango`` refuses.

    Source: Piaggio et al. (2012), "Reporting of Noninferiority and Equivalence Randomized Trials", JAMA 308; the
    interval as in ``tango``.
    """
    if not 0 <= margin < 1:
        raise OptionInvalid(f"margin={margin!r}: give a share from 0 to below 1; 0.02 accepts a loss of two points")
    interval = tango(improved, regressed, n, confidence)
    verdict: Verdict = "pass" if interval.low > -margin else "fail" if interval.high < -margin else "inconclusive"
    return NonInferiority(verdict=verdict, difference=(improved - regressed) / n, interval=interval, margin=margin)


def _binomial_tail(regressed: float, improved: float) -> tuple[float, float]:
    """P(X <= m) and P(X = m) for X binomial with 1/2 over the discordant cases, m the smaller count."""
    b, c = as_count(regressed, "regressed"), as_count(improved, "improved")
    m, n = min(b, c), b + c
    at = math.comb(n, m) / 2**n  # two exact integers: rounded once, and 0 only below 5e-324
    # Each term is the one above it times a ratio below 1; summing from the largest needs no other big integer.
    total = term = 1.0
    for k in range(m, 0, -1):
        term *= k / (n - k + 1)
        total += term
        if term < 1e-18 * total:
            break
    return at * total, at


def _boundary(rejected: Callable[[float], bool], inside: float) -> float:
    """The largest delta from *inside* to 1 that is not rejected, by bisection to the last bit."""
    low, high = inside, 1.0
    if not rejected(high):
        return high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return low


def _corrected_phi(a: float, b: float, c: float, d: float) -> float:
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    cross = a * d - b * c
    return (cross if cross < 0 else max(0.0, cross - (a + b + c + d) / 2)) / math.sqrt(margins)


def _add_squares(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _check_pairs(improved: float, regressed: float, n: float) -> None:
    if improved < 0 or regressed < 0:
        raise OptionInvalid(f"improved={improved!r}, regressed={regressed!r}: counts of cases are 0 or more")
    check_part(improved + regressed, n, "improved + regressed")
