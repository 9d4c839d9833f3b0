"""Scores on the same cases: t, clusters, and flips of signs."""

from __future__ import annotations

import itertools
import math
from statistics import fmean

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from labkit.errors import TooFewCases
from labkit.evals.stats import Interval, clustered_se, paired_t, sign_flip, wilcoxon

steady = settings(derandomize=True, deadline=None)
scores = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=40)
DARWIN = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]


@steady
@given(scores.filter(lambda found: len({y - x for x, y in found}) > 1))
def test_the_paired_test_is_scipys(found: list[tuple[int, int]]):
    """Same p-value and interval; swapping the versions turns the sign only."""
    a, b = [x for x, _ in found], tuple(y for _, y in found)
    theirs = scipy_stats.ttest_rel(b, a)

    ours = paired_t(a, b)

    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert [ours.low, ours.high] == pytest.approx(list(theirs.confidence_interval(0.95)), abs=1e-9)
    assert ours.df == len(found) - 1
    assert ours.interval == Interval(ours.low, ours.high)
    back = paired_t(b, a)
    assert (back.mean, back.low, back.p) == pytest.approx((-ours.mean, -ours.high, ours.p))


@pytest.mark.parametrize("sizes", [[5, 5, 5, 5], [1, 2, 9, 4, 4], [1] * 20])
def test_clusters_widen_as_in_a_regression(sizes: list[int]):
    """The standard error is the cluster-robust one of a regression on a constant, small-sample factor C / (C - 1)."""
    rng = np.random.default_rng(5)
    clusters = [name for name, size in enumerate(sizes) for _ in range(size)]
    values = rng.normal(size=sum(sizes)) + rng.normal(size=len(sizes))[clusters]
    fitted = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(clusters), "use_correction": False}
    )
    c = len(sizes)

    se = clustered_se(list(values), clusters)

    assert se == pytest.approx(fitted.bse[0] * math.sqrt(c / (c - 1)))
    assert paired_t([0.0] * len(values), list(values), clusters).se == se
    assert paired_t([0.0] * len(values), list(values), clusters).df == c - 1


def test_rows_clustered_by_case_are_the_means_of_the_cases():
    """Balanced repeats may be averaged or clustered; treated as cases they would claim too much."""
    a, b = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]], [[1, 1, 1], [1, 1, 1], [0, 0, 0], [1, 1, 1]]
    flat_a, flat_b = list(itertools.chain(*a)), list(itertools.chain(*b))
    case = [name for name in "wxyz" for _ in range(3)]

    averaged = paired_t([fmean(row) for row in a], [fmean(row) for row in b])
    clustered = paired_t(flat_a, flat_b, case)
    naive = paired_t(flat_a, flat_b)

    assert (clustered.mean, clustered.se, clustered.p, clustered.df) == pytest.approx(
        (averaged.mean, averaged.se, averaged.p, averaged.df)
    )
    assert naive.se < averaged.se


def test_equal_scores_are_no_difference():
    """Two runs that agree on every case compare as p = 1, also when the last bits differ."""
    same = paired_t([0.1 + 0.2, 0.5, 0.7], [0.3, 0.5, 0.7])

    assert (same.mean, same.se, same.low, same.high, same.p, same.df) == (0, 0, 0, 0, 1, 2)


@pytest.mark.parametrize(
    ("a", "b", "clusters", "said"),
    [
        ([], [], None, "at least 2"), ([1], [2], None, "1 cases"), ([0, 0], [1, 1], None, "sign_flip"),
        ([0.1, 0.2], [0.2, 0.3], None, "sign_flip"), ([0, 0, 0], [1, 2, 4], ["x"] * 3, "1 clusters"),
        ([0, 0, 0, 0], [1, -1, 1, -1], ["x", "x", "y", "y"], "no spread"),
    ],
)  # fmt: skip
def test_no_spread_is_no_interval(a, b, clusters, said: str):
    """p = 0 from two equal differences would be a lie, nan a silent one."""
    with pytest.raises(TooFewCases, match=said):
        paired_t(a, b, clusters)


@pytest.mark.parametrize(
    ("a", "b", "clusters", "said"),
    [
        ([1, 2], [1, 2, 3], None, "pair them"), ([1, math.nan], [1, 2], None, r"a\[1\]"),
        ([1, 2], [1, None], None, r"b\[1\] is None"), ([1, 2], [math.inf, 2], None, r"b\[0\]"),
        ([1, 2], [2, 4], ["x"], "one label per case"),
    ],
)  # fmt: skip
def test_scores_come_in_pairs(a, b, clusters, said: str):
    """A missing score is named, not averaged over."""
    with pytest.raises(ValueError, match=said):
        paired_t(a, b, clusters)


def test_more_confidence_is_a_wider_interval():
    """The p-value stays."""
    narrow, wide = (paired_t([0, 0, 0], [1, 2, 4], confidence=level) for level in (0.8, 0.99))

    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.p == narrow.p


@steady
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_all_flips_are_counted(differences: list[int]):
    """Ties and zeros included, the p-value is a count over every pattern of signs."""
    patterns = list(itertools.product([1, -1], repeat=len(differences)))
    seen = abs(sum(differences))
    hits = sum(abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= seen for signs in patterns)

    assert sign_flip(differences) == pytest.approx(hits / len(patterns))
    assert sign_flip([d / 10 for d in differences]) == pytest.approx(hits / len(patterns))  # ties survive rounding
    assert sign_flip([-d for d in differences]) == sign_flip(differences)


def test_random_flips_come_near_the_exact_count():
    """Beyond 16 differences: pairs of equal halves make the exact p known, and the seed makes ours repeatable."""
    # 18 flips of one size are McNemar's test: 14 up, 4 down.
    differences = [0.25] * 14 + [-0.25] * 4 + [0.0] * 30
    exact = scipy_stats.binomtest(4, 18, 0.5).pvalue
    spread = math.sqrt(exact * (1 - exact) / 10_000)

    assert sign_flip(differences) == pytest.approx(exact, abs=4 * spread)
    assert sign_flip(differences) == sign_flip(differences)
    assert sign_flip(differences) != sign_flip(differences, seed=1)
    assert sign_flip([1.0] * 3000, flips=999) == 1 / 1000  # never 0


def test_no_difference_flips_to_no_difference():
    """All zeros are p = 1, no cases at all an error."""
    assert sign_flip([0, 0, 0]) == 1
    assert wilcoxon([0, 0, 0]) == (0, 1)
    for test in (sign_flip, wilcoxon):
        with pytest.raises(TooFewCases):
            test([])
        with pytest.raises(ValueError, match=r"differences\[1\]"):
            test([1, math.nan])
    with pytest.raises(ValueError, match="10,000"):
        sign_flip([1], flips=0)


def test_three_tests_straddle_the_line_on_one_dataset():
    """Why the primary test is named before looking: Darwin's plants give .0527, .0497 and .0413."""
    ps = sign_flip(DARWIN), paired_t([0] * 15, DARWIN).p, wilcoxon(DARWIN)[1]

    assert [round(p, 4) for p in ps] == [0.0527, 0.0497, 0.0413]
