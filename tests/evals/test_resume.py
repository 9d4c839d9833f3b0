"""Whatever ends an evaluation early, what was answered stays, and the rest is asked later."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from desk import GOOD, STOLEN, support_desk
from provider import completion, provider

import labkit as lk
from labkit import evals
from labkit.errors import ModelError, RunStopped, StoreError
from labkit.evals.progress import Tally
from labkit.models.faults import Faults, Fixed
from labkit.models.server import ModelServer
from labkit.store.runs import RunStore

EXACT = [evals.ExactMatch("intent")]
FREE = lk.Policy(retry=lk.Retry(max_attempts=1), breaker=None)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


def cases(n: int) -> evals.Dataset:
    expected = {"intent": "card_arrival"}
    return evals.Dataset([evals.Case(id=f"c{i}", input={"text": f"t {i}"}, expected=expected) for i in range(n)])


class StopAt:
    """Progress that ends the evaluation after so many cases, as Ctrl-C does."""

    def __init__(self, done: int) -> None:
        self.done = done

    def show(self, tally: Tally) -> None:
        if tally.done == self.done:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_an_interrupted_run_goes_on_where_it_stopped(store: str):
    """Each case is asked once over both sessions, and the whole is one run."""
    model = lk.ScriptedModel(GOOD)
    with pytest.raises(KeyboardInterrupt) as caught:
        evals.evaluate(
            support_desk(model), cases(12), scorers=EXACT, concurrency=2, store=store, run_id="mine", progress=StopAt(5)
        )
    assert any("resume='mine'" in note for note in caught.value.__notes__)
    with pytest.raises(StoreError, match=r"was not finished: \d+ of 12 cases have no row.*resume='mine'"):
        evals.load_run("mine", store=store)
    stored = len(RunStore(store).done("mine"))
    asked = len(model.requests)

    run = evals.evaluate(support_desk(model), cases(12), scorers=EXACT, store=store, resume="mine", progress=False)

    assert stored >= 5
    assert [row.case_id for row in run.rows] == [f"c{n}" for n in range(12)]
    assert len(model.requests) == asked + 12 - stored
    assert (run.pass_rate, evals.load_run("mine", store=store).pass_rate) == (1.0, 1.0)


def test_a_finished_run_has_nothing_left(store: str):
    """Resuming it asks nothing and gives it back."""
    model = lk.ScriptedModel([GOOD, STOLEN, GOOD])
    first = evals.evaluate(support_desk(model), cases(3), scorers=EXACT, concurrency=1, store=store, progress=False)

    again = evals.evaluate(
        support_desk(model), cases(3), scorers=EXACT, store=store, resume=first.run_id, progress=False
    )

    assert len(model.requests) == 3
    assert [row.passed for row in again.rows] == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"call": support_desk(prompt=lk.Prompt(user="Other: {{ input.text }}"))}, "another prompt"),
        ({"call": support_desk(policy=lk.Policy(deadline_s=1.0))}, "another policy"),
        ({"dataset": cases(4)}, "another dataset"),
        ({"scorers": [evals.ExactMatch()]}, "another scorers"),
        ({"repeats": 2}, "another repeats"),
    ],
    ids=["prompt", "policy", "dataset", "scorers", "repeats"],
)
def test_a_run_of_other_parts_is_not_continued(store: str, changes: dict[str, Any], said: str):
    """Rows of two prompts are not one run: the part that differs is named."""
    given: dict[str, Any] = {"call": support_desk(), "dataset": cases(3), "scorers": EXACT, "store": store}
    with pytest.raises(KeyboardInterrupt):
        evals.evaluate(**given, run_id="mine", progress=StopAt(1))

    with pytest.raises(StoreError, match=said):
        evals.evaluate(**(given | changes), resume="mine", progress=False)


def test_an_unknown_run_cannot_be_resumed(store: str):
    """And a run is either new or old."""
    with pytest.raises(StoreError, match="holds no run 'x'"):
        evals.evaluate(support_desk(), cases(1), store=store, resume="x", progress=False)
    with pytest.raises(ValueError, match="give one of them"):
        evals.evaluate(support_desk(), cases(1), store=store, resume="x", run_id="y", progress=False)


def test_arms_are_interrupted_and_resumed_together(store: str):
    """Several calls over the same cases are one plan each, and go on together."""
    arms = [support_desk(GOOD), support_desk(STOLEN).replace(name="other")]
    with pytest.raises(KeyboardInterrupt):
        evals.evaluate(arms, cases(6), scorers=EXACT, store=store, run_id="ab", concurrency=1, progress=StopAt(5))

    runs = evals.evaluate(arms, cases(6), scorers=EXACT, store=store, resume="ab", progress=False)

    assert [(run.run_id, run.pass_rate) for run in runs] == [("ab/triage", 1.0), ("ab/other", 0.0)]
    assert evals.compare(*runs).table.only_a == 6


def test_repeats_are_units_of_their_own(store: str):
    """Every case so many times, each answer kept; two scorers or arms of one name are refused."""
    run = evals.evaluate(support_desk([GOOD, STOLEN]), cases(3), scorers=EXACT, repeats=2, store=store, progress=False)

    assert [(row.case_id, row.repeat) for row in run.rows] == [(f"c{n}", r) for n in range(3) for r in range(2)]
    with pytest.raises(ValueError, match="same name"):
        evals.evaluate(support_desk(), cases(1), scorers=EXACT * 2, store=store, progress=False)
    with pytest.raises(ValueError, match="a name of its own"):
        evals.evaluate([support_desk()] * 2, cases(1), store=store, progress=False)


def test_a_spend_cap_stops_before_it_is_passed(store: str):
    """What is stored cost no more than the cap; more money goes on with the rest."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        priced = lk.Model("openai/m", base_url=server.base_url, price=lk.Price(prompt_usd=1000, completion_usd=1000))
        desk = support_desk().replace(model=priced)
        one = desk(text="t 0").cost_usd
        assert one is not None

        with pytest.raises(RunStopped, match=r"could pass the cap of .* cases are stored.*resume='mine'"):
            evals.evaluate(
                desk, cases(40), store=store, run_id="mine", spend_usd=10.5 * one, concurrency=32, progress=False
            )
        stored = RunStore(store).facts("mine")
        run = evals.evaluate(desk, cases(40), store=store, resume="mine", progress=False)

    spent = sum(fact.cost_usd or 0.0 for fact in stored)
    assert 0 < spent <= 10.5 * one
    assert len(run.rows) == 40


