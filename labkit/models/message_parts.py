"""What a message, or a piece of one, holds: text that is the answer, reasoning that is not, calls of tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Call", "Misshapen", "calls_of", "content_of", "reasoning_of", "refusal_of"]

_ANSWERING = frozenset({"text", "output_text"})
_THINKING = ("reason", "think", "thought")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_WORDS = ("text", "thinking", "reasoning", "summary", "content")


class Call(NamedTuple):
    """A call of a tool, or a piece of one."""

    number: int | None
    name: str | None
    arguments: str


class Misshapen(Exception):
    """Something has not the type that it must have: part of the answer may be lost in it."""


def content_of(message: Mapping[str, Any], *, is_json: bool) -> str:
    """Give the text that is the answer: no reasoning, and nothing of unknown types.

    Args:
        is_json: A value was asked for: one that the server has read already is given as its JSON.

    Raises:
        Misshapen: It is neither text nor parts, nor a value where one was asked for.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, dict) and _is_part(part) for part in content):
        return "".join(map(_text, content))
    if isinstance(content, dict) and _is_text(content):
        return _text(content)
    if not is_json:
        raise Misshapen(f"its content is no text: {_json(content)[:100]}")
    return _json(content)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Give what the model thought, from a field of its own or from parts of the content."""
    for name in _THOUGHTS:  # some servers give the same under two names
        if said := _words(message.get(name)):
            return said
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return "".join(_words(part) for part in parts if isinstance(part, dict) and _is_thought(part))


def refusal_of(message: Mapping[str, Any]) -> str:
    """Give the words of an explicit refusal."""
    refusal = message.get("refusal")
    if refusal and not isinstance(refusal, str):
        raise Misshapen(f"its refusal is no text: {_json(refusal)[:100]}")
    if isinstance(refusal, str) and refusal:
        return refusal
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    refused = (part.get("refusal") for part in parts if isinstance(part, dict) and part.get("type") == "refusal")
    return "".join(each for each in refused if isinstance(each, str))


def calls_of(message: Mapping[str, Any]) -> Iterator[Call]:
    """Give the calls of tools, also in the form that was before tools."""
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise Misshapen(f"its tool_calls are no list: {_json(calls)[:100]}")
    for call in calls or ():
        if not isinstance(call, dict):
            raise Misshapen(f"a call is no object: {_json(call)[:100]}")
        yield _call(call.get("index"), call.get("function", call))
    if message.get("function_call"):
        yield _call(0, message["function_call"])


def _call(index: object, function: object) -> Call:
    if function is not None and not isinstance(function, dict):
        raise Misshapen(f"a call's function is no object: {_json(function)[:100]}")
    arguments = (function or {}).get("arguments")
    if arguments is not None and not isinstance(arguments, str | dict):
        raise Misshapen(f"a call's arguments are no object: {_json(arguments)[:100]}")
    name = (function or {}).get("name")
    return Call(
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        name if isinstance(name, str) and name else None,
        # Ollama's older servers send them as an object
        _json(arguments) if isinstance(arguments, dict) else arguments or "",
    )


def _is_part(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("type"), str) or (part.get("type") is None and isinstance(part.get("text"), str | dict))


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.keys() <= {"type", "text", "annotations", "index"} and part.get("type") in _ANSWERING


def _is_thought(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    return isinstance(kind, str) and any(word in kind.lower() for word in _THINKING)


def _text(part: Mapping[str, Any]) -> str:
    if part.get("type") is not None and part["type"] not in _ANSWERING:
        return ""
    text = part.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    if text is not None and not isinstance(text, str):
        raise Misshapen(f"a part's text is no text: {_json(text)[:100]}")
    return text or ""


def _words(thought: Any) -> str:
    """Flatten whatever form a thought has."""
    if isinstance(thought, str):
        return thought
    if isinstance(thought, list):
        return "".join(map(_words, thought))
    if isinstance(thought, dict):
        return next((said for name in _WORDS if (said := _words(thought.get(name)))), "")
    return ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
