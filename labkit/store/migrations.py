"""Bringing the tables of an older labkit up to date, inside the one transaction that opens the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from labkit.call.fingerprint import digest
from labkit.errors import StoreError
from labkit.store import schema
from labkit.store.briefs import facts_in
from labkit.store.damage import UNREADABLE, Damaged, damage, data
from labkit.store.facts import summary_of
from labkit.store.sql import sa

__all__ = ["MIGRATIONS"]

_BATCH = 1_000


def _from_1_to_2(connection: sa.Connection) -> None:
    """Units are known by their place in the plan; cases are kept once; facts and whole results stand apart."""
    old = sa.MetaData()
    plan, rows = (sa.Table(name, old, autoload_with=connection, resolve_fks=False) for name in ("plan", "rows"))
    connection.execute(sa.text("ALTER TABLE runs ADD COLUMN summary JSON"))
    for table in (schema.cases, schema.plan, schema.rows, schema.answers):
        table.create(connection)
    known: set[str] = set()
    for batch in _batches(connection.execute(sa.select(plan).order_by(plan.c.run_id, plan.c.position)).mappings()):
        contents = {}
        units = []
        for unit in batch:
            case = _data(unit, "case")
            if not isinstance(case, dict):
                raise _damage(unit, "case", f"{case!r}")
            text = json.dumps(case)
            key = digest(case)
            contents[key] = text
            units.append(
                {
                    "run_id": unit["run_id"], "position": unit["position"], "case_id": unit["case_id"],
                    "repeat": unit["repeat"], "digest": key,
                    "case_hash": digest([case.get("input"), case.get("expected")]),
                    "tags": json.dumps(case.get("tags", [])), "cluster": None, "weight": 1.0,
                }
            )  # fmt: skip
        new = [{"digest": key, "content": text} for key, text in contents.items() if key not in known]
        known |= contents.keys()
        if new:
            connection.execute(schema.cases.insert(), new)
        connection.execute(schema.plan.insert(), units)
    joined = rows.join(
        plan,
        sa.and_(rows.c.run_id == plan.c.run_id, rows.c.case_id == plan.c.case_id, rows.c.repeat == plan.c.repeat),
    )
    for batch in _batches(connection.execute(sa.select(rows, plan.c.position).select_from(joined)).mappings()):
        connection.execute(schema.rows.insert(), [_facts_of_1(row) for row in batch])
        connection.execute(
            schema.answers.insert(),
            [
                {
                    "run_id": row["run_id"], "position": row["position"], "finished_at": row["finished_at"],
                    "worker": "", "result": json.dumps(_data(row, "result")),
                    "scores": json.dumps(_data(row, "scores")),
                }
                for row in batch
            ],
        )  # fmt: skip
    rows.drop(connection)
    plan.drop(connection)


def _from_2_to_3(connection: sa.Connection) -> None:
    """What comparisons need of scores stands with the other facts."""
    if "scores" not in {column["name"] for column in sa.inspect(connection).get_columns("run_rows")}:
        connection.execute(sa.text("ALTER TABLE run_rows ADD COLUMN scores TEXT"))
    a, r = schema.answers.c, schema.rows.c
    set_scores = schema.rows.update().where(
        r.run_id == sa.bindparam("of_run"), r.position == sa.bindparam("at")
    ).values(scores=sa.bindparam("found"), passed=sa.bindparam("verdict"))  # fmt: skip
    runs = connection.execute(sa.select(schema.runs.c.run_id)).scalars().all()
    for run_id in runs:
        answers = connection.execute(sa.select(a.position, a.scores).where(a.run_id == run_id)).all()
        new = [{"of_run": run_id, "at": at, **_brief(run_id, at, text)} for at, text in answers]
        for start in range(0, len(new), _BATCH):
            connection.execute(set_scores, new[start : start + _BATCH])
    _summarized(connection)


def _summarized(connection: sa.Connection) -> None:
    finished = sa.select(schema.runs.c.run_id).where(schema.runs.c.finished_at.is_not(None))
    for run_id in connection.execute(finished).scalars().all():
        summary = summary_of(facts_in(connection, run_id))
        connection.execute(schema.runs.update().where(schema.runs.c.run_id == run_id).values(summary=summary))


def _brief(run_id: str, position: int, text: Any) -> dict[str, Any]:
    """What a row has of its scores, and whether it passed: not known where a scorer could not tell."""
    scores = data(text)
    try:
        found = [[name, each["value"], each["passed"], each.get("cost_usd", 0.0)] for name, each in scores.items()]
        is_judged = bool(found) and all(passed is not None for _, _, passed, _ in found)
        return {"found": json.dumps(found), "verdict": int(all(each[2] for each in found)) if is_judged else None}
    except UNREADABLE as error:
        raise damage(run_id, f"position {position}, scores", error) from error


def _facts_of_1(row: Any) -> dict[str, Any]:
    result, scores = _data(row, "result"), _data(row, "scores")
    try:
        verdicts = [score.get("passed") for score in scores.values()]
        broken = any(each.get("outcome") in ("parse", "schema", "truncated") for each in result.get("attempts", ()))
        return {
            "run_id": row["run_id"], "position": row["position"], "status": row["status"], "source": result["source"],
            "passed": None if not verdicts or None in verdicts else int(all(verdicts)),
            "degraded": int(result.get("reason") is not None), "schema_valid": int(not broken),
            "elapsed_s": result["elapsed_s"], "cost_usd": result.get("cost_usd"),
            "requests": 0,  # version 1 did not write starts down
        }  # fmt: skip
    except UNREADABLE as error:
        raise _damage(row, "result", error) from error


def _data(row: Any, column: str) -> Any:
    found = row[column]
    found = data(found) if isinstance(found, str) else found
    if isinstance(found, Damaged):
        raise _damage(row, column, found.why)
    return found


def _damage(row: Any, column: str, why: BaseException | str) -> StoreError:
    return damage(row["run_id"], f"case {row['case_id']!r}, repeat {row['repeat']}, {column}", why)


def _batches(found: Any) -> Iterator[list[Any]]:
    while batch := found.fetchmany(_BATCH):
        yield batch


MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _from_1_to_2, 2: _from_2_to_3}
"""By the version they start from; each leads to the next one."""
