"""Agreement beyond chance, and repeats of one case."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from labkit.errors import TooFewCases
from labkit.evals.stats import cohen_kappa, fleiss_kappa, krippendorff_alpha, pass_at_k, pass_hat_k

steady = settings(derandomize=True, deadline=None)
squares = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(1, 30), min_size=k, max_size=k), min_size=k, max_size=k)
)


@steady
@given(squares)
def test_kappa_is_that_of_statsmodels(table: list[list[int]]):
    """Also with more labels than two."""
    theirs = inter_rater.cohens_kappa(np.array(table))

    ours = cohen_kappa(table)

    assert (ours.kappa, ours.se, ours.se_null) == pytest.approx((theirs.kappa, theirs.std_kappa, theirs.std_kappa0))
    assert [ours.low, ours.high] == pytest.approx([max(-1, theirs.kappa_low), min(1, theirs.kappa_upp)])


@pytest.mark.parametrize("cells", list(itertools.product(range(3), repeat=4)))
def test_kappa_of_a_tiny_table_is_a_number_or_an_error(cells: tuple[int, ...]):
    """Empty rows and columns never give nan."""
    a, b, c, d = cells
    if max(a, d) == sum(cells):
        with pytest.raises(TooFewCases, match="another label"):
            cohen_kappa([[a, b], [c, d]])
        return

    found = cohen_kappa([[a, b], [c, d]])

    assert -1 <= found.low <= found.kappa <= found.high <= 1
    assert found.low < found.high
    assert min(found.se, found.se_null) >= 0
    assert sum(found.prevalence) == pytest.approx(1)


def test_agreement_alone_can_deceive():
    """94% raw agreement on a rare label is worse than chance, and the table says why."""
    found = cohen_kappa([[0, 3], [3, 94]])

    assert (found.agreement, found.prevalence, found.n) == (0.94, (0.03, 0.97), 100)
    assert found.kappa < 0


def test_perfect_agreement_on_few_cases_is_not_certainty():
    """Ten of ten give kappa 1 with a lower end that ten cases allow; more cases raise it."""
    few, many = cohen_kappa([[5, 0], [0, 5]]), cohen_kappa([[500, 0], [0, 500]])

    assert (few.kappa, few.se, few.high, few.interval) == (1, 0, 1, (few.low, few.high))
    assert few.low == pytest.approx(0.4449, abs=1e-4)
    assert few.low < many.low < 1


@pytest.mark.parametrize("table", [[], [[0, 0], [0, 0]], [[7]], [[7, 0], [0, 0]]])
def test_one_label_is_no_evidence_of_agreement(table):
    """Chance alone would agree on every case."""
    with pytest.raises(TooFewCases, match="another label"):
        cohen_kappa(table)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([[1, 2, 3], [4, 5, 6]], "square"), ([[1, 2], [3]], "square"), ([[1, -2], [3, 4]], r"\[0\]\[1\]"),
        ([[0.5, 1], [1, 1]], "whole"),
    ],
)  # fmt: skip
def test_a_kappa_table_is_square_and_of_counts(table, said: str):
    """Shares would have no n, and so no interval."""
    with pytest.raises(ValueError, match=said):
        cohen_kappa(table)


@pytest.mark.parametrize("raters", [2, 3, 7])
def test_fleiss_kappa_is_that_of_statsmodels(raters: int):
    """Any number of raters and labels."""
    rng = np.random.default_rng(raters)
    counts = rng.multinomial(raters, [0.5, 0.3, 0.2], size=25)

    assert fleiss_kappa(counts.tolist()) == pytest.approx(inter_rater.fleiss_kappa(counts))
    assert fleiss_kappa([[raters, 0], [0, raters]]) == 1


def test_fleiss_kappa_asks_for_complete_ratings():
    """What it cannot say, it says."""
    with pytest.raises(ValueError, match="krippendorff_alpha"):
        fleiss_kappa([[3, 0], [1, 1]])
    with pytest.raises(ValueError, match="at least 2"):
        fleiss_kappa([[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="lengths"):
        fleiss_kappa([[3, 0], [1, 1, 1]])
    for nothing in ([], [[3, 0], [3, 0]]):
        with pytest.raises(TooFewCases):
            fleiss_kappa(nothing)


LEVELS = ("nominal", "ordinal", "interval", "ratio")


def alpha_by_coincidences(ratings, distance) -> float:
    """Krippendorff's coincidence matrix, cell by cell."""
    cases = [[value for value in case if value is not None] for case in zip(*ratings, strict=True)]
    cases = [case for case in cases if len(case) > 1]
    values = sorted({value for case in cases for value in case})
    cell = {
        (c, k): sum(
            sum(x == c and y == k for x, y in itertools.permutations(case, 2)) / (len(case) - 1) for case in cases
        )
        for c in values
        for k in values
    }
    total = {c: sum(cell[c, k] for k in values) for c in values}
    n = sum(total.values())
    seen = sum(cell[c, k] * distance(c, k, total, values) for c in values for k in values)
    chance = sum(total[c] * total[k] * distance(c, k, total, values) for c in values for k in values) / (n - 1)
    return 1 - seen / chance


