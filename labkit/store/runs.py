"""Runs in a store: the plan is written first, each finished unit is one insert on a unique key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from labkit.call.record import now
from labkit.errors import StoreError
from labkit.store import schema
from labkit.store.database import open_engine

__all__ = ["PlannedUnit", "RunStore", "StoredRow", "StoredRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """One case and repeat that a run will answer; *case* is JSON data."""

    case_id: str
    repeat: int
    case: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """One finished unit; *result* and *scores* are JSON data."""

    case_id: str
    repeat: int
    finished_at: str
    status: str
    result: Mapping[str, Any]
    scores: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run's heading; *about* is JSON data, the writer's own. Not finished: *finished_at* and *elapsed_s* are None."""

    run_id: str
    call: str
    started_at: str
    about: Mapping[str, Any]
    finished_at: str | None = None
    elapsed_s: float | None = None


class RunStore:
    """Runs and baselines at one URL.

    Raises:
        StoreError: The store cannot be opened; see ``open_engine``.
    """

    def __init__(self, url: str | None = None) -> None:
        self._engine = open_engine(url)
        self.url = self._engine.url.render_as_string(hide_password=True)

    def begin(self, run: StoredRun, plan: Sequence[PlannedUnit]) -> None:
        """Write a run and its plan.

        Raises:
            StoreError: The run id exists.
        """
        units = [
            {"run_id": run.run_id, "case_id": u.case_id, "repeat": u.repeat, "position": n, "case": dict(u.case)}
            for n, u in enumerate(plan)
        ]
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    schema.runs.insert().values(
                        run_id=run.run_id, call=run.call, started_at=run.started_at, about=dict(run.about)
                    )
                )
                connection.execute(schema.plan.insert(), units)
        except sa.exc.IntegrityError as error:
            raise StoreError(f"{self.url} already holds a run {run.run_id!r}: give another run_id, or none") from error

    def add(self, run_id: str, row: StoredRow) -> None:
        """Write one finished unit; a unit that is already there stays as it was."""
        fields = {
            "run_id": run_id, "case_id": row.case_id, "repeat": row.repeat, "finished_at": row.finished_at,
            "status": row.status, "result": dict(row.result), "scores": dict(row.scores),
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(_insert_once(connection, schema.rows).values(fields))

    def finish(self, run_id: str, elapsed_s: float) -> None:
        """Mark a run as finished now."""
        with self._engine.begin() as connection:
            connection.execute(
                schema.runs.update()
                .where(schema.runs.c.run_id == run_id)
                .values(finished_at=now(), elapsed_s=elapsed_s)
            )

    def heading(self, run_id: str) -> StoredRun:
        """Give a run's heading.

        Raises:
            StoreError: There is no such run; the message names the latest ones.
        """
        with self._engine.connect() as connection:
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
        with self._engine.connect() as connection:
            return [StoredRun(**found) for found in connection.execute(query).mappings()]

    def plan(self, run_id: str) -> list[PlannedUnit]:
        """Give a run's plan in order."""
        query = sa.select(schema.plan).where(schema.plan.c.run_id == run_id).order_by(schema.plan.c.position)
        with self._engine.connect() as connection:
            return [
                PlannedUnit(case_id=found["case_id"], repeat=found["repeat"], case=found["case"])
                for found in connection.execute(query).mappings()
            ]

    def rows(self, run_id: str) -> list[StoredRow]:
        """Give a run's finished units, in no particular order."""
        wanted = [column for column in schema.rows.c if column.name != "run_id"]
        query = sa.select(*wanted).where(schema.rows.c.run_id == run_id)
        with self._engine.connect() as connection:
            return [StoredRow(**found) for found in connection.execute(query).mappings()]

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
        with self._engine.connect() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def close(self) -> None:
        self._engine.dispose()


def _insert_once(connection: sa.Connection, table: sa.Table) -> Any:
    """An insert that leaves a row with the same key alone; both databases write it the same way."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return insert_postgresql(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return insert_sqlite(table).on_conflict_do_nothing()
