"""Paired tests that ask only that a difference is as likely to have either sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_numbers
from labkit.extras import needs

__all__ = ["sign_flip", "wilcoxon"]

EXACT_UP_TO = 16  # differences: 65,536 sums
BLOCK = 2_000_000  # signs held in memory at once


def sign_flip(differences: Sequence[float], *, flips: int = 10_000, seed: int = 0) -> float:
    """Give the two-sided p-value of so large a mean difference if every sign were a coin's.

    All 2^n flips are counted for up to 16 differences that are not 0; beyond, *flips* random ones, and the p-value is
    at least 1 / (flips + 1).

    Args:
        differences: b - a, one per case, averaged over repeats.
        flips: How many random flips where not all are counted.
        seed: Of the random flips; the same seed gives the same p-value.

    Raises:
        TooFewCases: No differences.
        OptionInvalid: A difference is missing or not finite, or *flips* is below 1.

    Source: Fisher (1935), "The Design of Experiments", section 21; the + 1 as in Phipson and Smyth (2010),
    "Permutation P-values Should Never Be Zero".
    """
    if flips < 1:
        raise OptionInvalid(f"flips={flips}: give at least 1, better 10,000")
    numbers = as_numbers(differences, "differences")
    if not numbers:
        raise TooFewCases("no differences to test: give at least one case")
    moved = [number for number in numbers if number]  # a 0 stays 0 whatever its sign
    if not moved:
        return 1.0
    with needs("numpy", "a sign-flip test"):
        import numpy as np

    # Sums of the same numbers in another order differ in their last bits, and a tie counts as "so large".
    reached = abs(sum(moved)) - 1e-12 * sum(map(abs, moved))
    if len(moved) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for number in moved:
            sums = np.concatenate([sums + number, sums - number])
        return float(np.mean(np.abs(sums) >= reached))

    generator = np.random.default_rng(seed)
    column, total, hits = np.array(moved), sum(moved), 0
    rows = max(1, BLOCK // len(moved))
    for start in range(0, flips, rows):
        size = (min(rows, flips - start), -(-len(moved) // 8))
        heads = np.unpackbits(generator.integers(0, 256, size, dtype=np.uint8), axis=1, count=len(moved))
        hits += int(np.count_nonzero(np.abs(2 * (heads @ column) - total) >= reached))
    return (hits + 1) / (flips + 1)


def wilcoxon(
    differences: Sequence[float], alternative: Literal["two-sided", "greater", "less"] = "two-sided"
) -> tuple[float, float]:
    """Give Wilcoxon's signed-rank statistic and its p-value; differences of 0 are left out.

    Args:
        differences: b - a, one per case.
        alternative: ``greater``: B is better.

    Returns:
        The smaller rank sum when two-sided, else that of the positive differences; and p, exact up to 50 differences
        without ties. (0, 1) when every difference is 0.

    Raises:
        TooFewCases: No differences.
        OptionInvalid: A difference is missing or not finite.

    Source: Wilcoxon (1945), "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1; computed by scipy.
    """
    numbers = as_numbers(differences, "differences")
    if not numbers:
        raise TooFewCases("no differences to test: give at least one case")
    moved = [number for number in numbers if number]
    if not moved:
        return 0.0, 1.0
    with needs("scipy", "a Wilcoxon test"):
        from scipy import stats

    found = stats.wilcoxon(moved, alternative=alternative)
    return float(found.statistic), float(found.pvalue)
