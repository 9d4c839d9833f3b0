"""Many tests at once: p-values adjusted so that each can be held against the level one had in mind.

Written out because each is one line, while importing statsmodels for them takes seconds; the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from labkit.errors import OptionInvalid
from labkit.evals.stats.arguments import as_numbers

__all__ = ["benjamini_hochberg", "bonferroni", "holm"]


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of *any* false alarm is held; for metrics that gate.

    Returns:
        In the order given, each at least as large as its own; at most 1. Empty for none.

    Raises:
        OptionInvalid: A p-value outside [0, 1].

    Source: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scand J Statistics 6.
    """
    order, ordered = _sorted(ps)
    scaled = [min(1.0, p * (len(ordered) - rank)) for rank, p in enumerate(ordered)]
    return _restore(order, list(accumulate(scaled, max)))


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Adjust p-values so that the *share* of false alarms among alarms is held; for slices that one explores.

    Returns:
        In the order given, each at least as large as its own; at most 1. Empty for none.

    Raises:
        OptionInvalid: A p-value outside [0, 1].

    Source: Benjamini and Hochberg (1995), "Controlling the False Discovery Rate", JRSS B 57.
    """
    order, ordered = _sorted(ps)
    scaled = [min(1.0, p * len(ordered) / rank) for rank, p in enumerate(ordered, start=1)]
    return _restore(order, list(accumulate(reversed(scaled), min))[::-1])


def bonferroni(ps: Sequence[float]) -> list[float]:
    """Multiply each p-value by their number; ``holm`` promises the same and rejects more.

    Returns:
        In the order given, at most 1. Empty for none.

    Raises:
        OptionInvalid: A p-value outside [0, 1].

    Source: Dunn (1961), "Multiple Comparisons among Means", JASA 56.
    """
    return [min(1.0, p * len(ps)) for p in _checked(ps)]


def _checked(ps: Sequence[float]) -> list[float]:
    numbers = as_numbers(ps, "ps")
    for position, p in enumerate(numbers):
        if not 0 <= p <= 1:
            raise OptionInvalid(f"ps[{position}]={p!r} is not a p-value: give numbers from 0 to 1")
    return numbers


def _sorted(ps: Sequence[float]) -> tuple[list[int], list[float]]:
    numbers = _checked(ps)
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return order, [numbers[position] for position in order]


def _restore(order: Sequence[int], adjusted: Sequence[float]) -> list[float]:
    return [p for _, p in sorted(zip(order, adjusted, strict=True))]
