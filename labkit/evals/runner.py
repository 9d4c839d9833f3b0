"""Ask a call every case of a dataset, score the answers, and keep each one as soon as it is there."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from labkit.call.bridge import run_sync
from labkit.call.guarded import GuardedCall
from labkit.call.record import now
from labkit.call.result import Result
from labkit.errors import StoreError
from labkit.evals.cases import Case, Dataset
from labkit.evals.progress import Progress, Tally, progress_for
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers import Score, Scorer, as_scorer, score_case, scorer_hash
from labkit.store.runs import PlannedUnit, RunStore, StoredRow, StoredRun

__all__ = ["aevaluate", "evaluate", "load_run"]

_RESULT: TypeAdapter[Result[Any]] = TypeAdapter(Result[Any])


def evaluate(
    call: GuardedCall[Any],
    dataset: Dataset,
    *,
    scorers: Sequence[Scorer | Callable[[Case, Result[Any]], Any]] = (),
    concurrency: int = 8,
    repeats: int = 1,
    store: str | RunStore | None = None,
    run_id: str | None = None,
    progress: bool | Progress | None = None,
) -> EvalRun:
    """Ask *call* every case and score the answers; rows are stored as they finish.

    Args:
        call: What is evaluated.
        dataset: What it is asked.
        scorers: Scorers, or functions of (case, result) that give a bool or a number in [0, 1].
        concurrency: Most calls in flight.
        repeats: Times each case is asked.
        store: A store or its URL; None: what LABKIT_STORE says, else ``labkit.db`` in the working directory.
        run_id: One of your own, which must be new; None makes one.
        progress: False shows none; a ``Progress`` of your own is used as it is.

    Raises:
        StoreError: The store cannot be used, or it holds *run_id* already.
        ValueError: concurrency or repeats below 1, or two scorers of the same name.
    """
    return run_sync(
        aevaluate(
            call,
            dataset,
            scorers=scorers,
            concurrency=concurrency,
            repeats=repeats,
            store=store,
            run_id=run_id,
            progress=progress_for(progress),
        )
    )


async def aevaluate(
    call: GuardedCall[Any],
    dataset: Dataset,
    *,
    scorers: Sequence[Scorer | Callable[[Case, Result[Any]], Any]] = (),
    concurrency: int = 8,
    repeats: int = 1,
    store: str | RunStore | None = None,
    run_id: str | None = None,
    progress: bool | Progress | None = None,
) -> EvalRun:
    """Like ``evaluate``, on the running loop."""
    if concurrency < 1 or repeats < 1:
        raise ValueError(f"concurrency={concurrency} and repeats={repeats} must be 1 or more")
    judges = [as_scorer(scorer) for scorer in scorers]
    hashes = {judge.name: scorer_hash(judge) for judge in judges}
    if len(hashes) < len(judges):
        raise ValueError("two scorers have the same name: rename one, their scores could not be told apart")
    shown = progress_for(progress)
    kept = store if isinstance(store, RunStore) else RunStore(store)
    heading = _heading(call, dataset, hashes, repeats, run_id)
    units = [(case, repeat) for case in dataset for repeat in range(repeats)]
    rows: dict[tuple[str, int], Row] = {}
    count = _Count(call.name, len(units))
    waiting = iter(units)

    async def work() -> None:
        for case, repeat in waiting:
            result = await call.acall(case.input)
            row = Row(
                case=case,
                repeat=repeat,
                result=result,
                scores={judge.name: score_case(judge, case, result) for judge in judges},
                finished_at=now(),
            )
            kept.add(heading.run_id, _stored(row))
            rows[case.id, repeat] = row
            shown.show(count.with_one_more(result))

    try:
        plan = [
            PlannedUnit(case_id=case.id, repeat=repeat, case=case.model_dump(mode="json")) for case, repeat in units
        ]
        kept.begin(heading, plan)
        # a fixed crew over one iterator: memory and tasks do not grow with the dataset
        async with asyncio.TaskGroup() as crew:
            for _ in range(min(concurrency, len(units))):
                crew.create_task(work())
        kept.finish(heading.run_id, count.elapsed_s())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # one worker's failure stopped the others; it is the news
    finally:
        if kept is not store:
            kept.close()
    return _run(replace(heading, elapsed_s=count.elapsed_s()), [rows[case.id, repeat] for case, repeat in units])


def load_run(run_id: str, *, store: str | RunStore | None = None) -> EvalRun:
    """Read a finished run back; values of its results are JSON data.

    Raises:
        StoreError: There is no such run, or it was not finished.
    """
    kept = store if isinstance(store, RunStore) else RunStore(store)
    try:
        heading, plan = kept.heading(run_id), kept.plan(run_id)
        found = {(row.case_id, row.repeat): row for row in kept.rows(run_id)}
    finally:
        if kept is not store:
            kept.close()
    missing = len(plan) - len(found)
    if missing:
        raise StoreError(f"run {run_id!r} was not finished: {missing} of {len(plan)} cases have no row; evaluate again")
    return _run(heading, [_read(unit, found[unit.case_id, unit.repeat]) for unit in plan])


def _heading(
    call: GuardedCall[Any], dataset: Dataset, scorers: dict[str, str], repeats: int, run_id: str | None
) -> StoredRun:
    started = datetime.now(UTC)
    return StoredRun(
        run_id=run_id or f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        call=call.name,
        started_at=started.isoformat(timespec="milliseconds"),
        about={
            "model": call.model,
            "fingerprint": call.fingerprint,
            "versions": dict(call.versions),
            "dataset": dataset.name,
            "dataset_hash": dataset.hash,
            "scorers": scorers,
            "deadline_s": call.policy.deadline_s,
            "repeats": repeats,
        },
    )


def _run(heading: StoredRun, rows: Sequence[Row]) -> EvalRun:
    about = heading.about
    return EvalRun(
        run_id=heading.run_id,
        call=heading.call,
        model=about["model"],
        fingerprint=about["fingerprint"],
        versions=about["versions"],
        dataset=about["dataset"],
        dataset_hash=about["dataset_hash"],
        scorers=about["scorers"],
        rows=rows,
        started_at=heading.started_at,
        elapsed_s=heading.elapsed_s or 0.0,
        deadline_s=about["deadline_s"],
    )


def _stored(row: Row) -> StoredRow:
    return StoredRow(
        case_id=row.case_id,
        repeat=row.repeat,
        finished_at=row.finished_at,
        status=row.status,
        result=_RESULT.dump_python(row.result, mode="json", fallback=repr, warnings=False),
        scores={name: asdict(score) for name, score in row.scores.items()},
    )


def _read(unit: PlannedUnit, stored: StoredRow) -> Row:
    return Row(
        case=Case.model_validate(unit.case),
        repeat=unit.repeat,
        result=_RESULT.validate_python(stored.result),
        scores={name: Score(**score) for name, score in stored.scores.items()},
        finished_at=stored.finished_at,
    )


class _Count:
    """Counts results as they come, so that a tally costs the same for the last case as for the first."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._began = time.perf_counter()
        self._done = self._fallbacks = self._errors = 0
        self._cost_usd: float | None = 0.0

    def with_one_more(self, result: Result[Any]) -> Tally:
        self._done += 1
        self._fallbacks += result.degraded and result.ok
        self._errors += not result.ok
        if self._cost_usd is not None:
            self._cost_usd = None if result.cost_usd is None else self._cost_usd + result.cost_usd
        return Tally(
            label=self._label,
            done=self._done,
            total=self._total,
            fallbacks=self._fallbacks,
            errors=self._errors,
            cost_usd=self._cost_usd,
            elapsed_s=self.elapsed_s(),
        )

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began
