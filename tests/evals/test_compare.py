"""Two runs, or several, are told apart by cases, not by rows, and the comparison says what it rests on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scored_runs import coin, run_of
from scripted_runs import answered, evaluated

from labkit import evals
from labkit.errors import RunsDiffer
from labkit.evals.arms import compare_arms
from labkit.evals.contrast import Contrast, Judged, Units, contrast, mean_interval
from labkit.evals.runs import Row
from labkit.evals.scorers.score import Score
from labkit.evals.stats import mcnemar_score, paired_t, sign_flip, tango


def contrasted(a: list[float], b: list[float], clusters: list[str] | None = None) -> Contrast:
    numbers = None if clusters is None else np.unique(clusters, return_inverse=True)[1]
    return contrast(Judged.of(np.array(a)), Judged.of(np.array(b)), Units(clusters=numbers), primary="paired_t")


def test_single_answers_are_compared_by_mcnemars_score():
    """The table, Tango's interval and the p-value that belongs to it are those of the statistics."""
    a = run_of([[True]] * 30 + [[False]] * 10)
    b = run_of([[True]] * 27 + [[False]] * 3 + [[True]] * 5 + [[False]] * 5, call="b")

    seen = evals.compare(a, b)

    assert (seen.table.both, seen.table.only_a, seen.table.only_b, seen.table.neither) == (27, 3, 5, 5)
    assert (seen.p_value, seen.interval) == (mcnemar_score(3, 5), tango(5, 3, 40))
    assert seen.primary_test == "pass rate by McNemar's score test, two-sided, at 5%"
    assert seen.more_cases is not None and 300 < seen.more_cases < 1000
    assert "differences from" in seen.evidence


def test_repeats_are_averaged_within_their_case():
    """Asking a case ten times gives no more cases than asking it once."""
    a, b = run_of(coin(0.6, 40, 1, repeats=10)), run_of(coin(0.7, 40, 2, repeats=10), call="b")

    seen = evals.compare(a, b)

    means = [[sum(r.passed for r in run.rows[n : n + 10]) / 10 for n in range(0, 400, 10)] for run in (a, b)]
    expected = paired_t(*means)
    assert (seen.contrast.n, seen.contrast.test) == (40, "paired t")
    assert (seen.difference, seen.p_value) == pytest.approx((expected.mean, expected.p))
    assert seen.interval == pytest.approx(expected.interval)


def test_few_repeated_cases_are_compared_by_every_flip_of_signs():
    """Up to sixteen units the p-value is exact."""
    a, b = run_of(coin(0.3, 8, 1, repeats=4)), run_of(coin(0.8, 8, 2, repeats=4), call="b")

    seen = evals.compare(a, b)

    differences = [
        sum(y.passed - x.passed for x, y in zip(a.rows[n : n + 4], b.rows[n : n + 4], strict=True)) / 4
        for n in range(0, 32, 4)
    ]
    assert (seen.contrast.test, seen.p_value) == ("exact sign flips", sign_flip(differences))


def test_clusters_widen_the_interval():
    """Cases about one thing are not independent: the same answers, gathered in topics, say less."""
    before, after = [[False]] * 30 + [[True]] * 30, [[True]] * 24 + [[False]] * 6 + [[True]] * 30
    topics = [f"t{n // 6}" for n in range(60)]

    alone = evals.compare(run_of(before), run_of(after, call="b"))
    together = evals.compare(run_of(before, clusters=topics), run_of(after, call="b", clusters=topics))

    assert together.contrast.test == "exact sign flips over clusters"
    assert together.difference == pytest.approx(alone.difference)
    assert together.interval.high - together.interval.low > alone.interval.high - alone.interval.low
    assert together.p_value > alone.p_value


def test_one_cluster_excludes_nothing():
    """What only one topic shows may be that topic's: any difference is still possible."""
    seen = contrasted([0.0, 0.0], [1.0, 1.0], ["same", "same"])

    assert seen.interval.low < -0.9 and seen.interval.high > 0.99 and seen.p_value == 1.0


