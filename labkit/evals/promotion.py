"""What was asked in production, or in an evaluation, as cases."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.call.fingerprint import canonical_json
from labkit.call.guarded import GuardedCall
from labkit.call.record import CallRecord
from labkit.call.redaction import HIDDEN
from labkit.call.result import Reason
from labkit.errors import DatasetInvalid
from labkit.evals.case import Case
from labkit.evals.formats.entry import Entry, Fault
from labkit.evals.formats.json_lines import read_json_lines
from labkit.evals.runs import Row

__all__ = ["promoted"]

_HIDDEN_INPUT = "with a sensitive input that is hidden"

_log = logging.getLogger("labkit.evals")


class _Reason(BaseModel):
    step: str
    outcome: str
    message: str = ""


class _Recorded(BaseModel):
    """What is read of a record; it may come from another version of labkit, so the rest is left alone."""

    model_config = ConfigDict(extra="ignore")

    call: str
    call_id: str = Field(min_length=1)
    source: str
    outcome: str
    content: bool = False
    input: dict[str, Any] | None = None
    reason: _Reason | None = None


def promoted(
    records: str | Path | Iterable[Any],
    faults: list[Fault],
    *,
    call: GuardedCall[Any] | None,
    tags: tuple[str, ...],
    reviews: Mapping[str, Any],
    skip: bool,
) -> list[Entry]:
    """Give an entry in the words of ``Case`` for each thing that was asked; see ``Dataset.from_records``.

    Raises:
        DatasetInvalid: Records without their input (unless *skip*), none of this call, or reviews of strangers.
    """
    found: list[tuple[Entry, Case]] = []
    without: dict[str, int] = {}
    strangers: dict[str, int] = {}
    for entry, given, review in _given(records, faults):
        if isinstance(given, Row):
            if given.result.is_hidden and HIDDEN in canonical_json(given.case.input):
                without[_HIDDEN_INPUT] = without.get(_HIDDEN_INPUT, 0) + 1
                continue
            case = _of_row(given)
        else:
            try:
                record = _Recorded.model_validate(given)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                path = ".".join(map(str, fault["loc"])) or "it"
                faults.append((entry.number, f"{entry.where}: not a call record: {path}: {fault['msg']}"))
                continue
            if call is not None and record.call != call.name:
                strangers[record.call] = strangers.get(record.call, 0) + 1
                continue
            if why := _lost(record):
                without[why] = without.get(why, 0) + 1
                continue
            case = _of_record(record)
        update = {"tags": tuple(dict.fromkeys((*case.tags, *tags)))}
        found.append((entry, case.model_copy(update=update | _expected(case.id, review, reviews))))
    if without:
        said = ", ".join(f"{count} {why}" for why, count in without.items())
        total = sum(without.values())
        if not skip or not found:
            raise DatasetInvalid(
                f"{total} of {total + len(found)} records cannot become cases: {said}. "
                "Policy(record_content=True) records inputs; what was not recorded cannot be brought back"
                + ("" if skip else ": leave those records out, or pass without_input='skip'")
            )
        _log.warning("%d of %d records are left out of the cases: %s", total, total + len(found), said)
    if strangers and not found and call is not None and not faults:
        raise DatasetInvalid(
            f"no record is of call {call.name!r}, they are of {', '.join(map(repr, sorted(strangers)))}: "
            "give that call, or none"
        )
    if unknown := sorted(reviews.keys() - {case.id for _, case in found}):
        raise DatasetInvalid(
            f"{len(unknown)} reviews, the first of {unknown[0]!r}, are of nothing in these records: "
            "give the records with these ids, or remove the reviews"
        )
    return list(_without_repeats(found))


def _given(records: str | Path | Iterable[Any], faults: list[Fault]) -> Iterator[tuple[Entry, Any, tuple[Any, ...]]]:
    """Give each record with where it stands and, in a tuple of one, what a reviewer expects of it."""
    if isinstance(records, (str, Path)):
        path = Path(records)
        if not path.is_file():
            raise DatasetInvalid(f"{path.resolve()} is not there: give a file of JSON lines that a sink wrote")
        for entry in read_json_lines(path, faults).entries:
            yield entry, entry.data, ()
        return
    for n, given in enumerate(records, 1):
        review: tuple[Any, ...] = ()
        if isinstance(given, tuple) and len(given) == 2:
            given, review = given[0], (given[1],)
        if isinstance(given, CallRecord):
            given = given.data()
        yield Entry(source="records", number=n, data={}, unit="record"), given, review


def _lost(record: _Recorded) -> str:
    """Say why a record's input is not there; "" when it is."""
    if record.input is None:
        return "with an input that was invalid" if record.content else "recorded without content"
    return _HIDDEN_INPUT if HIDDEN in canonical_json(record.input) else ""


def _of_record(record: _Recorded) -> Case:
    return Case(
        id=record.call_id,
        input=record.input or {},
        tags=("production", record.source, record.outcome),
        note=_note(record.reason),
    )


def _of_row(row: Row) -> Case:
    tags = (*row.case.tags, "evaluation", row.result.source, row.status)
    note = _note(row.result.reason) or row.case.note
    return row.case.model_copy(update={"tags": tuple(dict.fromkeys(tags)), "note": note})


def _note(reason: _Reason | Reason | None) -> str:
    return "" if reason is None else f"{reason.step}: {reason.outcome}: {reason.message}"


def _expected(case_id: str, review: tuple[Any, ...], reviews: Mapping[str, Any]) -> dict[str, Any]:
    if review:
        return {"expected": review[0]}
    return {"expected": reviews[case_id]} if case_id in reviews else {}


def _without_repeats(found: list[tuple[Entry, Case]]) -> Iterator[Entry]:
    """Give each question once: what was reviewed stands for the same question without a review."""
    reviewed = {_question(case) for _, case in found if case.expected is not None}
    seen: set[str] = set()
    for entry, case in found:
        if case.hash in seen or (case.expected is None and _question(case) in reviewed):
            continue
        seen.add(case.hash)
        yield dataclasses.replace(entry, data=case.model_dump())


def _question(case: Case) -> str:
    return case.model_copy(update={"expected": None}).hash
