"""JSON Lines: one object a line."""

from __future__ import annotations

import io
from pathlib import Path

from labkit.evals.formats.entry import Entry, Fault, Rows, read_text
from labkit.evals.formats.strict_json import loads

__all__ = ["read_json_lines"]


def read_json_lines(path: Path, faults: list[Fault]) -> Rows:
    """Read a file line by line; empty lines are left out, lines that are no object are faults."""
    entries = []
    # A line ends as a file's does; U+2028 may stand in a text of JSON.
    for line, text in enumerate(io.StringIO(read_text(path, faults), newline=None), 1):
        if not text.strip():
            continue
        try:
            row = loads(text)
        except ValueError as error:
            faults.append((line, f"{path}:{line}: not JSON: {error}"))
        except RecursionError:
            faults.append((line, f"{path}:{line}: nested too deeply to be read: flatten it"))
        else:
            if isinstance(row, dict):
                entries.append(Entry(source=str(path), number=line, data=row))
            else:
                faults.append(
                    (line, f"{path}:{line}: a {type(row).__name__} is not a case: write one JSON object a line")
                )
    return Rows(entries=entries)
