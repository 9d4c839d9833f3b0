"""A file of cases is read as whoever made it meant it, or refused where it stands; what is written is read back."""

from __future__ import annotations

import csv
import json
import logging
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import labkit as lk
from labkit.errors import DatasetInvalid
from labkit.evals import Case, Dataset


class Ticket(BaseModel):
    text: str
    choices: list[str] = []


class Triage(BaseModel):
    intent: Literal["card", "cash", "other"]
    urgent: bool = False
    score: float = 0.0
    reply: str = ""


def triage() -> lk.GuardedCall[Triage]:
    return lk.GuardedCall(
        "triage", input=Ticket, output=Triage, prompt=lk.Prompt(user="{{ input.text }}"), model="offline/nearest"
    )


def read(path: Path, content: str | bytes, **options: Any) -> tuple[Case, ...]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Dataset.load(path, **options).cases


def refused(path: Path, content: str | bytes, **options: Any) -> str:
    with pytest.raises(DatasetInvalid) as caught:
        read(path, content, **options)
    return str(caught.value).replace(f"{path.parent}/", "")


# --- CSV as spreadsheets write it -------------------------------------------------------------------------------------

PLAIN = "id,input.text,expected.intent\n1,hello,card\n2,bye,cash\n"
TWO = (
    Case(id="1", input={"text": "hello"}, expected={"intent": "card"}),
    Case(id="2", input={"text": "bye"}, expected={"intent": "cash"}),
)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN + ",,\n,,\n",
        PLAIN.replace("1,hello", ",,\n1,hello"),
        ",,\n\n" + PLAIN,
        PLAIN.replace("\n", ",,,\n"),
        "id,input.text,,expected.intent,\n1,hello,,card,\n2,bye,,cash,\n",
        "id,input.text,expected.intent,,\n1,hello,card\n2,bye,cash,\n",
        PLAIN.replace("2,bye", "   \n\t\n2,bye"),
        "id, input.text ,expected.intent\t\n1,hello,card\n2,bye,cash\n",
        *(PLAIN.replace(",", separator) for separator in ";\t|"),
        *(f"{line}\r\n{PLAIN.replace(',', ';')}" for line in ("sep=;", '"sep=;"', "SEP=;")),
        "sep=^\n" + PLAIN.replace(",", "^"),
        'id;"input.text";expected.intent\n1;hello;card\n2;"bye";cash\n',
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.encode("utf-32"),
    ],
)
def test_a_csv_is_read_as_a_spreadsheet_writes_it(tmp_path: Path, content: str | bytes):
    """Separators, empty rows and columns, blanks around names, byte order marks: none of them changes a case."""
    assert read(tmp_path / "a.csv", content, call=triage()) == TWO


@pytest.mark.parametrize("name", ["A.CSV", "a.Csv", "a.tsv"])
def test_the_ending_of_a_table_may_be_written_in_any_case(tmp_path: Path, name: str):
    """Windows writes .CSV, and a spreadsheet .tsv."""
    assert read(tmp_path / name, PLAIN.replace(",", "\t")) == TWO


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("A.JSONL", '{"id": "1", "input": {}}'),
        ("a.Json", '[{"id": "1", "input": {}}]'),
        ("a.YML", "- {id: a, input: {}}"),
        ("a.JSONL", '{"id": "1", "input": {}}\r\n'.encode("utf-16")),
        ("a.json", '[{"id": "1", "input": {}}]'.encode("utf-16")),
        ("a.yaml", "- {id: a, input: {}}\n".encode("utf-16")),
    ],
)
def test_other_files_are_read_whatever_case_and_encoding_they_have(tmp_path: Path, name: str, content: str | bytes):
    """PowerShell redirects into UTF-16."""
    assert len(read(tmp_path / name, content)) == 1


