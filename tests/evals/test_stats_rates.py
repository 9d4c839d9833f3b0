"""Pass rates: an interval that holds what was seen, and refuses what cannot have been."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from labkit.errors import TooFewCases
from labkit.evals.stats import clopper_pearson, difference_se, rate_se, rogan_gladen, wilson

steady = settings(derandomize=True, deadline=None)
parts = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.floats(0.01, 0.999)


@steady
@given(parts, confidences)
@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
def test_an_interval_holds_the_rate_that_was_seen(interval_of, part: tuple[int, int], confidence: float):
    """Whatever the counts, the interval lies in [0, 1] and has the rate inside."""
    low, high = interval_of(*part, confidence)

    assert 0 <= low <= part[0] / part[1] <= high <= 1
    assert low < high


@steady
@given(parts, confidences)
@pytest.mark.parametrize(("interval_of", "method"), [(wilson, "wilson"), (clopper_pearson, "beta")])
def test_intervals_are_those_of_statsmodels(interval_of, method: str, part: tuple[int, int], confidence: float):
    """Two implementations of one formula agree."""
    theirs = proportion_confint(*part, alpha=1 - confidence, method=method)

    assert list(interval_of(*part, confidence)) == pytest.approx(list(theirs), abs=1e-9)


@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
def test_all_or_nothing_ends_exactly_at_the_edge(interval_of):
    """0 of n is not 1e-17, and n of n still says that failures are possible."""
    assert interval_of(0, 20).low == 0
    assert interval_of(20, 20).high == 1
    assert interval_of(20, 20).low == pytest.approx(1 - interval_of(0, 20).high)
    assert interval_of(20, 20).low < 0.9


def test_the_exact_interval_misses_with_half_of_the_rest_on_each_side():
    """Its ends are the rates at which what was seen would be the edge of surprise."""
    low, high = clopper_pearson(7, 31, 0.9)

    assert binom.sf(6, 31, low) == pytest.approx(0.05)
    assert binom.cdf(7, 31, high) == pytest.approx(0.05)


def test_shares_of_cases_count_as_shares():
    """With repeats a case may have passed by half."""
    assert wilson(3, 10).low < wilson(3.5, 10).low < wilson(4, 10).low
    assert wilson(3.0, 10.0) == wilson(3, 10)


@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
def test_no_cases_have_no_rate(interval_of):
    """A missing rate is not 0%."""
    with pytest.raises(TooFewCases, match="at least one case"):
        interval_of(0, 0)


@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
@pytest.mark.parametrize(
    ("passed", "n", "confidence", "said"),
    [
        (6, 5, 0.95, "passed <= n"), (-1, 5, 0.95, "passed <= n"), (math.nan, 5, 0.95, "passed <= n"),
        (1, math.inf, 0.95, "passed <= n"), (1, 5, 95, "0.95 is 95%"), (1, 5, 1.0, "confidence"), (1, -5, 0.95, "n=-5"),
    ],
)  # fmt: skip
def test_impossible_counts_are_refused(interval_of, passed, n, confidence, said: str):
    """A slip in the arguments is an error with its mend, not an interval."""
    with pytest.raises(ValueError, match=said):
        interval_of(passed, n, confidence)


def test_the_error_of_a_difference_follows_the_pairing():
    """Runs that rise and fall on the same cases are compared more sharply."""
    se = rate_se(0.5, 100)

    assert se == pytest.approx(0.05)
    assert difference_se(se, se) == pytest.approx(0.05 * math.sqrt(2))
    assert difference_se(se, se, 0.5) == pytest.approx(0.05)
    assert difference_se(se, se, 1.0) == 0


@pytest.mark.parametrize(
    "slip",
    [
        lambda: rate_se(1.2, 10), lambda: rate_se(math.nan, 10), lambda: difference_se(0.1, -0.1),
        lambda: difference_se(0.1, math.nan), lambda: difference_se(0.1, 0.1, 1.5),
    ],
)  # fmt: skip
def test_impossible_errors_are_refused(slip):
    """nan does not travel on."""
    with pytest.raises(ValueError, match="give"):
        slip()
    with pytest.raises(TooFewCases):
        rate_se(0.5, 0)


@steady
@given(st.floats(0, 1), st.floats(0.55, 1), st.floats(0.55, 1))
def test_the_corrected_rate_is_the_one_the_judge_would_report(true: float, sensitivity: float, specificity: float):
    """Sent through the judge's errors and back, a rate is itself."""
    observed = true * sensitivity + (1 - true) * (1 - specificity)

    assert rogan_gladen(observed, sensitivity, specificity) == pytest.approx(true, abs=1e-9)


def test_a_corrected_rate_stays_a_rate():
    """Fewer passes than false alarms alone would give mean 0, not -14%; likewise at the top."""
    assert rogan_gladen(0.1, 0.9, 0.8) == 0
    assert rogan_gladen(0.95, 0.9, 0.8) == 1
    assert rogan_gladen(0.3, 1, 1) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("rates", "said"),
    [((0.7, 0.5, 0.5), "coin"), ((0.7, 0.2, 0.3), "coin"), ((1.1, 0.9, 0.9), "observed"), ((0.5, math.nan, 1), "sens")],
)
def test_a_blind_judge_corrects_nothing(rates, said: str):
    """Dividing by the skill of a judge who has none is refused."""
    with pytest.raises(ValueError, match=said):
        rogan_gladen(*rates)
