"""CSV, Parquet and frames, and labkit's columns in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import MissingDependency
from labkit.evals.formats.entry import Entry, Fault, NotACase, Rows, read_text
from labkit.evals.formats.plain import is_missing, no_constant, plain

__all__ = ["case_of_columns", "column_faults", "read_csv", "read_parquet", "rows_of_frame"]

_COLUMNS = ("id", "input", "expected", "tags", "note", "cluster", "weight", "checks")
_MEND = "use id, input.<field>, expected.<field>, expected, tags, note, cluster, weight, checks"


def read_csv(path: Path, faults: list[Fault]) -> Rows:
    """Read a CSV with a header; each entry stands where its row begins, which may go on over several lines."""
    entries = []
    columns: tuple[str, ...] = ()
    reader = csv.reader(io.StringIO(read_text(path, faults), newline=""), strict=True)
    line = 1
    try:
        columns = tuple(next(reader, ()))
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(columns):
                faults.append((line, f"{path}:{line}: {len(columns)} columns wanted, the row has {len(cells)}"))
            elif cells:
                entries.append(Entry(source=str(path), number=line, data=dict(zip(columns, cells, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append((line, f"{path}:{line}: not CSV: {error}"))
    return Rows(entries=entries, columns=columns, texts=True)


def read_parquet(path: Path, faults: list[Fault]) -> Rows:
    """Read a Parquet file.

    Raises:
        MissingDependency: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependency("pyarrow", extra="lab", purpose="reading Parquet") from error

    try:
        # The file itself: read_table() would take folders such as "day=3" on its path for columns.
        with path.open("rb") as file:
            table = parquet.ParquetFile(file).read()
        columns, data = tuple(table.column_names), table.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        faults.append((0, f"{path}: not Parquet: {error}"))
        return Rows(entries=(), columns=())
    return Rows(entries=_numbered(str(path), data), columns=columns)


def rows_of_frame(frame: Any, name: str) -> Rows:
    """Give a frame's rows; its index, and the ``hash`` that ``Dataset.to_frame`` adds, are left out."""
    frame = frame.set_axis([str(column) for column in frame.columns], axis="columns")
    frame = frame[[column for column in frame.columns if column != "hash"]] if "hash" in frame.columns else frame
    entries = _numbered(f"frame {name!r}", frame.to_dict(orient="records"))
    return Rows(entries=entries, columns=tuple(frame.columns))


def _numbered(source: str, data: Sequence[Mapping[str, Any]]) -> list[Entry]:
    return [Entry(source=source, number=n, data=row, unit="row") for n, row in enumerate(data, 1)]


def column_faults(columns: Sequence[str]) -> list[str]:
    """Name what is wrong with a header in labkit's words."""
    faults = [
        f"column {column!r} is not known: {_MEND}"
        for column in columns
        if not (
            column.removesuffix(":json") in _COLUMNS
            or (column.startswith(("input.", "expected.")) and not column.endswith("."))
        )
    ]
    faults += [f"column {column!r} appears twice" for column in dict.fromkeys(columns) if columns.count(column) > 1]
    for part in _COLUMNS:
        named = [c for c in columns if c in (part, f"{part}:json")]
        named += [c for c in columns if c.startswith(f"{part}.")][: 1 if named else 0]
        if len(set(named)) > 1:
            faults.append(f"columns {named[0]!r} and {named[1]!r} say the same thing twice: remove one")
    return faults[:1]


def case_of_columns(row: Mapping[str, Any], *, texts: bool) -> dict[str, Any]:
    """Give the case that a table's row describes; empty cells are left out, but for texts in the input.

    Args:
        row: Columns ``input.<field>``, ``expected.<field>`` and the names of a case; ``<name>:json`` holds JSON.
        texts: Every cell is text: an empty one is empty.

    Raises:
        NotACase: A cell that is not JSON though its column says so, or has no place in JSON.
    """
    case: dict[str, Any] = {"input": {}}
    for column, cell in row.items():
        part, dot, field = column.partition(".")
        if is_missing(cell) or (texts and cell == "" and part != "input"):
            continue
        if dot:
            case.setdefault(part, {})[field] = _cell(column, cell)
        elif column.endswith(":json"):
            case[column.removesuffix(":json")] = _json(column, cell)
        elif column == "tags" and isinstance(cell, str):
            case["tags"] = tuple(tag.strip() for tag in cell.split(";") if tag.strip())
        elif column == "id" and not texts:
            case["id"] = str(_cell(column, cell))
        else:
            case[column] = _cell(column, cell)
    return case


def _cell(column: str, cell: Any) -> Any:
    try:
        return plain(cell)
    except NotACase as error:
        raise NotACase(f"{column}: {error}") from error


def _json(column: str, cell: Any) -> Any:
    try:
        return json.loads(cell, parse_constant=no_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotACase(f"{column}: not JSON: {error}") from error
