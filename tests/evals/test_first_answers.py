"""An evaluation that cannot work ends with its first answers, and says why: nothing is learnt from the rest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, STOLEN, Ticket, Triage, support_desk
from pydantic import BaseModel, ValidationError

import labkit as lk
from labkit import evals
from labkit.errors import DatasetInvalid, LabkitWarning, ModelError, OptionInvalid, RunStopped
from labkit.models.scripted import Reply
from labkit.models.server import ModelServer
from labkit.store.runs import RunStore

DEFAULT = lk.SafeDefault(Triage(intent="card_arrival", urgency=1))
EXACT = (evals.ExactMatch("intent"),)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


def cases(n: int) -> evals.Dataset:
    return evals.Dataset(
        [evals.Case(id=f"c{i}", input={"text": f"ticket {i}"}, expected={"intent": "card_arrival"}) for i in range(n)]
    )


def refused(status: int = 400, said: str = "no such model: gpt-4oo") -> ModelError:
    return ModelError(f"m: HTTP {status}: {said}", outcome="bug", status=status)


def evaluated(model: lk.ScriptedModel, store: str, n: int = 60, **options: Any) -> evals.EvalRun:
    desk = support_desk(model, fallbacks=[DEFAULT])
    options = {"scorers": EXACT, "concurrency": 1} | options
    return evals.evaluate(desk, cases(n), store=store, progress=False, **options)


# --- requests that cannot work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 422])
def test_requests_that_are_all_refused_stop_the_evaluation(store: str, status: int):
    """The safe default served all of them, and a gate on the pass rate would have said pass."""
    model = lk.ScriptedModel(refused(status))

    with pytest.raises(RunStopped) as caught:
        evaluated(model, store)

    assert f"HTTP {status}: no such model: gpt-4oo. 0 of 60 cases are stored: go on with" in str(caught.value)
    assert len(model.requests) == 5


def test_a_server_that_refuses_everything_is_quoted(store: str):
    """Over HTTP, with the server's own words."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        wrong = lk.Model("openai/nearest", base_url=f"{server.base_url}/nowhere", api_key="k")
        desk = support_desk().replace(model=wrong, fallbacks=[DEFAULT])

        with pytest.raises(RunStopped, match=r"HTTP 404.* 0 of 60 cases are stored"):
            evals.evaluate(desk, cases(60), scorers=EXACT, store=store, progress=False)


def test_few_cases_need_not_fail_five_times(store: str):
    """Three of three refused are no evaluation either."""
    with pytest.raises(RunStopped, match="the first 3 answers failed alike, at step model"):
        evaluated(lk.ScriptedModel(refused()), store, n=3)


def test_a_rule_that_crashes_on_everything_stops_the_evaluation_too(store: str):
    """What is wrong with the definition says nothing of the model."""

    def broken(value: Triage, ticket: Ticket) -> Triage:
        raise KeyError("colour")

    desk = support_desk(rules=[broken], fallbacks=[DEFAULT])

    with pytest.raises(RunStopped, match="broken raised KeyError"):
        evals.evaluate(desk, cases(60), scorers=EXACT, store=store, progress=False)


def test_a_few_refusals_before_a_good_answer_are_kept_like_any_other(store: str):
    """The evaluation works: those cases are its failures, at their places."""
    replies: list[Reply] = [refused(), refused(), GOOD]

    run = evaluated(lk.ScriptedModel(replies), store, n=10)

    assert [row.case_id for row in run.rows] == [f"c{i}" for i in range(10)]
    assert [row.result.source for row in run.rows] == ["default"] * 2 + ["model"] * 8
    assert len(evals.load_run(run.run_id, store=store).rows) == 10


def test_refusals_after_a_good_answer_do_not_stop_it(store: str):
    """Some cases are refused for what they hold."""
    replies: list[Reply] = [GOOD, *[refused()] * 20]

    run = evaluated(lk.ScriptedModel(replies), store, n=20)

    assert run.fallback_rate == 0.95


def test_an_answer_that_does_not_fit_shows_that_the_request_does(store: str):
    """A model that breaks the schema is measured, however often."""
    run = evaluated(lk.ScriptedModel("nonsense"), store, n=20)

    assert (run.schema_valid_rate, run.fallback_rate) == (0.0, 1.0)


def test_drills_ask_on(store: str):
    """Without patience every answer is kept, also of a provider that refuses all."""
    run = evaluated(lk.ScriptedModel(refused()), store, n=20, patience_s=0)

    assert run.fallback_rate == 1.0


def test_what_was_stopped_goes_on_once_the_server_is_mended(store: str):
    """The refused cases are asked again: their rows were not kept."""
    broken, mended = lk.ScriptedModel(refused()), lk.ScriptedModel(GOOD)
    with pytest.raises(RunStopped):
        evaluated(broken, store, run_id="r")

    run = evaluated(mended, store, resume="r")

    assert (run.pass_rate, len(mended.requests)) == (1.0, 60)


