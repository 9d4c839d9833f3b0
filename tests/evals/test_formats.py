"""Datasets of other tools are read as they are meant, or refused by name, line and mend; nothing in them is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from desk import support_desk
from pydantic import BaseModel

from labkit.errors import DatasetInvalid
from labkit.evals import Case, Dataset
from labkit.evals.case import Check

PROMPTFOO = """\
# tests of the desk
- description: where is it
  vars: &card
    text: Where is my card?
  assert:
    - type: icontains
      value: card
      weight: 2
    - type: not-contains-any
      value: [refund, sorry]
  metadata: {topic: card, hard: true, id: card-1}

- vars: *card
  threshold: 0.5
  assert:
    - type: assert-set
      threshold: 0.5
      assert:
        - {type: equals, value: {a: 1}}
        - {type: is-json}
"""


class Dialogue(BaseModel):
    question: str
    messages: list[dict[str, str]] = []
    choices: list[str] = []


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def lines(path: Path, *rows: Any) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DatasetInvalid) as caught:
        Dataset.load(path, **options)
    return str(caught.value).replace(f"{path.parent}/", "")


# --- labkit's own words in every container ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[\n {"id": "a", "input": {"text": "hi"}, "tags": ["x"]},\n {"id": "b", "input": {}}]'),
        ("a.yaml", "- {id: a, input: {text: hi}, tags: [x]}\n- id: b\n  input: {}\n"),
        ("a.yml", "- {id: a, input: {text: hi}, tags: [x]}\n- id: b\n  input: {}\n"),
        ("a.csv", 'id,input:json,tags\na,"{""text"": ""hi""}",x\nb,{},\n'),
    ],
)
def test_a_case_is_the_same_in_every_container(tmp_path: Path, name: str, text: str):
    """JSON, YAML and CSV are ways to write the same thing."""
    dataset = Dataset.load(write(tmp_path / name, text))

    assert dataset.cases == (Case(id="a", input={"text": "hi"}, tags=("x",)), Case(id="b", input={}))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "- id: a\n  input: {}\n\n- id: b\n  inputs: {}\n", "a.yaml:4: input: Field required; inputs: Extra"),
        ("a.yaml", "- id: a\n  input: {}\n- [1]\n", "a.yaml:3: a list is not a case"),
        ("a.yaml", "- id: a\n  input: {]\n", "a.yaml:2: not YAML"),
        ("a.yaml", "- id: a\n  input: {x: !!python/object/apply:os.system [ls]}\n", "a.yaml:1: not YAML: could not"),
        ("a.yaml", "- id: a\n  input: {x: 2024-13-45}\n", "a.yaml:1: not YAML: month must be in 1..12"),
        ("a.yaml", "- &a\n  id: a\n  input: {x: *a}\n", "a.yaml:1: an alias stands within what it names"),
        ("a.yaml", "- id: a\n  input: {x: .nan}\n", "a.yaml:1: nan is no JSON value"),
        ("a.yaml", "- id: a\n  input: {1: x}\n", "a.yaml:1: the key 1 is a int, not text"),
        ("a.yaml", "cases: []\n", "a.yaml:1: a mapping without a list 'tests'"),
        ("a.yaml", "? [a]\n: 1\n", "a.yaml:1: a mapping without a list 'tests'"),
        ("a.yaml", "- id: a\n  input: {x: \x00}\n", "a.yaml:2: not YAML: special characters are not allowed"),
        ("a.yaml", "just text\n", "a.yaml:1: a single value holds no cases"),
        ("a.yaml", "", "holds no case"),
        ("a.yaml", "[" * 5000, "a.yaml: nested too deeply"),
        ("a.json", '[\n\n{"id": "a"}]', "a.json:3: input: Field required"),
        ("a.json", '[{"id": "a", "input": {}},\n oops]', "a.json:2: not JSON: Expecting value"),
        ("a.json", '[{"id": "a", "input": {}}\n{}]', "a.json:2: not JSON: Expecting ',' delimiter"),
        ("a.json", '[{"id": "a", "input": {}}]\n[]', "a.json:2: not JSON: Extra data"),
        ("a.json", '[\n{"id": "a", "input": {"x": NaN}}]', "a.json:2: not JSON: NaN is no JSON value"),
        ("a.json", "[" * 200_000, "a.json: nested too deeply"),
        ("a.json", "7", "a.json:1: a int holds no cases"),
        ("a.json", '{"a": 1}', "a.json:1: a mapping without a list 'tests'"),
        ("a.json", "[]", "holds no case"),
        ("a.json", "", "holds no case"),
        ("a.jsonl", '{"id": "a", "input": {"x": Infinity}}', "a.jsonl:1: not JSON: Infinity is no JSON value"),
        ("a.jsonl", "[" * 200_000, "a.jsonl:1: nested too deeply"),
        ("a.csv", 'id,input.text\na,"x\ny"\nb\n', "a.csv:4: 2 columns wanted, the row has 1"),
        ("a.csv", "id,input.text,input.text\na,x,y\n", "a.csv:1: column 'input.text' appears twice"),
        ("a.csv", "id,expected,expected.x\na,x,y\n", "a.csv:1: columns 'expected' and 'expected.x' say the same"),
        ("a.csv", 'id,input:json\na,"{"\n', "a.csv:2: input:json: not JSON"),
        ("a.csv", 'id,input.text\na,"x\n', "a.csv:2: not CSV"),
        ("a.csv", "", "holds no case"),
        ("a.parquet", "PAR1", "a.parquet: not Parquet"),
    ],
)
def test_a_broken_file_is_named_by_line(tmp_path: Path, name: str, text: str, said: str):
    """The author finds the place without searching, whatever the container."""
    assert said in refused(write(tmp_path / name, text))


def test_a_small_file_cannot_stand_for_a_large_one(tmp_path: Path):
    """Aliases of aliases would fill any memory."""
    laughs = "\n".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))

    said = refused(write(tmp_path / "a.yaml", f"- id: a\n  a0: &a0 [lol]\n{laughs}\n"))

    assert "a.yaml:1: its aliases stand for over 100,000 values" in said


def test_rows_of_parquet_are_named_by_number(tmp_path: Path):
    """It has no lines; values of NumPy, missing ones and structs come as JSON data."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path = tmp_path / "day=3" / "a.parquet"
    path.parent.mkdir()
    table = {"id": [1, 2], "input": [{"n": 1}, {"n": 2}], "expected": ["x", None], "tags": [["t"], None]}
    parquet.write_table(pa.table(table), path)

    assert Dataset.load(path).cases == (
        Case(id="1", input={"n": 1}, expected="x", tags=("t",)),
        Case(id="2", input={"n": 2}),
    )
    parquet.write_table(pa.table({**table, "id": ["a", "a"]}), path)
    assert "a.parquet, row 2: case id 'a' appears twice (first in row 1)" in refused(path)


