"""How far raters agree beyond chance: a judge and a person, several judges, judges who skip cases."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Real
from typing import Any, Literal, cast

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_count, two_sided_z
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.rates import wilson
from labkit.extras import needs

__all__ = ["Kappa", "Level", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha"]

Level = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Cohen's kappa, with what one needs to read it: 94% agreement can have a kappa below 0 when one label is rare.

    Args:
        kappa: 1 for perfect agreement, 0 for chance, below 0 for worse; at least -1.
        low: Lower end of its interval.
        high: Upper end.
        se: Standard error, for intervals.
        se_null: Standard error if the true kappa were 0, for tests.
        agreement: Share of cases with the same label.
        prevalence: Share of each label, averaged over both raters; adds up to 1.
        n: Cases.
    """

    kappa: float
    low: float
    high: float
    se: float
    se_null: float
    agreement: float
    prevalence: tuple[float, ...]
    n: int

    @property
    def interval(self) -> Interval:
        return Interval(self.low, self.high)


def cohen_kappa(table: Sequence[Sequence[float]], confidence: float = 0.95) -> Kappa:
    """Measure how far two raters agree beyond chance.

    Args:
        table: Counts, k x k: row = the one rater's label, column = the other's, labels in the same order.
        confidence: Of the interval, inside (0, 1).

    Returns:
        Where the standard error is 0 (agreement on all or on none, or a rater with one label only) it would give an
        interval without width; the ends then come from the Wilson interval of the raw agreement.

    Raises:
        TooFewCases: No cases, or only one label in all of them: agreement by chance is then certain.
        OptionInvalid: A table that is not square, or not of counts.

    Source: Cohen (1960), Educational and Psychological Measurement 20; standard errors of Fleiss, Cohen and Everitt
    (1969), Psychological Bulletin 72. Not by statsmodels: it gives nan where rounding puts a variance of 0 below it.
    """
    z = two_sided_z(confidence)
    counts = _counts(table, "table")
    k = len(counts)
    if any(len(row) != k for row in counts):
        raise OptionInvalid(
            f"a table of {k} rows with {sorted({len(row) for row in counts})} columns: give a square one, every label "
            "on both sides"
        )
    rows, columns = [sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)]
    n = sum(rows)
    prevalence = tuple((row + column) / (2 * n) for row, column in zip(rows, columns, strict=True)) if n else ()
    if not n or max(prevalence) == 1:
        raise TooFewCases(
            f"kappa of {n} cases with {'one label' if n else 'no label'} is not estimable: add cases on which a rater "
            "gives another label"
        )
    agreement = sum(counts[i][i] for i in range(k)) / n
    chance = sum(row * column for row, column in zip(rows, columns, strict=True)) / n**2
    kappa = (agreement - chance) / (1 - chance)
    se, se_null = _kappa_errors(counts, kappa, chance)
    low, high = kappa - z * se, kappa + z * se
    if not se:
        low, high = ((end - chance) / (1 - chance) for end in wilson(agreement * n, n, confidence))
    return Kappa(
        kappa=kappa,
        low=max(-1.0, low),
        high=min(1.0, high),
        se=se,
        se_null=se_null,
        agreement=agreement,
        prevalence=prevalence,
        n=n,
    )


def fleiss_kappa(counts: Sequence[Sequence[float]]) -> float:
    """Measure how far several raters agree beyond chance, when each case has equally many of them.

    Args:
        counts: Row = case, column = label, value = how many raters gave it; every row adds up to the same, at least 2.

    Returns:
        1 for perfect agreement, 0 for chance.

    Raises:
        TooFewCases: No cases, or only one label in all of them.
        OptionInvalid: Rows of unequal length or sum, fewer than two raters, or values that are not counts.

    Source: Fleiss (1971), "Measuring nominal scale agreement among many raters", Psychological Bulletin 76; computed by
    statsmodels.
    """
    checked = _counts(counts, "counts")
    if not checked:
        raise TooFewCases("no cases were rated: give at least one")
    if len({len(row) for row in checked}) > 1:
        raise OptionInvalid("rows of counts have different lengths: give every case a column for every label")
    raters = {sum(row) for row in checked}
    if len(raters) > 1 or raters <= {0, 1}:
        raise OptionInvalid(
            f"cases have {sorted(raters)} raters: each needs the same number, at least 2; "
            "krippendorff_alpha takes missing ratings"
        )
    if sum(any(column) for column in zip(*checked, strict=True)) < 2:
        raise TooFewCases("only one label was ever given, kappa is not estimable: add cases that should get another")
    with needs("statsmodels", "Fleiss' kappa"):
        from statsmodels.stats.inter_rater import fleiss_kappa as fleiss

    return float(fleiss(checked))


