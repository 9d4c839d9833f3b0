"""One row of a file before it is a case, and where it stands."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from labkit.call.fingerprint import digest

__all__ = ["Entry", "Fault", "Format", "NotACase", "Rows", "named_after_content", "read_text", "translated"]

Format = Literal["labkit", "promptfoo", "openai", "inspect"]
"""Whose words a file is written in."""

Unit = Literal["line", "row", "record"]

Fault = tuple[int, str]
"""What is wrong with a file: the line or row, 0 for the whole of it, and a sentence that begins with the place."""


# Spreadsheets save "Unicode text" as UTF-16, and PowerShell whatever it redirects. UTF-32's mark begins as UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


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
        is_named_here: The file gives no id, the case is named after what it asks.
    """

    source: str
    number: int
    data: Mapping[str, Any]
    unit: Unit = "line"
    is_named_here: bool = False

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
        header: The line of a CSV's header.
    """

    entries: Sequence[Entry]
    columns: tuple[str, ...] | None = None
    format: Format | None = None
    texts: bool = False
    header: int = 1


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


def named_after_content(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Name the cases that other tools leave without an id, always alike: ids must pair from one run to the next."""
    for entry in entries:
        if entry.data.get("id") in (None, ""):
            asked = [entry.data["input"], entry.data.get("checks", entry.data.get("expected"))]
            data = {**entry.data, "id": f"case-{digest(asked)[:12]}"}
            yield replace(entry, data=data, is_named_here=True)
        else:
            yield entry


def read_text(path: Path, faults: list[Fault]) -> str:
    """Read a file whole, in UTF-8 or what its byte order mark says; "" and a fault with its line when it is neither."""
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        if encoding != "utf-8":
            said = f"not {encoding.removesuffix('-sig').upper()}, though it begins so"
        else:
            # Not guessed at: in another of the old encodings the same byte is another letter.
            byte = content[error.start : error.start + 1]
            said = f"not UTF-8 (the byte 0x{byte.hex()}, {byte.decode('cp1252', 'replace')!r} in Windows-1252)"
        faults.append((line, f"{path}:{line}: {said}: save the file as UTF-8"))
        return ""
