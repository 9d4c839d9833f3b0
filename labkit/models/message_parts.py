"""What a message, or a piece of one, holds: text that is the answer, reasoning that is not, calls of tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Call", "calls_of", "content_of", "reasoning_of", "refusal_of"]

_ANSWERING = frozenset({"text", "output_text"})
_THINKING = ("reason", "think", "thought")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_WORDS = ("text", "thinking", "reasoning", "summary", "content")


class Call(NamedTuple):
    """A call of a tool, or a piece of one."""

    number: int | None
    name: str | None
    arguments: str


def content_of(message: Mapping[str, Any]) -> str:
    """Give the text that is the answer: no reasoning, and a value that the server has read already as its JSON."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        if not all(_is_part(part) for part in content):
            return _json(content)
        return "".join(map(_text, content))
    if isinstance(content, dict) and _is_text(content):
        return _text(content)
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
    if isinstance(refusal, str) and refusal:
        return refusal
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    refused = (part.get("refusal") for part in parts if isinstance(part, dict) and part.get("type") == "refusal")
    return "".join(each for each in refused if isinstance(each, str))


def calls_of(message: Mapping[str, Any]) -> Iterator[Call]:
    """Give the calls of tools, also in the form that was before tools."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            yield _call(call.get("index"), call.get("function") or call)
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        yield _call(0, legacy)


def _call(index: object, function: object) -> Call:
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    name = function.get("name")
    return Call(
        index if isinstance(index, int) else None,
        name if isinstance(name, str) and name else None,
        # Ollama's older servers send them as an object
        arguments if isinstance(arguments, str) else "" if arguments is None else _json(arguments),
    )


def _is_part(part: object) -> bool:
    if isinstance(part, dict):
        return isinstance(part.get("type"), str) or isinstance(part.get("text"), str | dict)
    return isinstance(part, str)


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.keys() <= {"type", "text", "annotations", "index"} and part.get("type") in _ANSWERING


def _is_thought(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    return isinstance(kind, str) and any(word in kind.lower() for word in _THINKING)


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if part.get("type", "text") not in _ANSWERING and part.get("type") is not None:
        return ""
    text = part.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""


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