def test_a_cap_without_a_price_is_refused(store: str):
    """What it costs is not known, so it cannot be kept."""
    with pytest.raises(RunStopped, match="price of scripted/model is not known"):
        evals.evaluate(support_desk(), cases(2), store=store, spend_usd=1.0, progress=False)


def test_a_provider_that_is_busy_is_waited_for(store: str):
    """429 is no answer to the case: it is asked again, and only the answer becomes a row."""
    busy = ModelError("slow down", outcome="rate_limited", status=429)
    model = lk.ScriptedModel([GOOD, busy, busy, GOOD])
    notes: list[str] = []

    class Notes:
        def show(self, tally: Tally) -> None:
            notes.append(tally.note)

    run = evals.evaluate(
        support_desk(model, policy=FREE), cases(3), scorers=EXACT, concurrency=1, store=store, progress=Notes()
    )

    assert [row.status for row in run.rows] == ["ok"] * 3
    assert notes.count("waiting for scripted/model: rate limited") == 2
    assert run.unaccounted == 0  # those that were answered with 429 are counted with the unit


def test_more_than_a_provider_bears_is_not_asked_of_it(store: str):
    """Of 32 wanted at once it takes 4: the others are asked again, fewer at a time, and every case is answered."""
    in_flight, refused = 0, 0

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        nonlocal in_flight, refused
        in_flight += 1
        try:
            if in_flight > 4:
                refused += 1
                return web.json_response({"error": {"message": "slow down"}}, status=429)
            await asyncio.sleep(0.005)
            return web.json_response(completion(GOOD))
        finally:
            in_flight -= 1

    async def scenario() -> evals.EvalRun:
        async with provider(answer) as served:
            desk = support_desk(policy=FREE).replace(model=lk.Model("openai/m", base_url=served.base_url))
            return await evals.aevaluate(desk, cases(80), scorers=EXACT, concurrency=32, store=store, progress=False)

    run = asyncio.run(scenario())

    assert ({row.status for row in run.rows}, run.pass_rate, run.unaccounted) == ({"ok"}, 1.0, 0)
    assert 0 < refused < 80 * 2


def test_patience_ends(store: str):
    """A provider that stays away ends the run, resumably; without patience its fallbacks are rows."""
    busy = ModelError("slow down", outcome="rate_limited", status=429)
    desk = support_desk(lk.ScriptedModel([GOOD, busy]), policy=FREE)

    with pytest.raises(RunStopped, match=r"has not answered for .* 1 of 3 cases are stored"):
        evals.evaluate(desk, cases(3), store=store, patience_s=1e-9, concurrency=1, progress=False)
    run = evals.evaluate(desk, cases(3), store=store, patience_s=0, progress=False)

    assert {row.status for row in run.rows} == {"provider_error"}


