"""What a call marks as sensitive is scored and then hidden: in stored runs, reports, views, files, anywhere."""

from __future__ import annotations

import io
import json
import logging
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

import labkit as lk
from labkit import evals, views
from labkit.call.redaction import HIDDEN
from labkit.cli import main
from labkit.evals.scorers.score import ascore_case
from labkit.store.runs import RunStore
from labkit.views.display import Action
from labkit.views.report import Report

PIN, IBAN, CODE, TOKEN = "pin-canary-11", "iban-canary-22", "code-canary-33", "token-canary-44"
CANARIES = (PIN, IBAN, CODE, TOKEN)


class Account(BaseModel):
    owner: str
    iban: Annotated[str, lk.Sensitive]


class Transfer(BaseModel):
    text: str
    pin: Annotated[str, lk.Sensitive]
    token: SecretStr
    accounts: list[Account]


class Found(BaseModel):
    name: str
    code: Annotated[str, lk.Sensitive]


GOOD = json.dumps({"name": "a", "code": CODE})


def seen(value: Found, given: Transfer) -> lk.Reject | Found:
    """A rule that quotes what it should not."""
    return lk.Reject(f"{given.pin} and {value.code} do not go together") if value.name == "wrong" else value


def transfer(*replies: str, name: str = "transfer", **changes: Any) -> lk.GuardedCall[Any]:
    parts: dict[str, Any] = {
        "input": Transfer,
        "output": Found,
        "prompt": lk.Prompt(user="{{ input.text }} {{ input.pin }} {{ input.accounts[0].iban }}"),
        "model": lk.ScriptedModel(list(replies) or GOOD),
        "rules": [seen],
        "policy": lk.Policy(retry=lk.Retry(max_attempts=1), reask=0, record_content=True),
        "fallbacks": [lk.SafeDefault({"name": "default", "code": CODE})],
    }
    return lk.GuardedCall(name, **parts | changes)


def cases(n: int = 3) -> evals.Dataset:
    given = {"text": f"send with {PIN}", "pin": PIN, "token": TOKEN, "accounts": [{"owner": "me", "iban": IBAN}]}
    return evals.Dataset(
        [
            evals.Case(
                id=f"c{i}", input=given, expected={"name": "a", "code": CODE}, note=f"about {IBAN}",
                checks=(evals.Check(type="contains", value=CODE),),
            )
            for i in range(n)
        ]
    )  # fmt: skip


def quoting(case: evals.Case, result: lk.Result[Any]) -> evals.Score:
    """A scorer sees the value, and quotes it."""
    code = result.data()["code"]
    assert case.input["pin"] == PIN and case.expected["code"] == CODE
    return evals.Score(value=float(code == CODE), passed=code == CODE, reason=f"{code} for {case.input['pin']}")


SCORERS = [evals.FieldMatch(), evals.ExactMatch("code"), evals.CheckScorer(), quoting]
REPLIES = [GOOD, json.dumps({"name": "wrong", "code": CODE}), f"no JSON, but {CODE} and {PIN}"]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("labkit")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def quoted(*texts: str) -> list[str]:
    """The canaries that stand in any of *texts*."""
    return [canary for canary in CANARIES for text in texts if canary in text]


def everything_in(path: Path) -> str:
    """Each text of a SQLite file, and the bytes of what lies beside it."""
    with sqlite3.connect(path) as db:
        dump = "\n".join(db.iterdump())
    return dump + "".join(
        each.read_bytes().decode("latin-1") for each in path.parent.glob(path.name + "*") if each.is_file()
    )


def evaluated(tmp_path: Path, **options: Any) -> tuple[evals.EvalRun, evals.EvalRun]:
    store = options.pop("store", f"sqlite:///{tmp_path}/runs.db")
    runs = [
        evals.evaluate(transfer(*REPLIES, name=name), cases(), scorers=SCORERS, store=store, run_id=f"run-{name}",
                       concurrency=1, progress=False, **options)
        for name in ("a", "b")
    ]  # fmt: skip
    return runs[0], runs[1]


