"""Reading a store does not write: nothing is made, and what may only be read is enough."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals
from labkit.cli import main
from labkit.errors import StoreError, StoreMissing
from labkit.store.runs import RunStore

COMMANDS = (["runs"], ["history", "triage"], ["compare", "a", "b"], ["bless", "a"], ["export", "a", "rows.jsonl"])


def add_run(store: RunStore, run_id: str) -> None:
    cases = evals.Dataset([evals.Case(id=f"c{n}", input={"text": f"t{n}"}) for n in range(4)])
    scorers = [lambda case, result: result.value.urgency == 2]
    evals.evaluate(support_desk(lk.ScriptedModel(GOOD)), cases, store=store, run_id=run_id, scorers=scorers,
                   progress=False)  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with two finished runs, which nobody has open."""
    path = tmp_path / "runs.db"
    with RunStore(path) as store:
        for run_id in ("a", "b"):
            add_run(store, run_id)
    return path


@pytest.fixture
def read_only(kept: Path, tmp_path: Path) -> Iterator[Path]:
    """The same where nothing can be written: a mount where the tests run as root, whom permissions do not stop."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid():
        shutil.copy(kept, folder)
        folder.chmod(0o555)
        yield folder / "runs.db"
        folder.chmod(0o755)
        return
    if not shutil.which("mount") or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False).returncode:
        pytest.skip("as root only a read-only mount stops a writer, and this machine allows none")
    try:
        shutil.copy(kept, folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder / "runs.db"
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # whatever a failed test left open


def test_a_store_that_may_only_be_read_is_read(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """An artifact or a backup: list, compare, history, export and load_run."""
    monkeypatch.chdir(tmp_path)
    store = ["--store", str(read_only)]

    codes = [main([*command, *store]) for command in COMMANDS if command[0] != "bless"]
    run = evals.load_run("a", store=read_only)

    assert codes == [0, 0, 0, 0], capsys.readouterr().err
    assert len(run.rows) == len(list(run.rows)) > 0
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(run.rows)
    assert [path.name for path in read_only.parent.iterdir()] == ["runs.db"]


def test_writing_where_nothing_can_be_written_says_so(read_only: Path, capsys: pytest.CaptureFixture[str]):
    """Not "check the address": the address is right."""
    assert main(["bless", "a", "--store", str(read_only)]) == 1
    assert "may not be written" in capsys.readouterr().err


def test_a_store_opened_to_read_refuses_to_write(kept: Path):
    """Whatever the permissions."""
    with RunStore(kept, reading=True) as store, pytest.raises(StoreError, match="may not be written"):
        store.bless("a")
    with RunStore(kept) as store:
        assert store.baseline("triage") is None


def test_reading_leaves_no_trace(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not a byte of the store changes, and no log stays beside it."""
    monkeypatch.chdir(tmp_path)
    before, at = kept.read_bytes(), kept.stat().st_mtime_ns

    for command in COMMANDS:
        if command[0] != "bless":
            assert main([*command, "--store", str(kept)]) == 0

    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == (before, at)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "runs.db"]


def test_a_reader_sees_what_a_writer_has_just_written(kept: Path):
    """Also what stands in its log only."""
    with RunStore(kept) as writer, RunStore(kept, reading=True) as reader:
        add_run(writer, "c")

        assert {run.run_id for run in reader.headings()} == {"a", "b", "c"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("default", [True, False], ids=["default", "named"])
def test_with_nothing_to_show_a_command_says_where_it_looked_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str],
    default: bool,
):  # fmt: skip
    """An empty list is no failure; a run that is asked for by name and is not there is one."""
    monkeypatch.delenv("LABKIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = [] if default else ["--store", "runs.db"]

    code = main([*command, *store])

    said = "".join(capsys.readouterr())
    assert code == (0 if command == ["runs"] else 1)
    assert f"no runs yet in sqlite:///{tmp_path}/{'labkit' if default else 'runs'}.db" in said
    assert ("pyproject.toml or .git" in said) == default
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", [lambda s: evals.load_run("a", store=s), lambda s: evals.history("triage", store=s)])
def test_python_makes_no_store_to_read_from_either(tmp_path: Path, read: object):
    """load_run and history of a mistyped address."""
    with pytest.raises(StoreMissing, match="no runs yet in"):
        read(tmp_path / "none.db")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_left_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What touch made is no store yet."""
    (tmp_path / "runs.db").touch()

    assert main(["runs", "--store", f"{tmp_path}/runs.db"]) == 0
    assert (tmp_path / "runs.db").read_bytes() == b""


def test_what_stands_in_a_log_that_cannot_be_read_is_not_left_out(kept: Path, tmp_path: Path):
    """A store copied with its log to where nothing can be written: an answer without the last runs would be wrong."""
    with RunStore(kept) as writer:
        add_run(writer, "c")
        for name in ("runs.db", "runs.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / f"copy-{name.removeprefix('runs.')}")
    os.rename(tmp_path / "copy-db", tmp_path / "copy.db")
    os.rename(tmp_path / "copy-db-wal", tmp_path / "copy.db-wal")

    with RunStore(tmp_path / "copy.db", reading=True) as reader:
        assert {run.run_id for run in reader.headings()} == {"a", "b", "c"}


def test_a_disk_that_fills_up_ends_the_run_with_the_store(tmp_path: Path):
    """No row is lost unsaid: the error names the run, and what was answered can be gone on from."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from desk import GOOD, support_desk
import labkit as lk
import labkit as lk
from labkit import evals
cases = evals.Dataset([evals.Case(id=str(n), input={{"text": str(n) + "x" * 2_000}}) for n in range(400)])
store = {str(tmp_path / "runs.db")!r}
evals.evaluate(support_desk(), cases, store=store, run_id="whole", progress=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
try:
    evals.evaluate(support_desk(), cases, store=store, run_id="cut", repeats=20, progress=False)
except lk.LabkitError as error:
    print(type(error).__name__, error, getattr(error, "__notes__", ""))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "StoreError" in ran.stdout and "runs.db" in ran.stdout, ran.stdout + ran.stderr[-2000:]
    with sqlite3.connect(tmp_path / "runs.db") as db:
        assert db.execute("SELECT count(*) FROM run_rows WHERE run_id = 'whole'").fetchone() == (400,)
