"""Intervals of medians and p95: made of measured values, or honestly open."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from labkit.errors import TooFewCases
from labkit.evals.stats import quantile_coverage, quantile_interval, quantile_ranks

steady = settings(derandomize=True, deadline=None)


@steady
@given(st.integers(1, 400), st.floats(0.02, 0.98), st.floats(0.5, 0.999))
def test_the_ranks_cover_what_they_promise(n: int, q: float, confidence: float):
    """Whatever is asked, the coverage is at least the confidence; or the error says how many values it takes."""
    try:
        low, high = quantile_ranks(n, q, confidence)
    except TooFewCases as error:
        needed = int(str(error).split()[-1])
        assert needed > n
        quantile_ranks(needed, q, confidence)
        with pytest.raises(TooFewCases):
            quantile_ranks(needed - 1, q, confidence)
        return

    assert quantile_coverage(n, q, low, high) >= confidence - 1e-12
    assert low is not None or high is not None


@pytest.mark.parametrize(("n", "q"), [(100, 0.5), (200, 0.95), (1000, 0.99), (80, 0.9)])
def test_the_ranks_are_the_closest_with_equal_tails(n: int, q: float):
    """One rank nearer on either side and that side would miss more than 2.5%."""
    low, high = quantile_ranks(n, q)

    assert low is not None
    assert high is not None
    assert binom.cdf(low - 1, n, q) <= 0.025 < binom.cdf(low, n, q)
    assert binom.sf(high - 1, n, q) <= 0.025 < binom.sf(high - 2, n, q)


@pytest.mark.parametrize(
    ("n", "ranks"), [(2, (1, None)), (58, (51, None)), (59, (50, 59)), (71, (63, 71)), (72, (64, 72))]
)
def test_p95_has_an_upper_end_from_59_values_on(n: int, ranks: tuple[int, int | None]):
    """With fewer, the slowest call seen is no bound; the lower end stands all the same."""
    assert quantile_ranks(n, 0.95) == ranks


def test_low_quantiles_mirror_high_ones():
    """p5 has a lower end from 59 values on."""
    assert quantile_ranks(58, 0.05) == (None, 8)
    assert quantile_ranks(59, 0.05) == (1, 10)


def test_the_interval_is_made_of_the_values():
    """Any order, ties, integers and tuples."""
    values = [float(rank) for rank in range(1, 101)]
    random.Random(3).shuffle(values)

    assert quantile_interval(values, 0.5) == (40.0, 61.0)
    assert quantile_interval((7,) * 10, 0.5) == (7.0, 7.0)
    assert quantile_interval([1.0] * 30 + [math.inf] * 2, 0.95) == (1.0, None)


def test_coverage_is_what_a_simulation_sees():
    """Of 4,000 samples of 40 uniform values, the share whose interval holds the true median."""
    rng = random.Random(11)
    low, high = quantile_ranks(40, 0.5)
    held = 0
    for _ in range(4_000):
        ends = quantile_interval([rng.random() for _ in range(40)], 0.5)
        held += ends.low <= 0.5 <= ends.high

    coverage = quantile_coverage(40, 0.5, low, high)
    assert held / 4_000 == pytest.approx(coverage, abs=4 * math.sqrt(coverage * (1 - coverage) / 4_000))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_five_values_do_not_bound_a_median(n: int):
    """Six do."""
    with pytest.raises(TooFewCases, match="at least 6"):
        quantile_interval(range(n), 0.5)
    assert quantile_interval(range(6), 0.5) == (0, 5)


@pytest.mark.parametrize(
    ("values", "q", "confidence", "said"),
    [
        ([1, 2, math.nan], 0.5, 0.95, r"values\[2\]"), ([1, None], 0.5, 0.95, r"values\[1\]"),
        (range(90), 95, 0.95, "q=95"), (range(90), 0, 0.95, "q=0"), (range(90), 0.5, 95, "confidence=95"),
    ],
)  # fmt: skip
def test_a_quantile_is_a_share(values, q, confidence, said: str):
    """95 for p95 is a slip."""
    with pytest.raises(ValueError, match=said):
        quantile_interval(values, q, confidence)


@pytest.mark.parametrize("ranks", [(0, 5), (5, 5), (6, 5), (3, 11), (11, None), (None, 0)])
def test_ranks_count_from_one_to_n(ranks):
    """Coverage of ranks that do not exist is refused."""
    with pytest.raises(ValueError, match="1 <= low < high <= n"):
        quantile_coverage(10, 0.5, *ranks)
    assert quantile_coverage(10, 0.5, None, None) == 1
    assert quantile_coverage(10, 0.5, 10, None) == pytest.approx(0.5**10)
