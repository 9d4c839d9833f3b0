"""A control chart: quiet while nothing happens, and loud soon after something did."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import TooFewCases
from labkit.evals.stats import Drift, ewma_chart

steady = settings(derandomize=True, deadline=None)
histories = st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2)


def simulated(source: random.Random, rates: list[float], n: int) -> Drift:
    return ewma_chart([sum(source.random() < rate for _ in range(n)) for rate in rates], [n] * len(rates))


def test_the_numbers_are_those_of_a_hand_calculation():
    """Four runs of unequal size: the first two make the centre, and its uncertainty widens the limits."""
    chart = ewma_chart([80, 90, 40, 30], [100, 100, 50, 50], weight=0.2, width=3)

    mended = (170 + 4.5) / (200 + 9)
    spread = mended * (1 - mended)
    one = 3 * math.sqrt(0.04 * spread / 50 + 0.2**2 * spread / 200)
    two = 3 * math.sqrt((0.16**2 + 0.2**2) * spread / 50 + 0.36**2 * spread / 200)
    assert (chart.centre, chart.reference) == (0.85, 2)
    assert [point.run for point in chart.points] == [2, 3]
    assert [point.ewma for point in chart.points] == pytest.approx([0.84, 0.792])
    assert [point.low for point in chart.points] == pytest.approx([0.85 - one, 0.85 - two])
    assert [point.high for point in chart.points] == pytest.approx([0.85 + one, 0.85 + two])


def test_without_memory_and_with_a_target_it_is_shewharts_chart():
    """A weight of 1 and a given rate: the limits of a p chart, the textbook's but for the mended variance."""
    chart = ewma_chart([45_000, 44_700, 44_500], [50_000] * 3, weight=1, target=0.9)

    half = 3 * math.sqrt(0.9 * 0.1 / 50_000)
    assert (chart.centre, chart.reference) == (0.9, 0)
    assert [point.ewma for point in chart.points] == pytest.approx([0.9, 0.894, 0.89])
    assert chart.points[0].low == pytest.approx(0.9 - half, abs=1e-6)
    assert [point.out for point in chart.points] == [None, "below", "below"]


@pytest.mark.parametrize(("rate", "n", "runs"), [(0.9, 100, 20), (0.9, 100, 40), (0.98, 100, 30), (0.999, 50, 30)])
def test_a_steady_call_is_left_in_peace(rate: float, n: int, runs: int):
    """Of 300 histories in which nothing happens, at most one in twenty ever leaves the limits, at any rate."""
    source = random.Random(7)

    alarms = sum(simulated(source, [rate] * runs, n).first_out is not None for _ in range(300))

    assert alarms <= 15


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.82), (0.99, 0.96)])
def test_a_lasting_drop_is_seen_though_no_single_run_shows_it(before: float, after: float):
    """Within ten runs, in nine of ten histories, on the right side, and not before it happened."""
    source = random.Random(8)

    charts = [simulated(source, [before] * 14 + [after] * 10, 100) for _ in range(200)]
    seen = [chart.since for chart in charts if chart.since is not None]

    assert len(seen) >= 180
    assert all(point.out == "below" for point in seen)
    assert sum(point.run >= 14 for point in seen) >= 0.95 * len(seen)


def test_one_failure_after_none_is_no_alarm():
    """A variance of 0 would make it an infinite surprise; half of the cases failing is one."""
    assert ewma_chart([100] * 10 + [99], [100] * 11).first_out is None
    assert ewma_chart([0] * 10 + [1], [100] * 11).first_out is None
    assert ewma_chart([100] * 10 + [50], [100] * 11).first_out is not None


def test_what_was_once_out_is_told_from_what_is_out_now():
    """A bad week that is over is not a drift that goes on."""
    over = ewma_chart([90] * 10 + [50] + [90] * 9, [100] * 20)
    lasting = ewma_chart([90] * 10 + [50] + [90] * 9 + [40, 40], [100] * 22)
    quiet = ewma_chart([90] * 20, [100] * 20)

    assert over.first_out is not None and (over.first_out.run, over.first_out.out) == (10, "below")
    assert over.since is None
    assert lasting.since is not None and lasting.since.run == 20
    assert (quiet.first_out, quiet.since) == (None, None)


def test_an_alarm_is_not_taken_back_by_newer_runs():
    """From 20 runs on the centre stays, so that a drop does not become the new normal."""
    early = ewma_chart([90] * 12 + [70] * 8, [100] * 20)
    late = ewma_chart([90] * 12 + [70] * 28, [100] * 40)

    assert early.centre == late.centre == 0.9
    assert early.first_out == late.first_out
    assert late.since is not None and late.since.run == 12


@steady
@given(histories, st.floats(0.01, 1))
def test_limits_hold_the_centre_and_stay_shares(history: list[tuple[int, int]], weight: float):
    """Whatever the counts: 0 <= low <= centre <= high <= 1; failures give the same picture, upside down."""
    passed, n = [x for x, _ in history], [m for _, m in history]

    chart = ewma_chart(passed, n, weight=weight)
    mirror = ewma_chart([m - x for x, m in history], n, weight=weight)

    assert chart.reference + len(chart.points) == len(history)
    for point, other in zip(chart.points, mirror.points, strict=True):
        assert 0 <= point.low <= chart.centre <= point.high <= 1
        assert 0 <= point.ewma <= 1
        assert other.low == pytest.approx(1 - point.high) and other.ewma == pytest.approx(1 - point.ewma)


@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.parametrize("weight", [0.05, 0.2, 0.35, 1])
def test_a_perfect_call_stays_perfect(share: int, weight: float):
    """At either end there is nothing to cry out about, whatever the memory."""
    assert ewma_chart([7 * share] * 30, [7] * 30, weight=weight).first_out is None


@pytest.mark.parametrize(("passed", "target"), [([], None), ([3], None), ([], 0.5)])
def test_too_few_runs_show_nothing(passed: list[int], target: float | None):
    """There is nothing to expect, or nothing to hold against it."""
    with pytest.raises(TooFewCases, match="show no drift"):
        ewma_chart(passed, [4] * len(passed), target=target)


@pytest.mark.parametrize(
    ("passed", "n", "options", "said"),
    [
        ([1, 2], [2], {}, "2 counts of passed cases for 1 runs"),
        ([1, 3], [2, 2], {}, "run 1 has 3 passed of 2"),
        ([0, 0], [2, 0], {}, "run 1 has 0 passed of 0"),
        ([1.5, 1], [2, 2], {}, r"passed\[0\]"),
        ([1, 1], [2, 2], {"weight": 0}, "weight=0"),
        ([1, 1], [2, 2], {"weight": math.nan}, "weight=nan"),
        ([1, 1], [2, 2], {"width": 0}, "width=0"),
        ([1, 1], [2, 2], {"width": math.inf}, "width=inf"),
        ([1, 1], [2, 2], {"target": 90}, "target=90"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(passed: Any, n: list[int], options: dict[str, float], said: str):
    """With the argument in the message."""
    with pytest.raises(ValueError, match=said):
        ewma_chart(passed, n, **options)
