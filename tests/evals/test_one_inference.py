"""Verdict, interval, row, headline and gate are one statement, and it is wrong no more often than it says."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scored_runs import coin, run_of
from scripted_runs import answered, evaluated

from labkit import evals
from labkit.evals.arms import compare_arms
from labkit.evals.measures import shown
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.score import Score
from labkit.evals.stats import wilson
from labkit.evals.stats.inference import mean_difference
from labkit.evals.stats.timings import Timings

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "evidence_simulation.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The benchmark, of which a few cells are tried here with a fixed seed."""
    found = importlib.util.spec_from_file_location("evidence_simulation", FILE)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("n", [20, 60])
def test_interval_and_verdict_are_right_as_often_as_they_say(simulation: ModuleType, n: int, repeats: int):
    """Of equally good versions few are told apart, and never does one part of a comparison gainsay another."""
    rng = np.random.default_rng(n + repeats)

    same = simulation.compared(simulation.Setting(n=n, repeats=repeats), 150, rng)
    worse = simulation.compared(simulation.Setting(n=n, repeats=repeats, lost=0.07), 150, rng)

    assert same.told <= 15 and worse.covered >= 135  # 5% of 150 and three standard errors
    assert same.contradictions == worse.contradictions == 0


@pytest.mark.parametrize("n", [20, 60])
def test_grades_are_told_apart_as_often_as_they_may(simulation: ModuleType, n: int):
    """Skewed grades with a few zeros: the mean's interval holds the truth, and no verdict comes from noise."""
    rng = np.random.default_rng(n)

    same = simulation.compared(simulation.Setting(n=n, numeric=True), 150, rng)
    worse = simulation.compared(simulation.Setting(n=n, numeric=True, lost=0.1), 150, rng)

    assert same.told <= 15 and worse.covered >= 135 and same.contradictions == worse.contradictions == 0


@pytest.mark.parametrize("kind", ["equal", "lognormal", "zipf", "one with 30%"])
def test_clusters_of_any_size_are_not_taken_for_cases(simulation: ModuleType, kind: str):
    """Twenty topics of unequal size are twenty units, also where one of them has a third of the cases."""
    setting = simulation.Setting(n=200, clusters=kind, count=20)

    found = simulation.compared(setting, 150, np.random.default_rng(7))

    assert found.told <= 15 and found.contradictions == 0


@pytest.mark.parametrize("repeats", [1, 3])
def test_failures_that_were_not_judged_do_not_make_a_version_better(simulation: ModuleType, repeats: int):
    """A judge that falls silent where answers are bad flatters them: no verdict rests on its silence."""
    setting = simulation.Setting(n=200, repeats=repeats, missing="failures")

    found = simulation.compared(setting, 100, np.random.default_rng(3))

    assert found.told <= 11 and found.contradictions == 0


def test_four_arms_hold_together(simulation: ModuleType):
    """Among four versions as good as the first hardly ever is one told apart; headline and row agree in each."""
    found = simulation.among_arms(simulation.Setting(n=60), 100, np.random.default_rng(5))

    assert found.told <= 11 and found.contradictions == 0


def test_an_arm_that_only_its_step_tells_apart_says_so_in_its_interval():
    """Where Holm's second step finds what Bonferroni would not, the interval leaves 0 out as well."""
    base = run_of([[False]] * 100)
    arms = [run_of([[True]] * n + [[False]] * (100 - n), call=f"arm{n}") for n in (20, 6, 1)]

    _, second, third = compare_arms([base, *arms]).comparisons

    assert second.p_value > 0.05 / 4 and (second.verdict, third.verdict) == ("better", "inconclusive")
    assert second.interval.low > 0 and second.measures[0].interval == second.interval


def test_five_improvements_of_twenty_are_told_in_one_voice():
    """All five discordant cases went one way: headline, interval, row and p-value say the same of it."""
    a = run_of([[True]] * 10 + [[False]] * 10)
    b = run_of([[True]] * 15 + [[False]] * 5, call="b")

    seen = evals.compare(a, b)

    assert seen.verdict == seen.measures[0].verdict == "better" and seen.interval.low > 0 and seen.p_value < 0.05
    assert seen.headline == "b is better than a by 25.0 points"


def test_what_could_not_be_judged_is_told_by_rows_with_its_bounds():
    """Missing repeats are rows: they are counted, quoted, and the interval allows for whatever they would have been."""
    full: list[list[bool | None]] = [[True, True, False]] * 40 + [[True, False, False]] * 20
    lost = [[verdict if verdict else None for verdict in case] for case in full[:30]] + full[30:]
    a, b = run_of(full), run_of(lost, call="b")

    seen = evals.compare(a, b)

    assert (b.pass_bounds, seen.verdict) == (pytest.approx((100 / 180, 130 / 180)), "inconclusive")
    assert seen.contrast.judged_interval.low > 0  # on the judged rows alone it would be better
    assert "30 of 180 rows of b-0001 could not be judged" in seen.text() and "could turn the verdict" in seen.text()
    assert "30 not judged: 55.6% to 72.2% whatever they are" in repr(b)


