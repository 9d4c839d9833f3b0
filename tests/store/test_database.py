"""A store is opened, or refused with what it is; a file that is not ours is left as it was."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from desk import support_desk

import labkit as lk
from labkit import evals
from labkit.errors import StoreError
from labkit.store.database import open_database
from labkit.store.runs import RunStore


def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path):
    """A typo in the path costs nothing."""
    path = tmp_path / "notes.txt"
    path.write_text("precious notes, long enough to be read as a header of something else" * 20)
    before = path.read_bytes()

    with pytest.raises(StoreError, match="cannot be used as a store"):
        open_database(f"sqlite:///{path}")

    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_untouched(tmp_path: Path):
    """Its tables are named, none is added."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (id INTEGER)")

    with pytest.raises(StoreError, match="another program's tables \\(customers\\)"):
        open_database(f"sqlite:///{path}")

    with sqlite3.connect(path) as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["customers"]


def test_a_newer_store_is_refused(tmp_path: Path):
    """An old labkit does not write into what it cannot read."""
    url = f"sqlite:///{tmp_path}/runs.db"
    open_database(url).close()
    with sqlite3.connect(tmp_path / "runs.db") as db:
        db.execute("UPDATE labkit_version SET version = 99")

    with pytest.raises(StoreError, match=r"has version 99.*upgrade labkit"):
        open_database(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("runs", "write a URL"),
        ("sqlite:runs.db", "write sqlite:///runs.db"),
        ("mysql://bob:secret@host/runs", "mysql://... is not a store"),
        ("sqlite:////nowhere/at/all/runs.db", "unable to open"),
        ("sqlite://", "is in memory"),
        ("sqlite:///:memory:", "is in memory"),
    ],
)
def test_a_url_that_leads_nowhere_is_named(url: str, said: str):
    """The message shows what was given."""
    with pytest.raises(StoreError, match=said):
        open_database(url)


def test_a_damaged_store_is_refused_and_untouched(tmp_path: Path):
    """A copy that was cut off does not get new pages on top."""
    path = tmp_path / "runs.db"
    _old_store(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 4096])
    before = path.read_bytes()

    with pytest.raises(StoreError, match=r"damaged|cannot be used"):
        open_database(f"sqlite:///{path}")

    assert path.read_bytes() == before
    assert not path.with_name("runs.db-wal").exists()


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path):
    """Runs, baselines and call records written before are all there, and new runs compare with them."""
    path = tmp_path / "runs.db"
    _old_store(path)

    with RunStore(f"sqlite:///{path}") as store:
        old = evals.load_run("old", store=store)
        assert (old.pass_rate, old.fallback_rate, [row.case_id for row in old.rows]) == (0.5, 0.5, ["b", "a"])
        assert old.rows[1].result.value == {"n": 1} and old.rows[1].case.tags == ("t",)
        assert store.baseline("triage") == "old"
        heading = store.heading("old")
        assert heading.summary is not None and heading.summary["passed"] == 1
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT version FROM labkit_version").fetchall() == [(3,)]
        assert db.execute("SELECT call_id FROM call_records").fetchall() == [("k",)]


def test_an_update_that_fails_leaves_the_old_store(tmp_path: Path):
    """All of it or nothing: a row that cannot be read does not cost the others."""
    path = tmp_path / "runs.db"
    _old_store(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rows SET result = '{broken' WHERE case_id = 'a'")

    with pytest.raises((StoreError, ValueError)):
        open_database(f"sqlite:///{path}")

    with sqlite3.connect(path) as db:
        assert db.execute("SELECT version FROM labkit_version").fetchall() == [(1,)]
        assert db.execute("SELECT count(*) FROM rows").fetchall() == [(2,)]


def test_two_open_a_new_store_at_once(tmp_path: Path):
    """The tables are made once."""
    url = f"sqlite:///{tmp_path}/runs.db"
    with ThreadPoolExecutor(8) as pool:
        for opened in pool.map(lambda _: open_database(url), range(8)):
            opened.close()

    with sqlite3.connect(tmp_path / "runs.db") as db:
        assert db.execute("SELECT version FROM labkit_version").fetchall() == [(3,)]


def _old_store(path: Path) -> None:
    """What the first version wrote: a finished run of two cases, blessed, and one call record."""
    result = {"value": {"n": 1}, "source": "model", "call": "triage", "call_id": "x", "elapsed_s": 0.2}
    fallen = result | {"source": "default", "reason": {"step": "model", "outcome": "timeout", "message": "late"}}
    about = {
        "model": "m", "fingerprint": "f", "versions": {"prompt": "p"}, "dataset": "d", "dataset_hash": "h",
        "scorers": {"exact": "0"}, "deadline_s": 2.0,
    }  # fmt: skip
    case = {"input": {"text": "hi"}, "expected": None, "tags": ["t"], "note": ""}
    with sqlite3.connect(path) as db:
        db.executescript(_FIRST_VERSION)
        db.execute("INSERT INTO labkit_version VALUES (1)")
        db.execute("INSERT INTO runs VALUES ('old', 'triage', '2026-01-01', '2026-01-02', 1.5, ?)", [json.dumps(about)])
        for position, (case_id, answer, passed) in enumerate([("b", fallen, False), ("a", result, True)]):
            db.execute(
                'INSERT INTO "plan" VALUES (?, ?, 0, ?, ?)',
                ["old", case_id, position, json.dumps({"id": case_id} | case)],
            )
            scores = {"exact": {"value": float(passed), "passed": passed, "reason": ""}}
            db.execute(
                "INSERT INTO rows VALUES ('old', ?, 0, 't', 'ok', ?, ?)",
                [case_id, json.dumps(answer), json.dumps(scores)],
            )
        db.execute("INSERT INTO baselines VALUES ('triage', '2026-01-03', 'old')")
        db.execute("INSERT INTO call_records VALUES ('k', 'triage', 't', 'model', 'ok', '{}')")


_FIRST_VERSION = """
CREATE TABLE labkit_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE runs (run_id VARCHAR NOT NULL, call VARCHAR NOT NULL, started_at VARCHAR NOT NULL, finished_at VARCHAR,
    elapsed_s FLOAT, about JSON NOT NULL, PRIMARY KEY (run_id));
CREATE INDEX ix_runs_call ON runs (call);
CREATE TABLE call_records (call_id VARCHAR NOT NULL, call VARCHAR NOT NULL, at VARCHAR NOT NULL,
    source VARCHAR NOT NULL, outcome VARCHAR NOT NULL, record JSON NOT NULL, PRIMARY KEY (call_id));
CREATE INDEX ix_call_records_call ON call_records (call);
CREATE TABLE "plan" (run_id VARCHAR NOT NULL, case_id VARCHAR NOT NULL, repeat INTEGER NOT NULL,
    position INTEGER NOT NULL, "case" JSON NOT NULL, PRIMARY KEY (run_id, case_id, repeat),
    FOREIGN KEY(run_id) REFERENCES runs (run_id));
CREATE TABLE rows (run_id VARCHAR NOT NULL, case_id VARCHAR NOT NULL, repeat INTEGER NOT NULL,
    finished_at VARCHAR NOT NULL, status VARCHAR NOT NULL, result JSON NOT NULL, scores JSON NOT NULL,
    PRIMARY KEY (run_id, case_id, repeat), FOREIGN KEY(run_id) REFERENCES runs (run_id));
CREATE TABLE baselines (call VARCHAR NOT NULL, blessed_at VARCHAR NOT NULL, run_id VARCHAR NOT NULL,
    PRIMARY KEY (call, blessed_at), FOREIGN KEY(run_id) REFERENCES runs (run_id));
"""


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
