"""What repeats of one case say: would k tries hold a pass, would k tries all pass?"""

from __future__ import annotations

import math

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.stats.arguments import as_count

__all__ = ["pass_at_k", "pass_hat_k"]


def pass_at_k(n: float, c: float, k: float) -> float:
    """Give the chance that at least one of *k* tries passes: the measure of what can be found by sampling.

    Args:
        n: Tries that were made of the case.
        c: Tries that passed, 0 to n.
        k: From 1 to n.

    Returns:
        A share, without bias; average it over the cases.

    Raises:
        TooFewCases: k is more than n: not enough tries were made.
        OptionInvalid: A number that is not whole, c above n, or k below 1.

    Source: Chen et al. (2021), "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1.
    """
    n, c, k = _checked(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: float, c: float, k: float) -> float:
    """Give the chance that all of *k* tries pass: the measure of what a customer can rely on.

    Arguments, errors and unit are those of ``pass_at_k``.

    Source: Yao et al. (2024), "tau-bench", arXiv 2406.12045, section 3.
    """
    n, c, k = _checked(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def _checked(n: float, c: float, k: float) -> tuple[int, int, int]:
    n, c, k = as_count(n, "n"), as_count(c, "c"), as_count(k, "k")
    if c > n:
        raise OptionInvalid(f"c={c} passes of n={n} tries is not possible: give c <= n")
    if k < 1:
        raise OptionInvalid(f"k={k}: give at least one try")
    if k > n:
        raise TooFewCases(f"k={k} tries cannot be estimated from n={n}: repeat each case at least {k} times")
    return n, c, k
