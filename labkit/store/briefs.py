"""Rows in brief, read from a store: 100,000 of them while somebody waits for a comparison."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from labkit.errors import StoreError
from labkit.store import schema
from labkit.store.damage import UNREADABLE, damage, data
from labkit.store.facts import Fact, Grade
from labkit.store.sql import sa

__all__ = ["facts_in"]


def facts_in(connection: sa.Connection, run_id: str) -> list[Fact]:
    """Read each finished unit of a run in brief, in the plan's order.

    Raises:
        StoreError: A row is damaged; the message names it.
    """
    p, r = schema.plan.c, schema.rows.c
    query = (
        sa.select(
            p.case_id, p.repeat, p.case_hash, p.tags, p.cluster, p.weight, r.status, r.source, r.passed,
            r.degraded, r.schema_valid, r.elapsed_s, r.cost_usd, r.scores,
        )
        .select_from(schema.rows)
        .join(schema.plan, (p.run_id == r.run_id) & (p.position == r.position))
        .where(r.run_id == run_id)
        .order_by(r.position)
    )  # fmt: skip
    with _no_collection():
        found = connection.execute(query).fetchall()
        if not _has_kinds(found):
            raise next(_faults(run_id, found))
        tags, grades = _TagsOf(), _GradesOf()
        try:
            return [
                Fact(
                    case_id, repeat, case_hash, tags[text], cluster, weight, status, source,
                    None if passed is None else passed == 1, degraded == 1, valid == 1, elapsed_s, cost_usd,
                    grades[scores],
                )
                for case_id, repeat, case_hash, text, cluster, weight, status, source, passed, degraded, valid,
                elapsed_s, cost_usd, scores in found
            ]  # fmt: skip
        except UNREADABLE:
            raise next(_faults(run_id, found)) from None


_KINDS: Mapping[str, tuple[type, ...]] = {
    "case_id": (str,), "tags": (str,), "weight": (float, int), "status": (str,), "source": (str,),
    "elapsed_s": (float, int), "cost_usd": (float, int, type(None)),
}  # fmt: skip


def _has_kinds(found: Sequence[Any]) -> bool:
    """SQLite keeps whatever it is given in any column. Column by column: 20 ms for 100,000 rows."""
    return all(
        {type(row[at]) for row in found} <= set(_KINDS[name])
        for at, name in enumerate(found[0]._fields if found else ())
        if name in _KINDS
    )


def _faults(run_id: str, found: Sequence[Any]) -> Iterator[StoreError]:
    for row in found:
        what = f"case {row.case_id!r}, repeat {row.repeat}"
        for name, kinds in _KINDS.items():
            if type(value := getattr(row, name)) not in kinds:
                yield damage(run_id, what, f"{name} is {value!r}")
        if not isinstance(tags := data(row.tags), list) or not all(isinstance(tag, str) for tag in tags):
            yield damage(run_id, what, f"tags are {row.tags!r}")
        try:
            _GradesOf()[row.scores]
        except UNREADABLE:
            yield damage(run_id, what, f"scores are {row.scores!r}")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector: it would walk the growing list again and again, a third of the time, for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _GradesOf(dict[str | None, tuple[Grade, ...]]):
    """Scores by their JSON text: yes or no by a few scorers has few different texts."""

    def __missing__(self, text: str | None) -> tuple[Grade, ...]:
        found = [] if text is None else json.loads(text)
        grades = tuple(
            Grade(sys.intern(name), _number(value), None if passed is None else bool(passed), _number(cost))
            for name, value, passed, cost in found
        )
        self[text] = grades
        return grades


def _number(value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ValueError(value)
    return value


class _TagsOf(dict[str, tuple[str, ...]]):
    """Tags by their JSON text: a dataset has few different sets of them."""

    def __missing__(self, text: str) -> tuple[str, ...]:
        tags = json.loads(text)
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ValueError(text)
        self[text] = tuple(tags)
        return self[text]
