"""Other projects' odd outputs: what they mean is read, what they do not say is not made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.call.outputs import read
from labkit.errors import OutputRejected

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "malformed_outputs.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]

# Where an oracle's opinion is wrong for typed data. Never more than five.
DISAGREED = {
    "baml/mod/test_string_from_string23": "the text says what id is; the oracle reads braces in the prose",
    "baml/test_class/test_ekinsdrow": "a required list is missing; the oracle makes up an empty one",
    "baml/test_unions/test_email_regex": "which type it is stands in x-rules, which are never evaluated",
}

ALIGNED = [row for row in ROWS if row["oracle"] == "baml-sap" and not row["partial"] and row["id"] not in DISAGREED]
STRICT = [row for row in ROWS if row["oracle"].startswith(("instructor", "guardrails"))]
REPAIR = [row for row in ROWS if row["oracle"] in ("json_repair", "jsonrepair-js")]


def name(row: dict[str, Any]) -> str:
    return str(row["id"])


@pytest.mark.parametrize("row", [row for row in ALIGNED if row["outcome"] == "value"], ids=name)
def test_what_a_text_means_for_its_schema_is_read(row: dict[str, Any]):
    """Equal to what the schema-aligned parser says, value for value."""
    assert read(row["input"], row["schema"], "aligned").value == row["expected"]


@pytest.mark.parametrize("row", [row for row in ALIGNED if row["outcome"] == "error"], ids=name)
def test_what_has_no_meaning_for_its_schema_is_an_error(row: dict[str, Any]):
    """Two labels named as often, plain text for an object: nobody knows, and nobody guesses."""
    with pytest.raises(OutputRejected):
        read(row["input"], row["schema"], "aligned")


def test_disagreements_are_few_and_still_there():
    """One that is settled leaves the table."""

    def agrees(row: dict[str, Any]) -> bool:
        try:
            return bool(read(row["input"], row["schema"], "aligned").value == row["expected"])
        except OutputRejected:
            return False

    disagreed = [row["id"] for row in ROWS if row["id"] in DISAGREED and not agrees(row)]
    assert sorted(disagreed) == sorted(DISAGREED)
    assert len(DISAGREED) <= 5


@pytest.mark.parametrize("row", [row for row in STRICT if row["outcome"] == "value"], ids=name)
def test_what_stands_in_fences_and_prose_is_taken_out(row: dict[str, Any]):
    """As the extraction of two validation libraries does."""
    assert read(row["input"], row["schema"], "aligned").value == row["expected"]


@pytest.mark.parametrize("row", [row for row in STRICT if row["outcome"] == "error"], ids=name)
def test_what_a_strict_parser_refuses_is_refused_or_listed(row: dict[str, Any]):
    """A strict reading refuses it too; a lenient one lists what it did."""
    with pytest.raises(OutputRejected):
        read(row["input"], row["schema"], "strict")
    try:
        reading = read(row["input"], row["schema"], "aligned")
    except OutputRejected:
        return
    assert reading.repairs


@pytest.mark.parametrize("level", ["strict", "safe", "aligned"])
@pytest.mark.parametrize("row", REPAIR, ids=name)
def test_broken_syntax_never_crashes_a_reading(row: dict[str, Any], level: Any):
    """A value with its repairs, or an error; nothing is changed unseen."""
    try:
        reading = read(row["input"], row["schema"], level)
    except OutputRejected:
        return
    is_text = row["schema"] is not None and row["schema"].get("type") == "string"
    assert reading.repairs or is_text or reading.value == json.loads(row["input"])