def test_scorers_see_what_the_store_does_not(tmp_path: Path, logged: io.StringIO, capfd: pytest.CaptureFixture[str]):
    """Rows, reports, views static and live, reprs, JUnit, exports, logs and what the command line prints."""
    run_a, run_b = evaluated(tmp_path)
    assert [row.scores["quoting"].passed for row in run_a.rows] == [True, True, True]
    assert run_a.rows[0].passed and run_a.rows[0].scores["checks"].passed
    loaded = [evals.load_run(run.run_id, store=f"sqlite:///{tmp_path}/runs.db") for run in (run_a, run_b)]

    texts = [everything_in(tmp_path / "runs.db"), logged.getvalue()]
    for a, b in ((run_a, run_b), loaded):
        shown = [views.ab(a, b), views.validation(a), views.latency(a, b)]
        for view in shown:
            texts += [view.html(), repr(view), view.frame().to_json(), str(view._page(live=True, rows=99))]
            for name, value in (("open", "c1"), ("search", CODE), ("search", "")):
                view.act(Action(act=name, value=value))
                texts += map(str, view._regions().values())
        texts += [Report(a, baseline=b).html(), repr(a.rows[0]), repr(a.rows[1]), a._repr_html_(), repr(a)]
        texts += [row.result._repr_html_() for row in a.rows] + [evals.compare(a, b).text()]
        evals.write_junit(tmp_path / "junit.xml", a)
        gate = evals.Gate(floors={"pass_rate": 0.99}).check(a, baseline=b)
        gate.write(tmp_path / "gate.json")
        Report(a, baseline=b, gate=gate).write(tmp_path / "report.html")
        texts += [(tmp_path / name).read_text() for name in ("junit.xml", "gate.json", "report.html")]
    for command in (["export", "run-a", str(tmp_path / "rows.jsonl")], ["compare", "run-a", "run-b"], ["history", "a"]):
        assert main([*command, "--store", f"sqlite:///{tmp_path}/runs.db"]) == 0
    texts += [(tmp_path / "rows.jsonl").read_text(), *capfd.readouterr()]

    assert HIDDEN in texts[0]
    assert quoted(*texts) == []
    assert run_a.rows[0].case.input["pin"] == run_a.rows[0].case.input["accounts"][0]["iban"] == HIDDEN
    assert loaded[0].rows[0].result.value == {"name": "a", "code": HIDDEN}
    assert loaded[0].rows[0].case.expected == {"name": "a", "code": HIDDEN}
    assert loaded[0].rows[0].case.input["accounts"][0]["owner"] == "me"


@pytest.mark.parametrize("told", ["evaluate", "store"])
def test_a_store_that_is_told_to_keeps_it(tmp_path: Path, told: str):
    """``content="clear"`` is for whoever has to see what happened."""
    place = f"sqlite:///{tmp_path}/runs.db"
    with RunStore(place, content="clear") as clear:
        run, _ = evaluated(tmp_path, **({"content": "clear"} if told == "evaluate" else {"store": clear}))
    loaded = evals.load_run("run-a", store=place)

    assert set(quoted(everything_in(tmp_path / "runs.db"))) == set(CANARIES)
    assert run.rows[0].result.value == Found(name="a", code=CODE)
    assert loaded.rows[0].result.value == {"name": "a", "code": CODE}
    assert loaded.rows[0].case.input["pin"] == PIN
    assert not loaded.rows[0].result.is_hidden


def test_content_is_hidden_or_clear(tmp_path: Path):
    """A slip would keep what was not to be kept, or lose what was."""
    with pytest.raises(ValueError, match="content='clean'"):
        evaluated(tmp_path, content="clean")
    with pytest.raises(lk.LabkitError, match="content='all'"):
        RunStore(tmp_path / "r.db", content="all")  # type: ignore[arg-type]


def test_what_is_hidden_is_not_judged_anew(tmp_path: Path):
    """Two hidden values are not equal because they look so: the score says why there is none."""
    import asyncio

    run_a, run_b = evaluated(tmp_path)
    row = evals.load_run("run-a", store=f"sqlite:///{tmp_path}/runs.db").rows[0]
    judge = evals.PairwiseJudge("which is better?", model=lk.ScriptedModel("never asked"))

    score = asyncio.run(ascore_case(evals.ExactMatch("code"), row.case, row.result))
    preference = asyncio.run(judge.prefer(row.case, run_a.rows[0].result, run_b.rows[0].result))

    assert (score.value, score.passed) == (None, None) and 'content="clear"' in score.reason
    assert preference.winner is None and "hidden" in preference.reason
    html = views.ab(run_a, run_b).html()
    assert "hidden" in html
    with pytest.raises(lk.LabkitError, match="sensitive input that is hidden"):
        evals.Dataset.from_records([row])


