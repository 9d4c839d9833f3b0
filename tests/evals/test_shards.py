"""Past one machine: what is lost with a worker is asked again, and the store has every case once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals
from labkit.errors import RunStopped
from labkit.models.faults import Faults, Fixed
from labkit.models.server import ModelServer
from labkit.store.runs import RunStore

EXACT = [evals.ExactMatch("intent")]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two worker processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as opened,
    ):
        yield opened


def cases(n: int) -> evals.Dataset:
    expected = {"intent": "card_arrival"}
    return evals.Dataset([evals.Case(id=f"c{i}", input={"text": f"t {i}"}, expected=expected) for i in range(n)])


def test_workers_ask_and_the_client_keeps(client: Any, tmp_path: Path):
    """Rows, scores and requests are those of an evaluation here; who asked is in each row."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        desk = support_desk().replace(model=lk.Model("openai/m", base_url=server.base_url))
        run = evals.evaluate(
            desk, cases(40), scorers=EXACT, concurrency=8, engine=client, store=f"sqlite:///{tmp_path}/r.db",
            progress=False,
        )  # fmt: skip
        requests = server.counts.requests

    assert [row.case_id for row in run.rows] == [f"c{n}" for n in range(40)]
    assert (run.pass_rate, requests, run.unaccounted) == (1.0, 40, 0)
    workers = {row.worker for row in run.rows}
    assert workers and not any(worker.endswith(f":{os.getpid()}") for worker in workers)


def test_repeats_on_workers_are_answers_of_their_own(client: Any, tmp_path: Path):
    """Whatever cache the workers share."""
    kept = lk.Policy(cache=lk.Cache(path=str(tmp_path / "kept.db")))
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        desk = support_desk(policy=kept).replace(model=lk.Model("openai/m", base_url=server.base_url))
        run = evals.evaluate(
            desk, cases(3), repeats=4, concurrency=4, engine=client, store=f"sqlite:///{tmp_path}/r.db", progress=False
        )
        requests = server.counts.requests

    assert requests == 12
    assert {row.result.source for row in run.rows} == {"model"}


def test_workers_stop_at_requests_that_are_all_refused(client: Any, tmp_path: Path):
    """As here: with what the server said, and long before the last case."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        wrong = lk.Model("openai/m", base_url=f"{server.base_url}/nowhere")
        desk = support_desk(fallbacks=[lk.SafeDefault({"intent": "card_arrival", "urgency": 1})]).replace(model=wrong)

        with pytest.raises(RunStopped, match=r"failed alike, at step model: .*HTTP 404.* 0 of 200 cases are stored"):
            evals.evaluate(
                desk, cases(200), scorers=EXACT, concurrency=8, engine=client, store=f"sqlite:///{tmp_path}/r.db",
                progress=False,
            )  # fmt: skip


def test_workers_stop_at_a_scorer_that_gives_no_score(client: Any, tmp_path: Path):
    """What their shard brought is kept."""

    def quality(case: evals.Case, result: Any) -> Any:
        return "good"

    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        desk = support_desk().replace(model=lk.Model("openai/m", base_url=server.base_url))
        with pytest.raises(RunStopped, match=r"quality gave 'good'.* of 200 cases are stored"):
            evals.evaluate(
                desk, cases(200), scorers=[quality], concurrency=8, engine=client, store=f"sqlite:///{tmp_path}/r.db",
                run_id="r", progress=False,
            )  # fmt: skip

    kept = RunStore(f"sqlite:///{tmp_path}/r.db")
    assert 1 <= len(kept.facts("r")) <= 16
    kept.close()


def test_a_worker_killed_in_the_middle_loses_and_duplicates_nothing(client: Any, tmp_path: Path):
    """Its shards are asked again by another; every case has one row."""
    store = f"sqlite:///{tmp_path}/r.db"
    with ModelServer(lk.ScriptedModel(GOOD), faults=Faults(latency=Fixed(0.05))) as server:
        desk = support_desk().replace(model=lk.Model("openai/m", base_url=server.base_url))
        victim = next(iter(client.run(os.getpid).values()))

        def kill() -> None:
            if server.wait_until(lambda counts: counts.requests >= 60):
                os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        run = evals.evaluate(
            desk, cases(200), scorers=EXACT, concurrency=16, engine=client, store=store, run_id="mine", progress=False
        )
        killer.join()
        requests = server.counts.requests

    again = evals.load_run("mine", store=store)
    assert [row.case_id for row in again.rows] == [f"c{n}" for n in range(200)]
    assert again.pass_rate == run.pass_rate == 1.0
    assert requests >= 200


def test_a_client_of_another_loop_is_refused(tmp_path: Path):
    """Waiting for it here would wait for ever."""
    from distributed import Client, LocalCluster

    async def scenario() -> None:
        async with (
            LocalCluster(n_workers=1, processes=False, dashboard_address=":0", asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            with pytest.raises(ValueError, match="another event loop"):
                await asyncio.to_thread(
                    evals.evaluate, support_desk(), cases(2), engine=client, store=f"sqlite:///{tmp_path}/r.db"
                )

    asyncio.run(scenario())


def test_an_engine_that_is_none_is_refused(tmp_path: Path):
    """What to give is said."""
    with pytest.raises(ValueError, match=r"give a dask\.distributed\.Client"):
        evals.evaluate(support_desk(), cases(2), engine="dask", store=f"sqlite:///{tmp_path}/r.db", progress=False)
