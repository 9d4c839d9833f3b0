"""Model output is read as well as it honestly can be, and what was done to it is listed."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.call.outputs import read
from labkit.call.schemas import inline_refs
from labkit.errors import OutputRejected

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"a": 1}', []),
        ('```json\n{"a": 1}\n```', ["fence"]),
        ('Sure!\n```\n{"a": 1}\n```\nAnything else?', ["fence"]),
        ('Here it is: {"a": 1}. Done.', ["prose"]),
        ("{'a': 1}", ["syntax"]),
        ('{"a": 1,}', ["syntax"]),
        ('The answer: {"a": 1', ["prose", "syntax", "unclosed"]),
    ],
)
def test_json_is_found_where_it_is_and_the_finding_is_listed(text: str, kinds: list[str]):
    """Fences, prose and broken syntax do not cost an answer, and none of it happens unseen."""
    reading = read(text, SCHEMA)

    assert reading.value == {"a": 1}
    assert [repair.kind for repair in reading.repairs] == kinds


@pytest.mark.parametrize(
    "text", ["", "no json here", "it is 42 or 43", "{", "[" * 1_000_000, '{"a":' * 100_000, "{" * 5_000_000]
)
def test_text_without_an_answer_is_rejected(text: str):
    """Never a crash, never an invented value, whatever the size."""
    with pytest.raises(OutputRejected) as caught:
        read(text, SCHEMA)

    assert caught.value.outcome == "parse"


def test_strict_reading_takes_json_as_it_came():
    """Who wants no help gets none."""
    assert read('{"a": 1}', SCHEMA, "strict").value == {"a": 1}
    with pytest.raises(OutputRejected):
        read('```json\n{"a": 1}\n```', SCHEMA, "strict")


def test_a_string_takes_the_text_as_it_is():
    """Plain text is an answer too."""
    assert read("just words", {"type": "string"}).value == "just words"


def test_definitions_are_put_in_where_they_are_referred_to():
    """Some providers lose the references; a definition that refers to itself keeps its own."""
    nested: dict[str, Any] = {"$defs": {"P": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/P"}}}
    tree = {"$defs": {"T": {"properties": {"next": {"$ref": "#/$defs/T"}}}}, "$ref": "#/$defs/T"}

    assert inline_refs(nested) == {"properties": {"a": {"type": "integer"}}}
    assert inline_refs(tree)["$defs"]["T"]["properties"]["next"] == {"$ref": "#/$defs/T"}
