"""A JSON Schema travels whole, or in the form strict providers take."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from labkit.models.protocol import CompletionRequest, Message
from labkit.models.schema_wire import prompted_messages, response_format, strict_form, tool_fields


class Part(BaseModel):
    label: Literal["a", "b"] = "a"
    note: str | None = Field(default=None, min_length=1, max_length=80)


class Whole(BaseModel):
    title: str = Field(description="What it is")
    urgency: int = Field(ge=1, le=5)
    parts: list[Part] = Field(max_length=3)


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


def test_the_strict_form_requires_everything_and_allows_nothing_else():
    """Also inside; bounds of numbers and lists stay, lengths of text and defaults go."""
    strict = strict_form(Whole.model_json_schema())

    assert strict is not None
    assert strict["required"] == ["title", "urgency", "parts"]
    assert strict["additionalProperties"] is False
    assert strict["properties"]["urgency"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert strict["properties"]["title"] == {"type": "string", "description": "What it is"}
    part = strict["$defs"]["Part"]
    assert part["required"] == ["label", "note"]
    assert part["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_property_may_have_any_name():
    """Names are not keywords."""
    schema = {"type": "object", "properties": {"default": {"type": "string"}, "title": {"type": "string"}}}

    strict = strict_form(schema)

    assert strict is not None
    assert set(strict["properties"]) == {"default", "title"}


def test_recursion_stays_a_reference():
    """It cannot be written out."""
    strict = strict_form(Tree.model_json_schema() | {"type": "object", "properties": {"t": {"$ref": "#/$defs/Tree"}}})

    assert strict is not None
    assert strict["$defs"]["Tree"]["required"] == ["name", "children"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"type": "object"},
        {"type": "object", "properties": {"free": {"type": "object", "additionalProperties": {"type": "string"}}}},
        {"type": "object", "properties": {"any": {}}},
        {"type": "object", "properties": {"any": True}},
        {"type": "object", "properties": {"list": {"type": "array"}}},
        {"type": "object", "properties": {"pair": {"type": "array", "prefixItems": [{"type": "string"}]}}},
        {"type": "object", "properties": {"x": {"type": "string", "not": {"const": "a"}}}},
    ],
)
def test_what_strict_mode_cannot_say_is_not_made_strict(schema: dict[str, Any]):
    """It travels as it is, and the pipeline validates."""
    assert strict_form(schema) is None
    sent = response_format(_request(schema), strictly=True)["json_schema"]
    assert (sent["schema"], sent["strict"]) == (schema, False)


def test_a_server_of_ones_own_gets_the_schema_as_it_is():
    """It enforces lengths that strict mode refuses."""
    schema = Whole.model_json_schema()

    assert response_format(_request(schema), strictly=False)["json_schema"]["schema"] == schema


def test_the_tool_is_forced_and_takes_the_answer():
    """There is nothing else the model may do."""
    fields = tool_fields(_request({"type": "object"}))

    assert fields["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert fields["tool_choice"]["function"]["name"] == fields["tools"][0]["function"]["name"] == "answer"


@pytest.mark.parametrize("system", [(), (Message("system", "Be kind."),)])
def test_in_words_the_schema_joins_the_system_message(system: tuple[Message, ...]):
    """There is one, before the question, and what it said is kept."""
    request = CompletionRequest(messages=(*system, Message("user", "q")), schema={"type": "object", "title": "Über"})

    messages = prompted_messages(request)

    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"].startswith("Be kind." if system else "Answer with one JSON value")
    assert json.dumps(request.schema, ensure_ascii=False) in messages[0]["content"]


def _request(schema: dict[str, Any]) -> CompletionRequest:
    return CompletionRequest(messages=(Message("user", "x"),), schema=schema)