def test_text_keeps_the_separators_that_are_not_the_files(tmp_path: Path):
    """A semicolon in a comma's file is text, and the reverse; so are blanks around a cell."""
    (first,) = read(tmp_path / "a.csv", 'id,input.text,tags\n1,"a;b|c, d ",x;y\n')
    (second,) = read(tmp_path / "b.csv", "id;input.text;expected.score\n1; 1,50;2,5\n")

    assert (first.input, first.tags) == ({"text": "a;b|c, d "}, ("x", "y"))
    assert (second.input, second.expected) == ({"text": " 1,50"}, {"score": "2,5"})  # no decimal commas are guessed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,input.text,\n1,hello,\n2,bye,note to self\n", "a.csv:3: 'note to self' stands in a column without a name"),
        ("id,input.text\n1,hello,more\n", "a.csv:2: 2 columns wanted, the row has 3"),
        ("id,input.text,expected.intent\n1,hello\n", "a.csv:2: 3 columns wanted, the row has 2"),
        ("\n\nid,input.txt\n,\n1\n", "a.csv:5: 2 columns wanted, the row has 1"),
        ("sep=;\nid;inputs\n1;2\n", "a.csv:2: column 'inputs' is not known"),
        ("id,input.text\n1,caf\xe9\n".encode("cp1252"), "a.csv:2: not UTF-8 (the byte 0xe9, 'é' in Windows-1252)"),
        (b"\xff\xfei\x00d", "a.csv:1: not UTF-16, though it begins so"),
        ("input,target,target\na,b,c\n", "a.csv:1: column 'target' appears twice"),
        ('id,input:json\n1,"{""a"": 1, ""a"": 2}"\n', "a.csv:2: input:json: not JSON: the key 'a' appears twice"),
    ],
)
def test_what_a_table_leaves_open_is_a_fault_where_it_stands(tmp_path: Path, content: str | bytes, said: str):
    """Guessing would change a case unseen."""
    assert said in refused(tmp_path / "a.csv", content)


def test_truth_values_of_a_spreadsheet_are_those_of_the_field(tmp_path: Path):
    """TRUE is true where the answer has a truth value, and a text where it has a text."""
    content = (
        "id,input.text,expected.urgent,expected.reply,expected.score\n1,hello,TRUE,TRUE,2\n2,bye,False,FALSE,0.5\n"
    )

    cases = read(tmp_path / "a.csv", content, call=triage())

    assert [case.expected for case in cases] == [
        {"urgent": True, "reply": "TRUE", "score": 2},
        {"urgent": False, "reply": "FALSE", "score": 0.5},
    ]


@pytest.mark.parametrize(
    ("output", "cells", "expected"),
    [(bool, "TRUE false yes", [True, False, "yes"]), (int, "1 x 2.5", [1, "x", "2.5"]), (float, "1 1e3", [1, 1000.0]),
     (str, "TRUE 1", ["TRUE", "1"])],
)  # fmt: skip
def test_a_cell_is_read_as_the_whole_answer_of_a_call_without_fields(
    tmp_path: Path, output: type[Any], cells: str, expected: list[Any]
):
    """What it cannot be stays text, as it was written."""
    content = "id,input.text,expected\n" + "".join(f"{n},x,{cell}\n" for n, cell in enumerate(cells.split()))

    assert [
        case.expected for case in read(tmp_path / "a.csv", content, call=triage().replace(output=output))
    ] == expected


def test_a_cell_may_be_of_any_size(tmp_path: Path):
    """A document is a cell; the limit of Python's reader is put back for whoever else reads."""
    before = csv.field_size_limit()
    long = "x" * 300_000

    (case,) = read(tmp_path / "a.csv", f"id,input.text\n1,{long}\n")
    Dataset([Case(id="1", input={"text": long}, expected={"reply": long})]).write(tmp_path / "b.csv")
    (back,) = Dataset.load(tmp_path / "b.csv").cases
    refused(tmp_path / "c.csv", 'id,input.text\n1,"x\n')

    assert len(case.input["text"]) == len(back.expected["reply"]) == 300_000
    assert csv.field_size_limit() == before


def test_large_cells_are_read_in_several_threads_at_once(tmp_path: Path):
    """One thread's end does not put the limit back under another."""
    path = tmp_path / "a.csv"
    path.write_text("id,input.text\n" + "".join(f"{n},{'x' * 140_000}\n" for n in range(20)))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(Dataset.load(path)))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [20] * 8


