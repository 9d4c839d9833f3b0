"""Pass or fail on the same cases: tests and intervals that do not care which version is called A."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from labkit.errors import TooFewCases
from labkit.evals.stats import (
    e_value,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_mid_p,
    newcombe,
    non_inferiority,
    tango,
)

steady = settings(derandomize=True, deadline=None)
counts = st.integers(0, 400)
pairs = st.tuples(counts, counts, counts).filter(any).map(lambda found: (found[0], found[1], sum(found)))


@steady
@given(counts, counts)
def test_the_exact_test_is_scipys(regressed: int, improved: int):
    """Without scipy, the same p-value; and swapping the versions changes nothing."""
    p = mcnemar_exact(regressed, improved)

    theirs = binomtest(improved, regressed + improved, 0.5).pvalue if regressed + improved else 1.0
    assert p == pytest.approx(theirs, rel=1e-10)
    assert p == mcnemar_exact(improved, regressed)
    assert 0 < p <= 1
    assert mcnemar_mid_p(regressed, improved) <= p


@steady
@given(counts, counts, st.booleans())
def test_the_approximate_test_is_statsmodels(regressed: int, improved: int, correction: bool):
    """Chi-squared with and without Edwards' correction."""
    statistic, p = mcnemar_chi2(regressed, improved, correction)

    if regressed + improved == 0:
        assert (statistic, p) == (0, 1)
    elif regressed == improved:
        # statsmodels takes 1 off a difference of 0 and squares it; R and labkit stop at 0.
        assert (statistic, p) == (0, 1)
    else:
        theirs = mcnemar([[0, regressed], [improved, 0]], exact=False, correction=correction)
        assert (statistic, p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)


def test_five_flips_prove_nothing_and_six_do():
    """At 5% it takes six cases that all went one way."""
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(0, 6) == 0.03125
    assert mcnemar_exact(0, 0) == mcnemar_mid_p(0, 0) == mcnemar_exact(4, 4) == mcnemar_mid_p(4, 4) == 1


def test_many_flips_are_counted_too():
    """Neither overflow nor a wait where the binomial coefficients have thousands of digits."""
    assert mcnemar_exact(24_000, 25_000) == pytest.approx(binomtest(24_000, 49_000, 0.5).pvalue, rel=1e-8)
    assert mcnemar_exact(0, 1000) == pytest.approx(2.0**-999)


@pytest.mark.parametrize("test", [mcnemar_exact, mcnemar_mid_p, mcnemar_chi2, e_value])
@pytest.mark.parametrize("slip", [-1, 2.5, math.nan, math.inf])
def test_a_count_is_a_whole_number(test, slip: float):
    """Averages of repeats do not belong in an exact test."""
    with pytest.raises(ValueError, match="whole number"):
        test(slip, 3)
    assert test(2.0, 3) == test(2, 3)


def textbook_tango(improved: int, regressed: int, n: int, z: float) -> list[float]:
    """Tango's equations as printed, solved by another root finder."""

    def score(delta: float) -> float:
        b = -improved - regressed + (2 * n - improved + regressed) * delta
        q = (math.sqrt(b * b + 8 * n * regressed * delta * (1 - delta)) - b) / (4 * n)
        return (improved - regressed - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))

    at, edge = (improved - regressed) / n, 1 - 1e-12
    return [
        brentq(lambda d: score(d) - z, -edge, at, xtol=1e-14),
        brentq(lambda d: score(d) + z, at, edge, xtol=1e-14),
    ]


@pytest.mark.parametrize("pair", [(86, 150, 1600), (1, 1, 3), (3, 0, 50), (0, 2, 40), (12, 2, 50), (199, 1, 400)])
def test_tango_solves_its_equation(pair: tuple[int, int, int]):
    """The interval is where the score is ±1.96."""
    assert list(tango(*pair)) == pytest.approx(textbook_tango(*pair, z=1.959963984540054), abs=1e-9)


@steady
@given(pairs)
def test_tango_mirrors_when_the_versions_swap(pair: tuple[int, int, int]):
    """It lies in [-1, 1], around what was seen, and does not favour a version."""
    improved, regressed, n = pair

    low, high = tango(improved, regressed, n)

    assert -1 <= low <= (improved - regressed) / n <= high <= 1
    assert low < high
    assert tango(regressed, improved, n) == pytest.approx((-high, -low), abs=1e-12)
    assert tango(improved, regressed, n, 0.8).low >= low


