"""Cases into JSON Lines, CSV or Parquet, so that reading the file gives the same cases."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import DatasetInvalid, MissingDependency

__all__ = ["not_a_formula", "write_rows"]

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
# Also what other tools put between cells: the header must not seem to be parted by it.
_MORE_THAN_A_CELL = re.compile(r"""[,;\t|"\r\n]|^\s|\s$""")

Rows = Sequence[Mapping[str, Any]]


def write_rows(rows: Rows, path: Path, *, for_spreadsheets: bool = False) -> None:
    """Write cases, as mappings without their defaults, by the file's ending; the file appears when it is whole.

    Args:
        for_spreadsheets: Let no cell of a CSV be a formula.

    In a table, ``input`` and ``expected`` have a column for each field where all cases have the same fields with plain
    values of one type; otherwise, and for checks, one column ``<name>:json`` holds them as JSON.

    Raises:
        DatasetInvalid: No writer for this ending, or a value that JSON does not have.
        MissingDependency: pyarrow is not installed.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise DatasetInvalid(f"{path}: a dataset is written to {', '.join(_WRITERS)}; give another ending")
    if for_spreadsheets and ending != ".csv":
        raise DatasetInvalid(f"{path}: only a CSV is written for spreadsheets; leave for_spreadsheets out")
    part = path.with_name(path.name + ".part")
    try:
        if for_spreadsheets:
            # with a byte order mark: Excel takes UTF-8 without one for the machine's old encoding
            _write_csv(rows, part, cell_of=not_a_formula, encoding="utf-8-sig")
        else:
            _WRITERS[ending](rows, part)
        os.replace(part, path)
    except UnicodeEncodeError as error:
        raise DatasetInvalid(f"{path}: half a character in an id, tag or note: {error}: write .jsonl") from error
    finally:
        part.unlink(missing_ok=True)


def _write_json_lines(rows: Rows, path: Path) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(_line(row) + b"\n")


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return _dumped(row, row, ascii_only=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8; escaped it can still be read
        return _dumped(row, row).encode()


def _dumped(value: Any, row: Mapping[str, Any], *, ascii_only: bool = True) -> str:
    try:
        return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DatasetInvalid(f"case {row['id']!r} cannot be written: {error}: give it JSON data only") from error


def not_a_formula(text: str) -> str:
    """Give a cell that a spreadsheet shows as it is: "'" before what it would compute, such as =HYPERLINK(...).

    Source: OWASP, "CSV Injection".
    """
    return f"'{text}" if text.startswith(_FORMULAS) and not _NUMBER.fullmatch(text) else text


def _write_csv(rows: Rows, path: Path, *, cell_of: Callable[[str], str] = str, encoding: str = "utf-8") -> None:
    columns = _columns(rows, types=(str,))
    with path.open("w", encoding=encoding, newline="") as file:
        for row in (columns, *zip(*columns.values(), strict=True)):
            cells = ("" if value is None else _quoted(cell_of(str(value))) for value in row)
            file.write(",".join(cells) + "\n")


def _quoted(cell: str) -> str:
    """Quote what a reader might take for more than a cell; csv.writer leaves a lone carriage return as it is."""
    return '"' + cell.replace('"', '""') + '"' if _MORE_THAN_A_CELL.search(cell) else cell


def _write_parquet(rows: Rows, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependency("pyarrow", extra="lab", purpose="writing Parquet") from error

    parquet.write_table(pa.table(_columns(rows, types=(str, bool, int, float))), path)


_WRITERS: Mapping[str, Callable[[Rows, Path], None]] = {
    ".jsonl": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}


def _columns(rows: Rows, *, types: tuple[type, ...]) -> dict[str, list[Any]]:
    """Give the table's columns; *types* are those whose values a cell of it keeps apart from all others."""
    texts_only = types == (str,)
    columns: dict[str, list[Any]] = {"id": [row["id"] for row in rows]}
    for name in ("input", "expected"):
        parts = [row.get(name) for row in rows]
        if all(part is None for part in parts):
            continue
        if _is_flat(parts, types, blanks=name == "input"):
            columns |= {f"{name}.{field}": [part[field] for part in parts] for field in parts[0]}  # type: ignore[index,union-attr]
        else:
            columns[f"{name}:json"] = [_dumped(row.get(name), row) for row in rows]
    tags = [list(row.get("tags", ())) for row in rows]
    if any(tags):
        if not texts_only:
            columns["tags"] = tags
        elif all(tag.strip() == tag != "" and ";" not in tag for each in tags for tag in each):
            columns["tags"] = [";".join(each) for each in tags]
        else:
            columns["tags:json"] = [json.dumps(each) for each in tags]
    for name, missing in (("note", ""), ("cluster", None), ("weight", 1.0)):
        if texts_only and any(row.get(name) == "" for row in rows):  # an empty cell says nothing
            columns[f"{name}:json"] = [_dumped(row.get(name, missing), row) for row in rows]
        elif any(name in row for row in rows):
            columns[name] = [row.get(name, missing) for row in rows]
    if any("checks" in row for row in rows):
        columns["checks:json"] = [_dumped(row.get("checks", []), row) for row in rows]
    return columns


def _is_flat(parts: Sequence[Any], types: tuple[type, ...], *, blanks: bool) -> bool:
    first = parts[0]
    if not isinstance(first, dict) or not first or not all(_can_head(field) for field in first):
        return False
    if not all(isinstance(part, dict) and part.keys() == first.keys() for part in parts):
        return False
    return all(
        type(part[field]) is type(first[field]) and type(part[field]) in types and _keeps(part[field], blanks)
        for part in parts
        for field in first
    )


def _can_head(field: str) -> bool:
    """Whether a column named after it is read as such: blanks around a name are a spreadsheet's, not the field's."""
    return field != "" and field == field.strip() and not field.endswith(".")


def _keeps(value: Any, blanks: bool) -> bool:
    """Whether a cell gives the value back: an empty text may read as no text, a large number as a broken one."""
    if isinstance(value, str):
        return (blanks or value != "") and not any("\ud800" <= char <= "\udfff" for char in value)
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
