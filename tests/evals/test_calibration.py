"""A judge is measured against people, its pass rate is corrected, and what cannot be told is not given as 0."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_runs import run_of

from labkit.errors import TooFewCases
from labkit.evals.calibration import Calibration, calibrate, rogan_gladen_interval
from labkit.evals.stats import cohen_kappa, rogan_gladen, wilson
from labkit.store.reviews import Review


def of_table(
    both_pass: int, only_judge: int, only_human: int, both_fail: int, more: list[bool | None] | None = None
) -> Calibration:
    """Reviews that fall into the four cells; *more* was judged and not reviewed."""
    cells = [(True, True)] * both_pass + [(True, False)] * only_judge
    cells += [(False, True)] * only_human + [(False, False)] * both_fail
    judged: dict[str, bool | None] = {f"c{n}": verdict for n, (verdict, _) in enumerate(cells)}
    judged |= {f"m{n}": verdict for n, verdict in enumerate(more or [])}
    return calibrate(judged, {f"c{n}": passed for n, (_, passed) in enumerate(cells)})


def test_every_figure_comes_with_its_interval():
    """They are those of the statistics under them."""
    seen = of_table(40, 5, 10, 45, more=[True] * 60 + [False] * 40)
    kappa = cohen_kappa([[40, 5], [10, 45]])

    assert (seen.n, seen.both_pass, seen.only_judge, seen.only_human, seen.both_fail) == (100, 40, 5, 10, 45)
    assert seen.kappa is not None and seen.sensitivity is not None and seen.specificity is not None
    assert (seen.kappa.value, seen.kappa.interval) == (kappa.kappa, kappa.interval)
    assert (seen.agreement.value, seen.agreement.interval) == (0.85, wilson(85, 100))
    assert (seen.prevalence.value, seen.prevalence.interval) == (0.5, wilson(50, 100))
    assert (seen.sensitivity.value, seen.sensitivity.interval, seen.sensitivity.n) == (0.8, wilson(40, 50), 50)
    assert (seen.specificity.value, seen.specificity.interval, seen.specificity.n) == (0.9, wilson(45, 50), 50)
    assert (seen.observed_pass_rate.value, seen.observed_pass_rate.n) == (105 / 200, 200)
    assert seen.corrected_pass_rate is not None
    assert seen.corrected_pass_rate.value == rogan_gladen(105 / 200, 0.8, 0.9)
    assert seen.warnings == ()
    assert len(seen.disagreements) == 15 and seen.disagreements[0] == "c40"


def test_the_interval_of_the_corrected_rate_is_the_published_one():
    """Lang and Reiczigel's formula, worked out apart for 60 of 100, 45 of 50 and 40 of 50 at z = 1.959964."""
    seen = rogan_gladen_interval(60, 100, 45, 50, 40, 50)

    assert seen is not None
    # p' = 0.596301, Se' = 0.884615, Sp' = 0.788462; rate 0.571647, shift -0.001935, standard error 0.088499
    assert seen == pytest.approx((0.396257, 0.743166), abs=1e-6)


def test_the_interval_keeps_its_level_where_the_reviews_are_part_of_the_run():
    """Of 400 simulated evaluations with 60 reviews among 300 cases, at least 93% hold the truth."""
    chance = random.Random(7)
    held = 0
    for _ in range(400):
        truth = [chance.random() < 0.7 for _ in range(300)]
        verdicts = {str(n): chance.random() < (0.9 if good else 0.2) for n, good in enumerate(truth)}
        seen = calibrate(verdicts, {str(n): truth[n] for n in range(60)})
        assert seen.corrected_pass_rate is not None
        low, high = seen.corrected_pass_rate.interval
        held += low <= 0.7 <= high
    assert held >= 0.93 * 400


@settings(max_examples=200, deadline=None, derandomize=True)
@given(*[st.integers(0, 30)] * 4, st.integers(0, 50), st.integers(0, 50))
def test_no_table_of_counts_breaks_it(
    both_pass: int, only_judge: int, only_human: int, both_fail: int, passes: int, fails: int
):
    """Every figure lies in its interval and its range, or is not given at all; then a warning says so."""
    if not both_pass + only_judge + only_human + both_fail:
        return
    seen = of_table(both_pass, only_judge, only_human, both_fail, more=[True] * passes + [False] * fails)

    for each in (
        seen.agreement, seen.prevalence, seen.sensitivity, seen.specificity, seen.observed_pass_rate,
        seen.corrected_pass_rate,
    ):  # fmt: skip
        assert each is None or 0 <= each.interval.low <= each.value <= each.interval.high <= 1
    assert seen.kappa is None or -1 <= seen.kappa.interval.low <= seen.kappa.value <= seen.kappa.interval.high <= 1
    assert seen.corrected_pass_rate is not None or seen.warnings
    assert repr(seen) and seen._repr_html_()


