"""Runs in a store: the plan is written first, each finished unit is one insert on a unique key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from labkit.call.record import now
from labkit.errors import StoreError
from labkit.store import schema
from labkit.store.batches import batches
from labkit.store.database import open_engine
from labkit.store.exports import flat_row, write_rows
from labkit.store.facts import Fact, facts_in, summary_of
from labkit.store.journal import Journal
from labkit.store.reviews import Review, add_review, reviews_in

__all__ = ["PlannedUnit", "RequestStart", "RunStore", "StoredAnswer", "StoredRow", "StoredRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """One case and repeat that a run will answer.

    Args:
        digest: Of *content*; runs with equal content share it in the store.
        content: The case as JSON text.
    """

    case_id: str
    repeat: int
    digest: str
    content: str
    case_hash: str
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStart:
    """A request of a unit that is about to be sent; *n* counts within a session of the run."""

    position: int
    session: str
    n: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A unit's whole answer; *result* and *scores* are JSON text."""

    finished_at: str
    worker: str
    result: str
    scores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """One finished unit: its place in the plan, what comparisons need of it, and the whole answer.

    Args:
        requests: Sent for it in the session that finished it, also those whose answers were not kept.
    """

    position: int
    status: str
    source: str
    passed: bool | None
    degraded: bool
    schema_valid: bool
    elapsed_s: float
    cost_usd: float | None
    requests: int
    answer: StoredAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run's heading.

    Args:
        about: JSON data, the writer's own.
        finished_at: None while it is not finished.
        elapsed_s: Over its sessions that ended in order.
        summary: See ``labkit.store.facts.summary_of``; None while it is not finished.
    """

    run_id: str
    call: str
    started_at: str
    about: Mapping[str, Any]
    finished_at: str | None = None
    elapsed_s: float | None = None
    summary: Mapping[str, Any] | None = None


class RunStore:
    """Runs and baselines at one URL.

    Raises:
        StoreError: The store cannot be opened; see ``open_engine``.
    """

    def __init__(self, url: str | None = None) -> None:
        self._engine = open_engine(url)
        self._reader = self._engine.execution_options(reads=True)
        self.url = self._engine.url.render_as_string(hide_password=True)

    def begin(self, runs: Sequence[StoredRun], plan: Sequence[PlannedUnit]) -> None:
        """Write runs that share a plan, the arms of one evaluation, in one transaction.

        Raises:
            StoreError: A run id exists; nothing was written.
        """
        contents = {unit.digest: unit.content for unit in plan}
        try:
            with self._engine.begin() as connection:
                for batch in batches({"digest": key, "content": text} for key, text in contents.items()):
                    connection.execute(_insert_once(connection, schema.cases), batch)
                for run in runs:
                    heading = {"run_id": run.run_id, "call": run.call, "started_at": run.started_at}
                    connection.execute(schema.runs.insert().values(**heading, about=dict(run.about)))
                    for batch in batches(_unit(run.run_id, position, unit) for position, unit in enumerate(plan)):
                        connection.execute(schema.plan.insert(), batch)
        except sa.exc.IntegrityError as error:
            known = {heading.run_id for heading in self.headings()}
            taken = next((run for run in runs if run.run_id in known), runs[0])
            raise StoreError(
                f"{self.url} already holds a run {taken.run_id!r}: give another run_id or none, or go on with "
                f"evaluate(..., resume={taken.about.get('group', taken.run_id)!r})"
            ) from error

    def journal(self, run_id: str) -> Journal:
        """Open a journal for a run that goes on: entries ("start", RequestStart) and ("row", StoredRow)."""

        def write(entries: Sequence[tuple[str, Any]]) -> None:
            starts = [_start(run_id, entry) for kind, entry in entries if kind == "start"]
            self._write(run_id, [entry for kind, entry in entries if kind == "row"], starts)

        return Journal(write)

    def add(self, run_id: str, rows: Sequence[StoredRow]) -> None:
        """Write finished units in one transaction; a unit that is already there stays as it was."""
        self._write(run_id, rows, [])

    def finish(self, run_id: str, elapsed_s: float) -> None:
        """Mark a run as finished now, with what it came to; *elapsed_s* is added to that of its earlier sessions."""
        summary = summary_of(self.facts(run_id))
        with self._engine.begin() as connection:
            connection.execute(_one(run_id).values(finished_at=now(), summary=summary))
            connection.execute(_one(run_id).values(elapsed_s=_longer(elapsed_s)))

    def pause(self, run_id: str, elapsed_s: float) -> None:
        """Keep the time that an unfinished session took."""
        with self._engine.begin() as connection:
            connection.execute(_one(run_id).values(elapsed_s=_longer(elapsed_s)))

    def heading(self, run_id: str) -> StoredRun:
        """Give a run's heading.

        Raises:
            StoreError: There is no such run; the message names the latest ones.
        """
        with self._reader.connect() as connection:
            found = connection.execute(sa.select(schema.runs).where(schema.runs.c.run_id == run_id)).mappings().first()
        if found is None:
            latest = ", ".join(run.run_id for run in self.headings(limit=3)) or "none"
            raise StoreError(f"{self.url} holds no run {run_id!r}; the latest are: {latest}")
        return StoredRun(**found)

    def headings(self, *, call: str | None = None, limit: int | None = None) -> list[StoredRun]:
        """Give the headings of runs, latest first."""
        query = sa.select(schema.runs).order_by(schema.runs.c.started_at.desc(), schema.runs.c.run_id).limit(limit)
        if call is not None:
            query = query.where(schema.runs.c.call == call)
        with self._reader.connect() as connection:
            return [StoredRun(**found) for found in connection.execute(query).mappings()]

    def units(self, run_id: str) -> list[tuple[str, int]]:
        """Give case id and repeat of each planned unit, in order."""
        query = sa.select(schema.plan.c.case_id, schema.plan.c.repeat)
        with self._reader.connect() as connection:
            found = connection.execute(query.where(schema.plan.c.run_id == run_id).order_by(schema.plan.c.position))
            return [(case_id, repeat) for case_id, repeat in found]

    def done(self, run_id: str) -> set[int]:
        """Give the positions of the units that have a row."""
        with self._reader.connect() as connection:
            found = connection.execute(sa.select(schema.rows.c.position).where(schema.rows.c.run_id == run_id))
            return set(found.scalars())

    def unaccounted(self, run_id: str) -> int:
        """Give how many requests a run was about to send that no row tells of: a crash or an interrupt cut them off."""
        s, r = schema.starts.c, schema.rows.c
        started = sa.select(sa.func.count()).where(s.run_id == run_id).select_from(schema.starts)
        told = sa.select(sa.func.coalesce(sa.func.sum(r.requests), 0)).where(r.run_id == run_id)
        with self._reader.connect() as connection:
            return int(connection.execute(started).scalar_one()) - int(connection.execute(told).scalar_one())

    def facts(self, run_id: str) -> list[Fact]:
        """Give each finished unit in brief, in the plan's order."""
        with self._reader.connect() as connection:
            return facts_in(connection, run_id)

    def answers(self, run_id: str, first: int = 0, most: int | None = None) -> Iterator[tuple[int, str, StoredAnswer]]:
        """Give repeat, case content and answer of finished units in order: of *most* positions from *first* on."""
        p, a = schema.plan.c, schema.answers.c
        query = (
            sa.select(p.repeat, schema.cases.c.content, a.finished_at, a.worker, a.result, a.scores)
            .select_from(schema.answers)
            .join(schema.plan, (p.run_id == a.run_id) & (p.position == a.position))
            .join(schema.cases, schema.cases.c.digest == p.digest)
            .where(a.run_id == run_id, a.position >= first)
            .order_by(a.position)
        )
        if most is not None:
            query = query.where(a.position < first + most)
        with self._reader.connect() as connection:
            for repeat, content, finished_at, worker, result, scores in connection.execute(query):
                answer = StoredAnswer(finished_at=finished_at, worker=worker, result=result, scores=scores)
                yield repeat, content, answer

    def bless(self, run_id: str) -> None:
        """Make a run the baseline of its call from now on; the earlier ones stay on record.

        Raises:
            StoreError: There is no such run, or it is not finished.
        """
        run = self.heading(run_id)
        if run.finished_at is None:
            raise StoreError(f"run {run_id!r} is not finished: only a whole run can be a baseline")
        with self._engine.begin() as connection:
            connection.execute(
                _insert_once(connection, schema.baselines).values(call=run.call, blessed_at=now(), run_id=run_id)
            )

    def baseline(self, call: str) -> str | None:
        """Give the run id of a call's baseline, None when none was blessed."""
        query = (
            sa.select(schema.baselines.c.run_id)
            .where(schema.baselines.c.call == call)
            .order_by(schema.baselines.c.blessed_at.desc())
            .limit(1)
        )
        with self._reader.connect() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def review(self, review: Review) -> None:
        """Write what somebody said of an answer.

        Raises:
            StoreError: There is no such run, or it has no such case; or the superseded review is none of the run's.
        """
        if (review.case_id, review.repeat) not in self.units(review.run_id):
            self.heading(review.run_id)  # an unknown run is named as such
            raise StoreError(f"run {review.run_id!r} has no case {review.case_id!r}, repeat {review.repeat}")
        known = {each.review_id for each in self.reviews(review.run_id)}
        if review.supersedes is not None and review.supersedes not in known:
            raise StoreError(f"run {review.run_id!r} has no review {review.supersedes!r} to supersede")
        with self._engine.begin() as connection:
            add_review(connection, review)

    def reviews(self, run_id: str) -> list[Review]:
        """Give every review of a run, in order; ``labkit.store.reviews.standing`` leaves the superseded ones out."""
        with self._reader.connect() as connection:
            return reviews_in(connection, run_id)

    def export(self, run_id: str, path: str | Path) -> Path:
        """Write a run's rows to *path*, one a line, as JSON Lines (.jsonl) or Parquet (.parquet).

        Columns: those of ``Fact``, with the case, result and scores as JSON (text in Parquet).

        Raises:
            StoreError: There is no such run, or the path ends in neither.
        """
        run = self.heading(run_id)
        about = {"run_id": run.run_id, "call": run.call}
        facts, answers = self.facts(run_id), self.answers(run_id)
        return write_rows(Path(path), (flat_row(about, *each) for each in zip(facts, answers, strict=True)))

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, run_id: str, rows: Sequence[StoredRow], starts: Sequence[Mapping[str, Any]]) -> None:
        with self._engine.begin() as connection:
            if starts:
                connection.execute(_insert_once(connection, schema.starts), list(starts))
            for batch in batches(rows):
                connection.execute(_insert_once(connection, schema.rows), [_row(run_id, row) for row in batch])
                connection.execute(_insert_once(connection, schema.answers), [_answer(run_id, row) for row in batch])