def test_a_run_killed_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path):
    """kill -9, resume: every case once, and what the provider was asked is what is recorded or was in flight."""
    store = f"sqlite:///{tmp_path}/runs.db"
    with ModelServer(lk.ScriptedModel(GOOD), faults=Faults(latency=Fixed(0.02))) as server:
        script = tmp_path / "evaluation.py"
        script.write_text(_SCRIPT.format(base_url=server.base_url, store=store, tests=str(Path(__file__).parents[1])))
        acknowledged = 0
        for kill_at, mode in ((25, "run_id"), (60, "resume"), (90, "resume")):
            child = subprocess.Popen([sys.executable, str(script), mode], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            for line in child.stdout:
                acknowledged = int(line)
                if acknowledged >= kill_at:
                    os.kill(child.pid, signal.SIGKILL)
                    break
            acknowledged = max([acknowledged, *(int(line) for line in child.stdout if line.strip())])
            assert child.wait() == -signal.SIGKILL
            child.stdout.close()
            with RunStore(store) as kept:
                assert len(kept.done("mine")) >= acknowledged >= kill_at
        finished = subprocess.run([sys.executable, str(script), "resume"], capture_output=True, text=True, check=True)
        requests = server.counts.requests

    with RunStore(store) as kept:
        run = evals.load_run("mine", store=kept)
        assert [row.case_id for row in run.rows] == [f"c{n}" for n in range(120)]
        assert finished.stdout.splitlines()[-1] == "120"
        told = sum(len(row.result.attempts) for row in run.rows)
        # Each request is noted before it is sent: a kill between the two leaves one noted that was never sent.
        assert told <= requests <= told + run.unaccounted
        assert run.unaccounted <= 3 * 8


_SCRIPT = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {tests!r})
    from desk import support_desk
    import labkit as lk
    from labkit import evals

    class Acknowledged:
        def show(self, tally):
            print(tally.done, flush=True)

    expected = {{"intent": "card_arrival"}}
    cases = evals.Dataset(
        [evals.Case(id=f"c{{i}}", input={{"text": f"t {{i}}"}}, expected=expected) for i in range(120)]
    )
    desk = support_desk().replace(model=lk.Model("openai/m", base_url={base_url!r}))
    evals.evaluate(
        desk, cases, scorers=[evals.ExactMatch("intent")], store={store!r}, concurrency=8, progress=Acknowledged(),
        **{{sys.argv[1]: "mine"}},
    )
    """
)


def test_acknowledged_means_written(tmp_path: Path):
    """When progress shows a case, another process can read its row."""
    url = f"sqlite:///{tmp_path}/runs.db"
    seen: list[tuple[int, int]] = []

    class Reading:
        def show(self, tally: Tally) -> None:
            with RunStore(url) as reader:
                seen.append((tally.done, len(reader.done("mine"))))

    evals.evaluate(support_desk(), cases(6), store=url, run_id="mine", concurrency=3, progress=Reading())

    assert len(seen) == 6 and all(stored >= shown for shown, stored in seen)


def test_a_store_that_fails_is_no_failure_of_the_model(store: str):
    """The run ends with the store's error and can go on; no row blames the call for it."""
    desk, blocked = support_desk(lk.ScriptedModel(GOOD)), RunStore(store)
    with RunStore(store) as broken:

        class Breaks:
            def show(self, tally: Tally) -> None:
                if tally.done == 3:
                    with sqlite3.connect(store.removeprefix("sqlite:///")) as db:
                        db.execute("ALTER TABLE request_starts RENAME TO gone")

        with pytest.raises(Exception, match="request_starts") as caught:
            evals.evaluate(desk, cases(9), scorers=EXACT, concurrency=1, store=broken, run_id="mine", progress=Breaks())

    assert any("3 of 9 cases are stored: go on with evaluate(..., resume='mine')" in n for n in caught.value.__notes__)
    assert [fact.status for fact in blocked.facts("mine")] == ["ok"] * 3
    blocked.close()


def test_arms_are_begun_together_or_not_at_all(store: str):
    """An id that one arm cannot have leaves nothing of the others; the message names what resumes them."""
    arms = [support_desk(), support_desk().replace(name="other")]
    evals.evaluate(arms[1:], cases(2), store=store, run_id="ab", progress=False)

    with pytest.raises(StoreError, match=r"already holds a run 'ab/other'.*resume='ab'"):
        evals.evaluate(arms, cases(2), store=store, run_id="ab", progress=False)
    with RunStore(store) as kept:
        assert [run.run_id for run in kept.headings()] == ["ab/other"]