@pytest.mark.parametrize(
    ("cells", "unknown", "said"), [((35, 0, 5, 0), "specificity", "passed"), ((0, 5, 0, 35), "sensitivity", "failed")]
)
def test_one_class_of_reviews_estimates_nothing_of_the_other(cells: Any, unknown: str, said: str):
    """Kappa, that share and the corrected rate are not estimable, and not 0."""
    seen = of_table(*cells)

    assert seen.kappa is None and seen.corrected_pass_rate is None and getattr(seen, unknown) is None
    assert [warning.partition(":")[0] for warning in seen.warnings] == [f"people {said} every reviewed case"]
    assert seen._repr_html_().count("not estimable") >= 3 and "kappa not estimable" in repr(seen)
    assert seen.agreement.value == 35 / 40


def test_a_judge_no_better_than_a_coin_corrects_nothing():
    """Its rate says nothing about the truth, and so does any correction of it."""
    constant = of_table(20, 20, 0, 0)

    assert constant.corrected_pass_rate is None
    assert any("no better than a coin" in warning for warning in constant.warnings)
    assert constant.kappa is not None and constant.kappa.value == 0.0  # chance itself, and that is known


def test_a_judge_that_may_be_a_coin_is_told_apart_from_one_that_is():
    """Few reviews leave it open."""
    seen = of_table(11, 6, 7, 10)

    assert seen.corrected_pass_rate is not None
    assert any("may be no better than a coin" in warning for warning in seen.warnings)


def test_counts_that_cannot_bound_the_rate_leave_it_out():
    """One good case, passed, outweighs nothing."""
    assert rogan_gladen_interval(10, 20, 1, 1, 1, 9) is None
    assert of_table(1, 8, 0, 1).corrected_pass_rate is None


@pytest.mark.parametrize(("n", "warned"), [(14, True), (15, False)])
def test_fewer_than_30_reviews_are_few(n: int, warned: bool):
    """They can be told, but not trusted far."""
    assert any("reviews: the intervals are wide" in warning for warning in of_table(n, 0, 0, n).warnings) is warned


def test_what_was_not_judged_or_is_not_known_is_left_out_and_counted():
    """A judge that crashed on a case has not failed it."""
    judged = {"a": True, "b": False, "c": None, "d": None}
    human = {"a": True, "b": False, "c": True, "z": False}

    seen = calibrate(judged, human, scorer="politeness")

    assert (seen.judge, seen.n, seen.not_judged, seen.unknown) == ("politeness", 2, 1, 1)
    assert (seen.observed_pass_rate.value, seen.observed_pass_rate.n) == (0.5, 2)
    assert sum("left out" in warning for warning in seen.warnings) == 2


def test_without_a_reviewed_verdict_there_is_no_calibration():
    """Missing evidence is an error, with the mend."""
    for judged, human in [({}, {}), ({"a": None}, {"a": True}), ({"a": True}, {"b": True})]:
        with pytest.raises(TooFewCases, match="review cases"):
            calibrate(judged, human)


@pytest.mark.parametrize("wrong", ["fail", "no", None, float("nan"), 0.7])
def test_a_review_is_true_or_false(wrong: Any):
    """The text "fail" would count as a pass."""
    with pytest.raises(ValueError, match=r"case 'a': a verdict is True or False"):
        calibrate({"a": True}, {"a": wrong})


def test_a_run_is_calibrated_by_its_scorer():
    """Of repeats, the first answer counts; a case it could not judge is left out."""
    run = run_of([[True, False], [False, True], [None, True], [True, True]])
    human = {"c0": True, "c1": True, "c2": True, "c3": False}

    seen = calibrate(run, human)

    assert seen.judge == "intent: exact"
    assert (seen.both_pass, seen.only_judge, seen.only_human, seen.both_fail) == (1, 1, 1, 0)
    assert (seen.not_judged, seen.observed_pass_rate.n, seen.disagreements) == (1, 3, ("c1", "c3"))
    assert calibrate(run, human, scorer="intent: exact") == seen
    with pytest.raises(ValueError, match="has 'intent: exact'; name one"):
        calibrate(run, human, scorer="judge")


def test_stored_reviews_count_as_people_left_them():
    """A superseded or unclear review has no say, nor has one of a later repeat; reviewers who disagree are named."""

    def review(case_id: str, verdict: Any, **more: Any) -> Review:
        return Review(run_id="r", case_id=case_id, reviewer="ann", verdict=verdict, **more)

    first = review("c0", "fail")
    reviews = [
        first, review("c0", "pass", supersedes=first.review_id), review("c1", "fail"), review("c1", "pass", repeat=1),
        review("c2", "unclear"),
    ]  # fmt: skip

    seen = calibrate(run_of([[True, True], [False, False], [True, True]]), reviews)

    assert (seen.n, seen.both_pass, seen.both_fail) == (2, 1, 1)
    with pytest.raises(ValueError, match="reviews of case 'c0' disagree"):
        calibrate({"c0": True}, [review("c0", "pass"), review("c0", "fail")])


def test_a_name_is_text_wherever_it_is_shown():
    """Scorers are named by whoever wrote them."""
    html = calibrate({"a": True}, {"a": True}, scorer="<script>x</script>")._repr_html_()

    assert "<script>" not in html and "&lt;script&gt;" in html