def test_agreement_throughout_is_not_certainty():
    """Five cases that never differ do not show that none will: the interval has a width."""
    seen = contrasted([1.0] * 5, [1.0] * 5, list("abcde"))

    assert seen.interval == pytest.approx((-0.52, 0.52), abs=0.01) and seen.p_value == 1.0
    assert contrasted([1.0] * 30, [1.0] * 30).interval == pytest.approx((-0.116, 0.116), abs=0.001)
    assert mean_interval(np.array([1.0, 1.0]), Units(clusters=np.array([0, 0]))).low < 0.5


def test_the_same_loss_in_every_case_is_a_loss():
    """A difference without any spread is found by flips of signs, and its interval is narrow where cases are many."""
    seen = contrasted([1.0] * 120, [0.5] * 120)

    assert seen.p_value < 0.001 and -0.6 < seen.interval.low < -0.5 < seen.interval.high < -0.4


def test_one_answer_that_differs_does_not_make_the_others_certain():
    """Thirty repeated cases that agree but for one answer are hardly more evidence than if they agreed throughout."""
    seen = contrasted([1.0] * 30, [1.0] * 29 + [0.5])

    assert seen.interval.low < -0.08 and seen.interval.high > 0.04


def test_test_and_interval_of_few_cases_agree():
    """What the test cannot reject lies in the interval; five cases can show nothing at all."""
    five = contrasted([0.9, 0.8, 0.9, 1.0, 0.8], [0.2, 0.1, 0.3, 0.3, 0.2])
    eight = contrasted([1.0] * 8, [0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 0.3])

    assert (five.p_value, five.interval, five.minimum_detectable_effect) == (2 / 32, (-1.0, 1.0), None)
    assert eight.p_value == 2 / 256 and eight.interval.high < 0


def test_a_gate_is_not_walked_around():
    """Rows that nobody could judge, and scorers that are not the baseline's, keep it from passing, and are named."""
    before = run_of([[True]] * 200)
    lost, other = run_of([[True]] * 120 + [[None]] * 80, call="b"), run_of([[True]] * 200, scorers={"lenient": "1"})

    unjudged = evals.Gate(margin=0.05, floors={"pass_rate": 0.9}).check(lost, baseline=before)
    lenient = evals.Gate(margin=0.05).check(other, baseline=before)

    assert unjudged.verdict == "inconclusive" and "80 of 200 rows could not be judged" in unjudged.reason
    assert lenient.verdict == "inconclusive" and "not those of the baseline" in lenient.reason


def test_slices_answer_to_their_number():
    """A tag's p-value is adjusted for how many tags were looked at."""
    a, b = run_of([[False]] * 20), run_of([[n % 2 == 0] for n in range(20)], call="b")

    (even,) = evals.compare(a, b).slices

    assert (even.tag, even.contrast.n, even.verdict) == ("even", 10, "better")
    assert even.adjusted_p == even.contrast.p_value


def test_several_arms_answer_to_holm():
    """What is significant alone may not be so among three."""
    base = run_of([[False]] * 40)
    arms = [run_of([[True]] * n + [[False]] * (40 - n), call=f"arm{n}") for n in (6, 7, 12)]

    seen = compare_arms([base, *arms])

    assert [each.p_value for each in seen.comparisons] == [mcnemar_score(0, n) for n in (6, 7, 12)]
    assert [each.verdict for each in seen.comparisons] == ["better", "better", "better"]
    assert seen.comparisons[0].adjusted_p == pytest.approx(2 * mcnemar_score(0, 7))
    assert seen.comparisons[1].adjusted_p == pytest.approx(2 * mcnemar_score(0, 7))
    assert list(seen.frame()["cases"]) == [40, 40, 40]
    weak = compare_arms([base, *(run_of([[True]] * 5 + [[False]] * 35, call=f"w{n}") for n in range(3))])
    assert {each.verdict for each in weak.comparisons} == {"inconclusive"}
    assert "among the arms by Holm" in weak.text()
    with pytest.raises(RunsDiffer, match="two or more"):
        compare_arms([base])


