"""Scores are first class: a number from every scorer, told by its name wherever a run is told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from desk import GOOD, STOLEN, support_desk
from scripted_runs import answered, evaluated

import labkit as lk
from labkit import evals, views
from labkit.cli import main
from labkit.errors import OptionInvalid
from labkit.evals.arms import compare_arms
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.score import Score
from labkit.store.runs import RunStore


def graded(call: str, values: list[float | None], *, name: str = "f1", passed: list[bool] | None = None) -> EvalRun:
    """A run whose n-th case got ``values[n]`` by a scorer that only grades, and a pass by another one where given."""
    rows = []
    for n, value in enumerate(values):
        scores = {name: Score(value=value, passed=None, reason=f"why {n}")}
        if passed is not None:
            scores["exact"] = Score(value=float(passed[n]), passed=passed[n])
        case = evals.Case(id=f"c{n}", input={"text": f"t{n}"})
        rows.append(Row(case=case, result=answered({"n": n}, call=call), scores=scores))
    return evaluated(rows, call=call, run_id=f"night/{call}", scorers={name: "1"} | ({"exact": "1"} if passed else {}))


def f1s(mean: float, n: int, seed: int) -> list[float | None]:
    source = random.Random(seed)
    return [min(1.0, max(0.0, source.gauss(mean, 0.25))) for _ in range(n)]


def test_a_loss_of_nine_points_of_f1_is_told_everywhere():
    """Comparison, row, gate and report say it with its interval, though no case passes or fails."""
    a, b = graded("a", f1s(0.55, 400, 1)), graded("b", f1s(0.46, 400, 2))

    seen = evals.compare(a, b)
    gate = evals.Gate(margin=0.03).check(b, baseline=a)

    assert (seen.metric, seen.verdict, seen.measures[0].name) == ("f1", "worse", "f1")
    assert seen.headline.endswith("points of f1") and "f1 on 400 cases: 95% interval -" in seen.evidence
    assert seen.interval.high < 0 and seen.contrast.test == "paired t"
    assert gate.verdict == "fail" and gate.checks[0].message.startswith("f1 5")
    assert "points of f1" in views.ab(a, b).html() and "A higher" in views.ab(a, b).html()
    assert views.report(b, baseline=a, gate=gate).html().count("mean f1 0.4") == 1
    assert repr(b).startswith("EvalRun('night/b', b: mean f1 0.4")


def test_a_scorer_of_numbers_is_compared_by_its_mean(tmp_path: Path):
    """.9 against .6 by a function, through evaluate, store and back: 30 points, where no threshold was ever named."""

    def quality(case: evals.Case, result: lk.Result[Any]) -> float:
        return 0.9 if result.value.intent == "card_arrival" else 0.6

    cases = evals.Dataset([evals.Case(id=f"c{n}", input={"text": f"t {n}"}) for n in range(30)])
    store = f"sqlite:///{tmp_path}/runs.db"
    a = evals.evaluate(support_desk(STOLEN), cases, scorers=[quality], store=store, run_id="a", progress=False)
    evals.evaluate(support_desk(GOOD), cases, scorers=[quality], store=store, run_id="b", progress=False)
    b = evals.load_run("b", store=store)

    seen = evals.compare(a, b)

    assert (seen.metric, seen.verdict) == ("quality", "better") and seen.difference == pytest.approx(0.3)
    assert (a.pass_rate, b.scores["quality"].mean, b.scores["quality"].judged) == (None, pytest.approx(0.9), 30)
    assert "quality 0.900" in evals.history("triage", store=store).text()


def test_the_command_line_and_the_export_have_every_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs are listed with their means; each row of an export has a value by scorer."""

    def length(case: evals.Case, result: lk.Result[Any]) -> float:
        return 0.25

    store = f"sqlite:///{tmp_path}/runs.db"
    cases = evals.Dataset([evals.Case(id=f"c{n}", input={"text": f"t {n}"}) for n in range(3)])
    evals.evaluate(support_desk(), cases, scorers=[length], store=store, run_id="a", progress=False)

    assert main(["runs", "--store", store]) == 0
    assert main(["export", "a", str(tmp_path / "rows.jsonl"), "--store", store]) == 0
    assert main(["export", "a", str(tmp_path / "rows.parquet"), "--store", store]) == 0
    import pyarrow.parquet

    assert "length 0.250" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["values"] for line in lines] == [{"length": 0.25}] * 3
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet")["score: length"].to_pylist() == [0.25] * 3


