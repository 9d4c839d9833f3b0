"""One pass rate: its interval, its standard error, and what it would be if the judge were perfect."""

from __future__ import annotations

import math

from labkit.errors import OptionInvalid
from labkit.evals.stats.arguments import check_part, check_share, two_sided_z
from labkit.evals.stats.interval import Interval
from labkit.extras import needs

__all__ = ["clopper_pearson", "difference_se", "rate_se", "rogan_gladen", "wilson"]


def wilson(passed: float, n: float, confidence: float = 0.95) -> Interval:
    """Give the score interval of a pass rate: its mean coverage is *confidence*.

    Args:
        passed: Cases that passed, 0 to n; with repeats the sum of the cases' mean scores.
        n: Cases.
        confidence: Of the two-sided interval, inside (0, 1).

    Returns:
        Shares in [0, 1]; exactly 0 below 0 of n, exactly 1 above n of n.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: *passed* is not from 0 to n, or *confidence* not inside (0, 1).

    Source: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22.
    """
    check_part(passed, n, "passed")
    z = two_sided_z(confidence)
    rate = passed / n
    scale = 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    # At the ends the formula is exact but its rounding is not: 0 of n would start at 1e-17.
    return Interval(0.0 if passed == 0 else max(0.0, middle - half), 1.0 if passed == n else min(1.0, middle + half))


def clopper_pearson(passed: float, n: float, confidence: float = 0.95) -> Interval:
    """Give the exact interval of a pass rate: it covers at least *confidence*, usually more.

    The one-sided 95% bound after 0 failures of n is ``clopper_pearson(0, n, 0.90).high``, about 3 / n.

    Args:
        passed: Cases that passed, 0 to n.
        n: Cases.
        confidence: Of the two-sided interval, inside (0, 1).

    Returns:
        Shares in [0, 1]; exactly 0 below 0 of n, exactly 1 above n of n.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: *passed* is not from 0 to n, or *confidence* not inside (0, 1).

    Source: Clopper and Pearson (1934), "The Use of Confidence or Fiducial Limits", Biometrika 26.
    """
    check_part(passed, n, "passed")
    check_share(confidence, "confidence")
    with needs("scipy", "an exact interval of a rate"):
        from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if passed == 0 else float(betaincinv(passed, n - passed + 1, tail))
    high = 1.0 if passed == n else float(betaincinv(passed + 1, n - passed, 1 - tail))
    return Interval(low, high)


def rate_se(rate: float, n: float) -> float:
    """Give the standard error of a pass rate over *n* independent cases, as a share.

    It is 0 at a rate of 0 or 1, where ``wilson`` still has a width: show the interval, not this.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: *rate* is not from 0 to 1.

    Source: Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, section 2.
    """
    if not 0 <= rate <= 1:
        raise OptionInvalid(f"rate={rate!r}: give a share from 0 to 1")
    check_part(rate * n, n, "rate * n")
    return math.sqrt(rate * (1 - rate) / n)


def difference_se(se_a: float, se_b: float, correlation: float = 0.0) -> float:
    """Give the standard error of a difference of two means from theirs.

    Args:
        se_a: Standard error of the one.
        se_b: Standard error of the other, in the same unit.
        correlation: Of the scores over the same cases, in [-1, 1]; 0 for runs over different cases.

    Raises:
        OptionInvalid: A standard error below 0, or a correlation outside [-1, 1].

    Source: Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, section 4.
    """
    if not (0 <= se_a < math.inf and 0 <= se_b < math.inf):
        raise OptionInvalid(f"standard errors {se_a!r} and {se_b!r}: give two finite numbers of 0 or more")
    if not -1 <= correlation <= 1:
        raise OptionInvalid(f"correlation={correlation!r}: give a number from -1 to 1, 0 for independent runs")
    return math.sqrt(max(0.0, se_a**2 + se_b**2 - 2 * correlation * se_a * se_b))


def rogan_gladen(observed: float, sensitivity: float, specificity: float) -> float:
    """Give the pass rate behind the one that an imperfect judge reports.

    Args:
        observed: Share of cases the judge passed, in [0, 1].
        sensitivity: Share of truly good answers that it passes, in [0, 1], from a calibration against people.
        specificity: Share of truly bad answers that it fails, in [0, 1].

    Returns:
        A share, cut to [0, 1]: fewer passes than the judge's false alarms alone would give means 0.

    Raises:
        OptionInvalid: A share outside [0, 1], or a judge no better than a coin (sensitivity + specificity <= 1).

    Source: Rogan and Gladen (1978), "Estimating prevalence from the results of a screening test", Am J Epidemiol 107.
    """
    for name, value in {"observed": observed, "sensitivity": sensitivity, "specificity": specificity}.items():
        if not 0 <= value <= 1:
            raise OptionInvalid(f"{name}={value!r}: give a share from 0 to 1")
    skill = sensitivity + specificity - 1
    if skill <= 0:
        raise OptionInvalid(
            f"a judge with sensitivity {sensitivity:g} and specificity {specificity:g} tells good from bad no better "
            "than a coin, so its rate cannot be corrected: mend the judge's prompt and calibrate it again"
        )
    return min(1.0, max(0.0, (observed + specificity - 1) / skill))
