"""How many cases a question takes, and how small an effect so many cases can show."""

from __future__ import annotations

import math
from statistics import NormalDist

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import check_part, check_share, two_sided_z
from labkit.extras import needs

__all__ = ["cases_needed", "cases_needed_numeric", "minimum_detectable_effect"]


def cases_needed(improved: float, regressed: float, n: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Give how many cases, in all, would settle a difference of pass rates as large as a pilot's.

    Args:
        improved: Pilot cases only the new version passed.
        regressed: Pilot cases only the old one passed.
        n: Pilot cases in all; shares work too, with n = 1.
        power: Chance to see the difference if it is that large, above *alpha*.
        alpha: Level of the two-sided test; twice it for a one-sided one.

    Returns:
        Cases in all, not rounded; less *n* it is how many more. Never so few that an exact test could not reach *alpha*
        even if all discordant cases went one way.

    Raises:
        TooFewCases: n is 0, or the pilot has no difference: no number of cases settles a difference of nothing.
        OptionInvalid: More discordant cases than cases, or a *power* or *alpha* that is no level.

    Source: Connor (1987), "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43; a pilot's difference is itself uncertain, so take the number as an order of magnitude.
    """
    if improved < 0 or regressed < 0:
        raise OptionInvalid(f"improved={improved!r}, regressed={regressed!r}: counts of cases are 0 or more")
    check_part(improved + regressed, n, "improved + regressed")
    z_alpha, z_beta = _quantiles(power, alpha)
    if improved == regressed:
        raise TooFewCases(
            f"the pilot of {n} cases shows no difference ({improved} improved, {regressed} regressed): no number of "
            "cases settles a difference of nothing; name the smallest one that matters, or run more pilot cases"
        )
    discordant, difference = (improved + regressed) / n, abs(improved - regressed) / n
    spread = math.sqrt(max(0.0, discordant - difference**2))
    by_normal = (z_alpha * math.sqrt(discordant) + z_beta * spread) ** 2 / difference**2
    fewest_flips = math.ceil(1 - math.log2(alpha))  # 2 * 0.5**6 is below 5%, 2 * 0.5**5 is not
    return max(by_normal, fewest_flips / discordant)


def cases_needed_numeric(
    delta: float, variance: float, power: float = 0.8, alpha: float = 0.05, *, exact: bool = False
) -> float:
    """Give how many cases would show a mean difference of *delta*.

    Args:
        delta: The difference to be seen, in the unit of the scores; its sign does not matter.
        variance: Of one case's difference, unit squared: between cases, plus within variance / repeats of each arm.
        power: Chance to see it, above *alpha*.
        alpha: Level of the two-sided test.
        exact: By the noncentral t distribution instead of the normal: two or three cases more, and slower.

    Returns:
        Cases, not rounded.

    Raises:
        OptionInvalid: *delta* is 0 or not finite, *variance* is not above 0, or a *power* or *alpha* that is no level.

    Source: Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, section 5; exact: Cohen (1988),
    "Statistical Power Analysis for the Behavioral Sciences", chapter 2.
    """
    z_alpha, z_beta = _quantiles(power, alpha)
    if not 0 < abs(delta) < math.inf:
        raise OptionInvalid(
            f"delta={delta!r}: no number of cases shows a difference of nothing; name the smallest you need"
        )
    if not 0 < variance < math.inf:
        raise OptionInvalid(
            f"variance={variance!r}: give the variance of a case's difference, above 0, from a pilot run"
        )
    by_normal = (z_alpha + z_beta) ** 2 * variance / delta**2
    return _by_noncentral_t(abs(delta) / math.sqrt(variance), power, alpha, by_normal) if exact else by_normal


def minimum_detectable_effect(
    n: float,
    between_variance: float,
    within_variance: float = 0.0,
    repeats: int = 1,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """Give the smallest mean difference that *n* cases would show.

    Args:
        n: Cases, each answered by both versions.
        between_variance: Of the cases' true differences, unit of the scores squared.
        within_variance: Of one score inside a case, per arm: what asking the same case again changes.
        repeats: Scores per case and arm; they shrink the within part only.
        power: Chance to see it, above *alpha*.
        alpha: Level of the two-sided test.

    Returns:
        In the unit of the scores; 0 only if both variances are.

    Raises:
        TooFewCases: n is 0.
        OptionInvalid: A variance below 0, *repeats* below 1, or a *power* or *alpha* that is no level.

    Source: Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, section 5.
    """
    z_alpha, z_beta = _quantiles(power, alpha)
    if n == 0:
        raise TooFewCases("no cases detect nothing: give at least one")
    if not (0 < n < math.inf and repeats >= 1):
        raise OptionInvalid(f"n={n!r}, repeats={repeats!r}: give at least one case and one repeat")
    for name, variance in {"between_variance": between_variance, "within_variance": within_variance}.items():
        if not 0 <= variance < math.inf:
            raise OptionInvalid(f"{name}={variance!r}: a variance is 0 or more")
    return (z_alpha + z_beta) * math.sqrt((between_variance + 2 * within_variance / repeats) / n)


def _quantiles(power: float, alpha: float) -> tuple[float, float]:
    """Standard normal quantiles of a two-sided level and of a power."""
    check_share(alpha, "alpha")
    check_share(power, "power")
    if power <= alpha:
        raise OptionInvalid(
            f"power={power!r} is not above alpha={alpha!r}: a test that blind needs no cases; 0.8 is usual"
        )
    return two_sided_z(1 - alpha), NormalDist().inv_cdf(power)


def _by_noncentral_t(effect: float, power: float, alpha: float, start: float) -> float:
    # Not statsmodels' solve_power: it gives up with a warning where the answer is a handful of cases.
    with needs("scipy", "a number of cases"):
        from scipy.optimize import brentq
        from scipy.special import nctdtr, stdtrit

    def lacking(n: float) -> float:
        critical, shift = stdtrit(n - 1, 1 - alpha / 2), effect * math.sqrt(n)
        far_tail = float(nctdtr(n - 1, shift, -critical))
        # scipy gives nan where the far tail is below what it can resolve, about 1e-20.
        return 1 - float(nctdtr(n - 1, shift, critical)) + (0.0 if math.isnan(far_tail) else far_tail) - power

    fewest, most = 2.0, start + 10.0
    if lacking(fewest) >= 0:
        return fewest
    while lacking(most) < 0:
        most *= 2
    return float(brentq(lacking, fewest, most, xtol=1e-9))