# --- promptfoo --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["", "prompts: [x]\ntests:\n"])
def test_promptfoo_tests_become_cases_with_checks(tmp_path: Path, head: str):
    """A list of tests, or the configuration that holds them; ids from metadata, or from content."""
    first, second = Dataset.load(write(tmp_path / "tests.yaml", head + PROMPTFOO))

    assert first == Case(
        id="card-1",
        input={"text": "Where is my card?"},
        checks=(
            Check(type="icontains", value="card", weight=2),
            Check(type="not-contains-any", value=["refund", "sorry"]),
        ),
        note="where is it",
        tags=("topic=card", "hard=true"),
    )
    inner = Check(
        type="assert-set", threshold=0.5, checks=(Check(type="equals", value={"a": 1}), Check(type="is-json"))
    )
    assert second.checks == (Check(type="assert-set", threshold=0.5, checks=(inner,)),)
    assert second.id == Dataset.load(tmp_path / "tests.yaml").cases[1].id


def test_promptfoo_csv_becomes_cases_with_checks(tmp_path: Path):
    """A bare cell is what the answer should equal, "type:value" a check of that type, an empty one nothing."""
    path = write(
        tmp_path / "tests.csv",
        "text,__expected,__expected1,__expected2,__description,__metadata:topic,__metadata:kinds[],__metric\n"
        'hi,Note: hello,"contains-all:a, b",not-starts-with:Sorry,greets,card,"x, y",m\n'
        "ho,,is-json,regex(0.5):^a:b$,,,,\n",
    )

    first, second = Dataset.load(path)

    assert first.input == {"text": "hi"}
    assert first.checks == (
        Check(type="equals", value="Note: hello"),
        Check(type="contains-all", value=["a", "b"]),
        Check(type="not-starts-with", value="Sorry"),
    )
    assert (first.note, first.tags) == ("greets", ("topic=card", "kinds=x", "kinds=y"))
    assert second.checks == (Check(type="is-json"), Check(type="regex", value="^a:b$"))


