"""How a JSON Schema travels to a provider: as response format, as a forced tool, or in words in the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labkit.models.media import Image, Media
from labkit.models.protocol import CompletionRequest, Message

__all__ = ["messages_of", "prompted_messages", "response_format", "strict_form", "tool_fields"]

JSON = dict[str, Any]

_ENDING = {"application/pdf": ".pdf", "text/plain": ".txt", "application/json": ".json"}  # providers ask for a name


def messages_of(request: CompletionRequest) -> list[JSON]:
    """Give the messages as the wire has them."""
    return [{"role": message.role, "content": _content(message)} for message in request.messages]


def _content(message: Message) -> str | list[JSON]:
    return [_part(part) for part in message.parts()] if message.media else message.content


def _part(part: str | Media) -> JSON:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": part.data_url}}
    return {
        "type": "file",
        "file": {"filename": part.name or f"file{_ENDING.get(part.media_type, '')}", "file_data": part.data_url},
    }


def response_format(request: CompletionRequest, *, strictly: bool) -> JSON:
    """Give the ``response_format`` field for the schema of *request*.

    Args:
        strictly: Rewrite the schema to what strict providers take, wherever that loses nothing but bounds. Otherwise
            it travels as it is: vLLM, llama.cpp and their like also enforce the bounds.
    """
    schema = request.schema or {}
    strict = strict_form(schema) if strictly else None
    return {
        "type": "json_schema",
        "json_schema": {
            "name": request.schema_name,
            "schema": schema if strict is None else strict,
            "strict": strict is not None,
        },
    }


def tool_fields(request: CompletionRequest) -> JSON:
    """Give the fields that force the one tool whose arguments are the answer."""
    function = {
        "name": request.schema_name,
        "description": "Give the answer.",
        "parameters": request.schema,
    }
    return {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": request.schema_name}},
    }


def prompted_messages(request: CompletionRequest) -> list[JSON]:
    """Give the messages with the schema in words, in the first system message."""
    asked = (
        "Answer with one JSON value that fits this JSON Schema, and write nothing else:\n"
        f"```json\n{json.dumps(request.schema, ensure_ascii=False)}\n```"
    )
    messages = messages_of(request)
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{asked}"}, *messages[1:]]
    return [{"role": "system", "content": asked}, *messages]


# What strict mode of OpenAI and those who copied it takes: every property required, none besides, no defaults, no
# lengths, anyOf only. Source: OpenAI's guide "Structured model outputs", section "Supported schemas".
_DROPPED = frozenset(
    {"default", "discriminator", "examples", "maxLength", "maxProperties", "minLength", "minProperties", "title"}
    | {"uniqueItems"}
)
_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
_KEPT = frozenset(
    {"$ref", "const", "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maximum", "minItems"}
    | {"minimum", "multipleOf", "type"}
)
_SAYS_WHAT = frozenset({"$ref", "anyOf", "const", "enum", "type"})


class _NotStrict(Exception):
    """Part of a schema that strict mode cannot say."""


def strict_form(schema: Mapping[str, Any]) -> JSON | None:
    """Rewrite *schema* for strict mode, or give None where that cannot say it: free keys, tuples, a root of a list.

    Optional properties become required, as everybody's SDK does: the model then always says them.
    """
    if schema.get("type") != "object":
        return None
    try:
        return _strict(schema)
    except _NotStrict:
        return None


def _strict(node: Any) -> JSON:
    if not isinstance(node, Mapping):
        raise _NotStrict
    strict: JSON = {}
    for key, value in node.items():
        if key in _KEPT:
            strict[key] = value
        elif key in ("anyOf", "oneOf"):
            strict["anyOf"] = [_strict(part) for part in value]
        elif key in ("properties", "$defs"):
            strict[key] = {name: _strict(part) for name, part in value.items()}
        elif key == "items":
            strict[key] = _strict(value)
        elif key == "format":
            if value in _FORMATS:
                strict[key] = value
        elif key == "pattern":
            if "(?" not in value:  # look-arounds are refused; pydantic writes one for every Decimal
                strict[key] = value
        elif not (key in _DROPPED or key == "required" or (key == "additionalProperties" and value is False)):
            raise _NotStrict
    if not strict.keys() & _SAYS_WHAT:
        raise _NotStrict
    if node.get("type") == "object":
        if "properties" not in strict:
            raise _NotStrict
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    if node.get("type") == "array" and "items" not in strict:
        raise _NotStrict
    return strict
