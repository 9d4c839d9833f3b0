"""An evaluation asks every case, keeps every answer, and says how it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, STOLEN, Triage, support_desk

import labkit as lk
from labkit import evals
from labkit.errors import DatasetInvalid, ModelError, OptionInvalid, RunsDiffer, RunStopped, StoreError, TooFewCases
from labkit.evals.progress import Tally
from labkit.store.runs import RunStore

EXACT = (evals.ExactMatch("intent"),)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


def cases(n: int = 4, intent: str = "card_arrival") -> evals.Dataset:
    return evals.Dataset(
        [
            evals.Case(
                id=f"c{i}", input={"text": f"ticket {i}"}, expected={"intent": intent}, tags=("even",) * (i % 2 == 0)
            )
            for i in range(n)
        ],
        name="desk",
    )


def test_every_case_is_asked_scored_and_stored(store: str):
    """What is read back is what was measured."""
    run = evals.evaluate(support_desk(), cases(), scorers=[evals.ExactMatch("intent")], store=store, progress=False)

    again = evals.load_run(run.run_id, store=store)

    assert (run.pass_rate, run.fallback_rate, run.schema_valid_rate) == (1.0, 0.0, 1.0)
    assert [row.case_id for row in run.rows] == ["c0", "c1", "c2", "c3"]
    assert again.rows[0].result.value == {"intent": "card_arrival", "urgency": 2}
    assert again.rows[0].result.attempts == run.rows[0].result.attempts
    assert [row.scores for row in again.rows] == [row.scores for row in run.rows]
    assert (again.fingerprint, again.dataset_hash, again.pass_interval) == (
        run.fingerprint,
        run.dataset_hash,
        run.pass_interval,
    )


def test_a_scorer_that_crashes_is_a_score_with_its_error(store: str):
    """Never a zero: the case is left out of the rate and can be found."""

    def picky(case: evals.Case, result: lk.Result[Any]) -> bool:
        if case.id == "c1":
            raise KeyError("colour")
        return True

    run = evals.evaluate(support_desk(), cases(), scorers=[picky], store=store, progress=False)

    assert run.row("c1").passed is None
    assert "KeyError: 'colour'" in run.row("c1").scores["picky"].reason
    assert (len(run.judged), run.pass_rate) == (3, 1.0)


def test_a_field_nobody_expected_cannot_be_scored(store: str):
    """A misspelt field is an error to be seen, not a failing model; it is seen before anything is asked."""
    model = lk.ScriptedModel(GOOD)

    with pytest.raises(OptionInvalid, match=r"ExactMatch\('intnet'\): Triage has no 'intnet': write intent="):
        evals.evaluate(support_desk(model), cases(), scorers=[evals.ExactMatch("intnet")], store=store, progress=False)
    assert model.requests == []


def test_a_fallback_cannot_hide_a_failing_model(store: str):
    """Served and model pass rate are kept apart."""
    desk = support_desk("nonsense", fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))])

    run = evals.evaluate(desk, cases(), scorers=[evals.ExactMatch("intent")], store=store, progress=False)

    assert (run.pass_rate, run.model_pass_rate, run.fallback_rate, run.schema_valid_rate) == (1.0, 0.0, 1.0, 0.0)
    assert {row.status for row in run.rows} == {"fallback_used"}


def test_no_more_calls_than_asked_for_are_in_flight(store: str):
    """The concurrency is a bound, and it is reached."""
    running, most = 0, 0

    async def count(ticket: Any) -> str:
        import asyncio

        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return ""

    evals.evaluate(support_desk(context=[lk.Source(count)]), cases(20), concurrency=3, store=store, progress=False)

    assert most == 3


def test_progress_ends_at_the_end(store: str):
    """The last thing shown is the whole, with what it cost and who answered."""
    shown: list[Tally] = []

    class Seen:
        def show(self, tally: Tally) -> None:
            shown.append(tally)

    evals.evaluate(support_desk(["x", GOOD]), cases(), concurrency=1, store=store, progress=Seen())

    assert [(tally.done, tally.errors) for tally in shown] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert shown[-1].said().startswith("4 of 4 cases · 1 without an answer · cost unknown")


def test_a_run_id_is_used_once(store: str):
    """History cannot be overwritten."""
    evals.evaluate(support_desk(), cases(), run_id="mine", store=store, progress=False)

    with pytest.raises(StoreError, match="already holds a run 'mine'"):
        evals.evaluate(support_desk(), cases(), run_id="mine", store=store, progress=False)
    with pytest.raises(StoreError, match="holds no run 'yours'; the latest are: mine"):
        evals.load_run("yours", store=store)


def test_two_runs_are_paired_by_case(store: str):
    """Who improved, who regressed, and whether that is more than chance."""
    old = support_desk([STOLEN] * 2 + [GOOD] * 18)
    new = support_desk([GOOD] * 19 + [STOLEN])
    scorers = [evals.ExactMatch("intent")]
    a, b = (
        evals.evaluate(d, cases(20), scorers=scorers, concurrency=1, store=store, progress=False) for d in (old, new)
    )

    seen = evals.compare(a, b)

    assert (seen.table.both, seen.table.only_a, seen.table.only_b, seen.table.neither) == (17, 1, 2, 0)
    assert (seen.verdict, seen.p_value) == ("inconclusive", pytest.approx(0.564, abs=0.001))
    assert seen.difference == pytest.approx(0.05)
    assert seen.interval.low < seen.difference < seen.interval.high
    assert [(s.tag, s.contrast.n) for s in seen.slices] == [("even", 10)]
    assert seen.changed == [] and seen.warnings == []
    assert seen.more_cases is not None and seen.more_cases > 0
    assert seen.measures[0].name == "pass rate"


def test_a_clear_improvement_is_called_better(store: str):
    """Twenty of twenty against none needs no statistics, but gets them."""
    scorers = [evals.ExactMatch("intent")]
    a, b = (
        evals.evaluate(support_desk(reply), cases(20), scorers=scorers, store=store, progress=False)
        for reply in (STOLEN, GOOD)
    )

    assert evals.compare(a, b).verdict == "better"
    assert evals.compare(b, a).verdict == "worse"
    assert evals.compare(a, b).evidence.startswith("pass rate on 20 cases: 95% interval +")


def test_runs_that_cannot_be_paired_are_refused(store: str):
    """Another dataset, an edited case, or nothing judged: each is named."""

    def run(dataset: evals.Dataset, scorers: Any = EXACT) -> evals.EvalRun:
        return evals.evaluate(support_desk(), dataset, scorers=scorers, store=store, progress=False)

    other = evals.Dataset([evals.Case(id="x", input={"text": "hi"}, expected={"intent": "card_arrival"})])
    with pytest.raises(RunsDiffer, match="share no case"):
        evals.compare(run(cases()), run(other))
    with pytest.raises(RunsDiffer, match="case 'c0' is not the same"):
        evals.compare(run(cases()), run(cases(intent="exchange_rate")))
    with pytest.raises(TooFewCases, match="no case was judged"):
        evals.compare(run(cases(), ()), run(cases(), ()))


def test_the_gate_has_three_answers(store: str):
    """Pass, fail, and not enough evidence; a broken floor fails whatever the rest says."""
    scorers = [evals.ExactMatch("intent")]

    def run(replies: list[str], n: int) -> evals.EvalRun:
        return evals.evaluate(
            support_desk(replies), cases(n), scorers=scorers, concurrency=1, store=store, progress=False
        )

    good, bad = run([GOOD] * 200, 200), run([STOLEN] * 40 + [GOOD] * 160, 200)
    few = run([STOLEN] + [GOOD] * 9, 10)

    assert evals.Gate(margin=0.02).check(good, baseline=good).verdict == "pass"
    assert evals.Gate(margin=0.02).check(bad, baseline=good).verdict == "fail"
    assert evals.Gate(margin=0.02).check(few, baseline=run([GOOD], 10)).verdict == "inconclusive"
    assert evals.Gate(floors={"pass_rate": 0.9}).check(bad).verdict == "fail"
    assert evals.Gate(floors={"fallback_rate": 0.1, "p95_s": 60}).check(good).verdict == "pass"
    assert evals.Gate(floors={"cost_usd_per_call": 1}).check(good).verdict == "inconclusive"


def test_a_failed_gate_is_written_before_it_raises(store: str, tmp_path: Path):
    """The verdict is on disk, and the error is two lines."""
    from labkit.errors import QualityRegression

    run = evals.evaluate(
        support_desk(STOLEN), cases(), scorers=[evals.ExactMatch("intent")], store=store, progress=False
    )
    judged = evals.Gate(floors={"pass_rate": 0.9}).check(run)

    path = judged.write(tmp_path / "deep" / "gate.json")
    with pytest.raises(QualityRegression) as caught:
        judged.enforce()

    assert '"verdict": "fail"' in path.read_text()
    assert len("".join(caught.value._render_traceback_()).splitlines()) == 2
    assert "pass_rate 0, asked for at least 0.9" in str(caught.value)


def test_a_gate_that_could_not_fail_is_refused(store: str):
    """No floors and no baseline is not a gate."""
    run = evals.evaluate(support_desk(), cases(), store=store, progress=False)

    with pytest.raises(ValueError, match="needs a baseline"):
        evals.Gate().check(run)
    with pytest.raises(ValueError, match="'pas_rate' is not a measure"):
        evals.Gate(floors={"pas_rate": 1})


def test_a_baseline_moves_only_when_blessed(store: str):
    """And the last blessing holds."""
    kept = RunStore(store)
    runs = [evals.evaluate(support_desk(), cases(), store=kept, progress=False) for _ in range(2)]

    assert kept.baseline("triage") is None
    for run in runs:
        kept.bless(run.run_id)
        assert kept.baseline("triage") == run.run_id
    kept.close()


def test_slips_are_named_before_anything_is_asked(store: str):
    """A class for a scorer, a path for a dataset, a lone scorer, percent for a share."""
    model = lk.ScriptedModel(GOOD)
    desk: Any = support_desk(model)
    for given, said in (
        ({"scorers": [evals.ExactMatch]}, r"ExactMatch is a class: give a scorer made of it, ExactMatch\(...\)"),
        ({"scorers": ["exact"]}, "'exact' is no scorer"),
        ({"scorers": evals.ExactMatch("intent")}, "give a list, also of one"),
        ({"dataset": "cases.yaml"}, r"a str is no Dataset: Dataset.load\(path\)"),
    ):
        with pytest.raises(TypeError, match=said):
            evals.evaluate(desk, **({"dataset": cases(), "store": store, "progress": False} | given))
    with pytest.raises(ValueError, match="pass_rate=70 is a share from 0 to 1"):
        evals.Gate(floors={"pass_rate": 70})
    assert model.requests == []


def test_a_missing_key_is_no_failing_model(store: str):
    """The evaluation stops and says so: a gate would take the fallback's answers for worse ones."""
    locked = lk.ScriptedModel(ModelError("there is no API key: set X", outcome="auth"))
    desk = support_desk(locked, fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))])

    with pytest.raises(RunStopped, match=r"there is no API key: set X. 0 of 4 cases are stored"):
        evals.evaluate(desk, cases(), scorers=EXACT, store=store, progress=False)


