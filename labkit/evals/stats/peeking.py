"""Evidence for who looks after every case."""

from __future__ import annotations

import math
import sys

from labkit.evals.stats.arguments import as_count

__all__ = ["e_value"]


def e_value(improved: float, regressed: float) -> float:
    """Give the evidence against "both versions are as good", valid however often and whenever one looks.

    Stop at 20 for a 5% test (at 1 / alpha in general): the chance of ever getting there without a difference is at most
    5%. 1 / e is a p-value that survives peeking; ``mcnemar_exact`` is not.

    Returns:
        From just above 0; 1 before the first discordant case. Cut to the largest float, which is still valid.

    Raises:
        OptionInvalid: A count that is not whole or is below 0.

    Source: Ville (1939); the uniform mixture of binomials against 1/2, 2^n / ((n + 1) C(n, improved)), as in Ramdas et
    al. (2023), "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38.
    """
    c = as_count(improved, "improved")
    n = c + as_count(regressed, "regressed")
    try:
        return float(2**n / ((n + 1) * math.comb(n, c)))
    except OverflowError:
        return sys.float_info.max