def test_promptfoo_json_lines_are_recognized(tmp_path: Path):
    """The first row says whose words they are; so does the caller."""
    row = {"vars": {"text": "hi"}, "assert": [{"type": "contains", "value": "x"}]}

    assert Dataset.load(lines(tmp_path / "a.jsonl", row)).cases[0].checks == (Check(type="contains", value="x"),)
    path = write(tmp_path / "a.csv", "text\nhi\n")
    assert Dataset.load(path, format="promptfoo").cases[0].input == {"text": "hi"}
    assert "format='prompt' is not known: use one of labkit, promptfoo" in refused(path, format="prompt")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"assert": [{"type": "llm-rubric", "value": "is kind"}]}, "assert[0] is of type 'llm-rubric', which is not"),
        (
            {"assert": [{"type": "javascript", "value": "1"}]},
            "type 'javascript', which is not evaluated here: use equals",
        ),
        ({"assert": [{"type": "python", "value": "exit()"}]}, "type 'python', which is not"),
        ({"assert": [{"type": "not-similar", "value": "x"}]}, "type 'not-similar', which is not"),
        ({"assert": [{"type": "assert-set", "assert": [{"type": "cost"}]}]}, "assert[0].assert[0] is of type 'cost'"),
        ({"assert": [{"type": "contains", "value": "x", "transform": "y"}]}, "assert[0] has 'transform', which is not"),
        ({"assert": [{"type": "contains", "value": "file://a.txt"}]}, "the value names a file, which is not opened"),
        ({"assert": [{"type": "contains", "value": "{{ env.HOME }}"}]}, "the value holds a template"),
        ({"assert": [{"type": "contains"}]}, "checks.0: contains: give a text to look for"),
        ({"assert": [{"type": "is-json", "value": {"type": "object"}}]}, "is-json: a schema belongs to the call"),
        ({"assert": [{"type": "regex", "value": "("}]}, "regex: not a regular expression"),
        ({"assert": ["contains"]}, "assert[0] has no type"),
        ({"assert": "contains"}, "assert is not a list"),
        ({"vars": "file://vars.yaml"}, "vars is not a mapping"),
        ({"vars": {"x": "file:///etc/passwd"}}, "vars.x names a file, which is not opened"),
        ({"vars": {"x": [1, 2]}}, "vars.x is a list, of which promptfoo makes a test for each item"),
        ({"options": {"transform": "output"}}, "options has 'transform', which is not read here"),
        ({"provider": "x"}, "the test has 'provider', which is not read here"),
        ({"threshold": 0.5}, "there is a threshold and no assert"),
        ({"metadata": "x"}, "metadata is a str"),
    ],
)
def test_what_promptfoo_would_run_is_refused_by_name_and_line(tmp_path: Path, test: dict[str, Any], said: str):
    """Code, templates, files and judges of a dataset are never run; the author learns which and what to do."""
    fault = refused(lines(tmp_path / "a.jsonl", {"vars": {"x": "1"}}, {"vars": {"x": "2"}, **test}))

    assert fault.startswith("a.jsonl:2: ")
    assert said in fault


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("llm-rubric: is kind", "llm-rubric"),
        ("grade:is kind", "grade"),
        ("similar(0.8):x", "similar"),
        ("javascript:x>1", "javascript"),
        ("fn:x", "fn"),
        ("not-is-sql", "not-is-sql"),
    ],
)
def test_a_cell_that_promptfoo_would_run_is_refused(tmp_path: Path, cell: str, kind: str):
    """It is not mistaken for a text that the answer should equal."""
    fault = refused(write(tmp_path / "a.csv", f"text,__expected\nhi,{cell}\n"))

    assert fault.startswith(f"a.csv:2: assert[0] is of type {kind!r}")


def test_parts_of_a_promptfoo_file_that_would_change_its_tests_are_refused(tmp_path: Path):
    """Half of a test is another test."""
    assert "'defaultTest' is not read" in refused(write(tmp_path / "a.yaml", "defaultTest: {}\ntests: []\n"))
    assert "column '__prefix' is not read" in refused(write(tmp_path / "a.csv", "x,__prefix,__expected\n1,2,3\n"))
    assert "a mapping without" in refused(write(tmp_path / "b.yaml", "tests: file://tests.csv\n"))


# --- OpenAI evals and Inspect -----------------------------------------------------------------------------------------


def dialogue_call() -> Any:
    from labkit import Prompt

    return support_desk(input=Dialogue, prompt=Prompt(user="{{ input.question }}"))