# --- keys and ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl",
            '{"id": "1", "input": {}}\n{"id": "2", "input": {}, "id": "3"}\n',
            "a.jsonl:2: not JSON: the key 'id'",
        ),
        (
            "a.jsonl",
            '{"id": "1", "input": {"a": [{"b": "{", "b": 2}]}}',
            "a.jsonl:1: not JSON: the key 'b' appears twice",
        ),
        ("a.json", '[{"id": "1",\n"input": {},\n"\\u0069d": "2"}]', "a.json:3: not JSON: the key 'id' appears twice"),
        ("a.json", '{"samples": [],\n"samples": []}', "a.json:2: not JSON: the key 'samples' appears twice"),
        ("a.json", '{"samples": [], "x": 1,\n"x": 2}', "a.json:2: not JSON: the key 'x' appears twice"),
        (
            "a.yaml",
            "- id: a\n  input: {}\n  expected: 1\n  expected: 2\n",
            "a.yaml:4: the key 'expected' appears twice",
        ),
        ("a.yaml", "- id: a\n  input: {x: {y: 1, 'y': 2}}\n", "a.yaml:2: the key 'y' appears twice"),
        ("a.yaml", "tests:\n- vars: {}\n  assert: []\ntests: []\n", "a.yaml:4: the key 'tests' appears twice"),
        ("a.yaml", "x: &x\n  a: 1\n  a: 2\ntests: []\n", "a.yaml:3: the key 'a' appears twice"),
    ],
)
def test_a_key_that_stands_twice_is_a_fault(tmp_path: Path, name: str, content: str, said: str):
    """The last one would win, and the checks of the first would be gone without a word."""
    assert said in refused(tmp_path / name, content)


def test_keys_that_a_merge_brings_may_stand_again(tmp_path: Path):
    """That is what YAML's "<<" is for."""
    content = "- &base\n  id: a\n  input: {text: x}\n- <<: *base\n  id: b\n- <<: *base\n  <<: {note: n}\n  id: c\n"

    cases = read(tmp_path / "a.yaml", content)

    assert [(case.id, case.input, case.note) for case in cases] == [
        ("a", {"text": "x"}, ""),
        ("b", {"text": "x"}, ""),
        ("c", {"text": "x"}, "n"),
    ]


AS_WRITTEN = ["7", "010", "12:30", "1_000", "1.10", "NO", "2024-01-02"]


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("a.jsonl", '{"id": 7, "input": {}}\n{"id": 12345678901234567890, "input": {}}', ["7", "12345678901234567890"]),
        ("a.json", '[{"id": 0, "input": {}}]', ["0"]),
        (
            "a.yaml",
            "".join(f"- {{id: {text}, input: {{}}}}\n" for text in AS_WRITTEN),
            AS_WRITTEN,
        ),
        ("a.csv", "id,input.text\n007,x\n1e3,y\n", ["007", "1e3"]),
    ],
)  # fmt: skip
def test_an_id_may_be_a_number_and_is_kept_as_it_is_written(tmp_path: Path, name: str, content: str, ids: list[str]):
    """What YAML would make of an id is another id."""
    assert [case.id for case in read(tmp_path / name, content)] == ids


def test_clusters_and_tags_may_be_numbers_too(tmp_path: Path):
    """A year is a group."""
    (case,) = read(tmp_path / "a.yaml", "- {id: 1, input: {n: 010}, cluster: 08, tags: [2024, 007, x]}\n")
    (line,) = read(tmp_path / "a.jsonl", '{"id": 1, "input": {"n": 1}, "cluster": 8, "tags": [2024]}')

    assert (case.cluster, case.tags, case.input) == ("08", ("2024", "007", "x"), {"n": 8})
    assert (line.cluster, line.tags, line.input) == ("8", ("2024",), {"n": 1})


@pytest.mark.parametrize("given", ["true", "1.5", "null", '" "', "[]"])
def test_what_names_nothing_is_no_id(tmp_path: Path, given: str):
    """Truth values and blanks are slips."""
    assert "a.jsonl:1: id: " in refused(tmp_path / "a.jsonl", f'{{"id": {given}, "input": {{}}}}')


# --- Inspect's and promptfoo's own ------------------------------------------------------------------------------------


