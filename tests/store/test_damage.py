"""Damaged rows are named by their run and row; no decoder's error reaches whoever reads a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals
from labkit.cli import main
from labkit.errors import StoreError
from labkit.store.reviews import Review
from labkit.store.runs import RunStore

DEEP = "[" * 100_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    cases = evals.Dataset([evals.Case(id=f"c{n}", input={"text": f"t{n}"}, tags=["t"]) for n in range(3)])
    for run_id in ("old", "new"):
        evals.evaluate(support_desk(lk.ScriptedModel(GOOD)), cases, store=path, run_id=run_id, progress=False,
                       scorers=[evals.ExactMatch("intent")])  # fmt: skip
    with RunStore(path) as kept:
        kept.review(Review(run_id="new", case_id="c1", reviewer="r", verdict="fail", expected={"n": 1}))
    return path


def whole_rows(path: Path) -> object:
    return list(evals.load_run("new", store=path).rows)


def compared(path: Path) -> object:
    return evals.compare(evals.load_run("old", store=path), evals.load_run("new", store=path)).text()


def exported(suffix: str) -> Callable[[Path], object]:
    def export(path: Path) -> object:
        with RunStore(path, reading=True) as kept:
            return kept.export("new", path.with_name(f"rows{suffix}"))

    return export


def reviewed(path: Path) -> object:
    with RunStore(path, reading=True) as kept:
        return kept.reviews("new")


def shown(path: Path) -> object:
    return evals.history("triage", store=path).text()


def listed(path: Path) -> object:
    with RunStore(path, reading=True) as kept:
        return kept.headings()


ROW = r"run 'new'.*case 'c1', repeat 0"
OF = "WHERE run_id = 'new' AND position = 1"


@pytest.mark.parametrize(
    ("damage", "read", "named"),
    [
        (f"UPDATE answers SET result = '{{broken' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET result = '{DEEP}' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET result = '{{}}' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET result = '[]' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET result = x'ff00' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET scores = 'none' {OF}", whole_rows, ROW),
        (f"UPDATE answers SET scores = '[1]' {OF}", whole_rows, ROW),
        (f'UPDATE answers SET scores = \'{{"s": {{"weight": 1}}}}\' {OF}', whole_rows, ROW),
        ("UPDATE cases SET content = 'x' WHERE content LIKE '%\"c1\"%'", whole_rows, ROW),
        ("UPDATE cases SET content = '{}' WHERE content LIKE '%\"c1\"%'", whole_rows, ROW),
        ("DELETE FROM cases WHERE content LIKE '%\"c1\"%'", whole_rows, r"run 'new'.*only 2 of its rows"),
        (f"DELETE FROM answers {OF}", whole_rows, r"run 'new'.*only 2 of its rows"),
        (f"UPDATE run_units SET tags = '{{' {OF}", compared, ROW),
        (f"UPDATE run_units SET tags = '[1]' {OF}", compared, ROW),
        (f"UPDATE run_units SET weight = 'much' {OF}", compared, ROW),
        (f"UPDATE run_rows SET elapsed_s = 'long' {OF}", compared, ROW),
        (f"UPDATE run_rows SET cost_usd = 'dear' {OF}", compared, ROW),
        ("UPDATE runs SET about = '{' WHERE run_id = 'new'", whole_rows, r"run 'new'.*heading"),
        (f"UPDATE runs SET about = '{DEEP}' WHERE run_id = 'new'", listed, r"run 'new'.*heading"),
        ("UPDATE runs SET about = '[]' WHERE run_id = 'new'", listed, r"run 'new'.*heading"),
        ("UPDATE runs SET about = '{}' WHERE run_id = 'new'", whole_rows, r"run 'new'.*heading.*model"),
        ("UPDATE runs SET about = '{}' WHERE run_id = 'new'", shown, r"run 'new'.*heading.*model"),
        ("UPDATE runs SET summary = '{' WHERE run_id = 'new'", shown, r"run 'new'.*summary"),
        ("UPDATE runs SET summary = '{}' WHERE run_id = 'new'", shown, r"run 'new'.*summary"),
        ("UPDATE runs SET summary = NULL WHERE run_id = 'new'", shown, r"run 'new'.*summary"),
        (f"UPDATE answers SET result = '{{broken' {OF}", exported(".jsonl"), ROW),
        (f"DELETE FROM answers {OF}", exported(".jsonl"), r"run 'new'"),
        (f"DELETE FROM answers {OF}", exported(".parquet"), r"run 'new'"),
        ("UPDATE reviews SET expected = '{'", reviewed, r"run 'new'.*review '"),
        ("UPDATE labkit_version SET version = -1", whole_rows, "version is -1"),
    ],
    ids=lambda part: part[:70] if isinstance(part, str) else getattr(part, "__name__", None),
)
def test_what_is_damaged_is_named(store: Path, damage: str, read: Callable[[Path], object], named: str):
    """Run and case; the whole rest of the store stays readable."""
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(damage)

    with pytest.raises(StoreError, match=named) as caught:
        read(store)

    assert str(store) in str(caught.value) or "damaged" in str(caught.value)
    assert not list(store.parent.glob("*rows*"))  # no half of an export
    if "version" not in damage and "cases" not in damage:
        assert len(list(evals.load_run("old", store=store).rows)) == 3


def test_the_command_line_says_it_in_a_line(store: Path, capsys: pytest.CaptureFixture[str]):
    """No traceback."""
    with sqlite3.connect(store) as db:
        db.execute("UPDATE runs SET about = '{' WHERE run_id = 'new'")

    assert main(["runs", "--store", str(store)]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "run 'new'" in said


def test_a_page_that_is_damaged_is_the_stores_error(store: Path):
    """Bits that fell over inside the file."""
    whole = bytearray(store.read_bytes())
    for at in range(4096, len(whole), 4096):
        whole[at : at + 64] = b"\xff" * 64
    store.write_bytes(bytes(whole))

    with pytest.raises(StoreError, match=r"runs\.db"):
        whole_rows(store)
