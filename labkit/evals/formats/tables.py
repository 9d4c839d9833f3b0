"""CSV, Parquet and frames, and labkit's columns in them."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.errors import MissingDependency
from labkit.evals.formats.entry import Entry, Fault, NotACase, Rows, read_text
from labkit.evals.formats.plain import is_missing, plain
from labkit.evals.formats.strict_json import loads

__all__ = ["case_of_columns", "column_faults", "read_csv", "read_parquet", "rows_of_frame"]

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR = re.compile(r'"?sep=(?P<separator>[^\r\n"])"?[ \t]*(?:\r\n?|\n)', re.IGNORECASE)  # a line of Excel's own
_HEADER = re.compile(r'(?P<quoted>"(?:[^"]|"")*+"?)|(?P<end>[\r\n]+)|[^"\r\n]+')
_limit_lock = threading.Lock()

_COLUMNS = ("id", "input", "expected", "tags", "note", "cluster", "weight", "checks")
_MEND = "use id, input.<field>, expected.<field>, expected, tags, note, cluster, weight, checks"


def read_csv(path: Path, faults: list[Fault]) -> Rows:
    """Read a CSV with a header, as a spreadsheet writes it.

    What stands between the cells, ``,`` or ``;`` or a tab or ``|``, is what parts the header into most names, unless a
    first line ``sep=;`` says it. Rows without a cell that says something are left out, and so are columns without a
    name. Each entry stands where its row begins, which may go on over several lines.
    """
    text = read_text(path, faults)
    named = _SEPARATOR.match(text)
    above = 0 if named is None else 1
    text = text if named is None else text[named.end() :]
    separator = _most_parting(text) if named is None else named["separator"]
    rows: list[tuple[int, list[str]]] = []
    line = above + 1
    try:
        # any cell is at most the whole text
        with _cells_of(len(text) + 1):
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    rows.append((line, cells))
                line = above + reader.line_num + 1
    except csv.Error as error:
        faults.append((line, f"{path}:{line}: not CSV: {error}"))
    if not rows:
        return Rows(entries=(), columns=(), texts=True)
    header, names = rows[0][0], [name.strip() for name in rows[0][1]]
    entries = []
    for number, cells in rows[1:]:
        # columns without a name that hold nothing are there on one line and not on the next
        cells = [*cells, *[""] * sum(name == "" for name in names[len(cells) :])]
        while len(cells) > len(names) and not cells[-1].strip():
            cells.pop()
        stray = next((cell for name, cell in zip(names, cells, strict=False) if name == "" and cell.strip()), None)
        if len(cells) != len(names):
            faults.append((number, f"{path}:{number}: {len(names)} columns wanted, the row has {len(cells)}"))
        elif stray is not None:
            faults.append((number, f"{path}:{number}: {stray[:40]!r} stands in a column without a name: name it"))
        else:
            data = {name: cell for name, cell in zip(names, cells, strict=True) if name}
            entries.append(Entry(source=str(path), number=number, data=data))
    return Rows(entries=entries, columns=tuple(name for name in names if name), texts=True, header=header)


def _most_parting(text: str) -> str:
    """Give the separator that parts the header into most names; of those that part it alike, the first."""
    header = ""  # without what stands in quotes
    for token in _HEADER.finditer(text):
        if token["end"] is None:
            header += "" if token["quoted"] else token.group()
        elif header.strip(" \t,;|"):
            break
    return max(_SEPARATORS, key=header.count)


@contextmanager
def _cells_of(chars: int) -> Iterator[None]:
    """Let cells be so long: the reader's limit of 131,072 holds for the process, so it is put back."""
    with _limit_lock:
        before = csv.field_size_limit()
        csv.field_size_limit(min(max(before, chars), 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


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
        f"column {column[:80]!r} is not known: {_MEND}"
        for column in columns
        if not (
            column.removesuffix(":json") in _COLUMNS
            or (column.startswith(("input.", "expected.")) and not column.endswith("."))
        )
    ]
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
        return loads(cell)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotACase(f"{column}: not JSON: {error}") from error
