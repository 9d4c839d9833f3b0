"""How many cases, and what so many can show: two sides of one formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from labkit.errors import TooFewCases
from labkit.evals.stats import cases_needed, cases_needed_numeric, mcnemar_exact, minimum_detectable_effect

steady = settings(derandomize=True, deadline=None)
powers = st.floats(0.3, 0.99)
alphas = st.floats(0.001, 0.2)


@steady
@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 200), powers, alphas)
def test_sharper_questions_take_more_cases(improved: int, regressed: int, agreeing: int, power: float, alpha: float):
    """More power, a stricter level or a smaller difference never take fewer; swapping the versions changes nothing."""
    n = improved + regressed + agreeing
    if improved == regressed:
        return

    needed = cases_needed(improved, regressed, n, power, alpha)

    assert needed == cases_needed(regressed, improved, n, power, alpha) > 0
    assert cases_needed(improved, regressed, n, min(0.999, power + 0.009), alpha) >= needed
    assert cases_needed(improved, regressed, n, power, alpha / 2) >= needed
    assert cases_needed(improved, regressed, 2 * n, power, alpha) >= needed  # half the difference
    assert cases_needed(improved * 10, regressed * 10, n * 10, power, alpha) == pytest.approx(needed)


def test_the_number_gives_about_the_power_that_was_asked_for():
    """Exact McNemar on so many cases sees the pilot's difference four times in five, or a little less."""
    improved, regressed = 0.2, 0.08
    n = math.ceil(cases_needed(improved, regressed, 1))
    power = math.fsum(
        binom.pmf(flips, n, improved + regressed) * binom.pmf(up, flips, improved / (improved + regressed))
        for flips in range(n + 1)
        for up in range(flips + 1)
        if mcnemar_exact(flips - up, up) <= 0.05
    )

    assert 0.74 < power < 0.82


def test_the_number_is_never_too_small_for_an_exact_test():
    """Three of three improved: four cases, as the formula has it, could not reach 5%."""
    assert cases_needed(3, 0, 3) == 6
    assert cases_needed(3, 0, 6) == pytest.approx((1.959964 * 0.5**0.5 + 0.841621 * 0.5) ** 2 * 4, rel=1e-6)


@pytest.mark.parametrize("pilot", [(4, 4, 50), (0, 0, 50)])
def test_a_pilot_without_a_difference_plans_nothing(pilot):
    """Infinity is not a number of cases."""
    with pytest.raises(TooFewCases, match="no difference"):
        cases_needed(*pilot)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((5, 6, 10), "improved"), ((-1, 6, 10), "0 or more"), ((1, 6, 10, 80), "power=80"),
        ((1, 6, 10, 0.8, 5), "alpha=5"), ((1, 6, 10, 0.05, 0.05), "not above alpha"), ((math.nan, 1, 10), "improved"),
    ],
)  # fmt: skip
def test_a_plan_needs_possible_counts_and_levels(arguments, said: str):
    """80 for 80% is a slip."""
    with pytest.raises(ValueError, match=said):
        cases_needed(*arguments)
    with pytest.raises(TooFewCases):
        cases_needed(0, 0, 0)


@steady
@given(st.floats(0.005, 2), st.floats(0.001, 2), st.floats(0, 2), st.integers(1, 20), powers, alphas)
def test_the_smallest_effect_and_the_cases_it_takes_are_inverse(delta, between, within, repeats, power, alpha):
    """n cases for an effect show that effect with n cases."""
    n = cases_needed_numeric(delta, between + 2 * within / repeats, power, alpha)

    assert minimum_detectable_effect(n, between, within, repeats, power, alpha) == pytest.approx(delta)
    assert cases_needed_numeric(-delta, between + 2 * within / repeats, power, alpha) == n


def test_repeats_shrink_the_part_inside_a_case_only():
    """Asking the same cases again cannot replace more cases."""
    once, ten, ever = (minimum_detectable_effect(100, 0.05, 0.1, repeats) for repeats in (1, 10, 10**9))

    assert once > ten > ever
    assert ever == pytest.approx(minimum_detectable_effect(100, 0.05))
    assert minimum_detectable_effect(100, 0, 0) == 0


@pytest.mark.parametrize("effect", [0.1, 0.3, 0.5, 0.9])
def test_exact_numbers_are_those_of_statsmodels(effect: float):
    """Where its solver finds one, the same; always at least the normal formula's."""
    exact = cases_needed_numeric(effect, 1, exact=True)

    assert exact == pytest.approx(TTestPower().solve_power(effect, alpha=0.05, power=0.8), rel=1e-6)
    assert exact > cases_needed_numeric(effect, 1)


def test_exact_numbers_for_huge_effects_are_a_handful():
    """Two cases at least, where other solvers give up."""
    assert 2 < cases_needed_numeric(5, 1, exact=True) < 3
    assert cases_needed_numeric(500, 1, exact=True) == 2


@pytest.mark.parametrize(
    "slip",
    [
        lambda: cases_needed_numeric(0, 1), lambda: cases_needed_numeric(math.nan, 1),
        lambda: cases_needed_numeric(0.1, 0), lambda: cases_needed_numeric(0.1, -1),
        lambda: minimum_detectable_effect(-5, 1), lambda: minimum_detectable_effect(5, -1),
        lambda: minimum_detectable_effect(5, 1, math.nan), lambda: minimum_detectable_effect(5, 1, 1, 0),
    ],
)  # fmt: skip
def test_impossible_plans_are_refused(slip):
    """No effect, no spread, no repeats: no plan."""
    with pytest.raises(ValueError, match=r"give|name|variance"):
        slip()
    with pytest.raises(TooFewCases):
        minimum_detectable_effect(0, 1)
