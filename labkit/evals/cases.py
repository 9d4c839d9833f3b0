"""A dataset of cases, read from a file whose faults are named by line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from labkit.call.fingerprint import digest
from labkit.call.guarded import GuardedCall
from labkit.errors import DatasetInvalid
from labkit.evals.case import Case
from labkit.evals.case_media import FileNotTaken, with_files
from labkit.evals.fit import fit_faults, read_as_fields
from labkit.evals.formats.choose import entries_of, read_rows
from labkit.evals.formats.entry import Entry, Fault, Format, Rows
from labkit.evals.formats.tables import rows_of_frame
from labkit.evals.formats.writing import write_rows
from labkit.evals.messy import MessyKind, messy_cases
from labkit.evals.promotion import promoted
from labkit.extras import needs
from labkit.options import shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset"]

_MAX_FAULTS = 20

_log = logging.getLogger("labkit.evals")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Cases in order, with unique ids.

    Args:
        cases: At least one.
        name: For reports; the file's stem when loaded.

    Raises:
        DatasetInvalid: No case, something that is none, or an id that appears twice.
    """

    cases: tuple[Case, ...]
    name: str = "inline"

    def __init__(self, cases: Iterable[Case], name: str = "inline") -> None:
        object.__setattr__(self, "cases", _checked(cases))
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

    # --- from elsewhere -----------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path, *, call: GuardedCall[Any] | None = None, format: Format | None = None) -> Dataset:
        """Read cases from JSON Lines, JSON, YAML, CSV or Parquet.

        A row in labkit's words has the fields of ``Case``; in a table, the columns ``id``, ``input.<field>``,
        ``expected.<field>`` (or ``expected``), ``tags`` (in a CSV separated by ";"), ``note``, ``cluster``, ``weight``,
        and ``<name>:json`` for any of them as JSON. promptfoo's tests, OpenAI evals' samples and Inspect's logs and
        samples are read as ``labkit.evals.formats`` says; theirs that have no id are named after what they ask, and
        of those that are the same the second is left out, which is logged.

        Args:
            path: Ends in .jsonl, .json, .yaml, .yml, .csv, .tsv or .parquet.
            call: Also check every case against this call, see ``labkit.evals.fit``. What it takes as ``lk.Image`` or
                ``lk.File`` may be the path of a file in this one's folder, which is read into the case. The cells of a
                CSV that it expects to be numbers, lists and so on are then read as such.
            format: Whose words the file is in; None: what the file itself, its columns or its first row say.

        Raises:
            DatasetInvalid: All faults of the file, by line: broken rows, missing fields, ids and keys that appear
                twice, what this call would refuse or never answer, assertions that are not evaluated here.
            MissingDependency: YAML needs PyYAML, Parquet pyarrow.
        """
        path = Path(path)
        faults: list[Fault] = []
        rows = read_rows(path, faults)
        return cls(_cases(rows, str(path), faults, call, format, path.parent), name=path.stem)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, name: str = "frame", call: GuardedCall[Any] | None = None) -> Dataset:
        """Make cases of a frame's rows: the columns of ``load``, missing cells left out, the index ignored.

        Raises:
            DatasetInvalid: All faults, by row from 1.
        """
        rows = rows_of_frame(frame, name)
        return cls(_cases(rows, f"frame {name!r}", [], call, "labkit"), name=name)

    @classmethod
    def from_records(
        cls,
        records: str | Path | Iterable[Any],
        *,
        call: GuardedCall[Any] | None = None,
        name: str = "production",
        tags: Sequence[str] = (),
        reviews: Mapping[str, Any] | None = None,
        without_input: Literal["raise", "skip"] = "raise",
    ) -> Dataset:
        """Make cases of what was asked in production, or in an evaluation.

        A record's case is named by its call id and tagged "production" with its source and outcome; an evaluation row
        keeps its case, tagged "evaluation" with source and status. Why the main path did not answer becomes the note.
        What is asked twice becomes one case, the reviewed one if there is one.

        Args:
            records: ``CallRecord``s, their data as mappings, evaluation ``Row``s, or pairs of one of these and what
                is expected; or the path of a file of JSON lines that a sink wrote.
            call: Take only the records of this call, by name, and check every case against it.
            tags: For every case.
            reviews: What is expected, by call id or case id. Without a review a record's case expects nothing, and a
                row's what its case did.
            without_input: "raise", or "skip" the records whose input is not there and log how many: records hold it
                only with ``Policy(record_content=True)``, never what is marked sensitive, and not when it was invalid.

        Raises:
            DatasetInvalid: All faults, by record; records without input; reviews of ids that are not there.
        """
        faults: list[Fault] = []
        entries = promoted(
            records, faults, call=call, tags=tuple(tags), reviews=reviews or {}, skip=without_input == "skip"
        )
        return cls(_admitted(entries, str(name), faults, call), name=name)

    # --- to elsewhere -------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Give one row a case: ``input.<field>``, ``expected.<field>`` (or ``expected``), tags, note, hash, ...

        A field that a case does not have is NaN. ``from_frame`` reads the frame back, but for fields that are None:
        in a frame they are missing.

        Raises:
            MissingDependency: pandas is not installed.
        """
        with needs("pandas", "a frame of cases"):
            import pandas as pd

        flat = all(isinstance(case.expected, dict) or case.expected is None for case in self.cases)
        rows = []
        for case in self.cases:
            row: dict[str, Any] = {"id": case.id}
            row |= {f"input.{field}": value for field, value in case.input.items()}
            if not flat:
                row["expected"] = case.expected
            elif case.expected is not None:
                row |= {f"expected.{field}": value for field, value in case.expected.items()}
            rows.append(row)
        # object: a column of whole numbers stays one where a case has none
        frame = pd.DataFrame(rows, dtype=object)
        for part in ("input.", "expected"):
            own = [column for column in frame.columns if column.startswith(part)]
            frame = frame[[column for column in frame.columns if column not in own] + own]
        frame["tags"] = [list(case.tags) for case in self.cases]
        frame["note"] = [case.note for case in self.cases]
        frame["cluster"] = [case.cluster for case in self.cases]
        frame["weight"] = [case.weight for case in self.cases]
        if any(case.checks for case in self.cases):
            checks: Any = [[check.model_dump(exclude_defaults=True) for check in c.checks] for c in self.cases]
            frame["checks"] = checks
        frame["hash"] = [case.hash for case in self.cases]
        return frame

    def write(self, path: str | Path, *, for_spreadsheets: bool = False) -> None:
        """Write the cases to JSON Lines, CSV or Parquet; ``load`` gives the same cases back.

        Args:
            path: Ends in .jsonl, .csv or .parquet.
            for_spreadsheets: A CSV for people to open: a "'" goes before each cell that a spreadsheet would take for
                a formula. Such a file does not give the same cases back.

        Raises:
            DatasetInvalid: Another ending, or a value that JSON does not have.
            MissingDependency: Parquet needs pyarrow.
        """
        rows = [case.model_dump(exclude_defaults=True) for case in self.cases]
        write_rows(rows, Path(path), for_spreadsheets=for_spreadsheets)

    # --- one from another ---------------------------------------------------------------------------------------------

    def where(self, *, tag: str | None = None, limit: int | None = None) -> Dataset:
        """Give the cases that carry *tag*, at most *limit* of them, in order."""
        chosen = [case for case in self.cases if tag is None or tag in case.tags]
        return Dataset(chosen[:limit], name=self.name)

    def merge(self, other: Dataset) -> Dataset:
        """Add the cases of *other* that ask something new; what is asked here already, by hash, is left out.

        Raises:
            DatasetInvalid: An id stands for different cases in the two.
        """
        own = {case.id: case.hash for case in self.cases}
        hashes = set(own.values())
        clashes = [case.id for case in other.cases if own.get(case.id, case.hash) != case.hash]
        if clashes:
            more = f" and {len(clashes) - 1} more" if clashes[1:] else ""
            raise DatasetInvalid(
                f"case id {clashes[0]!r}{more} stands for one case in {self.name!r} and for another in {other.name!r}: "
                "rename it in one of them"
            )
        added = [case for case in other.cases if case.hash not in hashes]
        return Dataset([*self.cases, *added], name=f"{self.name}+{other.name}" if added else self.name)

    def messy(
        self,
        call: GuardedCall[Any],
        *,
        seed: int = 0,
        kinds: Sequence[MessyKind] | None = None,
        fields: Sequence[str] | None = None,
    ) -> Dataset:
        """Give hostile variants of each case: what people mistype and attackers append; see ``labkit.evals.messy``.

        Variant "c1~typos" expects what case "c1" does, is tagged "messy" and "typos", and shares its cluster with it.
        The cases themselves are not in it: ``cases.merge(cases.messy(call))`` has both.

        Args:
            call: Its input model decides which texts may be altered: a variant that it would refuse is left out.
            seed: Every variant depends on it, its case and its kind alone.
            kinds: Some of ``labkit.evals.messy.KINDS``; None: all of them.
            fields: Top-level fields of the input that may be altered; None: all. Leave out identifiers that are kept
                as text: the model cannot tell them.

        Raises:
            DatasetInvalid: A kind that is not known, or not one variant.
        """
        return Dataset(messy_cases(self.cases, call, seed=seed, kinds=kinds, fields=fields), name=f"{self.name}~messy")

    # --- itself -------------------------------------------------------------------------------------------------------

    @cached_property
    def hash(self) -> str:
        """SHA-256 over ids and hashes of the cases, in order of id."""
        return digest(sorted([case.id, case.hash] for case in self.cases))

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


def _checked(cases: Any) -> tuple[Case, ...]:
    """Give *cases* once it is known that they are some.

    Raises:
        DatasetInvalid: They are not.
    """
    if isinstance(cases, (str, Path)):
        raise DatasetInvalid(f"Dataset({str(cases)!r}): a file of cases is read with Dataset.load(path)")
    if isinstance(cases, Case):
        raise DatasetInvalid(f"Dataset(Case(id={cases.id!r})): give a list, also of one: Dataset([case])")
    if not isinstance(cases, Iterable):
        raise DatasetInvalid(f"Dataset({shown(cases)}): give a list of Case")
    found = tuple(cases)
    for n, each in enumerate(found):
        if not isinstance(each, Case):
            mend = "write Case(**row)" if isinstance(each, Mapping) else "give Case(id=..., input={...}, expected=...)"
            raise DatasetInvalid(f"Dataset(cases[{n}]={shown(each)}): a {type(each).__name__} is no Case: {mend}")
    return found


def _cases(
    rows: Rows,
    source: str,
    faults: list[Fault],
    call: GuardedCall[Any] | None,
    format: Format | None,
    folder: Path | None = None,
) -> list[Case]:
    entries = entries_of(rows, source, faults, call=call, format=format)
    return _admitted(entries, source, faults, call, texts=rows.texts, folder=folder)


def _admitted(
    entries: Iterable[Entry],
    source: str,
    faults: list[Fault],
    call: GuardedCall[Any] | None,
    *,
    texts: bool = False,
    folder: Path | None = None,
) -> list[Case]:
    """Give the cases that *entries* describe.

    Args:
        texts: Their cells are texts, whatever is expected there.
        folder: Where files lie that they name; None: they can name none.

    Raises:
        DatasetInvalid: *faults*, and those found here, in the order of the file; or there is no case.
    """
    cases: dict[str, Case] = {}
    places: dict[str, str] = {}
    for entry in entries:
        data = dict(entry.data)
        if texts and call is not None and "expected" in data:
            data["expected"] = read_as_fields(data["expected"], call)
        try:
            if folder is not None and call is not None and isinstance(data.get("input"), Mapping):
                data["input"] = with_files(data["input"], call.input, folder)
            case = Case.model_validate(data)
        except ValidationError as error:
            faults.append((entry.number, f"{entry.where}: {_said(error)}"))
            continue
        except FileNotTaken as error:
            faults.append((entry.number, f"{entry.where}: {error}"))
            continue
        if entry.is_named_here and (first := cases.get(case.id)) is not None:
            if first == case:
                _log.warning("%s asks what %s does, and is left out", entry.where, places[case.id])
                continue
            case = case.model_copy(update={"id": _numbered(case.id, cases)})
        if (first := cases.get(case.id)) is not None:
            mend = "remove one: they ask the same." if first.hash == case.hash else "rename one."
            said = f"case id {case.id!r} appears twice (first in {places[case.id]}). Pairing needs unique ids: {mend}"
            faults.append((entry.number, f"{entry.where}: {said}"))
            continue
        cases[case.id], places[case.id] = case, entry.place
        if call is not None:
            faults += [(entry.number, f"{entry.where}: {fault}") for fault in fit_faults(case, call)]
    if faults:
        more = f"\n... and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
        # Readers and vocabularies each told theirs in turn; the reader of the file goes from top to bottom.
        said_first = [said for _, said in sorted(faults, key=lambda fault: fault[0])[:_MAX_FAULTS]]
        raise DatasetInvalid("\n".join(said_first) + more)
    if not cases:
        raise DatasetInvalid(f"{source} holds no case: give at least one")
    return list(cases.values())


def _numbered(name: str, taken: Mapping[str, Any]) -> str:
    """Tell a case apart that asks the same as another and says something else of it."""
    return next(found for n in count(2) if (found := f"{name}-{n}") not in taken)


def _said(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'row'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_url=False)
    )
