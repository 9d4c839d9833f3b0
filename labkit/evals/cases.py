"""A representative case, and a dataset of them read from a file whose faults are named by line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.call.fingerprint import digest
from labkit.call.guarded import GuardedCall
from labkit.errors import DatasetInvalid

__all__ = ["Case", "Dataset"]


class Case(BaseModel):
    """One input with what is expected of its answer.

    Args:
        id: Unique in its dataset; pairing two runs rests on it.
        input: The call's input as a mapping of fields.
        expected: What scorers compare with: a mapping of output fields, or any JSON data; None where nothing is known.
        tags: Groups that comparisons slice by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    input: dict[str, Any]
    expected: Any = None
    tags: tuple[str, ...] = ()
    note: str = ""

    @cached_property
    def hash(self) -> str:
        """SHA-256 of input and expectation: what the case asks, whatever it is called."""
        return digest([self.input, self.expected])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Cases in order, with unique ids.

    Args:
        cases: At least one.
        name: For reports; the file's stem when loaded.

    Raises:
        DatasetInvalid: No case, or an id that appears twice.
    """

    cases: tuple[Case, ...]
    name: str = "inline"

    def __init__(self, cases: Iterable[Case], name: str = "inline") -> None:
        object.__setattr__(self, "cases", tuple(cases))
        object.__setattr__(self, "name", name)
        if not self.cases:
            raise DatasetInvalid(f"dataset {name!r} holds no case: give at least one")
        seen: set[str] = set()
        for case in self.cases:
            if case.id in seen:
                raise DatasetInvalid(
                    f"dataset {name!r}: case id {case.id!r} appears twice. Pairing needs unique ids: rename one."
                )
            seen.add(case.id)

    @classmethod
    def load(cls, path: str | Path, *, call: GuardedCall[Any] | None = None) -> Dataset:
        """Read cases from JSON Lines or CSV.

        A CSV has the columns ``id``, ``input.<field>``, ``expected.<field>`` (or ``expected``) and ``tags``, separated
        by ";".

        Args:
            path: Ends in .jsonl or .csv.
            call: Also check every input against this call's input model.

        Raises:
            DatasetInvalid: All faults of the file, by line: broken rows, missing fields, ids that appear twice, inputs
                that the call would refuse.
        """
        path = Path(path)
        if path.suffix not in _READERS:
            raise DatasetInvalid(
                f"{path}: a dataset ends in {' or '.join(sorted(_READERS))}; convert or rename the file"
            )
        if not path.is_file():
            raise DatasetInvalid(f"{path.resolve()} is not there: give the path from the working directory")
        faults: list[str] = []
        cases: list[Case] = []
        first_line: dict[str, int] = {}
        for line, row in _READERS[path.suffix](path, faults):
            try:
                case = Case.model_validate(row)
            except ValidationError as error:
                faults.append(f"{path}:{line}: {_said(error)}")
                continue
            if case.id in first_line:
                faults.append(
                    f"{path}:{line}: case id {case.id!r} appears twice (first in line {first_line[case.id]}). "
                    "Pairing needs unique ids: rename one."
                )
                continue
            first_line[case.id] = line
            if call is not None and (fault := _input_fault(case, call)):
                faults.append(f"{path}:{line}: {fault}")
            cases.append(case)
        if faults:
            more = f"\n... and {len(faults) - 20} more" if len(faults) > 20 else ""
            raise DatasetInvalid("\n".join(faults[:20]) + more)
        if not cases:
            raise DatasetInvalid(f"{path} holds no case: write one JSON object a line")
        return cls(cases, name=path.stem)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over ids and hashes of the cases, in order of id."""
        return digest(sorted([case.id, case.hash] for case in self.cases))

    def where(self, *, tag: str | None = None, limit: int | None = None) -> Dataset:
        """Give the cases that carry *tag*, at most *limit* of them, in order."""
        chosen = [case for case in self.cases if tag is None or tag in case.tags]
        return Dataset(chosen[:limit], name=self.name)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __getitem__(self, case_id: str) -> Case:
        for case in self.cases:
            if case.id == case_id:
                return case
        raise KeyError(case_id)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} cases, hash={self.hash[:12]!r})"


def _read_jsonl(path: Path, faults: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                text.encode("utf-8")
                row = json.loads(text)
            except UnicodeEncodeError:
                faults.append(f"{path}:{line}: not UTF-8: save the file as UTF-8")
                continue
            except ValueError as error:
                faults.append(f"{path}:{line}: not JSON: {error}")
                continue
            if isinstance(row, dict):
                yield line, row
            else:
                faults.append(f"{path}:{line}: a {type(row).__name__} is not a case: write one JSON object a line")


def _read_csv(path: Path, faults: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            strange = [
                c
                for c in columns
                if not (c in ("id", "expected", "tags", "note") or c.startswith(("input.", "expected.")))
            ]
            if strange:
                faults.append(
                    f"{path}:1: column {strange[0]!r} is not known: "
                    "use id, input.<field>, expected.<field>, expected, tags, note"
                )
                return
            for row in reader:
                if None in row or None in row.values():
                    faults.append(
                        f"{path}:{reader.line_num}: {len(columns)} columns wanted, the row has another number"
                    )
                    continue
                yield reader.line_num, _case_of_columns(row)
        except (csv.Error, UnicodeDecodeError) as error:
            faults.append(f"{path}: not a CSV in UTF-8: {error}")


def _case_of_columns(row: Mapping[str, str]) -> dict[str, Any]:
    case: dict[str, Any] = {"input": {}}
    for column, text in row.items():
        part, dot, name = column.partition(".")
        if dot:
            case.setdefault(part, {})[name] = text
        elif column == "tags":
            case["tags"] = tuple(tag.strip() for tag in text.split(";") if tag.strip())
        else:
            case[column] = text
    return case


_READERS = {".jsonl": _read_jsonl, ".csv": _read_csv}


def _said(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'row'}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )


def _input_fault(case: Case, call: GuardedCall[Any]) -> str:
    try:
        call.input.model_validate(case.input)
    except ValidationError as error:
        return f"case {case.id!r}: the input does not fit {call.input.__name__}: {_said(error)}"
    return ""
