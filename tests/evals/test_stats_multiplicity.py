"""Adjusted p-values: never smaller than the raw ones, in the order they came."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from labkit.evals.stats import benjamini_hochberg, bonferroni, holm

steady = settings(derandomize=True, deadline=None)
several = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=12)
METHODS = [(holm, "holm"), (benjamini_hochberg, "fdr_bh"), (bonferroni, "bonferroni")]


@settings(steady, max_examples=15)  # statsmodels collects garbage in every Holm adjustment: 0.1 s each
@given(several)
@pytest.mark.parametrize(("adjust", "method"), METHODS)
def test_adjusted_p_values_are_those_of_statsmodels(adjust, method: str, ps: list[float]):
    """Ties, zeros and ones included."""
    assert adjust(ps) == pytest.approx(list(multipletests(ps, method=method)[1]), abs=1e-12)


@steady
@given(several)
def test_an_adjustment_never_helps(ps: list[float]):
    """raw <= Benjamini-Hochberg <= Holm <= Bonferroni <= 1, p by p."""
    for raw, bh, h, b in zip(ps, benjamini_hochberg(ps), holm(ps), bonferroni(ps), strict=True):
        assert raw <= bh + 1e-15
        assert bh <= h + 1e-15
        assert h <= b + 1e-15
        assert b <= 1


@pytest.mark.parametrize(("adjust", "_"), METHODS)
def test_one_test_or_none_needs_no_adjustment(adjust, _):
    """A tuple will do; the order stays."""
    assert adjust([]) == []
    assert adjust((0.03,)) == [0.03]
    assert adjust([1, 0, 1]) == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(("adjust", "_"), METHODS)
@pytest.mark.parametrize("slip", [-0.1, 1.1, math.nan, None])
def test_a_p_value_is_a_share(adjust, _, slip):
    """A test that could not be run has no p-value and stays out."""
    with pytest.raises(ValueError, match=r"ps\[1\]"):
        adjust([0.5, slip])
