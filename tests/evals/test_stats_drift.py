"""A control chart: quiet while nothing happens, and loud soon after something did."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import TooFewCases
from labkit.evals.stats import Drift, change_chart

steady = settings(derandomize=True, deadline=None)
histories = st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=5)


def simulated(source: random.Random, rates: list[float], n: int) -> Drift:
    return change_chart([sum(source.random() < rate for _ in range(n)) for rate in rates], [n] * len(rates))


@pytest.mark.parametrize(("rate", "n", "runs"), [(0.9, 100, 20), (0.9, 100, 40), (0.98, 100, 30), (0.999, 50, 30)])
def test_a_steady_call_is_left_in_peace(rate: float, n: int, runs: int):
    """Of 60 histories in which nothing happens, looked at every night, at most one in ten ever leaves the limits."""
    source = random.Random(7)

    assert sum(simulated(source, [rate] * runs, n).first_out is not None for _ in range(60)) <= 6


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.78), (0.99, 0.9)])
def test_a_drop_is_seen_and_dated(before: float, after: float):
    """Fifteen nights after a clear fall it is told, with the night it began at, give or take two."""
    source = random.Random(3)

    found = [simulated(source, [before] * 20 + [after] * 15, 100).now for _ in range(20)]

    told = [point for point in found if point is not None and point.out == "below"]
    assert len(told) >= 18 and sum(abs(point.since - 20) <= 2 for point in told) >= 14


def test_nights_that_never_differed_do_not_make_one_answer_a_drift():
    """One failure after twenty nights at 100% is one failure."""
    assert change_chart([100.0] * 20 + [99.0], [100] * 21).now is None
    assert change_chart([100.0] * 20 + [60.0], [100] * 21).now is not None


def test_a_point_says_from_what_to_what():
    """Rates before and since, and the limit between them."""
    now = change_chart([90.0] * 12 + [50.0] * 3, [100] * 15).now

    assert now is not None and (now.since, now.before, now.recent) == (12, 0.9, 0.5)
    assert now.recent < now.low < now.before < now.high


@steady
@given(histories)
def test_every_history_has_a_chart_within_bounds(history: list[tuple[int, int]]):
    """Whatever the counts, rates and limits are shares."""
    chart = change_chart([x for x, _ in history], [n for _, n in history])

    assert [point.run for point in chart.points] == list(range(4, len(history)))
    for point in chart.points:
        assert all(0 <= each <= 1 for each in (point.before, point.recent, point.low, point.high))
        assert 2 <= point.since <= point.run and point.low <= point.high


@pytest.mark.parametrize(
    ("passed", "n", "said"),
    [([1], [1, 2], "one each"), ([3] * 5, [2] * 5, "3 passed of 2"), ([0] * 5, [0] * 5, "at least one case")],
)
def test_what_is_no_history_is_refused(passed: list[int], n: list[int], said: str):
    """The message says which."""
    with pytest.raises(ValueError, match=said):
        change_chart(passed, n)


def test_four_runs_show_no_drift():
    """It takes nights to know what nights differ by."""
    with pytest.raises(TooFewCases, match="4 runs show no drift: it takes 5"):
        change_chart([1] * 4, [2] * 4)
    with pytest.raises(ValueError, match="above 0"):
        change_chart([1] * 5, [2] * 5, below=0)