def test_the_same_question_three_times_is_one_question():
    """67 inputs that stand in the dataset three times each are 67 units, and that is said."""
    source = random.Random(2)
    flips = [source.choice([-1, 0, 1]) for _ in range(67)]

    def thrice(passed: list[bool], call: str, own: bool = False) -> EvalRun:
        rows = []
        for copy in range(3):
            for n, each in enumerate(passed):
                case = evals.Case(id=f"c{n}-{copy}", input={"text": f"t{n}"}, cluster=f"{n}-{copy}" if own else None)
                score = Score(value=float(each), passed=each)
                rows.append(Row(case=case, result=answered({}, call=call), scores={"s": score}))
        return evaluated(rows, call=call)

    a, b = [flip <= 0 for flip in flips], [flip >= 0 for flip in flips]
    once, copies = (
        evals.compare(thrice(a, "a"), thrice(b, "b")),
        evals.compare(thrice(a, "a", True), thrice(b, "b", True)),
    )

    assert any("201 cases ask what another one asks" in note for note in once.notes) and not copies.notes
    assert once.contrast.test == "sign flips over clusters" and copies.contrast.test == "McNemar's score test"
    width, narrower = (seen.interval.high - seen.interval.low for seen in (once, copies))
    assert width == pytest.approx(narrower * 3**0.5, rel=0.15)


def test_weights_count():
    """A case that weighs ten is ten times the loss, in the run's rate and in the comparison."""

    def weighing(passed: list[bool], call: str) -> EvalRun:
        return evaluated(
            [
                Row(
                    case=evals.Case(id=f"c{n}", input={"n": n}, weight=10.0 if n < 20 else 1.0),
                    result=answered({}, call=call), scores={"s": Score(value=float(each), passed=each)},
                )
                for n, each in enumerate(passed)
            ],
            call=call,
        )  # fmt: skip

    a, b = weighing([True] * 60, "a"), weighing([False] * 10 + [True] * 50, "b")

    assert b.pass_rate == pytest.approx(140 / 240)
    assert evals.compare(a, b).difference == pytest.approx(-100 / 240)
    assert evals.compare(a, b).verdict == "worse"


def test_a_percentile_has_the_interval_of_itself():
    """Where half the answers become fast, the median moves by more than the typical ratio: its interval follows it."""
    source = random.Random(4)

    def timed(call: str, fast: float) -> EvalRun:
        took = [source.lognormvariate(0, 0.4) * (0.05 if source.random() < fast else 1) for _ in range(300)]
        rows = [
            Row(case=evals.Case(id=f"c{n}", input={"n": n}), result=answered({}, took_s=s), scores={"s": Score(value=1.0, passed=True)})  # noqa: E501
            for n, s in enumerate(took)
        ]  # fmt: skip
        return evaluated(rows, call=call)

    p50 = next(each for each in evals.compare(timed("a", 0.0), timed("b", 0.6)).measures if each.name == "p50 latency")

    assert p50.estimate is not None and p50.interval is not None
    assert p50.interval.low < p50.estimate < p50.interval.high < 0
    assert p50.estimate == pytest.approx((p50.b or 0) - (p50.a or 0))


def test_ten_answers_to_a_case_are_not_ten_timings():
    """The interval of a run's p95 is that of its cases: answers to one case are slow together."""
    rng = np.random.default_rng(6)
    missed = 0
    truth = float(np.quantile(rng.lognormal(0, 0.5, 400_000) * rng.lognormal(0, 0.2, 400_000), 0.95))
    for _ in range(100):
        seconds = np.repeat(rng.lognormal(0, 0.5, 60), 10) * rng.lognormal(0, 0.2, 600)
        low, high = Timings(seconds=seconds, units=np.repeat(np.arange(60), 10), n_units=60).interval(0.95)
        missed += (low is not None and low > truth) or (high is not None and high < truth)

    assert missed <= 12


def test_a_busy_minute_of_one_run_is_named():
    """Noise that lasts over many cases and meets one run alone is not taken for a slower version."""

    def timed(call: str, busy: range) -> EvalRun:
        source = random.Random(call)
        rows = [
            Row(
                case=evals.Case(id=f"c{n}", input={"n": n}), scores={"s": Score(value=1.0, passed=True)},
                result=answered({}, took_s=source.lognormvariate(0, 0.2) * (2.0 if n in busy else 1.0)),
            )
            for n in range(240)
        ]  # fmt: skip
        return evaluated(rows, call=call, run_id=f"night/{call}")

    seen = evals.compare(timed("a", range(0)), timed("b", range(60, 140)))

    assert any("met a slow stretch that the other did not" in note for note in seen.notes)
    assert next(each for each in seen.measures if each.name == "p50 latency").verdict == "inconclusive"


def test_latencies_below_a_second_are_in_milliseconds():
    """What is told as a difference is not shown as none."""
    assert [shown(value, "s", signed=True) for value in (0.0004, -0.0123, 0.25, 1.5)] == [
        "+0.400 ms", "-12.3 ms", "+250 ms", "+1.500 s",
    ]  # fmt: skip