def test_what_counts_is_said_before_the_run(tmp_path: Path):
    """Of several scorers one of which only grades, somebody has to say; it is refused before anything is asked."""
    cases = evals.Dataset([evals.Case(id="a", input={"text": "t"}, expected={"intent": "card_arrival"})])
    scorers = [evals.ExactMatch("intent"), evals.TextSimilarity("intent")]
    store = f"sqlite:///{tmp_path}/runs.db"

    with pytest.raises(OptionInvalid, match="primary='intent: similarity', or primary='pass'"):
        evals.evaluate(support_desk(), cases, scorers=scorers, store=store, progress=False)
    with pytest.raises(OptionInvalid, match="give 'pass' or the name of a scorer"):
        evals.evaluate(support_desk(), cases, scorers=scorers, primary="f1", store=store, progress=False)
    run = evals.evaluate(
        support_desk(), cases, scorers=scorers, primary="intent: similarity", store=store, progress=False
    )

    assert (run.metric, evals.load_run(run.run_id, store=store).metric) == ("intent: similarity",) * 2
    assert run.pass_rate == 1.0


def test_another_measure_can_be_asked_for():
    """The pass of the one, the mean of the other: each comparison says what it is of."""
    a = graded("a", [0.5] * 40, passed=[True] * 40)
    b = graded("b", [0.7 + n / 1000 for n in range(40)], passed=[False] * 20 + [True] * 20)

    with pytest.raises(OptionInvalid, match="say what counts"):
        evals.compare(a, b)
    by_pass, by_f1 = (evals.compare(a, b, primary=name) for name in ("pass", "f1"))

    assert (by_pass.verdict, by_f1.verdict) == ("worse", "better")
    assert [row.name for row in by_f1.measures[:3]] == ["f1", "pass rate", "exact"]
    assert compare_arms([a, b], primary="f1").comparisons[0].verdict == "better"
    with pytest.raises(OptionInvalid, match="has no score 'f2'; there are f1, exact"):
        evals.compare(a, b, primary="f2")


def test_floors_and_margins_name_any_measure():
    """A scorer's mean, a percentile, a price: each with its own limit, against its interval."""
    a, b = graded("a", f1s(0.8, 200, 3)), graded("b", f1s(0.8, 200, 4))

    gate = evals.Gate(margin={"f1": 0.1, "latency_p95_s": 0.5, "cost_usd": 0.01}, floors={"f1": 0.6})
    result = gate.check(b, baseline=a)

    assert {check.name: check.verdict for check in result.checks} == {
        "regression": "pass", "f1": "pass", "latency_p95_s": "pass", "cost_usd": "pass",
    }  # fmt: skip
    assert evals.Gate(floors={"f1": 0.95}).check(b).verdict == "fail"
    with pytest.raises(OptionInvalid, match="has no figure 'f2'"):
        evals.Gate(floors={"f2": 0.95}).check(b)
    assert "an unchanged version passes" in evals.Gate.plan(a, margin=0.03, again=b).text()


def test_a_baseline_without_the_score_is_no_evidence():
    """A scorer that came new has nothing to be compared with: said, and no crash of the night."""
    before, now = graded("a", [0.5] * 30, name="old"), graded("b", [0.5] * 30)

    result = evals.Gate(floors={"f1": 0.2}).check(now, baseline=before)

    assert result.verdict == "inconclusive" and "has no score 'f1': bless a run that has" in result.reason


def test_a_score_that_is_missing_is_missing_by_its_name():
    """Rows that one scorer could not grade are told of that scorer, and the interval allows for them."""
    a, b = graded("a", [0.5] * 60), graded("b", [None] * 6 + [0.6] * 54)

    seen = evals.compare(a, b)

    assert (b.scores["f1"].judged, b.scores["f1"].unjudged) == (54, 6)
    assert seen.verdict == "inconclusive" and seen.contrast.judged_interval.low > 0
    assert "6 of 60 rows of night/b could not be judged (f1: why 0)" in seen.warnings[0]


def test_grades_fail_no_test_case(tmp_path: Path):
    """In junit.xml they stand beside the case; only a pass that was missed is a failure."""
    run = graded("a", [0.2, None], passed=None)
    cases = ET.parse(evals.write_junit(tmp_path / "junit.xml", run)).getroot()[0]

    assert [[child.tag for child in case] for case in cases] == [["system-out"], ["error", "system-out"]]
    assert cases[0][0].text == "f1: 0.200"


def test_scores_of_an_older_store_are_read(tmp_path: Path):
    """Rows written before scores stood among the facts have them after the store was opened."""
    import sqlite3

    cases = evals.Dataset([evals.Case(id="a", input={"text": "t"}, expected={"intent": "card_arrival"})])
    path = tmp_path / "runs.db"
    evals.evaluate(
        support_desk(),
        cases,
        scorers=[evals.ExactMatch("intent")],
        store=f"sqlite:///{path}",
        run_id="a",
        progress=False,
    )
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE run_rows DROP COLUMN scores")
        db.execute("UPDATE labkit_version SET version = 2")
    RunStore(path).close()

    assert evals.load_run("a", store=str(path)).scores["intent: exact"].mean == 1.0
