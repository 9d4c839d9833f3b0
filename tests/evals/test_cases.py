"""A dataset is read whole or refused with every fault by line."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk import Ticket, support_desk
from pydantic import BaseModel, Field, model_validator

from labkit.call.fingerprint import digest
from labkit.errors import DatasetInvalid
from labkit.evals import Case, Dataset
from labkit.evals.case import Check

DATASETS = Path(__file__).parents[2] / "datasets"
SET = Check(type="assert-set", threshold=0.5, checks=(Check(type="equals", value={"a": 1}), Check(type="is-json")))

GOOD = '{"id": "a", "input": {"text": "hi"}, "expected": {"intent": "card_arrival"}, "tags": ["card"]}'


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_json_lines_become_cases(tmp_path: Path):
    """The plain case, empty lines allowed."""
    dataset = Dataset.load(write(tmp_path / "desk.jsonl", GOOD, "", GOOD.replace('"a"', '"b"')))

    assert (dataset.name, [case.id for case in dataset]) == ("desk", ["a", "b"])
    assert dataset["a"].expected == {"intent": "card_arrival"}
    assert dataset["a"].tags == ("card",)


def test_columns_become_fields(tmp_path: Path):
    """A spreadsheet is a dataset too."""
    path = write(tmp_path / "desk.csv", "id,input.text,expected.intent,tags", 'a,"hi, there",card_arrival,card; post')

    (case,) = Dataset.load(path)

    assert case == Case(id="a", input={"text": "hi, there"}, expected={"intent": "card_arrival"}, tags=("card", "post"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((GOOD, "{oops"), "desk.jsonl:2: not JSON"),
        ((GOOD, "[1]"), "desk.jsonl:2: a list is not a case"),
        (('{"id": "a"}',), "desk.jsonl:1: input: Field required"),
        ((GOOD.replace("tags", "tag"),), "desk.jsonl:1: tag: Extra inputs"),
        ((GOOD, GOOD), "desk.jsonl:2: case id 'a' appears twice \\(first in line 1\\)"),
        ((GOOD.replace('"hi"', '""'),), "desk.jsonl:1: case 'a': the input does not fit Ticket: text: String should"),
        (("",), "holds no case"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, lines: tuple[str, ...], said: str):
    """The author finds the row without searching."""
    with pytest.raises(DatasetInvalid, match=said):
        Dataset.load(write(tmp_path / "desk.jsonl", *lines), call=support_desk())


def test_all_faults_are_told_at_once(tmp_path: Path):
    """One run of the loader is enough to mend a file."""
    with pytest.raises(DatasetInvalid) as caught:
        Dataset.load(write(tmp_path / "desk.jsonl", "{", GOOD, GOOD, "7"))

    assert [line.split(": ")[0].rpartition(":")[2] for line in str(caught.value).splitlines()] == ["1", "3", "4"]


def test_a_file_that_is_not_utf8_is_named_by_line(tmp_path: Path):
    """A Latin-1 export from a spreadsheet is told apart from broken JSON."""
    path = tmp_path / "desk.jsonl"
    path.write_bytes((GOOD + "\n").encode() + GOOD.replace("hi", "café").encode("latin-1"))

    with pytest.raises(DatasetInvalid, match=r"desk\.jsonl:2: not UTF-8"):
        Dataset.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,input.text,label\na,hi,x\n", "column 'label' is not known"),
        ("id,input.text\na,hi,more\n", "desk.csv:2: 2 columns wanted"),
        ("id,input.text\na\n", "desk.csv:2: 2 columns wanted"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, text: str, said: str):
    """Strange columns and short rows are not guessed at."""
    path = tmp_path / "desk.csv"
    path.write_text(text)

    with pytest.raises(DatasetInvalid, match=said):
        Dataset.load(path)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path):
    """With the full path, since the working directory is the usual mistake."""
    with pytest.raises(DatasetInvalid, match=r"nothing\.jsonl is not there"):
        Dataset.load(tmp_path / "nothing.jsonl")
    with pytest.raises(DatasetInvalid, match=r"ends in .*\.jsonl.*; convert or rename"):
        Dataset.load(tmp_path / "cases.xlsx")


def test_the_hash_follows_content_not_order():
    """Two datasets with the same cases are the same dataset."""
    a, b = Case(id="a", input={"x": 1}), Case(id="b", input={"x": 2})

    assert Dataset([a, b]).hash == Dataset([b, a]).hash
    assert Dataset([a, b]).hash != Dataset([a, Case(id="b", input={"x": 3})]).hash
    with pytest.raises(DatasetInvalid, match="'a' appears twice"):
        Dataset([a, a])


# --- against a call ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"intent": "card_arrival", "urgncy": 2}, "urgncy: no field of the output, which has intent, urgency"),
        ({"intent": "card"}, "intent: Input should be 'card_arrival'"),
        ({"urgency": "2"}, "urgency: a text, where the answer has a number"),
        ({"urgency": 9}, "urgency: Input should be less than or equal to 5"),
        ({"any_of": [{"urgency": 1}, {"urgency": 0}]}, "urgency: Input should be greater than or equal to 1"),
    ],
)
def test_an_expectation_that_no_answer_can_meet_is_a_fault(tmp_path: Path, expected: object, said: str):
    """A typo in the labels is found before anybody pays for the answers."""
    path = write(tmp_path / "desk.jsonl", json.dumps({"id": "a", "input": {"text": "hi"}, "expected": expected}))

    with pytest.raises(DatasetInvalid, match=f"desk.jsonl:1: case 'a': what is expected does not fit Triage: {said}"):
        Dataset.load(path, call=support_desk())
    assert Dataset.load(path)["a"].expected == expected


@pytest.mark.parametrize(
    "expected",
    [{"urgency": 2}, {"outcome": "answered"}, {"any_of": [{"urgency": 1}, {"urgency": 2}]}, "polite", None, 7],
)
def test_what_scorers_interpret_is_left_alone(tmp_path: Path, expected: object):
    """An expectation may be partial, behaviour, a text, or none at all."""
    path = write(tmp_path / "desk.jsonl", json.dumps({"id": "a", "input": {"text": "hi"}, "expected": expected}))

    assert Dataset.load(path, call=support_desk())["a"].expected == expected


class Parcel(BaseModel):
    weight: Decimal
    due: date
    tags: frozenset[str] = frozenset()
    size: tuple[int, int] | None = None
    owner: Ticket | None = Field(default=None, serialization_alias="Owner")
    price: float = 0

    @model_validator(mode="before")
    @classmethod
    def _counts_on_every_field(cls, data: Any) -> Any:
        return {**data, "weight": data["weight"]} if isinstance(data, dict) else data


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        (
            {"weight": "1.50", "due": "2024-02-29", "tags": ["a"], "size": [1, 2], "Owner": {"text": "x"}, "price": 2},
            True,
        ),
        ({"weight": "1", "due": "2024-02-30"}, False),
        ({"weight": "1", "Owner": {"text": ""}}, False),
        ({"weight": "1", "owner": {"text": "x"}}, False),
        ({"weight": "1", "size": [1]}, False),
        ({"weight": 1.5}, False),
        ({"price": 2.0, "owner": None}, False),
        ({"tags": [1]}, False),
        ({"price": 2, "Owner": {}}, True),
        ({"price": 2, "colour": "red"}, False),
    ],
)
def test_fields_are_checked_as_the_output_names_and_writes_them(tmp_path: Path, expected: object, fits: bool):
    """Dates are texts, sets are lists, aliases are names; a validator that needs every field is not an obstacle."""
    path = write(tmp_path / "a.jsonl", json.dumps({"id": "a", "input": {"text": "hi"}, "expected": expected}))
    call = support_desk(output=Parcel)

    if fits:
        assert Dataset.load(path, call=call)["a"].expected == expected
    else:
        with pytest.raises(DatasetInvalid, match="what is expected does not fit Parcel"):
            Dataset.load(path, call=call)


def test_a_case_that_expects_a_refusal_may_be_refused():
    """The messy inputs are a dataset of the desk's, though it refuses half of them."""
    cases = Dataset.load(DATASETS / "messy.jsonl", call=support_desk())

    assert any(case.expected["outcome"] == "invalid_input" for case in cases)
    assert len(cases) == 55