def test_a_row_that_a_scorer_could_not_judge_is_not_judged(store: str):
    """Neither where another one passed it nor where it failed it: else failures would count and passes would not."""

    def broken(case: evals.Case, result: lk.Result[Any]) -> bool:
        raise KeyError("colour")

    wrong = evals.evaluate(support_desk(STOLEN), cases(), scorers=[*EXACT, broken], store=store, progress=False)
    right = evals.evaluate(support_desk(), cases(), scorers=[*EXACT, broken], store=store, progress=False)

    assert (wrong.pass_rate, right.pass_rate) == (None, None)
    assert "4 rows, not scored (broken: scorer failed: KeyError: 'colour')" in repr(right)
    with pytest.raises(TooFewCases, match="broken: scorer failed"):
        evals.compare(right, right)


def test_an_empty_dataset_is_refused():
    """There is nothing to learn from no cases."""
    with pytest.raises(DatasetInvalid, match="holds no case"):
        evals.Dataset([])


TURNS = [GOOD, STOLEN, GOOD.replace("2", "3"), STOLEN, GOOD, STOLEN]


def caching(tmp_path: Path, replies: list[str], **options: Any) -> tuple[lk.GuardedCall[Triage], lk.ScriptedModel]:
    """A desk that keeps its answers in a file of the test's own."""
    model = lk.ScriptedModel(replies)
    return support_desk(model, policy=lk.Policy(cache=lk.Cache(path=str(tmp_path / "kept.db"), **options))), model


