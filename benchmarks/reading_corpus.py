"""How odd outputs of other projects are read, level by level, beside json-repair and partial-json-parser.

Each row of the corpus holds what its own project says of the text, and that is only an opinion: a repairer made to give
*something* for every text is right by its own tests where labkit refuses on purpose. So there are three figures: the
same value, another value (which nobody may be served unseen), refused.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labkit.call.outputs import read
from labkit.errors import OutputRejected

CORPUS = Path(__file__).parents[1] / "tests" / "data" / "malformed_outputs.jsonl"
SUITES = {
    "baml-sap": "BAML",
    "json_repair": "json_repair",
    "jsonrepair-js": "jsonrepair (js)",
    "instructor-extract (error = strict parse fails)": "instructor",
    "guardrails-strict": "guardrails",
}
LEVELS = ("strict", "safe", "aligned")
REFUSED: Any = object()

Reader = Callable[[str, Any], Any]


def main() -> None:
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    whole = [row for row in rows if not row["partial"] and row["outcome"] in ("value", "error")]
    readers = dict(_readers())
    print(f"{'suite':<16} {'reader':<26} {'rows':>5} {'equal':>6} {'other':>6} {'refused':>8}   of errors: refused")
    for oracle, suite in SUITES.items():
        values = [row for row in whole if row["oracle"] == oracle and row["outcome"] == "value"]
        errors = [row for row in whole if row["oracle"] == oracle and row["outcome"] == "error"]
        for name, reader in readers.items():
            counts = Counter(verdict(reader, row) for row in values)
            refused = sum(read_by(reader, row) is REFUSED for row in errors)
            print(
                f"{suite:<16} {name:<26} {len(values):>5} {counts['equal']:>6} {counts['other']:>6} "
                f"{counts['refused']:>8}   {refused} of {len(errors)}"
            )
            if "--list" in sys.argv[1:] and name.startswith("labkit"):
                listed(reader, values)


def verdict(reader: Reader, row: dict[str, Any]) -> str:
    value = read_by(reader, row)
    if value is REFUSED:
        return "refused"
    return "equal" if value == row["expected"] else "other"


def read_by(reader: Reader, row: dict[str, Any]) -> Any:
    try:
        return reader(row["input"], row["schema"])
    except (OutputRejected, ValueError, RecursionError, IndexError, KeyError, TypeError, AssertionError):
        return REFUSED  # also where another reader breaks over the text


def listed(reader: Reader, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        value = read_by(reader, row)
        if value is not REFUSED and value != row["expected"]:
            print(f"    {row['id']}: {row['input'][:150]!r}\n        {value!r}\n        {row['expected']!r}")


def _readers() -> Iterator[tuple[str, Reader]]:
    for level in LEVELS:
        yield f"labkit {level}", lambda text, schema, level=level: read(text, schema, level).value
    yield from _beside("json-repair", "json_repair", _json_repair)
    yield from _beside("partial-json-parser", "partial_json_parser", _partial_json_parser)


def _beside(package: str, module: str, made: Callable[[Any], Reader]) -> Iterator[tuple[str, Reader]]:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        print(f"{package} is not installed, so it has no row here: pip install {package}")
        return
    yield f"{package} {importlib.metadata.version(package)}", made(found)


def _json_repair(module: Any) -> Reader:
    def reader(text: str, schema: Any) -> Any:
        return module.loads(text) if schema is None else module.loads(text, schema=schema)

    return reader


def _partial_json_parser(module: Any) -> Reader:
    return lambda text, schema: module.loads(text)


if __name__ == "__main__":
    main()