def test_metadata_and_choices_of_inspect_may_be_texts(tmp_path: Path):
    """In a CSV they cannot be anything else."""
    content = (
        "input,target,choices,metadata\n"
        'Which is the smallest?,A,"1, 2,3","{""topic"": ""numbers""}"\n'
        'Which?,B,"[""a, b"", ""c"", 3]",\n'
        "Where?,C,one two,{}\n"
    )

    cases = read(tmp_path / "a.csv", content, call=triage())

    assert [(case.input["choices"], case.tags) for case in cases] == [
        (["1", "2", "3"], ("topic=numbers",)),
        (["a, b", "c", "3"], ()),
        (["one", "two"], ()),
    ]


def test_a_target_of_inspect_is_its_text(tmp_path: Path):
    """As Inspect itself reads it."""
    rows = [{"input": f"q{n}", "target": target} for n, target in enumerate([2, 2.5, True, [1, "one"], "", None, "x"])]

    cases = read(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))

    assert [case.expected for case in cases] == ["2", "2.5", "True", {"any_of": ["1", "one"]}, None, None, "x"]


def test_broken_metadata_is_a_fault_of_its_row(tmp_path: Path):
    """It is meant to be JSON."""
    said = refused(tmp_path / "a.csv", 'input,target,metadata\nhi,x,"{"\nho,y,[1]\n')

    assert "a.csv:2: metadata: not JSON" in said and "a.csv:3: metadata is a list" in said


def test_of_cases_without_ids_that_are_the_same_the_second_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Other tools ask it twice; two rows of one question are no two cases."""
    sample, other = {"input": "What is 1+1?", "target": "2"}, {"input": "What is 2+2?", "target": "4"}
    content = "\n".join(json.dumps(row) for row in (sample, other, sample))

    with caplog.at_level(logging.WARNING, logger="labkit.evals"):
        cases = read(tmp_path / "a.jsonl", content)

    assert [case.input["text"] for case in cases] == ["What is 1+1?", "What is 2+2?"]
    assert [record.getMessage().replace(f"{tmp_path}/", "") for record in caplog.records] == [
        "a.jsonl:3 asks what line 1 does, and is left out"
    ]


def test_cases_without_ids_that_say_different_things_of_one_question_are_told_apart(tmp_path: Path):
    """Neither is lost, and their names are the same tomorrow."""
    content = "text,__expected,__description\n" + "hi,contains:hello,first\nhi,contains:hello,second\n"

    first, again = (read(tmp_path / name, content) for name in ("a.csv", "b.csv"))

    assert [case.note for case in first] == ["first", "second"]
    assert first[1].id == f"{first[0].id}-2"
    assert first == again


def test_an_id_that_the_file_gives_twice_stays_a_fault(tmp_path: Path):
    """Its author can rename it."""
    content = '{"id": "a", "input": "x", "target": "1"}\n{"id": "a", "input": "y", "target": "1"}\n'

    assert "a.jsonl:2: case id 'a' appears twice" in refused(tmp_path / "a.jsonl", content)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ('"1,000",in stock', ["1,000", "in stock"]),
        ("a, b ,c", ["a", "b", "c"]),
        (',, a,,"b" , ', ["a", "b"]),
        (r'"say ""hi""","back\\slash","\"q\""', ['say "hi"', "back\\slash", '"q"']),
        ('" kept "', [" kept "]),
        ('5" disk,x', ['5" disk', "x"]),
        (r'"a\n",b\,c', ["a\\n", "b\\", "c"]),
        ('"two\nlines",b', ["two\nlines", "b"]),
    ],
)
@pytest.mark.parametrize("kind", ["contains-all", "not-icontains-any"])
def test_a_list_of_promptfoo_keeps_commas_within_quotes(tmp_path: Path, kind: str, value: str, parts: list[str]):
    """The check looks for what promptfoo's would."""
    quoted = f'"{kind}:{value}"'.replace('"', '""')[1:-1]
    (case,) = read(tmp_path / "a.csv", f"text,__expected\nhi,{quoted}\n")
    (test,) = read(
        tmp_path / "a.yaml", json.dumps([{"vars": {"text": "hi"}, "assert": [{"type": kind, "value": value}]}])
    )

    assert case.checks[0].value == test.checks[0].value == parts


