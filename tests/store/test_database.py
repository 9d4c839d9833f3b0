"""A store is opened, or refused with what it is; a file that is not ours is left as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from desk import support_desk

import labkit as lk
from labkit.errors import StoreError
from labkit.store.database import open_engine
from labkit.store.runs import PlannedUnit, RunStore, StoredRow, StoredRun


def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path):
    """A typo in the path costs nothing."""
    path = tmp_path / "notes.txt"
    path.write_text("precious notes, long enough to be read as a header of something else" * 20)
    before = path.read_bytes()

    with pytest.raises(StoreError, match="cannot be used as a store"):
        open_engine(f"sqlite:///{path}")

    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_untouched(tmp_path: Path):
    """Its tables are named, none is added."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (id INTEGER)")

    with pytest.raises(StoreError, match="another program's tables \\(customers\\)"):
        open_engine(f"sqlite:///{path}")

    with sqlite3.connect(path) as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["customers"]


def test_a_newer_store_is_refused(tmp_path: Path):
    """An old labkit does not write into what it cannot read."""
    url = f"sqlite:///{tmp_path}/runs.db"
    open_engine(url).dispose()
    with sqlite3.connect(tmp_path / "runs.db") as db:
        db.execute("UPDATE labkit_version SET version = 99")

    with pytest.raises(StoreError, match=r"has version 99.*upgrade labkit"):
        open_engine(url)


@pytest.mark.parametrize(
    ("url", "said"), [("runs.db", "write a URL"), ("sqlite:////nowhere/at/all/runs.db", "unable to open")]
)
def test_a_url_that_leads_nowhere_is_named(url: str, said: str):
    """The message shows what was given."""
    with pytest.raises(StoreError, match=said):
        open_engine(url)


def test_a_unit_is_stored_once(tmp_path: Path):
    """A second answer to the same unit changes nothing."""
    store = RunStore(f"sqlite:///{tmp_path}/runs.db")
    store.begin(
        StoredRun(run_id="r", call="c", started_at="2026-01-01", about={}),
        [PlannedUnit(case_id="a", repeat=0, case={"id": "a"})],
    )
    row = StoredRow(case_id="a", repeat=0, finished_at="t", status="ok", result={"n": 1}, scores={})

    store.add("r", row)
    store.add("r", StoredRow(case_id="a", repeat=0, finished_at="t", status="ok", result={"n": 2}, scores={}))

    assert store.rows("r") == [row]
    assert store.plan("r") == [PlannedUnit(case_id="a", repeat=0, case={"id": "a"})]
    with pytest.raises(StoreError, match="not finished"):
        store.bless("r")
    store.close()


def test_call_records_go_to_the_store_that_the_sink_names(tmp_path: Path):
    """sink="sqlite:///PATH" is found by its scheme; the runtime does not import the store."""
    desk = support_desk(sink=f"sqlite:///{tmp_path}/calls.db")

    desk(text="one")
    desk(text="")
    assert lk.flush()

    with sqlite3.connect(tmp_path / "calls.db") as db:
        assert db.execute("SELECT call, source, outcome FROM call_records ORDER BY at, source DESC").fetchall() == [
            ("triage", "model", "ok"),
            ("triage", "error", "schema"),
        ]