DISTANCES = {
    "nominal": lambda c, k, total, values: c != k,
    "ordinal": lambda c, k, total, values: (
        (sum(total[g] for g in values if min(c, k) <= g <= max(c, k)) - (total[c] + total[k]) / 2) ** 2
    ),
    "interval": lambda c, k, total, values: (c - k) ** 2,
    "ratio": lambda c, k, total, values: ((c - k) / (c + k)) ** 2 if c + k else 0,
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_coincidence_matrix(level, seed: int):
    """Two computations of one definition, a third of the ratings missing."""
    rng = random.Random(seed)
    truth = [rng.randint(0, 4) for _ in range(20)]
    ratings = [
        [None if rng.random() < 0.3 else max(0, value + rng.choice([-1, 0, 0, 0, 1])) for value in truth]
        for _ in range(4)
    ]

    assert krippendorff_alpha(ratings, level) == pytest.approx(alpha_by_coincidences(ratings, DISTANCES[level]))


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_one_for_raters_who_agree(level):
    """Whatever the level; who skipped a case takes nothing away, and nan is a skipped case too."""
    assert krippendorff_alpha([[1, 2, 3, None], [1, 2, 3, 4]], level) == 1
    assert krippendorff_alpha([(1, 2.0, math.nan), (1.0, 2, 3)], level) == 1


def test_labels_have_no_order():
    """Words are compared as words, and only so."""
    words = [["good", "bad", "good"], ["good", "bad", "bad"]]

    assert krippendorff_alpha(words, "nominal") == pytest.approx(4 / 9)
    with pytest.raises(ValueError, match="level='nominal'"):
        krippendorff_alpha(words, "ordinal")
    with pytest.raises(ValueError, match="level='interval'"):
        krippendorff_alpha([[-1, 2], [1, 2]], "ratio")
    with pytest.raises(ValueError, match="give nominal"):
        krippendorff_alpha(words, "categorical")  # type: ignore[arg-type]


@pytest.mark.parametrize("ratings", [[], [[1, 2, 3]], [[1, None], [None, 2]], [[1, 1], [1, 1]], [[], []]])
def test_alpha_needs_ratings_that_differ(ratings):
    """No case with two ratings, or no second value: not estimable."""
    with pytest.raises(TooFewCases, match="not estimable"):
        krippendorff_alpha(ratings, "nominal")


def test_alpha_needs_a_row_as_long_as_every_other():
    """A short row would pair ratings of different cases."""
    with pytest.raises(ValueError, match="put None"):
        krippendorff_alpha([[1, 2, 3], [1, 2]], "nominal")


@steady
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_one_of_k_is_likelier_than_all_of_k(found: tuple[int, int, int]):
    """With one try both are the pass rate; more tries help the one and hurt the other."""
    n, c, k = found

    assert 0 <= pass_hat_k(n, c, k) <= c / n + 1e-12
    assert c / n - 1e-12 <= pass_at_k(n, c, k) <= 1
    assert pass_at_k(n, c, 1) == pytest.approx(c / n)
    assert pass_hat_k(n, c, 1) == pytest.approx(c / n)
    assert pass_at_k(n, c, k) == pytest.approx(1 - pass_hat_k(n, n - c, k))


def test_tries_are_counted_by_drawing_them():
    """Both are shares of the subsets of k tries."""
    tries = [1, 1, 1, 0, 0, 0, 0]
    subsets = list(itertools.combinations(tries, 3))

    assert pass_at_k(7, 3, 3) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    assert pass_hat_k(7, 3, 3) == pytest.approx(sum(map(all, subsets)) / len(subsets))


@pytest.mark.parametrize("of", [pass_at_k, pass_hat_k])
def test_tries_that_were_not_made_are_not_estimated(of):
    """pass@10 takes ten tries."""
    with pytest.raises(TooFewCases, match="at least 10 times"):
        of(5, 2, 10)
    for slip in [(5, 6, 2), (5, 2, 0), (5, 2.5, 2), (-5, 0, 1)]:
        with pytest.raises(ValueError, match="give"):
            of(*slip)
