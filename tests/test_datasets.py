"""The data sets that are shipped: balanced, held out for real, credited, and rebuilt from their originals."""

from __future__ import annotations

import csv
import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from labkit.call.inputs import Normalization, validate
from labkit.call.steps import StepFailed

DATASETS = Path(__file__).parents[1] / "datasets"
ROWS = {
    "banking12.jsonl": 480,
    "banking12_train.jsonl": 120,
    "messy.jsonl": 55,
    "snips_music.jsonl": 100,
    "snips_restaurants.jsonl": 100,
}


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4_000)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATASETS / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ROWS)
def test_every_file_has_its_rows_with_unique_ids(name: str) -> None:
    """A/B pairing can rely on the ids, and the README on the counts."""
    found = rows(name)

    assert len(found) == ROWS[name]
    assert len({row["id"] for row in found}) == len(found)
    assert all({"id", "input", "expected", "tags"} <= row.keys() for row in found)
    assert f"| `{name}` | {len(found)} |" in (DATASETS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "each"), [("banking12.jsonl", 40), ("banking12_train.jsonl", 10)])
def test_the_twelve_intents_are_balanced_in_every_prefix(name: str, each: int) -> None:
    """The first n cases are as fair a sample as all of them, and each intent has a definition and one topic."""
    found = rows(name)
    intents = json.loads((DATASETS / "banking12_intents.json").read_text(encoding="utf-8"))

    assert Counter(row["expected"]["intent"] for row in found) == dict.fromkeys(intents, each)
    assert {row["expected"]["intent"] for row in found[:12]} == set(intents)
    assert len({(row["expected"]["intent"], *row["tags"]) for row in found}) == 12
    assert 3 <= len({row["tags"][0] for row in found}) <= 5


def test_no_held_out_query_is_in_a_prompt() -> None:
    """A score on banking12 is a score on queries that the prompt has never shown."""
    shown = {row["input"]["text"].casefold() for row in rows("banking12_train.jsonl")}
    held_out = {row["input"]["text"].casefold() for row in rows("banking12.jsonl")}

    assert len(shown) == 120
    assert not shown & held_out


@pytest.mark.parametrize("name", ["snips_music.jsonl", "snips_restaurants.jsonl"])
def test_every_slot_is_a_piece_of_its_text(name: str) -> None:
    """Extraction can be scored by comparing strings."""
    for row in rows(name):
        assert row["expected"]
        assert all(value and value in row["input"]["text"] for value in row["expected"].values()), row["id"]


def test_the_licences_and_credits_are_there() -> None:
    """CC BY 4.0 is kept: its text, the authors, and what was changed."""
    licence = (DATASETS / "LICENSE-CC-BY-4.0.txt").read_text(encoding="utf-8")
    readme = (DATASETS / "README.md").read_text(encoding="utf-8")

    assert "Attribution 4.0 International" in licence
    for credit in (
        "Casanueva",
        "PolyAI",
        "LICENSE-CC-BY-4.0.txt",
        "CC0 1.0",
        "arXiv:1805.10190",
        "Changed here",
    ):
        assert credit in readme


@pytest.mark.parametrize("row", rows("messy.jsonl"), ids=lambda row: f"{row['id']}-{row['tags'][1]}")
def test_messy_input_is_refused_or_normalized_as_its_row_says(row: dict[str, Any]) -> None:
    """What people and attackers really send is either cleaned or refused with the field that is wrong."""
    expected = row["expected"]
    assert row["tags"][0] == "messy"
    assert row["note"].endswith(".")

    if expected["outcome"] == "invalid_input":
        with pytest.raises(StepFailed) as refused:
            validate(Ticket, row["input"], Normalization())
        assert expected["field"] in {fault.path for fault in refused.value.reason.errors}
    else:
        assert expected["outcome"] == "answered"
        ticket = validate(Ticket, row["input"], Normalization())
        assert ticket.text == expected.get("text", row["input"]["text"])


def test_the_derived_files_are_rebuilt_from_the_originals_alone(tmp_path: Path) -> None:
    """The sample does not depend on the machine, and an example that is also a test query is left out."""
    build = runpy.run_path(str(DATASETS / "build.py"))
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    for path, texts in ((train, 30), (test, 40)):
        with path.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(["text", "category"])
            for intent in build["TOPICS"]:
                writer.writerows((f"{intent}, query\t{number}", intent) for number in range(20, 20 + texts))
                writer.writerows((f"{intent} only {number}", intent) for number in range(12) if path == train)

    examples, cases = build["banking_rows"](train, test)

    assert len(cases) == 480
    assert len(examples) == 120
    assert all(" only " in row["input"]["text"] for row in examples)
    assert (examples, cases) == build["banking_rows"](train, test)
    assert cases[0]["input"]["text"] == "card_arrival, query 20"