def test_openai_samples_become_cases(tmp_path: Path):
    """A text or a user's message is the input, one ideal answer or several are expected."""
    path = lines(
        tmp_path / "samples.jsonl",
        {"input": "2+2", "ideal": "4", "metadata": {"topic": "sums"}},
        {"input": [{"role": "user", "content": [{"type": "text", "text": "3+3"}]}], "ideal": ["6", "six"], "id": 7},
    )

    first, second = Dataset.load(path)

    assert (first.input, first.expected, first.tags) == ({"text": "2+2"}, "4", ("topic=sums",))
    assert second == Case(id="7", input={"text": "3+3"}, expected={"any_of": ["6", "six"]})
    assert first.id.startswith("case-") and first.id == Dataset.load(path).cases[0].id


def test_a_conversation_goes_where_the_call_takes_it(tmp_path: Path):
    """The last message into the one required text, those before it into messages."""
    path = lines(
        tmp_path / "a.jsonl",
        {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}], "ideal": "x"},
    )

    (case,) = Dataset.load(path, call=dialogue_call())

    assert case.input == {"question": "hi", "messages": [{"role": "system", "content": "Be brief."}]}
    assert "for which Ticket has no field: add 'messages'" in refused(path, call=support_desk())
    assert "give call=" in refused(path)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"ideal": "x"}, "there is no 'input'"),
        ({"input": 7, "ideal": "x"}, "input is neither a text nor a list of messages"),
        ({"input": [{"role": "assistant", "content": "x"}], "ideal": "x"}, "ends with a message of 'assistant'"),
        ({"input": [{"content": "x"}], "ideal": "x"}, "message 1 has no role"),
        ({"input": [{"role": "user", "content": [{"type": "image"}]}], "ideal": "x"}, "message 1 holds more than text"),
        ({"input": "x", "ideal": []}, "ideal is a list, but not of texts"),
        ({"input": "x", "ideal": {"a": 1}}, "ideal is a dict"),
    ],
)
def test_a_sample_that_cannot_be_asked_is_named(tmp_path: Path, sample: dict[str, Any], said: str):
    """It is not bent into something that can."""
    assert refused(lines(tmp_path / "a.jsonl", sample)).startswith("a.jsonl:1: ")
    assert said in refused(tmp_path / "a.jsonl")


def inspect_log(*samples: dict[str, Any], **head: Any) -> str:
    return json.dumps({"version": 2, "status": "success", "eval": {"task": "t"}, **head, "samples": samples}, indent=1)


def test_an_inspect_log_becomes_one_case_for_each_id(tmp_path: Path):
    """Epochs ask the same again; scores and outputs of the log are not cases."""
    asked = {"id": 1, "input": "hi", "target": ["a", "b"], "metadata": {"topic": "card"}, "output": {}, "scores": {}}
    other = {"id": "x", "epoch": 1, "input": [{"role": "user", "content": "ho"}], "target": ""}
    path = write(tmp_path / "log.json", inspect_log({**asked, "epoch": 1}, {**asked, "epoch": 2}, other))

    first, second = Dataset.load(path, call=dialogue_call())

    assert first == Case(id="1", input={"question": "hi"}, expected={"any_of": ["a", "b"]}, tags=("topic=card",))
    assert second == Case(id="x", input={"question": "ho"})


def test_inspect_samples_in_json_lines_are_recognized(tmp_path: Path):
    """A dataset as Inspect reads it, a multiple choice among them."""
    path = lines(tmp_path / "a.jsonl", {"input": "which?", "target": "A", "choices": ["x", "y"], "id": "q"})

    (case,) = Dataset.load(path, call=dialogue_call())

    assert case == Case(id="q", input={"question": "which?", "choices": ["x", "y"]}, expected="A")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            inspect_log({"id": 1, "epoch": 1, "input": "a"}, {"id": 1, "epoch": 2, "input": "b"}),
            "log.json:13: sample '1'",
        ),
        (inspect_log({"id": 1, "input": "a"}, {"id": 1, "input": "b"}), "log.json:12: case id '1' appears twice"),
        (inspect_log({"id": 1, "input": "a", "files": {"x": "y"}}), "log.json:8: the sample needs 'files'"),
        (inspect_log({"id": 1, "input": "a"}, version=1), "log.json: a log of version 1"),
        (json.dumps({"version": 2, "eval": {}, "samples": None}), "log.json:1: a mapping without a list"),
    ],
)
def test_a_strange_inspect_log_is_named(tmp_path: Path, text: str, said: str):
    """By the line of the sample."""
    assert said in refused(write(tmp_path / "log.json", text))