@pytest.mark.parametrize("concurrency", [1, 6])
def test_repeats_are_answers_of_their_own_also_with_a_cache(store: str, tmp_path: Path, concurrency: int):
    """Six times the one kept answer would look like a model that never wavers."""
    desk, model = caching(tmp_path, TURNS)

    run = evals.evaluate(desk, cases(1), scorers=EXACT, repeats=6, concurrency=concurrency, store=store, progress=False)

    assert len(model.requests) == 6
    assert [row.result.source for row in run.rows] == ["model"] * 6
    assert sorted(str(row.passed) for row in run.rows) == ["False"] * 3 + ["True"] * 3


def test_repeats_of_the_next_run_are_those_that_were_kept(store: str, tmp_path: Path):
    """Each its own: what was paid for is not paid for again, and production's next call finds the first."""
    desk, model = caching(tmp_path, TURNS[:3])
    first = evals.evaluate(desk, cases(1), repeats=3, concurrency=1, store=store, progress=False)

    second = evals.evaluate(desk, cases(1), repeats=3, concurrency=1, store=store, progress=False)
    single = desk(text="ticket 0")

    assert [row.result.value for row in second.rows] == [row.result.value for row in first.rows]
    assert [row.result.source for row in second.rows] == ["cache"] * 3
    assert (single.source, single.value, len(model.requests)) == ("cache", first.rows[0].result.value, 3)


