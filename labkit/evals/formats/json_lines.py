"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from pathlib import Path

from labkit.evals.formats.entry import Entry, Fault, Rows
from labkit.evals.formats.plain import no_constant

__all__ = ["read_json_lines"]


def read_json_lines(path: Path, faults: list[Fault]) -> Rows:
    """Read a file line by line; empty lines are left out, and lines that are not UTF-8 or no object are faults."""
    entries = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                text.encode("utf-8")
                row = json.loads(text, parse_constant=no_constant)
            except UnicodeEncodeError:
                faults.append((line, f"{path}:{line}: not UTF-8: save the file as UTF-8"))
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