def test_one_arm_that_cannot_work_stops_all(store: str):
    """A comparison with it would be none."""
    good, bad = support_desk(GOOD), support_desk(lk.ScriptedModel(refused())).replace(name="other")

    with pytest.raises(RunStopped, match="failed alike"):
        evals.evaluate([good, bad], cases(20), scorers=EXACT, store=store, progress=False)


# --- scorers that cannot work -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("yes", "'yes'"),
        ("0.5", "'0.5'"),
        (None, "None"),
        (float("nan"), "nan"),
        (1.5, "1.5"),
        (-1, "-1"),
        ({"score": 1}, "{'score': 1}"),
        ((1.0, "fine"), "(1.0, 'fine')"),
        (evals.Score(value="1", passed=True), "'1'"),  # type: ignore[arg-type]
        (evals.Score(value=1.0, passed="yes"), "Score("),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_scorer_that_gives_no_score_stops_at_the_first_case(store: str, given: Any, shown: str):
    """What was answered is kept; the other 59 are not paid for."""
    model = lk.ScriptedModel(GOOD)

    def quality(case: evals.Case, result: Any) -> Any:
        return given

    with pytest.raises(RunStopped) as caught:
        evaluated(model, store, scorers=[quality], run_id="r")

    said = str(caught.value)
    assert f"quality gave {shown}" in said and "give True or False, a number from 0 to 1, or a Score" in said
    assert "(case 'c0'). 1 of 60 cases are stored (run 'r'): mend the scorer and evaluate anew" in said
    assert len(model.requests) == 1
    kept = RunStore(store)
    assert len(kept.facts("r")) == 1
    kept.close()


def test_an_async_scorer_is_told_like_any_other(store: str):
    """Its coroutine is awaited, and what that gives is looked at."""

    async def quality(case: evals.Case, result: Any) -> Any:
        return "good"

    with pytest.raises(RunStopped, match="quality gave 'good'"):
        evaluated(lk.ScriptedModel(GOOD), store, scorers=[quality])


def test_a_scorer_that_crashes_on_every_case_stops_after_a_handful(store: str):
    """``result.intent`` for ``result.value.intent`` is a slip, not 400 cases without a score."""
    model = lk.ScriptedModel(GOOD)

    def slip(case: evals.Case, result: Any) -> bool:
        return bool(result.intent == "x")

    with pytest.raises(RunStopped, match=r"slip: scorer failed: AttributeError.*for each of the first 5 cases"):
        evaluated(model, store, scorers=[slip])
    assert len(model.requests) == 5


def test_a_scorer_that_fails_now_and_then_loses_its_cases_alone(store: str):
    """It has given scores before: what it could not tell is not judged, and the reason is kept."""

    def odd(case: evals.Case, result: Any) -> Any:
        return None if case.id in ("c3", "c4") else True

    run = evaluated(lk.ScriptedModel(GOOD), store, n=10, scorers=[odd])

    assert (len(run.judged), run.pass_rate) == (8, 1.0)
    assert "odd gave None, which is no score" in run.row("c3").scores["odd"].reason


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        (evals.ExactMatch("intnt"), r"ExactMatch\('intnt'\): Triage has no 'intnt': write intent=; it has intent, urg"),
        (evals.FieldMatch(["intent", "urgncy"]), "Triage has no 'urgncy': write urgency="),
        (evals.NumericMatch("intent.length"), None),
        (evals.RegexMatch("x", field="text"), "Triage has no 'text': it has intent, urgency"),
        (evals.SetF1("intent"), "SetF1: none of the 20 cases can be scored: case 'c0' expects no list of 'intent'"),
        (evals.ExactMatch("urgency"), "expects nothing of 'urgency'; there is intent"),
        (evals.CheckScorer(), "case 'c0' has no check that counts"),
    ],
    ids=repr,
)
def test_a_scorer_that_can_judge_nothing_is_refused_before_the_first_request(store: str, scorer: Any, said: str | None):
    """A field that the output does not have, or of which no case expects anything."""
    model = lk.ScriptedModel(GOOD)

    with pytest.raises(OptionInvalid, match=said):
        evaluated(model, store, n=20, scorers=[scorer])
    assert model.requests == []


def test_cases_that_expect_nothing_are_warned_of(store: str):
    """There is much to see in cases of production, but no score."""
    dataset = evals.Dataset([evals.Case(id="a", input={"text": "x"})])

    with pytest.warns(LabkitWarning, match="ExactMatch: the case cannot be scored: case 'a' expects nothing of"):
        run = evals.evaluate(support_desk(), dataset, scorers=EXACT, store=store, progress=False)

    assert run.pass_rate is None