def test_cells_of_a_csv_are_read_as_the_fields_they_stand_for(tmp_path: Path):
    """A spreadsheet has no numbers, only texts that look like some."""
    path = write(
        tmp_path / "desk.csv", "id,input.text,expected.intent,expected.urgency", "a,hi,card_arrival,2", "b,hi,,"
    )

    dataset = Dataset.load(path, call=support_desk())

    assert [case.expected for case in dataset] == [{"intent": "card_arrival", "urgency": 2}, None]


def test_only_the_first_twenty_faults_are_told_in_full(tmp_path: Path):
    """A file in the wrong format does not fill the screen."""
    with pytest.raises(DatasetInvalid) as caught:
        Dataset.load(write(tmp_path / "desk.jsonl", *["{"] * 23))

    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("... and 3 more")


# --- there and back ---------------------------------------------------------------------------------------------------

AWKWARD = Dataset(
    [
        Case(id="1", input={"text": 'a "b",\r\n;c', "n": 1}, expected={"any_of": [1, None]}, tags=("x;y", " z")),
        Case(id="2", input={"text": "\ud800 \u00e4", "deep": [{"x": 1.5}]}, expected="", note="\n", cluster="k"),
        Case(id="3", input={}, weight=2.5, checks=(Check(type="contains-any", value=["a", "b"]),)),
        Case(id="4", input={"text": None}, expected=2**70, checks=(SET,)),
    ],
    name="awkward",
)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("name", ["awkward", "banking12", "messy", "snips_music"])
def test_what_is_written_is_read_back_the_same(tmp_path: Path, name: str, ending: str):
    """Cases keep their hashes, tags and checks in every container, so history goes on."""
    dataset = AWKWARD if name == "awkward" else Dataset.load(DATASETS / f"{name}.jsonl")

    dataset.write(tmp_path / f"{name}.{ending}")
    again = Dataset.load(tmp_path / f"{name}.{ending}")

    assert again.cases == dataset.cases
    assert (again.hash, again.name) == (dataset.hash, name)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.{ending}"]


