"""Rows of a run as a file that other tools read: JSON Lines or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from labkit.errors import StoreError
from labkit.extras import needs
from labkit.store.batches import batches
from labkit.store.damage import Damaged, damage, data
from labkit.store.facts import Fact

__all__ = ["flat_row", "write_rows"]


class _Answer(Protocol):
    @property
    def finished_at(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def scores(self) -> str: ...


def flat_row(about: Mapping[str, str], fact: Fact, answered: tuple[int, str, _Answer]) -> dict[str, Any]:
    """Give one row; case, result and scores are JSON text, *values* what each scorer gave."""
    _, content, answer = answered
    whole = {"finished_at": answer.finished_at, "case": content, "result": answer.result, "scores": answer.scores}
    values = {grade.name: grade.value for grade in fact.scores}
    return {**about, **fact._asdict(), "tags": list(fact.tags), **whole, "values": values}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write *rows* to *path*, making its folder.

    Raises:
        StoreError: The path ends in neither .jsonl nor .parquet, or a row is damaged; nothing is written.
        MissingDependency: Parquet needs pyarrow.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise StoreError(f"{path}: an export ends in .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    try:
        (_write_parquet if path.suffix == ".parquet" else _write_lines)(half, rows)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            parts = {name: data(row[name]) for name in ("case", "result", "scores")}
            for name, part in parts.items():
                if isinstance(part, Damaged):
                    raise damage(row["run_id"], f"case {row['case_id']!r}, repeat {row['repeat']}, {name}", part.why)
            file.write(json.dumps({**row, **parts}) + "\n")


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with needs("pyarrow", "a Parquet file"):
        import pyarrow
        import pyarrow.parquet

    text, real, flag = pyarrow.string(), pyarrow.float64(), pyarrow.bool_()
    shape = pyarrow.schema(
        [
            ("run_id", text), ("call", text), ("case_id", text), ("repeat", pyarrow.int64()), ("case_hash", text),
            ("tags", pyarrow.list_(text)), ("cluster", text), ("weight", real), ("status", text), ("source", text),
            ("passed", flag), ("degraded", flag), ("schema_valid", flag), ("elapsed_s", real), ("cost_usd", real),
            ("finished_at", text), ("case", text), ("result", text), ("scores", text),
        ]
    )  # fmt: skip
    writer = None
    try:
        for batch in batches(rows):
            if writer is None:  # a column for each scorer: a run's rows have the same ones
                names = list(dict.fromkeys(name for row in batch for name in row["values"]))
                shape = pyarrow.schema([*shape, *((f"score: {name}", real) for name in names)])
                writer = pyarrow.parquet.ParquetWriter(path, shape)
            flat = [{**row, **{f"score: {name}": value for name, value in row["values"].items()}} for row in batch]
            writer.write_table(pyarrow.Table.from_pylist(flat, schema=shape))
        writer = writer or pyarrow.parquet.ParquetWriter(path, shape)
    finally:
        if writer is not None:
            writer.close()
