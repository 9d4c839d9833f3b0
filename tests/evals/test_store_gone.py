"""A store that is deleted, replaced or broken in mid-run ends the run, by name; nothing passes unsaid."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals
from labkit.errors import StoreError, StoreGone
from labkit.evals.progress import Tally
from labkit.store.runs import RunStore


class After:
    """Does *act* once *n* cases are stored."""

    def __init__(self, n: int, act: Callable[[], object]) -> None:
        self._n, self._act = n, act

    def show(self, tally: Tally) -> None:
        if tally.done == self._n:
            self._act()


def evaluated(store: Path, progress: After, n: int = 40, **options: object) -> evals.EvalRun:
    cases = evals.Dataset([evals.Case(id=str(at), input={"text": str(at)}) for at in range(n)])
    return evals.evaluate(
        support_desk(lk.ScriptedModel(GOOD)), cases, store=store, run_id="mine", progress=progress, **options
    )  # type: ignore[call-overload, no-any-return]


def delete(store: Path) -> None:
    for each in store.parent.glob("runs.db*"):
        each.unlink()


def replace(store: Path) -> None:
    other = store.with_name("other.db")
    RunStore(other).close()
    os.replace(other, store)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("when", [3, 39, 40], ids=["early", "late", "last"])
@pytest.mark.parametrize(("act", "what"), [(delete, "deleted"), (replace, "replaced")])
def test_a_store_that_goes_away_ends_the_run(
    tmp_path: Path, act: Callable[[Path], None], what: str, when: int, concurrency: int
):
    """Not "40 of 40 passed" with nothing kept: the error names the run, the file and what became of it."""
    store = tmp_path / "runs.db"

    with pytest.raises(StoreGone, match=rf"run 'mine' stopped: .*{store} was {what} while it was in use"):
        evaluated(store, After(when, lambda: act(store)), concurrency=concurrency)

    assert store.exists() == (what == "replaced")  # a deleted one is not made anew, empty


def test_a_store_that_takes_no_more_ends_the_run_and_can_go_on(tmp_path: Path):
    """What was answered is there, and is not asked again."""
    store = tmp_path / "runs.db"

    def rename(old: str, new: str) -> None:
        with sqlite3.connect(store) as db:
            db.execute(f"ALTER TABLE {old} RENAME TO {new}")

    with pytest.raises(StoreError, match="run 'mine'") as caught:
        evaluated(store, After(5, lambda: rename("run_rows", "taken")), concurrency=1)
    rename("taken", "run_rows")

    assert any("5 of 40 cases are stored" in note for note in caught.value.__notes__)
    asked = lk.ScriptedModel(GOOD)
    cases = evals.Dataset([evals.Case(id=str(at), input={"text": str(at)}) for at in range(40)])
    run = evals.evaluate(support_desk(asked), cases, store=store, resume="mine", progress=False)
    assert len(run.rows) == 40 and len(asked.requests) == 35


def test_rows_of_a_store_that_is_gone_are_not_empty(tmp_path: Path):
    """A run that was loaded and is looked at later says what happened."""
    store = tmp_path / "runs.db"
    evaluated(store, After(0, lambda: None))
    run = evals.load_run("mine", store=store)
    delete(store)

    with pytest.raises(StoreError, match=r"runs\.db is not there"):
        run.rows[0]
    assert not store.exists()
