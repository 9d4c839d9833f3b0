"""Which reader and which vocabulary a file needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from labkit.call.guarded import GuardedCall
from labkit.errors import DatasetInvalid
from labkit.evals.formats import promptfoo, tables
from labkit.evals.formats.conversation import InspectSamples, case_of_openai
from labkit.evals.formats.documents import read_json, read_yaml
from labkit.evals.formats.entry import Entry, Fault, Format, Rows, named_after_content, translated
from labkit.evals.formats.json_lines import read_json_lines
from labkit.evals.formats.tables import read_csv, read_parquet

__all__ = ["entries_of", "read_rows"]

_READERS: Mapping[str, Callable[[Path, list[Fault]], Rows]] = {
    ".csv": read_csv,
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".parquet": read_parquet,
    ".tsv": read_csv,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}


def read_rows(path: Path, faults: list[Fault]) -> Rows:
    """Read a file by its ending, however that is written.

    Raises:
        DatasetInvalid: There is no reader for it, or no file.
        MissingDependency: The reader's library is not installed.
    """
    ending = path.suffix.lower()
    if ending not in _READERS:
        raise DatasetInvalid(f"{path}: a dataset ends in {', '.join(_READERS)}; convert or rename the file")
    if not path.is_file():
        raise DatasetInvalid(f"{path.resolve()} is not there: give the path from the working directory")
    return _READERS[ending](path, faults)


def entries_of(
    rows: Rows, source: str, faults: list[Fault], *, call: GuardedCall[Any] | None, format: Format | None
) -> Iterator[Entry]:
    """Give an entry in the words of ``Case`` for each case in *rows*.

    Args:
        source: The file, for faults of its header.
        format: Whose words they are; None: what the file itself, its columns or its first row say.

    Raises:
        DatasetInvalid: *format* is none that is known.
    """
    if format is not None and format not in get_args(Format):
        raise DatasetInvalid(f"format={format!r} is not known: use one of {', '.join(get_args(Format))}")
    words = format or rows.format or _recognized(rows)
    if rows.columns is not None:
        wrong = [f"column {c!r} appears twice" for c in dict.fromkeys(rows.columns) if rows.columns.count(c) > 1]
        if words in ("labkit", "promptfoo"):
            wrong += (promptfoo if words == "promptfoo" else tables).column_faults(rows.columns)
        if wrong:
            faults.append((rows.header, f"{source}{f':{rows.header}' if rows.texts else ''}: {wrong[0]}"))
            return iter(())
    entries = translated(rows, faults, _vocabulary(words, rows, call))
    return entries if words == "labkit" else named_after_content(entries)


def _recognized(rows: Rows) -> Format:
    names = set(rows.columns if rows.columns is not None else rows.entries[0].data if rows.entries else ())
    if names & {"vars", "assert"} or any(name.startswith("__") for name in names):
        return "promptfoo"
    if "ideal" in names:
        return "openai"
    if {"input", "target"} <= names:
        return "inspect"
    return "labkit"


def _vocabulary(
    words: Format, rows: Rows, call: GuardedCall[Any] | None
) -> Callable[[Entry], Iterable[Mapping[str, Any]]]:
    if words == "promptfoo":
        as_columns = rows.columns is not None and "vars" not in rows.columns
        return lambda e: [promptfoo.case_of_test(promptfoo.test_of_columns(e.data) if as_columns else e.data)]
    if words == "openai":
        return lambda entry: [case_of_openai(entry.data, call)]
    if words == "inspect":
        return InspectSamples(call)
    if rows.columns is None:
        return lambda entry: [entry.data]
    of_columns = partial(tables.case_of_columns, texts=rows.texts)
    return lambda entry: [of_columns(entry.data)]
