"""Call records in a store: by the standard library alone, in the tables that stores of runs use."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from desk import GOOD, support_desk

import labkit as lk
from labkit.cli import main
from labkit.errors import StoreError
from labkit.store import schema
from labkit.store.records import open_sink
from labkit.store.runs import RunStore

TESTS = Path(__file__).parent.parent

WRITES = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import labkit as lk
from desk import support_desk
desk = support_desk()
for n in range(50):
    assert desk(text=str(n)).ok
assert lk.flush()
print(lk.call.write_behind.dropped(), "sqlalchemy" in sys.modules)
"""


def ids(path: Path) -> list[str]:
    with sqlite3.connect(path) as db:
        return [call_id for (call_id,) in db.execute("SELECT call_id FROM call_records ORDER BY at")]


def test_several_processes_and_a_run_store_share_a_file(tmp_path: Path):
    """None loses a record, none needs SQLAlchemy, and runs go into the same file meanwhile."""
    path = tmp_path / "calls.db"
    environment = os.environ | {"LABKIT_RECORDS": f"sqlite:///{path}"}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    with RunStore(path) as store:
        assert store.headings() == []
        said = [writer.communicate(timeout=60)[0].split() for writer in writers]

    assert said == [["0", "False"]] * 3
    assert len(set(ids(path))) == 150


def test_one_table_whoever_makes_it(tmp_path: Path):
    """Columns, keys and index are those that SQLAlchemy makes; each reads what the other wrote."""
    open_sink(f"sqlite:///{tmp_path}/ours.db")
    RunStore(tmp_path / "theirs.db").close()

    def described(name: str) -> list[str]:
        with sqlite3.connect(tmp_path / name) as db:
            found = db.execute("SELECT sql FROM sqlite_master WHERE tbl_name IN ('call_records', 'labkit_version')")
            texts = [" ".join(sql.split()).replace("( ", "(").replace(" )", ")") for (sql,) in found if sql]
            return sorted([*texts, str(db.execute("SELECT version FROM labkit_version").fetchall())])

    assert described("ours.db") == described("theirs.db")


def test_a_record_is_read_by_the_store(tmp_path: Path):
    """JSON data, as SQLAlchemy writes it."""
    desk = support_desk(sink=f"sqlite:///{tmp_path}/calls.db")
    result = desk(text="hi")
    assert lk.flush()

    with RunStore(tmp_path / "calls.db") as store, store._db.read() as connection:
        row = connection.execute(sa.select(schema.call_records)).mappings().one()

    assert (row["call_id"], row["source"], row["outcome"]) == (result.call_id, "model", "ok")
    assert row["record"]["call_id"] == result.call_id and isinstance(row["record"]["attempts"], list)


def test_runs_are_added_to_a_file_that_has_only_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """And reading says that there are none so far, changing nothing."""
    path = tmp_path / "both.db"
    support_desk(sink=f"sqlite:///{path}")(text="hi")
    assert lk.flush()

    assert main(["runs", "--store", str(path)]) == 0
    assert "no runs yet" in capsys.readouterr().out
    RunStore(path).close()
    assert main(["runs", "--store", str(path)]) == 0
    assert len(ids(path)) == 1


def test_a_file_that_goes_away_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """As with lines of JSON, which may be rotated; the log says so."""
    path = tmp_path / "calls.db"
    desk = support_desk(sink=f"sqlite:///{path}")
    desk(text="one")
    assert lk.flush()
    for each in tmp_path.iterdir():
        each.unlink()

    with caplog.at_level(logging.WARNING, "labkit.records"):
        kept = desk(text="two").call_id
        assert lk.flush()

    assert ids(path) == [kept]
    assert "was deleted while it was in use" in caplog.text


def test_a_file_that_is_replaced_takes_what_comes(tmp_path: Path):
    """Another file under the same name is the one that is meant now."""
    path = tmp_path / "calls.db"
    desk = support_desk(sink=f"sqlite:///{path}")
    desk(text="one")
    assert lk.flush()
    open_sink(f"sqlite:///{tmp_path}/new.db")
    os.replace(tmp_path / "new.db", path)

    kept = desk(text="two").call_id
    assert lk.flush()

    assert ids(path) == [kept]


def test_a_folder_that_goes_away_costs_records_and_says_how_many(tmp_path: Path):
    """The calls go on; the log counts what was dropped, to the end; when the folder is back, records are kept again."""
    folder = tmp_path / "kept"
    folder.mkdir()
    code = f"""
import logging, os, shutil, sys
logging.basicConfig()
sys.path.insert(0, {str(TESTS)!r})
import labkit as lk
from desk import support_desk
desk = support_desk(sink={f"sqlite:///{folder}/calls.db"!r})
desk(text="one"); lk.flush()
shutil.rmtree({str(folder)!r})
for n in range(3):
    assert desk(text=str(n)).ok
    lk.flush()
os.mkdir({str(folder)!r})
assert desk(text="last").ok
lk.flush()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "the process ends, and 3 of its call records were dropped" in ran.stderr
    assert len(ids(folder / "calls.db")) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_writes_its_own_records(tmp_path: Path):
    """A server that forks its workers after the call was defined."""
    path = tmp_path / "calls.db"
    code = f"""
import os, sys
sys.path.insert(0, {str(TESTS)!r})
import labkit as lk
from desk import support_desk
desk = support_desk(sink={f"sqlite:///{path}"!r})
assert desk(text="parent").ok and lk.flush()
child = os.fork()
for n in range(5):
    assert desk(text=str(n)).ok
assert lk.flush()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    os._exit(0 if lk.call.write_behind.dropped() == 0 else 1)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)

    assert len(set(ids(path))) == 11


def test_another_programs_file_gets_no_records(tmp_path: Path):
    """As with runs: it is refused when the call is defined."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="another program's tables \\(customers\\)"):
        support_desk(sink=f"sqlite:///{path}")
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_json_can_hold_is_what_is_kept(tmp_path: Path):
    """Odd letters and halves of pairs are no reason to lose a record."""
    desk = support_desk(lk.ScriptedModel(GOOD), sink=f"sqlite:///{tmp_path}/calls.db")
    desk(text="ünï \U0001f600 \ud83d")
    assert lk.flush()

    with sqlite3.connect(tmp_path / "calls.db") as db:
        assert json.loads(db.execute("SELECT record FROM call_records").fetchone()[0])["call"] == "triage"