def test_cases_that_were_changed_are_left_out_and_named():
    """A corrected expectation does not stop the night, and does not count either."""
    a, b = run_of([[True]] * 4), run_of([[True]] * 4, call="b")
    other = evals.Case(id="c1", input={"text": "rewritten"})
    b = evaluated([row if row.case_id != "c1" else Row(case=other, result=row.result, scores=row.scores) for row in b.rows], call="b")  # noqa: E501 # fmt: skip

    seen = evals.compare(a, b)

    assert seen.contrast.n == 3 and [pair.case_id for pair in seen.pairs] == ["c0", "c2", "c3"]
    assert any("1 cases are left out: their input or expectation was changed ('c1')" in said for said in seen.warnings)
    assert any("the datasets differ" in said for said in seen.warnings)


def test_what_makes_runs_unlike_is_said():
    """Other scorers, other schemas, cases nobody judged, requests nobody accounted for."""
    a = run_of([[True], [None], [False]], unaccounted=2)
    b = run_of([[True], [True], [True]], call="b", scorers={"other": "1"}, versions={"output_schema": "new"})

    said = "\n".join(evals.compare(a, b).warnings)

    assert "the scorers differ" in said and "the output schemas differ" in said
    assert "1 of 3 rows of a-0001 could not be judged (intent: exact: why)" in said
    assert "of 2 requests of run" in said and "no answer was kept" in said


def test_latency_and_cost_have_intervals():
    """Half the time at twice the price, both beyond doubt; where prices are unknown nothing is made up."""
    cases = [evals.Case(id=f"c{n}", input={"text": f"t{n}"}) for n in range(80)]
    source = random.Random(5)

    def run(call: str, factor: float, cost: float | None) -> evals.EvalRun:
        ok = {"s": Score(value=1.0, passed=True)}
        return evaluated(
            [
                Row(
                    case=case, scores=ok,
                    result=answered(
                        {}, took_s=factor * source.lognormvariate(0, 0.2), cost_usd=cost and cost * (1 + n % 2)
                    ),
                )
                for n, case in enumerate(cases)
            ],
            call=call,
        )  # fmt: skip

    measures = {each.name: each for each in evals.compare(run("a", 1.0, 0.001), run("b", 0.5, 0.002)).measures}
    unknown = {each.name: each for each in evals.compare(run("a", 1.0, None), run("b", 0.5, 0.002)).measures}

    assert [measures[name].verdict for name in ("p50 latency", "p95 latency", "cost per 1,000")] == [
        "better", "better", "worse",
    ]  # fmt: skip
    assert measures["cost per 1,000"].estimate == pytest.approx(1.5)
    assert (unknown["cost per 1,000"].a, unknown["cost per 1,000"].estimate) == (None, None)


def test_a_comparison_can_be_read_in_a_terminal():
    """Headline, evidence, every measure, and what would settle it."""
    text = evals.compare(run_of(coin(0.6, 30, 1)), run_of(coin(0.7, 30, 2), call="b")).text()

    assert text.startswith("b and a cannot be told apart on 30 cases\n")
    assert "pass rate" in text and "p95 latency" in text and "more cases would settle it" in text


def test_the_gate_asks_for_the_cases_it_lacks():
    """Not enough evidence comes with how much is enough."""
    a, b = run_of(coin(0.8, 60, 1)), run_of(coin(0.8, 60, 3), call="b")

    (check,) = evals.Gate(margin=0.02).check(b, baseline=a).checks

    assert check.verdict == "inconclusive" and "more cases would settle it" in check.message


def test_the_gate_judges_repeats_by_their_cases():
    """A lasting loss fails, a like answer passes, by the interval of the case means."""
    a = run_of([[True, True]] * 60 + [[True, False]] * 60)
    worse = run_of([[True, False]] * 60 + [[False, False]] * 40 + [[True, False]] * 20, call="b")

    assert evals.Gate(margin=0.05).check(worse, baseline=a).verdict == "fail"
    assert evals.Gate(margin=0.05).check(a, baseline=a).verdict == "pass"
