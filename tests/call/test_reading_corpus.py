"""Other projects' odd outputs: at each level the value that their own tests want, or none; or there is a reason.

``tests/data/reading_disagreements.json`` has, by row, the reason and what is read instead, level by level.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from labkit.call.outputs import read
from labkit.call.repairs import RepairLevel
from labkit.errors import OutputRejected

DATA = Path(__file__).parents[1] / "data"
ROWS = [
    row
    for row in map(json.loads, (DATA / "malformed_outputs.jsonl").read_text(encoding="utf-8").splitlines())
    # partial answers are for streaming; scores of its own rules are BAML's matter
    if not row["partial"] and row["outcome"] != "score"
]
DISAGREED = json.loads((DATA / "reading_disagreements.json").read_text(encoding="utf-8"))
SUITES = sorted({row["oracle"] for row in ROWS})
LEVELS: tuple[RepairLevel, ...] = ("strict", "safe", "aligned")
REFUSED: Any = object()

# How many rows with a value are read as their own project reads them: what is refused more often than this got worse.
EQUAL = {
    "baml-sap": (29, 60, 89),
    "guardrails-strict": (1, 4, 4),
    "instructor-extract (error = strict parse fails)": (1, 6, 6),
    "json_repair": (12, 51, 81),
    "jsonrepair-js": (31, 68, 113),
}


def value_of(row: dict[str, Any], level: RepairLevel) -> Any:
    try:
        return read(row["input"], row["schema"], level).value
    except OutputRejected:
        return REFUSED


def json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return REFUSED


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("suite", SUITES)
def test_a_text_is_read_as_its_own_project_reads_it_or_refused(suite: str, level: RepairLevel):
    """Value for value: another value than the oracle's stands in the table, with its reason, or nowhere."""
    mismatches: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for row in (row for row in ROWS if row["oracle"] == suite):
        value = value_of(row, level)
        noted = DISAGREED.get(row["id"], {}).get("read", {})
        if level in noted:
            if value is REFUSED or value != noted[level]:
                mismatches[row["id"]] = f"{value!r}, and the table says {noted[level]!r}"
        elif value is REFUSED:
            counts["refused"] += 1
        elif row["outcome"] == "value" and value == row["expected"]:
            counts["equal"] += 1
        else:
            mismatches[row["id"]] = f"{value!r}, and the oracle says {row['outcome']} {row.get('expected')!r}"

    assert mismatches == {}
    assert counts["equal"] >= EQUAL[suite][LEVELS.index(level)]


def test_every_disagreement_has_its_reason_and_is_one_still():
    """The table says why, of rows that exist; one that is settled leaves it."""
    by_id = {row["id"]: row for row in ROWS}

    assert DISAGREED.keys() <= by_id.keys()
    assert all(len(noted["reason"]) > 20 and noted["read"] for noted in DISAGREED.values())
    agreed = [
        (key, level)
        for key, noted in DISAGREED.items()
        for level, value in noted["read"].items()
        if by_id[key]["outcome"] == "value" and value == by_id[key]["expected"]
    ]
    assert agreed == []


def test_at_the_default_hardly_anything_is_read_otherwise():
    """Of 450 odd texts, those that ``safe`` reads as no oracle does are few, and none of them loses a member."""
    otherwise = {key for key, noted in DISAGREED.items() if "safe" in noted["read"]}

    assert len(otherwise) <= 12
    assert not any(DISAGREED[key]["reason"].endswith("safe refuses") for key in otherwise)


@pytest.mark.parametrize("level", ["safe", "aligned"])
def test_whatever_was_changed_is_listed(level: RepairLevel):
    """A value that is not the very JSON of the text has its repairs."""
    unlisted = []
    for row in ROWS:
        try:
            reading = read(row["input"], row["schema"], level)
        except OutputRejected:
            continue
        # a lone label, and any text where text is wanted, is the value as it stands
        if not reading.repairs and reading.value != row["input"].strip() and reading.value != json_of(row["input"]):
            unlisted.append(row["id"])

    assert unlisted == []
