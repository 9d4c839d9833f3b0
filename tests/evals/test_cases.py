"""A dataset is read whole or refused with every fault by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import support_desk

from labkit.errors import DatasetInvalid
from labkit.evals import Case, Dataset

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
    with pytest.raises(DatasetInvalid, match=r"ends in \.csv or \.jsonl"):
        Dataset.load(tmp_path / "cases.xlsx")


def test_the_hash_follows_content_not_order():
    """Two datasets with the same cases are the same dataset."""
    a, b = Case(id="a", input={"x": 1}), Case(id="b", input={"x": 2})

    assert Dataset([a, b]).hash == Dataset([b, a]).hash
    assert Dataset([a, b]).hash != Dataset([a, Case(id="b", input={"x": 3})]).hash
    with pytest.raises(DatasetInvalid, match="'a' appears twice"):
        Dataset([a, a])
