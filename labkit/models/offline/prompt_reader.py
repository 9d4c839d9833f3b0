"""What does a prompt say: definitions, examples, the query, and, where nothing else carries it, the schema?

**What the user's data can do.** The query is untrusted, and it stands in the last user message. That message is read
for examples and definitions only when no earlier message holds an example, and then only in front of the query (see
``query.split_query``). So a ticket that writes ``my text -> exchange_rate`` stays a ticket, wherever the template gives
the query a tag or a name. A template that writes examples *and* query into one user message as ``Input: ...`` and
``Output: ...`` lines cannot be told from data that imitates them: give the examples in the system message or as
messages of their own, or the query a tag. And a query that names a label is near to that label: the name is evidence
like any other word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from labkit.models.offline.notation import Example, Notes, Vocabulary, as_value, read_notes
from labkit.models.offline.query import split_query
from labkit.models.protocol import Message

__all__ = ["asked_message", "find_schema", "read_earlier"]

_MOST_BLOCKS = 5
_CORRECTION = re.compile(
    r"^(?:that|your(?: last| previous)?|the(?: last| previous)) (?:answer|reply|output) was rejected\b", re.I
)
_SCHEMA_KEYS = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties"})


def asked_message(messages: Sequence[Message]) -> int:
    """Say which message asks: the last one, or the one before the answers that were sent back for correction.

    A message that begins "That answer was rejected" after an assistant's message is about that answer, not a new query.
    """
    at = len(messages) - 1
    while at >= 2 and messages[at - 1].role == "assistant" and _CORRECTION.match(messages[at].content):
        at -= 2
    return at


def read_earlier(messages: Sequence[Message], vocabulary: Vocabulary) -> Notes:
    """Read everything in front of the asking message: pairs of user and assistant messages are examples."""
    notes = Notes()
    for number, message in enumerate(messages):
        following = messages[number + 1] if number + 1 < len(messages) else None
        if message.role == "assistant":
            continue
        if message.role == "user" and following is not None and following.role == "assistant":
            split = split_query(message.content, vocabulary)
            example = Example(split.query, as_value(following.content))
            notes += read_notes(split.before, vocabulary) + Notes(examples=(example,))
        else:
            notes += read_notes(message.content, vocabulary)
    return notes


def find_schema(messages: Sequence[Message], asked: int) -> tuple[dict[str, Any] | None, tuple[Message, ...]]:
    """Take a JSON Schema out of the first fenced block that holds one, for providers that carry it in the prompt.

    Earlier messages are searched first and the asking one from its end, so that a schema in the query comes last.

    Returns:
        The schema or None, and the messages without it.
    """
    for number, message in enumerate(messages[: asked + 1]):
        for start, body, end in _fenced(message.content)[-_MOST_BLOCKS:][::-1]:
            schema = _as_schema(body)
            if schema is not None:
                rest = Message(message.role, (message.content[:start] + message.content[end:]).strip())
                return schema, (*messages[:number], rest, *messages[number + 1 :])
    return None, tuple(messages)


def _fenced(text: str) -> list[tuple[int, str, int]]:
    """Every fenced block of *text*: its start, with the line that announces it; what it holds; its end."""
    blocks = []
    opened: tuple[int, int] | None = None
    at, announced = 0, 0
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            if opened is None:
                opened = announced, at + len(line)
            else:
                blocks.append((opened[0], text[opened[1] : at], at + len(line)))
                opened = None
        at += len(line)
        announced = at - len(line) if line.rstrip().endswith(":") else at
    return blocks


def _as_schema(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    is_schema = (
        isinstance(value, dict) and bool(_SCHEMA_KEYS & value.keys()) and not {"input", "output"} <= value.keys()
    )
    return value if is_schema else None