def test_arms_that_ask_the_same_do_not_share_answers(store: str, tmp_path: Path):
    """A call against itself shows how much chance there is, not that there is none."""
    desk, model = caching(tmp_path, TURNS[:4])

    runs = evals.evaluate(
        [desk, desk.replace(name="again")], cases(1), repeats=2, concurrency=1, store=store, progress=False
    )

    assert len(model.requests) == 4
    assert {row.result.source for run in runs for row in run.rows} == {"model"}


def test_an_arm_with_a_prompt_of_its_own_finds_what_it_was_answered_alone(store: str, tmp_path: Path):
    """It asks something else, so nothing has to be kept apart."""
    desk, model = caching(tmp_path, TURNS[:2])
    other = desk.replace(name="other", prompt=lk.Prompt(user="Briefly: {{ input.text }}"))
    for each in (desk, other):
        evals.evaluate(each, cases(1), store=store, progress=False)

    runs = evals.evaluate([desk, other], cases(1), store=store, progress=False)

    assert [row.result.source for run in runs for row in run.rows] == ["cache", "cache"]
    assert len(model.requests) == 2


def test_what_a_judge_keeps_is_a_repeats_own_too(store: str, tmp_path: Path):
    """Else the judge would seem to be sure where the answer comes out the same."""
    judge = lk.ScriptedModel([json.dumps({"reasoning": "So.", "score": score}) for score in (1, 5, 3)])
    kept = lk.Policy(cache=lk.Cache(path=str(tmp_path / "judged.db")))
    scorer = evals.Judge("Is it good?", scale=5, call=evals.Judge("?", scale=5, model=judge).call.replace(policy=kept))

    run = evals.evaluate(
        support_desk(GOOD), cases(1), scorers=[scorer], repeats=3, concurrency=1, store=store, progress=False
    )

    assert len(judge.requests) == 3
    assert len({row.scores["judge"].value for row in run.rows}) == 3


def test_a_replay_gives_each_repeat_its_own_answer_and_stops_at_one_it_does_not_have(store: str, tmp_path: Path):
    """A third repeat that was never recorded is not made of the first."""
    desk, _ = caching(tmp_path, TURNS[:2])
    first = evals.evaluate(desk, cases(1), repeats=2, concurrency=1, store=store, progress=False)
    replaying, silent = caching(tmp_path, ["never"], mode="replay")

    again = evals.evaluate(replaying, cases(1), repeats=2, concurrency=1, store=store, progress=False)
    with pytest.raises(lk.ReplayMissed, match=r"holds no answer to this question \(repeat 2\)"):
        evals.evaluate(replaying, cases(1), repeats=3, concurrency=1, store=store, progress=False)

    assert [row.result.value for row in again.rows] == [row.result.value for row in first.rows]
    assert silent.requests == []


def test_an_evaluation_is_replayed_without_a_model(store: str, tmp_path: Path):
    """In CI, without a key: what was recorded is scored again, and a case that was never asked stops the run."""
    recorded = lk.Cache(path=str(tmp_path / "answers.db"))
    desk = support_desk(policy=lk.Policy(cache=recorded))
    first = evals.evaluate(desk, cases(), scorers=EXACT, store=store, progress=False)
    replaying = desk.replace(policy=lk.Policy(cache=lk.Cache(path=recorded.path, mode="replay")))

    again = evals.evaluate(replaying, cases(), scorers=EXACT, store=store, progress=False)

    assert (again.pass_rate, again.fingerprint) == (first.pass_rate, first.fingerprint)
    assert all(not row.result.attempts for row in again.rows)
    with pytest.raises(lk.ReplayMissed):
        evals.evaluate(replaying, cases(5), scorers=EXACT, store=store, progress=False)
