"""Scores of two versions on the same cases; repeats are averaged within a case before they come here."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_numbers, check_share
from labkit.evals.stats.interval import Interval
from labkit.extras import needs

__all__ = ["Estimate", "clustered_se", "paired_t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with what is known of it.

    Args:
        mean: In the unit of the scores.
        se: Its standard error, same unit.
        low: Lower end of the interval.
        high: Upper end.
        df: Degrees of freedom: cases - 1, or clusters - 1.
        p: Two-sided p-value of "the mean is 0".
    """

    mean: float
    se: float
    low: float
    high: float
    df: int
    p: float

    @property
    def interval(self) -> Interval:
        return Interval(self.low, self.high)


def paired_t(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable] | None = None, confidence: float = 0.95
) -> Estimate:
    """Estimate how far variant B beats A on the same cases.

    Args:
        a: Scores, one per case, averaged over repeats; length n >= 2.
        b: The same cases in the same order as *a*.
        clusters: What each case belongs to (a topic, a document) where cases of one cluster are alike. Rows of all
            repeats with the case as their cluster give, when balanced, the same as averaging first.
        confidence: Of the interval, inside (0, 1).

    Returns:
        Mean of b - a; df is n - 1, or clusters - 1. Equal scores throughout give a mean of 0 with p = 1; their interval
        has no width and says nothing about cases that were not tried.

    Raises:
        TooFewCases: Fewer than two cases or clusters, or every difference is the same and not 0, so that no spread can
            be estimated.
        OptionInvalid: Lengths differ, or a score is missing or not finite.

    Source: Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, sections 2.2 and 4.2; the small-sample factor
    C / (C - 1) as in Cameron and Miller (2015), "A Practitioner's Guide to Cluster-Robust Inference".
    """
    before, after = as_numbers(a, "a"), as_numbers(b, "b")
    check_share(confidence, "confidence")
    if len(before) != len(after):
        raise OptionInvalid(f"a has {len(before)} scores and b has {len(after)}: pair them by case, one score a side")
    # Means of the same repeats in another order differ in their last bit; a t test would find that significant.
    differences = [0.0 if math.isclose(x, y, rel_tol=1e-14) else y - x for x, y in zip(before, after, strict=True)]
    mean, se, df = _mean(differences) if clusters is None else _clustered_mean(differences, clusters)
    if not any(differences):
        return Estimate(mean=0.0, se=0.0, low=0.0, high=0.0, df=df, p=1.0)
    # Differences that agree but for rounding, as 0.3 - 0.2 and 0.2 - 0.1 do, would give a t of 1e16.
    if se <= 1e-14 * max(map(abs, before + after)):
        raise TooFewCases(
            f"the {len(differences)} differences show no spread around {mean:g}, so a t interval cannot be "
            "estimated: add cases, or test them with sign_flip"
        )
    with needs("scipy", "a t interval"):
        from scipy.special import stdtr, stdtrit

    half = float(stdtrit(df, (1 + confidence) / 2)) * se
    p = min(1.0, 2 * float(stdtr(df, -abs(mean / se))))
    return Estimate(mean=mean, se=se, low=mean - half, high=mean + half, df=df, p=p)


def clustered_se(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Give the standard error of a mean over cases that come in clusters, in the unit of *values*.

    Args:
        values: One per case: scores, or differences of scores.
        clusters: What each belongs to, same order; one label per case gives the ordinary standard error.

    Returns:
        sqrt(C / (C - 1) * sum over clusters of (sum of residuals)²) / n; its t has C - 1 degrees of freedom.

    Raises:
        TooFewCases: Fewer than two clusters: nothing shows how clusters differ.
        OptionInvalid: Lengths differ, or a value is missing or not finite.

    Source: as ``paired_t``.
    """
    return _clustered_mean(as_numbers(values, "values"), clusters)[1]


def _mean(values: Sequence[float]) -> tuple[float, float, int]:
    """As ``_clustered_mean`` with every case for itself, without a dictionary of 100,000 clusters."""
    n = len(values)
    if n < 2:
        raise TooFewCases(f"a spread cannot be estimated from {n} cases: give at least 2")
    mean = math.fsum(values) / n
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(n / (n - 1) * squares) / n, n - 1


def _clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float, int]:
    """Mean, standard error, degrees of freedom."""
    n = len(values)
    if len(clusters) != n:
        raise OptionInvalid(f"{n} values but {len(clusters)} cluster labels: give one label per case")
    count = len(set(clusters))
    if count < 2:
        what = "cases" if n < 2 else "clusters"
        raise TooFewCases(f"a spread cannot be estimated from {count} {what}: give at least 2")
    mean = math.fsum(values) / n
    members: defaultdict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        members[cluster].append(value - mean)
    squares = math.fsum(math.fsum(residuals) ** 2 for residuals in members.values())
    return mean, math.sqrt(count / (count - 1) * squares) / n, count - 1