def test_tango_keeps_a_width_without_discordant_cases():
    """Twenty equal answers do not prove that all answers are equal."""
    z2 = 1.959963984540054**2

    assert tango(0, 0, 20) == pytest.approx((-z2 / (20 + z2), z2 / (20 + z2)), abs=1e-12)
    assert tango(9, 0, 9).high == 1
    assert tango(0, 9, 9).low == -1


@pytest.mark.parametrize("pair", [(10, 14, 100), (86, 150, 1600), (3, 9, 60)])
def test_newcombe_and_tango_tell_the_same_story(pair: tuple[int, int, int]):
    """Two unrelated intervals of one difference are near each other."""
    improved, regressed, n = pair
    agreeing = n - improved - regressed

    square = newcombe(agreeing // 2, improved, regressed, agreeing - agreeing // 2)

    assert list(square) == pytest.approx(list(tango(*pair)), abs=0.02)


@steady
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_newcombe_mirrors_when_the_versions_swap(both: int, improved: int, regressed: int, neither: int):
    """Inside [-1, 1], also where a row of the table is empty."""
    if not both + improved + regressed + neither:
        with pytest.raises(TooFewCases):
            newcombe(both, improved, regressed, neither)
        return

    low, high = newcombe(both, improved, regressed, neither)

    assert -1 <= low <= high <= 1
    assert newcombe(both, regressed, improved, neither) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("slip", [(3, 3, 5), (-1, 2, 5), (2, -1, 5), (math.nan, 0, 5), (1, 1, math.inf)])
def test_more_flips_than_cases_are_refused(slip):
    """A mixed-up order of arguments is found."""
    with pytest.raises(ValueError, match="counts"):
        tango(*slip)
    with pytest.raises(TooFewCases):
        tango(0, 0, 0)
    with pytest.raises(ValueError, match="count"):
        newcombe(1, 2, -3, 4)


@pytest.mark.parametrize(
    ("improved", "regressed", "n", "margin", "verdict"),
    [
        (10, 2, 200, 0.02, "pass"), (0, 0, 500, 0.02, "pass"), (0, 0, 20, 0.02, "inconclusive"),
        (2, 30, 200, 0.02, "fail"), (4, 6, 200, 0.02, "inconclusive"), (12, 1, 100, 0, "pass"),
        (1, 12, 100, 0, "fail"), (0, 0, 100, 0, "inconclusive"),
    ],
)  # fmt: skip
def test_a_loss_is_judged_against_the_margin(improved, regressed, n, margin, verdict):
    """Pass and fail both need the whole interval on their side."""
    found = non_inferiority(improved, regressed, n, margin)

    assert found.verdict == verdict
    assert found.interval == tango(improved, regressed, n)
    assert found.difference == (improved - regressed) / n


def test_an_end_on_the_margin_settles_nothing():
    """The edge belongs to neither verdict."""
    low, _ = tango(4, 6, 200)
    _, high = tango(2, 30, 200)

    assert non_inferiority(4, 6, 200, -low).verdict == "inconclusive"
    assert non_inferiority(4, 6, 200, math.nextafter(-low, 1)).verdict == "pass"
    assert non_inferiority(2, 30, 200, -high).verdict == "inconclusive"
    assert non_inferiority(2, 30, 200, math.nextafter(-high, 0)).verdict == "fail"


@pytest.mark.parametrize("margin", [-0.02, 1, 2, math.nan])
def test_a_margin_is_a_share(margin: float):
    """2 for two points would accept any loss."""
    with pytest.raises(ValueError, match=r"0\.02 accepts"):
        non_inferiority(3, 4, 50, margin)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_e_values_cost_nothing_on_average_without_a_difference(n: int):
    """Their mean under a fair coin is 1: that is what makes looking again safe."""
    mean = math.fsum(math.comb(n, c) / 2**n * e_value(c, n - c) for c in range(n + 1))

    assert mean == pytest.approx(1)


def test_e_values_grow_with_evidence():
    """1 before anything was seen, 20 is the line at 5%, and huge evidence does not overflow."""
    assert e_value(0, 0) == 1
    assert e_value(7, 0) == 16
    assert e_value(8, 0) == pytest.approx(256 / 9)
    assert e_value(8, 0) == e_value(0, 8) > 20
    assert e_value(5, 5) < 1
    assert e_value(5_000, 0) == sys.float_info.max
