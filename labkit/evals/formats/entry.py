"""One row of a file before it is a case, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

__all__ = ["Entry", "Fault", "Format", "NotACase", "Rows", "read_text", "translated"]

Format = Literal["labkit", "promptfoo", "openai", "inspect"]
"""Whose words a file is written in."""

Unit = Literal["line", "row", "record"]

Fault = tuple[int, str]
"""What is wrong with a file: the line or row, 0 for the whole of it, and a sentence that begins with the place."""


class NotACase(Exception):
    """A row that cannot become a case, and why; whoever knows where it stands adds that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row.

    Args:
        source: The file, or what stands for it.
        number: Where the row begins, from 1.
        unit: What is counted: lines where a file has them.
        data: What the row holds.
    """

    source: str
    number: int
    data: Mapping[str, Any]
    unit: Unit = "line"

    @property
    def where(self) -> str:
        """For errors: ``cases.jsonl:7``, or ``cases.parquet, row 7``."""
        return f"{self.source}:{self.number}" if self.unit == "line" else f"{self.source}, {self.place}"

    @property
    def place(self) -> str:
        """Within the file: ``line 7``."""
        return f"{self.unit} {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a file holds.

    Args:
        entries: Its rows, in order.
        columns: The header of a table; None for rows of any shape.
        format: What the file as a whole says it is; None when only its rows can tell.
        texts: Every value is text, whatever it stands for: a CSV.
    """

    entries: Sequence[Entry]
    columns: tuple[str, ...] | None = None
    format: Format | None = None
    texts: bool = False


def translated(
    rows: Rows, faults: list[Fault], cases_of: Callable[[Entry], Iterable[Mapping[str, Any]]]
) -> Iterator[Entry]:
    """Give an entry for each case that *cases_of* makes of a row; rows that make none become faults."""
    for entry in rows.entries:
        try:
            cases = list(cases_of(entry))
        except NotACase as error:
            faults.append((entry.number, f"{entry.where}: {error}"))
            continue
        for case in cases:
            yield replace(entry, data=case)


def read_text(path: Path, faults: list[Fault]) -> str:
    """Read a UTF-8 file whole; "" and a fault with its line when it is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        faults.append((line, f"{path}:{line}: not UTF-8: save the file as UTF-8"))
        return ""