@pytest.mark.parametrize("value", ['"open', '"a" b', '"' + "\\\\" * 5_000, ", ,"])
def test_a_list_of_promptfoo_that_cannot_be_parted_is_a_fault(tmp_path: Path, value: str):
    """Half a quote would look for something nobody meant."""
    content = json.dumps([{"vars": {"text": "hi"}, "assert": [{"type": "contains-any", "value": value}]}])

    assert "a.json:1: checks.0: contains-any: " in refused(tmp_path / "a.json", content)


def test_an_escaped_comma_belongs_to_the_item_of_metadata(tmp_path: Path):
    """And a column that is empty says nothing."""
    (case,) = read(
        tmp_path / "a.csv",
        'text,__expected,__metadata:tags[],__metadata:topic,__metadata:other\nhi,contains:hi,"a\\,b\\,c, d",x,\n',
    )

    assert case.tags == ("a,b,c", "d", "topic=x")


# --- writing ----------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["\r", "a\rb", "\n", "\r\n", '"', "'", ",", ";", "\t", "|", " a ", "TRUE", "1.0", "null", "=1", "sep=;", "\ufeff"]
)  # fmt: skip
fields = st.one_of(texts, st.sampled_from(["text", "a.b", "a.", ".", "x:json", " a", "a;b;c;d", "id", "a|b\t"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=6,
)
flat = st.dictionaries(fields, texts, min_size=1, max_size=3)
names = texts.filter(lambda text: text.strip() != "" and "\x00" not in text)
cases = st.builds(
    lambda **parts: Case(**parts),
    id=names,
    input=st.dictionaries(fields, values, max_size=3) | flat,
    expected=values | flat,
    tags=st.lists(texts, max_size=3).map(tuple),
    note=texts,
    cluster=st.none() | texts.filter(lambda text: "\x00" not in text),
    weight=st.floats(min_value=1e-6, max_value=1e6),
)
datasets = st.lists(cases, min_size=1, max_size=4, unique_by=lambda case: case.id)
# Tables are only flat where all cases have the same fields.
alike = fields.flatmap(
    lambda field: st.lists(
        st.builds(lambda name, a, b: Case(id=name, input={field: a}, expected={field: b}), names, texts, texts),
        min_size=1,
        max_size=4,
        unique_by=lambda case: case.id,
    )
)


@settings(derandomize=True, max_examples=250, deadline=None)
@given(given_cases=datasets | alike, ending=st.sampled_from([".jsonl", ".csv", ".parquet"]))
@example(given_cases=[Case(id="a", input={"text": "x\ry"})], ending=".csv")
@example(given_cases=[Case(id="a", input={"a;b;c;d": "x"})], ending=".csv")
@example(given_cases=[Case(id="a", input={" a": "x"}, cluster="")], ending=".csv")
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, given_cases: list[Case], ending: str):
    """In every format, whatever the texts hold."""
    path = tmp_path_factory.mktemp("written") / f"a{ending}"

    Dataset(given_cases).write(path)

    assert Dataset.load(path).cases == tuple(given_cases)


FORMULAS = ["=HYPERLINK(1)", "+1+cmd", "-2+3", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1+1"]


def test_a_csv_for_spreadsheets_holds_no_formula(tmp_path: Path):
    """Whoever opens it runs nothing; numbers stay numbers, and the cells of the others are as they were."""
    plain = ["-5", "+3.5", "a=b", "mail@home", "é"]
    cases = [Case(id=f"c{n}", input={"text": text}, note=text) for n, text in enumerate([*FORMULAS, *plain])]

    Dataset(cases).write(tmp_path / "a.CSV", for_spreadsheets=True)

    content = (tmp_path / "a.CSV").read_bytes()
    _, *rows = csv.reader(content.decode("utf-8-sig").splitlines(keepends=True))
    assert content.startswith(b"\xef\xbb\xbf")  # else Excel shows Ã©
    assert [row[1:] for row in rows] == [[f"'{text}"] * 2 for text in FORMULAS] + [[text] * 2 for text in plain]


def test_only_a_csv_is_written_for_spreadsheets(tmp_path: Path):
    """Nothing else is opened in one."""
    with pytest.raises(DatasetInvalid, match="only a CSV is written for spreadsheets"):
        Dataset(TWO).write(tmp_path / "a.jsonl", for_spreadsheets=True)
