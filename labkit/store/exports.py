"""Rows of a run as a file that other tools read: JSON Lines or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from labkit.errors import StoreError
from labkit.store.batches import batches
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
    """Give one row; case, result and scores are JSON text."""
    _, content, answer = answered
    whole = {"finished_at": answer.finished_at, "case": content, "result": answer.result, "scores": answer.scores}
    return {**about, **fact._asdict(), "tags": list(fact.tags), **whole}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write *rows* to *path*, making its folder.

    Raises:
        StoreError: The path ends in neither .jsonl nor .parquet; nothing is written.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise StoreError(f"{path}: an export ends in .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
        return path
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            parts = {name: json.loads(row[name]) for name in ("case", "result", "scores")}
            file.write(json.dumps(row | parts) + "\n")
    return path


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
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
    with pyarrow.parquet.ParquetWriter(path, shape) as writer:
        for batch in batches(rows):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=shape))