def _unit(run_id: str, position: int, unit: PlannedUnit) -> dict[str, Any]:
    return {
        "run_id": run_id, "position": position, "case_id": unit.case_id, "repeat": unit.repeat, "digest": unit.digest,
        "case_hash": unit.case_hash, "tags": json.dumps(unit.tags), "cluster": unit.cluster, "weight": unit.weight,
    }  # fmt: skip


def _start(run_id: str, start: RequestStart) -> dict[str, Any]:
    return {
        "run_id": run_id, "position": start.position, "session": start.session, "n": start.n, "started_at": now(),
        "model": start.model,
    }  # fmt: skip


def _row(run_id: str, row: StoredRow) -> dict[str, Any]:
    return {
        "run_id": run_id, "position": row.position, "status": row.status, "source": row.source,
        "passed": None if row.passed is None else int(row.passed), "degraded": int(row.degraded),
        "schema_valid": int(row.schema_valid), "elapsed_s": row.elapsed_s, "cost_usd": row.cost_usd,
        "requests": row.requests,
    }  # fmt: skip


def _answer(run_id: str, row: StoredRow) -> dict[str, Any]:
    return {
        "run_id": run_id, "position": row.position, "finished_at": row.answer.finished_at,
        "worker": row.answer.worker, "result": row.answer.result, "scores": row.answer.scores,
    }  # fmt: skip


def _one(run_id: str) -> sa.Update:
    return schema.runs.update().where(schema.runs.c.run_id == run_id)


def _longer(elapsed_s: float) -> Any:
    return sa.func.coalesce(schema.runs.c.elapsed_s, 0.0) + elapsed_s


def _insert_once(connection: sa.Connection, table: sa.Table) -> Any:
    """An insert that leaves a row with the same key alone; both databases write it the same way."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return insert_postgresql(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return insert_sqlite(table).on_conflict_do_nothing()