def krippendorff_alpha(ratings: Sequence[Sequence[Hashable]], level: Level) -> float:
    """Measure how far any number of raters agree beyond chance, with ratings missing.

    Args:
        ratings: Row = rater, column = case; None or nan where a rater gave none. Cases with one rating are left out.
        level: What a difference of two ratings means: ``nominal`` labels are the same or not, ``ordinal`` numbers have
            an order, ``interval`` numbers a distance, ``ratio`` numbers of 0 or more also a zero.

    Returns:
        1 for perfect agreement, 0 for chance, below 0 for worse.

    Raises:
        TooFewCases: No case has two ratings, or all ratings are the same.
        OptionInvalid: Rows of unequal length, an unknown level, or ratings that are no numbers where they have to be.

    Source: Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", equations of sections C and D.
    """
    if level not in ("nominal", "ordinal", "interval", "ratio"):
        raise OptionInvalid(f"level={level!r}: give nominal, ordinal, interval or ratio")
    if len({len(row) for row in ratings}) > 1:
        raise OptionInvalid("raters have different numbers of cases: put None where a rater gave no rating")
    cases = [[value for value in case if not _missing(value)] for case in zip(*ratings, strict=True)]
    paired = [case for case in cases if len(case) > 1]
    if level != "nominal":
        _check_numbers([value for case in paired for value in case], level)
    frequency = Counter(value for case in paired for value in case)
    if len(frequency) < 2:
        raise TooFewCases(
            f"{len(paired)} cases have two or more ratings, with {len(frequency)} different values among them: alpha "
            "is not estimable; add ratings, also of cases that should get another value"
        )
    total, distance = frequency.total(), _distance(level, frequency)
    seen = math.fsum(2 * distance(x, y) / (len(case) - 1) for case in paired for x, y in combinations(case, 2))
    chance = math.fsum(
        2 * frequency[x] * frequency[y] * distance(x, y) / (total - 1) for x, y in combinations(frequency, 2)
    )
    return 1 - seen / chance


def _kappa_errors(counts: Sequence[Sequence[int]], kappa: float, chance: float) -> tuple[float, float]:
    """Standard errors of kappa, at its own value and at 0."""
    n = sum(map(sum, counts))
    row = [sum(line) / n for line in counts]
    column = [sum(line) / n for line in zip(*counts, strict=True)]
    labels = range(len(counts))
    # One term per cell: 1 on the diagonal, less what the labels' shares explain.
    spread = sum(
        counts[i][j] / n * ((i == j) - (column[i] + row[j]) * (1 - kappa)) ** 2 for i in labels for j in labels
    )
    variance = spread - (kappa - chance * (1 - kappa)) ** 2
    null = chance + chance**2 - sum(row[i] * column[i] * (row[i] + column[i]) for i in labels)
    # Below 1e-14 it is rounding: a true variance so small would take 10^13 cases.
    at_kappa, at_zero = (math.sqrt(v / n) / (1 - chance) if v > 1e-14 else 0.0 for v in (variance, null))
    return at_kappa, at_zero


def _distance(level: Level, frequency: Counter[Hashable]) -> Callable[[Any, Any], float]:
    """The squared difference of two ratings at a level."""
    if level == "nominal":
        return lambda x, y: float(x != y)
    if level == "interval":
        return lambda x, y: float(x - y) ** 2
    if level == "ratio":
        return lambda x, y: 0.0 if x == y else ((x - y) / (x + y)) ** 2
    # Ordinal: how many ratings lie between two, the middle of each rank counted.
    middle, below = {}, 0
    for value in sorted(cast("Counter[float]", frequency)):
        middle[value] = below + frequency[value] / 2
        below += frequency[value]
    return lambda x, y: (middle[x] - middle[y]) ** 2


def _missing(value: Hashable) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _check_numbers(values: Sequence[Hashable], level: Level) -> None:
    for value in values:
        if not isinstance(value, Real) or math.isinf(value):
            raise OptionInvalid(f"rating {value!r} has no {level} meaning: give finite numbers, or level='nominal'")
        if level == "ratio" and value < 0:
            raise OptionInvalid(f"rating {value!r} is below the zero of a ratio scale: use level='interval'")


def _counts(table: Sequence[Sequence[float]], name: str) -> list[list[int]]:
    return [[as_count(value, f"{name}[{i}][{j}]") for j, value in enumerate(row)] for i, row in enumerate(table)]