def test_a_plain_dataset_has_plain_columns(tmp_path: Path):
    """Other tools read the fields without knowing labkit."""
    Dataset.load(DATASETS / "banking12.jsonl").write(tmp_path / "b.csv")

    assert (tmp_path / "b.csv").read_text().splitlines()[0] == "id,input.text,expected.intent,tags"


def test_what_json_does_not_have_is_not_written(tmp_path: Path):
    """Nor is half a file left behind."""
    with pytest.raises(DatasetInvalid, match="case 'a' cannot be written"):
        Dataset([Case(id="a", input={"x": float("nan")})]).write(tmp_path / "a.jsonl")
    with pytest.raises(DatasetInvalid, match=r"written to \.jsonl"):
        Dataset([Case(id="a", input={})]).write(tmp_path / "a.xlsx")

    assert list(tmp_path.iterdir()) == []


def test_a_frame_is_a_dataset_and_back():
    """Whole numbers stay whole beside missing ones, and a row's fault has its number."""
    dataset = Dataset(
        [
            Case(id="a", input={"text": "x", "n": 1}, expected={"k": 2}, tags=("t",), checks=(SET,)),
            Case(id="b", input={"text": "y"}, cluster="c", weight=2),
        ]
    )

    frame = dataset.to_frame()

    assert Dataset.from_frame(frame).cases == dataset.cases
    assert list(frame.columns)[:4] == ["id", "input.text", "input.n", "expected.k"]
    with pytest.raises(DatasetInvalid, match=r"frame 'f', row 2: case id 'a' appears twice \(first in row 1\)"):
        Dataset.from_frame(frame.assign(id="a"), name="f")
    with pytest.raises(DatasetInvalid, match="column 'label' is not known"):
        Dataset.from_frame(frame.assign(label=1))


def test_merging_asks_nothing_twice():
    """Two samples of the same questions make one dataset; an id cannot mean two things."""
    a, b = Case(id="a", input={"x": 1}), Case(id="b", input={"x": 2})
    ours = Dataset([a, b], name="ours")

    merged = ours.merge(Dataset([Case(id="z", input={"x": 2}), Case(id="c", input={"x": 3}), a], name="theirs"))

    assert [case.id for case in merged] == ["a", "b", "c"]
    assert merged.name == "ours+theirs"
    with pytest.raises(DatasetInvalid, match="case id 'a' stands for one case in 'ours' and for another in 'theirs'"):
        ours.merge(Dataset([Case(id="a", input={"x": 9})], name="theirs"))


def test_hashes_of_cases_are_what_they_were():
    """Runs that were stored before cases had checks are still found by their hash."""
    assert Case(id="a", input={"x": 1}, expected=2).hash == digest([{"x": 1}, 2])
    assert Case(id="a", input={"x": 1}, expected=2, checks=(SET,)).hash != digest([{"x": 1}, 2])


def test_a_changed_copy_of_a_case_has_a_hash_of_its_own():
    """Also when that of the original is known already."""
    case = Case(id="a", input={"x": 1}, expected=2)

    assert case.hash != case.model_copy(update={"expected": 3}).hash == digest([{"x": 1}, 3])


@pytest.mark.parametrize("part", ["id", "cluster"])
def test_a_name_that_cannot_be_stored_is_refused(part: str):
    """Before the run, not when PostgreSQL meets it."""
    with pytest.raises(ValueError, match="holds a NUL character"):
        Case(**({"id": "a", "input": {}} | {part: "a\x00b"}))