def test_fields_of_parts_aliases_and_computed_ones_are_known(store: str):
    """Only what is certainly missing is refused."""
    from pydantic import Field, computed_field

    class Part(BaseModel):
        price: int = Field(alias="preis")

    class Order(BaseModel):
        part: Part | None
        anything: dict[str, Any] = {}

        @computed_field  # type: ignore[prop-decorator]
        @property
        def total(self) -> int:
            return 2

    desk = support_desk('{"part": {"preis": 2}, "anything": {"a": 1}}', output=Order)
    expected = {"part": {"preis": 2}, "total": 2, "anything": {"a": 1}}
    dataset = evals.Dataset([evals.Case(id="a", input={"text": "x"}, expected=expected)])
    fields = [evals.ExactMatch(path) for path in ("part.preis", "total", "anything.a")]

    run = evals.evaluate(desk, dataset, scorers=fields, store=store, progress=False)

    assert run.pass_rate == 1.0
    with pytest.raises(OptionInvalid, match="Part has no 'prise'"):
        evals.evaluate(desk, dataset, scorers=[evals.ExactMatch("part.prise")], store=store, progress=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda case: True, r"<lambda> takes \(case\) and is called with \(case, result\)"),
        (lambda: True, "is called with"),
        ("exact", "'exact' is no scorer"),
        (evals.ExactMatch, "ExactMatch is a class"),
    ],
)
def test_a_function_that_is_no_scorer_is_refused(store: str, given: Any, said: str):
    """Before the first request, with the parameters it has and those it is called with."""
    with pytest.raises(OptionInvalid, match=said):
        evaluated(lk.ScriptedModel(GOOD), store, scorers=[given])


# --- what is evaluated ------------------------------------------------------------------------------------------------


def plain(ticket: Ticket) -> str:
    return "card_arrival"


async def asynchronous(ticket: Ticket) -> str:
    return "card_arrival"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (plain, "the function plain"),
        (asynchronous, "the function asynchronous"),
        ([support_desk(), plain], "the function plain"),
        (support_desk, "the function support_desk"),
        ("triage", "'triage'"),
        (None, "None"),
    ],
)
def test_what_is_no_call_is_refused_in_its_own_words(given: Any, said: str):
    """``'function' object is not iterable`` helps nobody."""
    with pytest.raises(OptionInvalid) as caught:
        asyncio.run(evals.aevaluate(given, cases(2)))
    assert f"evaluate asks a GuardedCall, or a list of them, not {said}: give lk.GuardedCall(" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cases.jsonl", r"a file of cases is read with Dataset.load\(path\)"),
        (evals.Case(id="a", input={}), r"give a list, also of one: Dataset\(\[case\]\)"),
        ([{"id": "a", "input": {}}], r"a dict is no Case: write Case\(\*\*row\)"),
        (["what?"], r"a str is no Case: give Case\(id="),
        (3, "give a list of Case"),
    ],
)
def test_what_is_no_dataset_is_refused_where_it_is_made(given: Any, said: str):
    """With what to write instead."""
    with pytest.raises(DatasetInvalid, match=said):
        evals.Dataset(given)


# --- what is expected -------------------------------------------------------------------------------------------------


class Invoice(BaseModel):
    total: Decimal
    due: datetime


DUE = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "expected",
    [
        {"total": Decimal("12.50"), "due": DUE},
        Invoice(total=Decimal("12.50"), due=DUE),
        {"any_of": [Invoice(total=Decimal("1"), due=DUE), Invoice(total=Decimal("12.50"), due=DUE)]},
    ],
    ids=["values", "a model", "one of two models"],
)
def test_python_objects_are_expected_as_the_answer_writes_them(store: str, expected: Any):
    """A ``Decimal`` and a ``datetime`` compare with the fields of their type."""
    desk = support_desk('{"total": "12.50", "due": "2024-03-01T12:00:00Z"}', output=Invoice)
    dataset = evals.Dataset([evals.Case(id="a", input={"text": "x"}, expected=expected)])

    run = evals.evaluate(desk, dataset, scorers=[evals.ExactMatch()], store=store, progress=False)

    assert run.pass_rate == 1.0
    assert evals.load_run(run.run_id, store=store).rows[0].case.hash == run.rows[0].case.hash


@pytest.mark.parametrize("wrong", [object(), {"a": len}, [Invoice]], ids=["an object", "a function", "a class"])
def test_what_is_no_data_is_refused_where_the_case_is_made(wrong: Any):
    """By case, place and mend; not once every answer was paid for."""
    with pytest.raises(ValidationError, match="case 'a': expected"):
        evals.Case(id="a", input={}, expected=wrong)


def test_an_input_may_be_a_model():
    """What the call takes, a case takes."""
    assert evals.Case(id="a", input=Ticket(text="x")).input == {"text": "x"}  # type: ignore[arg-type]


def test_a_stolen_card_is_still_judged(store: str):
    """An answer that is wrong is an answer."""
    assert evaluated(lk.ScriptedModel(STOLEN), store, n=5).pass_rate == 0.0