def test_the_p_value_is_that_of_the_interval():
    """At whatever confidence: an interval holds 0 exactly where its p-value is above the level."""
    rng = np.random.default_rng(9)
    for n, clusters in ((12, None), (40, None), (60, 24), (400, 300)):
        for _ in range(15):
            differences = rng.normal(0.15, 0.5, n).clip(-1, 1)
            units = None if clusters is None else rng.integers(0, clusters, n)
            found = mean_difference(differences, units, bound=1.0)
            for level in (0.5, 0.2, 0.05, 0.01):
                low, high = found.interval(1 - level)
                assert (low <= 0 <= high) == (found.p > level), (n, clusters, level, found.p)


def test_a_gate_says_what_the_comparison_says():
    """Worse beyond doubt fails, if not by the margin; what is allowed within the margin passes, to be looked at."""
    a = run_of([[True]] * 900 + [[False]] * 100)
    b = run_of([[True]] * 885 + [[False]] * 115, call="b")

    strict, lenient = (
        evals.Gate(margin=0.05).check(b, baseline=a),
        evals.Gate(margin=0.05, allow="within margin").check(b, baseline=a),
    )

    assert evals.compare(a, b).verdict == "worse"
    assert strict.verdict == "fail" and "worse than the baseline beyond doubt" in strict.reason
    assert lenient.verdict == "pass" and "which was allowed" in lenient.attention[0]


def test_the_same_answers_pass():
    """A version that answers as the baseline did cannot have lost anything, however few the cases; others prove it."""
    a, same = run_of([[True], [False]] * 25), run_of([[True], [False]] * 25, call="b")
    other = evaluated(
        [Row(case=row.case, result=answered({"n": "other"}), scores=row.scores) for row in same.rows], call="b"
    )

    assert evals.Gate(margin=0.02).check(same, baseline=a).verdict == "pass"
    assert evals.Gate(margin=0.02).check(other, baseline=a).verdict == "inconclusive"


def test_a_floor_is_judged_by_its_interval():
    """78 of 100 neither keeps nor breaks a floor of 75%; a floor of 1 asks for every row."""
    run = run_of([[True]] * 78 + [[False]] * 22)

    def verdict(**floors: float) -> str:
        return evals.Gate(floors=floors).check(run).verdict

    assert [verdict(pass_rate=floor) for floor in (0.6, 0.75, 0.9)] == ["pass", "inconclusive", "fail"]
    assert wilson(78, 100).low > 0.6
    assert (verdict(pass_rate=1.0), verdict(schema_valid_rate=1.0), verdict(fallback_rate=0.0)) == (
        "fail",
        "pass",
        "pass",
    )
    assert (verdict(latency_p95_s=10), verdict(latency_p95_s=0.2), verdict(cost_usd=1.0)) == ("pass", "fail", "pass")


def test_repeats_say_what_can_be_relied_on():
    """Of two tries: how often both pass, how often one does, and which cases are one or the other."""
    run = run_of([[True, True]] * 6 + [[True, False]] * 3 + [[False, False]])

    assert (run.pass_hat(2), run.pass_at(2), run.pass_at(3)) == (pytest.approx(0.6), pytest.approx(0.9), None)
    assert run.flaky == ["c6", "c7", "c8"]
    assert "all 2 tries pass in 60.0% of cases, one of 2 in 90.0%, 3 flaky" in repr(run)


def test_more_cases_are_a_new_look():
    """Who adds cases until a difference shows finds one too often: the advice is one look, or the e-value."""
    seen = evals.compare(run_of(coin(0.6, 60, 1)), run_of(coin(0.7, 60, 2), call="b"))

    assert seen.e_value is not None and seen.e_value < 20
    assert "compare anew on" in seen.settled_by and "stops at an e-value of 20" in seen.text()
    assert evals.compare(run_of([[True, False]] * 9), run_of([[True, False]] * 9, call="b")).e_value is None


def test_a_gate_is_planned_before_anything_is_asked():
    """How often an unchanged version passes, and a worse one fails, at what cost; more repeats tell more."""
    run = run_of(coin(0.8, 100, 1, repeats=2))

    plan = evals.Gate.plan(run, margin=0.05)

    assert (plan.now.cases, plan.now.repeats, [option.repeats for option in plan.options]) == (100, 2, [3, 5, 10])
    assert plan.now.unchanged_passes < plan.options[-1].unchanged_passes and plan.now.loss_fails < plan.now.twice_fails
    assert plan.enough is not None and plan.enough.is_enough and plan.now.cost_usd == pytest.approx(0.06)
    assert "an unchanged version passes on" in plan.text()
    assert evals.Gate.plan(run_of([[True, True]] * 50), margin=0.02).now.unchanged_passes == 1.0
    assert "one answer a case does not show" in evals.Gate.plan(run_of([[True], [False]] * 9), margin=0.02).text()
    with pytest.raises(ValueError, match="two points"):
        evals.Gate.plan(run, margin=2)
