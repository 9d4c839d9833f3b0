"""Rows on their way into a store and back. What is read back is read when it is looked at: a page, not a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from labkit.call.fingerprint import digest
from labkit.call.instances import excluded_in
from labkit.call.result import Note, Result
from labkit.evals.case import Case
from labkit.evals.runs import Row
from labkit.evals.scorers.score import Score
from labkit.store.damage import UNREADABLE, damage
from labkit.store.facts import Fact
from labkit.store.units import PlannedUnit, StoredAnswer, StoredRow, StoredRun

if TYPE_CHECKING:
    from labkit.store.runs import RunStore

__all__ = ["StoredRows", "about_of", "planned", "rows_in", "stored"]

_RESULT: TypeAdapter[Result[Any]] = TypeAdapter(Result[Any])
_PAGE = 200


def planned(case: Case, shown: Case, repeats: int) -> list[PlannedUnit]:
    """Give the units of one case, which is kept as *shown*: with what is sensitive in it hidden."""
    data = shown.model_dump(mode="json")
    key, content = digest(data), json.dumps(data)  # ASCII: half a surrogate pair cannot be stored as UTF-8
    return [
        PlannedUnit(
            case_id=case.id, repeat=repeat, digest=key, content=content, case_hash=case.hash, tags=case.tags,
            cluster=case.cluster, weight=case.weight,
        )
        for repeat in range(repeats)
    ]  # fmt: skip


def stored(row: Row, fact: Fact, position: int, requests: int) -> StoredRow:
    """Give the row as a store keeps it; *fact* is the row in brief, *requests* were sent for it."""
    kept = _saying_what_is_left_out(row.result)
    try:
        result = _RESULT.dump_json(kept, fallback=repr, warnings=False).decode()
    except (PydanticSerializationError, UnicodeError):
        result = json.dumps(_RESULT.dump_python(kept, mode="json", fallback=repr, warnings=False))
    return StoredRow(
        position=position, status=fact.status, source=fact.source, passed=fact.passed, degraded=fact.degraded,
        schema_valid=fact.schema_valid, elapsed_s=fact.elapsed_s, cost_usd=fact.cost_usd, requests=requests,
        scores=json.dumps([list(grade) for grade in fact.scores]),
        answer=StoredAnswer(
            finished_at=row.finished_at, worker=row.worker, result=result,
            scores=json.dumps({name: _fields_of(score) for name, score in row.scores.items()}),
        ),
    )  # fmt: skip


def _saying_what_is_left_out(result: Result[Any]) -> Result[Any]:
    """Note which fields of the value its type keeps out of what it is dumped as: the stored row has them no more."""
    left_out = excluded_in(result.value)
    if not left_out:
        return result
    said = f"stored without {', '.join(left_out)}, which the output type excludes; scores saw the whole value"
    return dataclasses.replace(result, notes=(*result.notes, Note(step="record", message=said)))


_ABOUT: Mapping[str, type | tuple[type, ...]] = {
    "model": str, "fingerprint": str, "versions": dict, "dataset": str, "dataset_hash": str, "scorers": dict,
    "deadline_s": (int, float),
}  # fmt: skip


def about_of(run: StoredRun) -> Mapping[str, Any]:
    """Give what a heading says of its run.

    Raises:
        StoreError: It is damaged.
    """
    for name, kind in _ABOUT.items():
        if not isinstance(run.about.get(name), kind):
            raise damage(run.run_id, "its heading", f"{name} is {run.about.get(name)!r}")
    return run.about


def rows_in(store: RunStore, run_id: str, first: int = 0, most: int | None = None) -> Iterator[Row]:
    """Read rows of a run in the plan's order: of *most* positions from *first* on.

    Raises:
        StoreError: A row is damaged; the message names it.
    """
    for n, each in enumerate(store.answers(run_id, first, most)):
        try:
            row = _row_of(*each)
        except UNREADABLE as error:
            position = sorted(at for at in store.done(run_id) if at >= first)[n]
            case_id, repeat = store.units(run_id)[position]
            raise damage(run_id, f"case {case_id!r}, repeat {repeat}", error, where=store.url) from error
        yield row


def _row_of(repeat: int, content: str, answer: StoredAnswer) -> Row:
    """Give back a row; the value of its result is JSON data."""
    return Row(
        case=Case.model_validate(json.loads(content)),
        repeat=repeat,
        result=_RESULT.validate_python(json.loads(answer.result)),
        scores={name: Score(**score) for name, score in json.loads(answer.scores).items()},
        finished_at=answer.finished_at,
        worker=answer.worker,
    )


def _fields_of(score: Score) -> dict[str, Any]:
    # not dataclasses.asdict: it copies deeply, which for 100,000 rows is seconds
    return {"value": score.value, "passed": score.passed, "reason": score.reason, "cost_usd": score.cost_usd}


class StoredRows(Sequence[Row]):
    """The rows of a finished run, read from its store in pages as somebody looks at them."""

    def __init__(self, store: RunStore, run_id: str, n: int, *, is_own: bool) -> None:
        self._store, self._run_id, self._n, self._is_own = store, run_id, n, is_own
        self._page = lru_cache(maxsize=8)(self._read)

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(self._n))]
        if index < 0:
            index += self._n
        if not 0 <= index < self._n:
            raise IndexError(f"row {index} of {self._n}")
        return self._page(index // _PAGE)[index % _PAGE]

    def __iter__(self) -> Iterator[Row]:
        return (self[n] for n in range(self._n))

    def _read(self, page: int) -> list[Row]:
        first = page * _PAGE
        try:
            found = list(rows_in(self._store, self._run_id, first, _PAGE))
            if len(found) < min(_PAGE, self._n - first):
                said = f"only {len(found)} of its rows {first} to {min(first + _PAGE, self._n) - 1} are there"
                raise damage(self._run_id, "its answers", said, where=self._store.url)
            return found
        finally:
            if self._is_own:
                self._store.close()  # the next look opens it again: no connection stays behind
