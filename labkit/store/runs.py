"""Runs in a store: the plan is written first, each finished unit is one insert on a unique key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from labkit.call.record import now
from labkit.errors import StoreError, StoreGone
from labkit.store import schema
from labkit.store.batches import batches
from labkit.store.briefs import facts_in
from labkit.store.damage import Damaged, damage
from labkit.store.database import open_database
from labkit.store.exports import flat_row, write_rows
from labkit.store.facts import Fact, is_summary, summary_of
from labkit.store.journal import Journal
from labkit.store.reviews import Review
from labkit.store.sql import insert_postgresql, insert_sqlite, sa
from labkit.store.units import PlannedUnit, RequestStart, StoredAnswer, StoredRow, StoredRun

__all__ = ["RunStore"]


class RunStore:
    """Runs and baselines in one place.

    Args:
        place: ``sqlite:///runs.db`` (four slashes before an absolute path), a path, or a PostgreSQL URL; None: what
            LABKIT_STORE says, else ``labkit.db`` in the project's folder.
        reading: Nothing is written or made, so that the file may lie where it can only be read.
        content: "clear" lets evaluations keep what a call marks as sensitive in it; they hide it otherwise.

    Raises:
        StoreError: The store cannot be opened; see ``labkit.store.database.open_database``.
    """

    def __init__(
        self,
        place: str | PathLike[str] | None = None,
        *,
        reading: bool = False,
        content: Literal["hidden", "clear"] = "hidden",
    ) -> None:
        if content not in ("hidden", "clear"):
            raise StoreError(f"RunStore(content={content!r}): there are 'hidden' and 'clear'")
        self.content = content
        self._db = open_database(place, reading=reading)
        self.url = self._db.shown

    def begin(self, runs: Sequence[StoredRun], plan: Sequence[PlannedUnit]) -> None:
        """Write runs that share a plan, the arms of one evaluation, in one transaction.

        Raises:
            StoreError: A run id exists; nothing was written.
        """
        contents = {unit.digest: unit.content for unit in plan}
        try:
            with self._db.write() as connection:
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
        """Mark a run as finished now, with what it came to; *elapsed_s* is added to that of its earlier sessions.

        Raises:
            StoreGone: The store was deleted or replaced since it was opened, and the run with it.
        """
        try:
            summary = summary_of(self.facts(run_id))
            with self._db.write() as connection:
                connection.execute(_one(run_id).values(finished_at=now(), summary=summary))
                connection.execute(_one(run_id).values(elapsed_s=_longer(elapsed_s)))
        except StoreGone as gone:
            raise StoreGone(f"run {run_id!r} stopped: {gone}") from gone

    def pause(self, run_id: str, elapsed_s: float) -> None:
        """Keep the time that an unfinished session took."""
        with self._db.write() as connection:
            connection.execute(_one(run_id).values(elapsed_s=_longer(elapsed_s)))

    def heading(self, run_id: str) -> StoredRun:
        """Give a run's heading.

        Raises:
            StoreError: There is no such run; the message names the latest ones.
        """
        with self._db.read() as connection:
            found = connection.execute(sa.select(schema.runs).where(schema.runs.c.run_id == run_id)).mappings().first()
        if found is None:
            latest = ", ".join(run.run_id for run in self.headings(limit=3)) or "none"
            raise StoreError(f"{self.url} holds no run {run_id!r}; the latest are: {latest}")
        return self._run(found)

    def find(self, run_id: str) -> str:
        """Give the id of the run that *run_id* names: all of it, or its end as comparisons print it, "035004-39a14f".

        Raises:
            StoreError: There is no such run, or there are several; the message names them.
        """
        ids = schema.runs.c.run_id
        with self._db.read() as connection:
            if connection.execute(sa.select(ids).where(ids == run_id)).scalar() is not None:
                return run_id
            ends = sa.select(ids).where(ids.endswith(f"-{run_id}", autoescape=True)).order_by(ids.desc())
            found: list[str] = list(connection.execute(ends).scalars()) if run_id else []
        if not found:
            return self.heading(run_id).run_id  # which says that there is none
        if len(found) > 1:
            raise StoreError(f"{self.url} holds {len(found)} runs {run_id!r}: give one of {', '.join(found[:10])}")
        return found[0]

    def headings(self, *, call: str | None = None, limit: int | None = None) -> list[StoredRun]:
        """Give the headings of runs, latest first."""
        query = sa.select(schema.runs).order_by(schema.runs.c.started_at.desc(), schema.runs.c.run_id).limit(limit)
        if call is not None:
            query = query.where(schema.runs.c.call == call)
        with self._db.read() as connection:
            return [self._run(found) for found in connection.execute(query).mappings()]

    def units(self, run_id: str) -> list[tuple[str, int]]:
        """Give case id and repeat of each planned unit, in order."""
        query = sa.select(schema.plan.c.case_id, schema.plan.c.repeat)
        with self._db.read() as connection:
            found = connection.execute(query.where(schema.plan.c.run_id == run_id).order_by(schema.plan.c.position))
            return [(case_id, repeat) for case_id, repeat in found]

    def done(self, run_id: str) -> set[int]:
        """Give the positions of the units that have a row."""
        with self._db.read() as connection:
            found = connection.execute(sa.select(schema.rows.c.position).where(schema.rows.c.run_id == run_id))
            return set(found.scalars())

    def unaccounted(self, run_id: str) -> int:
        """Give how many requests a run was about to send that no row tells of: a crash or an interrupt cut them off."""
        s, r = schema.starts.c, schema.rows.c
        started = sa.select(sa.func.count()).where(s.run_id == run_id).select_from(schema.starts)
        told = sa.select(sa.func.coalesce(sa.func.sum(r.requests), 0)).where(r.run_id == run_id)
        with self._db.read() as connection:
            return int(connection.execute(started).scalar_one()) - int(connection.execute(told).scalar_one())

    def facts(self, run_id: str) -> list[Fact]:
        """Give each finished unit in brief, in the plan's order."""
        with self._db.read() as connection:
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
        with self._db.read() as connection:
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
        with self._db.write() as connection:
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
        with self._db.read() as connection:
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
        with self._db.write() as connection:
            values = {name: getattr(review, name) for name in Review.__dataclass_fields__}
            connection.execute(schema.reviews.insert().values(values))

    def reviews(self, run_id: str) -> list[Review]:
        """Give every review of a run, in order; ``labkit.store.reviews.standing`` leaves the superseded ones out."""
        query = sa.select(schema.reviews).where(schema.reviews.c.run_id == run_id)
        query = query.order_by(schema.reviews.c.at, schema.reviews.c.review_id)
        with self._db.read() as connection:
            found = list(connection.execute(query).mappings())
        for review in found:
            if isinstance(review["expected"], Damaged):
                raise damage(run_id, f"review {review['review_id']!r}", review["expected"].why, where=self.url)
        return [Review(**each) for each in found]

    def export(self, run_id: str, path: str | Path) -> Path:
        """Write a run's rows to *path*, one a line, as JSON Lines (.jsonl) or Parquet (.parquet).

        Columns: those of ``Fact``, with the case, result and scores as JSON (text in Parquet).

        Raises:
            StoreError: There is no such run, or the path ends in neither.
        """
        run = self.heading(run_id)
        about = {"run_id": run.run_id, "call": run.call}
        facts, answers = self.facts(run_id), self.answers(run_id)
        try:
            return write_rows(Path(path), (flat_row(about, *each) for each in zip(facts, answers, strict=True)))
        except ValueError as error:  # answers are missing, or a column holds what it should not
            raise damage(run_id, "its answers", error, where=self.url) from error

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, found: Any) -> StoredRun:
        """Give a heading, as whoever reads it may count on it."""
        about, summary = found["about"], found["summary"]
        if isinstance(about, Damaged) or not isinstance(about, dict):
            raise damage(found["run_id"], "its heading", getattr(about, "why", f"{about!r}"), where=self.url)
        if isinstance(summary, Damaged) or not _fits(summary, found["finished_at"]):
            raise damage(found["run_id"], "its summary", getattr(summary, "why", f"{summary!r}"), where=self.url)
        return StoredRun(**found)

    def _write(self, run_id: str, rows: Sequence[StoredRow], starts: Sequence[Mapping[str, Any]]) -> None:
        with self._db.write() as connection:
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
        "requests": row.requests, "scores": row.scores,
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
    insert = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    return insert(table).on_conflict_do_nothing()


def _fits(summary: Any, finished_at: str | None) -> bool:
    return is_summary(summary) if summary is not None else finished_at is None