def test_a_resumed_run_hides_like_a_new_one(tmp_path: Path):
    """Whichever session answered a case."""
    store = f"sqlite:///{tmp_path}/runs.db"
    given: dict[str, Any] = {"scorers": SCORERS, "store": store, "progress": False, "concurrency": 1}
    dear = lk.Model("offline/nearest", price=lk.Price(prompt_usd=1.0, completion_usd=1.0))
    with pytest.raises(lk.LabkitError, match="could pass the cap"):
        evals.evaluate(transfer(model=dear, rules=[]), cases(), run_id="r", spend_usd=1e-9, **given)
    run = evals.evaluate(transfer(model=dear, rules=[]), cases(), resume="r", **given)

    assert len(run.rows) == 3
    assert quoted(everything_in(tmp_path / "runs.db"), *map(repr, run.rows)) == []


def test_a_judge_is_told_and_its_own_record_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It judges the value; what it was asked holds the value, and is recorded without it."""
    asked = lk.ScriptedModel('{"reasoning": "it says ' + CODE + '", "verdict": "pass"}')
    records: list[lk.CallRecord] = []
    judge = evals.Judge("good?", model=asked)
    watched = evals.Judge(
        "good?", call=judge.call.replace(sink=records.append, policy=lk.Policy(record_content=True, reask=0))
    )

    run = evals.evaluate(transfer(), cases(1), scorers=[watched], store=f"sqlite:///{tmp_path}/r.db", progress=False)

    assert lk.flush()
    assert CODE in asked.requests[0].messages[-1].content and PIN in asked.requests[0].messages[-1].content
    assert run.rows[0].scores["judge"].passed
    assert len(records) == 1
    assert quoted(repr(records), repr(run.rows), everything_in(tmp_path / "r.db")) == []


class Data(TypedDict):
    name: str
    code: Annotated[str, lk.Sensitive]


@pytest.mark.parametrize(
    ("output", "reply"),
    [
        (Found, GOOD),
        (Annotated[str, lk.Sensitive], CODE),
        (list[Annotated[str, lk.Sensitive]], json.dumps([CODE])),
        (dict[str, Annotated[str, lk.Sensitive]], json.dumps({"x": CODE})),
        (list[Found], json.dumps([{"name": "a", "code": CODE}])),
        (Found | None, GOOD),
        (Data, GOOD),
    ],
    ids=str,
)
def test_a_result_is_whole_for_its_caller_and_hidden_in_its_repr(
    output: Any, reply: str, logged: io.StringIO, capsys: pytest.CaptureFixture[str]
):
    """In a notebook what a cell puts out is saved with it."""
    records: list[lk.CallRecord] = []
    for said in (reply, f"nothing to read: {CODE}, {PIN}"):
        call = transfer(said, output=output, rules=[], fallbacks=[], sink=records.append)
        result = call(text="send", pin=PIN, token=TOKEN, accounts=[Account(owner="me", iban=IBAN)])

        result.explain()
        texts = [repr(result), str(result), result._repr_html_(), repr(result.hidden())]
        if said == reply:
            assert CODE in json.dumps(result.data()) and CODE in str(result.unwrap())
            assert HIDDEN in texts[0]
        elif not result.ok:
            with pytest.raises(lk.CallFailed) as caught:
                result.unwrap()
            texts.append(str(caught.value))
        assert quoted(*texts) == []
    assert lk.flush()
    assert quoted(*map(repr, records), *(record.line().decode() for record in records), logged.getvalue()) == []
    assert quoted(*capsys.readouterr()) == []


def test_a_sensitive_result_travels_whole():
    """Workers of an evaluation send it back."""
    result = transfer()(text="send", pin=PIN, token=TOKEN, accounts=[Account(owner="me", iban=IBAN)])

    again = pickle.loads(pickle.dumps(result))

    assert again.unwrap() == Found(name="a", code=CODE)
    assert quoted(repr(again)) == []
