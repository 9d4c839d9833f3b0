"""What can honestly be shown of an answer that is still being written.

A partial value only ever grows into the final one: keys are added, lists and strings get longer, nothing that was shown
changes. So a member is shown when it is closed and fits its type; of one that is still open, only plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic_core import from_json

from labkit.call.reading.tags import SoFar

__all__ = ["NOTHING", "PartialReader", "extends"]

NOTHING: Any = object()

# Characters between two looks at the whole text, and more where it holds many values: reading those again for every
# token would take time that grows with the square of the answer.
_STEP_CHARS = 48
_QUOTES_A_CHAR = 2

_NUMBER = "+-.0123456789eE"
_SIMPLE: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


class PartialReader:
    """Reads an answer while it grows.

    Args:
        schema: JSON Schema of the whole with ``$defs`` inlined, None for text.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._pieces: list[str] = []
        self._unread = 0
        self._step = 1
        self._start: int | None = None
        self._shown: Any = NOTHING
        self._gave_up = False
        self._thoughts = SoFar()
        self._looked = 0

    def feed(self, text: str) -> Any:
        """Take in the next piece, and give the value as far as it can be shown, NOTHING when nothing is new."""
        if self._gave_up:
            return NOTHING
        self._pieces.append(text)
        self._unread += len(text)
        if self._unread < self._step:
            return NOTHING
        whole = "".join(self._pieces)
        self._pieces, self._unread = [whole], 0
        value = self._text(whole) if self._schema is None else self._read(whole, self._schema)
        if value is NOTHING or value == self._shown:
            return NOTHING
        self._shown = value
        self._step = max(_STEP_CHARS, whole.count('"') // _QUOTES_A_CHAR)
        return value

    def _text(self, whole: str) -> Any:
        begin = self._thoughts.answer_at(whole)
        if begin is None:
            return NOTHING
        if self._thoughts.meets_tag(whole, self._looked):
            self._gave_up = True  # reasoning after all: the final reading will tell
            return NOTHING
        self._looked = len(whole)
        shown = whole[begin : self._thoughts.sure_until(whole)]
        # what stands around an answer after reasoning is no part of it
        shown = shown.strip() if begin else shown
        return shown or NOTHING

    def _read(self, whole: str, schema: Mapping[str, Any]) -> Any:
        opening = {"object": "{", "array": "["}.get(str(schema.get("type")))
        if opening is None:
            return NOTHING  # a lone number or label is shown when it is there
        if self._start is None:
            begin = self._thoughts.answer_at(whole)
            found = whole.find(opening, begin) if begin is not None else -1
            if found < 0:
                return NOTHING
            if self._thoughts.meets_tag(whole, 0, found):
                self._gave_up = True  # an aside in the middle: the final reading will tell
                return NOTHING
            self._start = found
        # the digits at the end may be the beginning of a longer number
        text = whole[self._start :].rstrip(_NUMBER)
        try:
            value = from_json(text, allow_partial="trailing-strings")
        except ValueError:
            self._gave_up = True  # what follows the JSON, or no JSON: the final reading will tell
            return NOTHING
        return _open(value, schema, self._shown)


def _open(value: Any, schema: Any, before: Any) -> Any:
    """Give what may be shown of a value that may still grow.

    Args:
        before: What was shown of it; all of that but its last member was closed, and is not looked at again.
    """
    schema = _present(schema)
    if isinstance(value, dict) and schema.get("type") == "object":
        members: Mapping[str, Any] = schema.get("properties", {})
        shown = dict(before) if isinstance(before, dict) else {}
        last_before = shown.popitem()[1] if shown else NOTHING
        last = next(reversed(value), None)
        for name in islice(value, len(shown), None):
            member = members.get(name, {})
            part = _open(value[name], member, last_before) if name == last else _closed(value[name], member)
            if part is NOTHING:
                break  # later members would appear before this one: not the order they were said in
            shown[name], last_before = part, NOTHING
        return shown
    if isinstance(value, list) and schema.get("type") == "array":
        items = before[:-1] if isinstance(before, list) else []
        last_before = before[-1] if isinstance(before, list) and before else NOTHING
        for n in range(len(items), len(value)):
            item = _item_of(schema, n)
            part = _open(value[n], item, last_before) if n == len(value) - 1 else _closed(value[n], item)
            if part is NOTHING:
                break
            items.append(part)
            last_before = NOTHING
        return items
    if isinstance(value, str) and schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format"}:
        return value
    return NOTHING


def _item_of(schema: Mapping[str, Any], n: int) -> Any:
    """Give the schema of the item at *n*: of a tuple each has its own."""
    first = schema.get("prefixItems", [])
    return first[n] if n < len(first) else schema.get("items", {})


def _present(schema: Any) -> Mapping[str, Any]:
    """Give the schema of an optional value where it is not null; of other unions nothing is known before the end."""
    if not isinstance(schema, Mapping):  # true, which allows anything
        return {}
    choices = schema.get("anyOf")
    if choices is None:
        return schema
    present = [choice for choice in choices if isinstance(choice, Mapping) and choice.get("type") != "null"]
    if len(present) == 1 and len(choices) == 2:
        return {**present[0], "nullable": True}
    return {}


def _closed(value: Any, schema: Any) -> Any:
    """Give a value that is complete if it fits its schema as it stands, and will not be changed by its type."""
    schema = _present(schema)
    if value is None and schema.get("nullable"):
        return None
    if "const" in schema:
        return value if value == schema["const"] else NOTHING
    if "enum" in schema:
        return value if value in schema["enum"] else NOTHING
    kind = schema.get("type")
    if kind == "object" and isinstance(value, dict):
        members = schema.get("properties", {})
        if not all(name in value for name in schema.get("required", ())):
            return NOTHING
        parts = {name: _closed(part, members.get(name, {})) for name, part in value.items()}
        return NOTHING if any(part is NOTHING for part in parts.values()) else parts
    if kind == "array" and isinstance(value, list):
        items = [_closed(item, _item_of(schema, n)) for n, item in enumerate(value)]
        return NOTHING if any(item is NOTHING for item in items) else items
    expected = _SIMPLE.get(str(kind))
    if expected is None or "format" in schema or not isinstance(value, expected):
        return NOTHING
    if isinstance(value, bool) and kind != "boolean":
        return NOTHING
    return value if _in_bounds(value, schema) else NOTHING


def _in_bounds(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        too_low = value < schema.get("minimum", value) or value <= schema.get("exclusiveMinimum", value - 1)
        too_high = value > schema.get("maximum", value) or value >= schema.get("exclusiveMaximum", value + 1)
        return not (too_low or too_high)
    return True


def extends(final: Any, shown: Any) -> bool:
    """Say whether *final*, JSON data, is *shown* grown further."""
    if isinstance(shown, dict):
        return isinstance(final, dict) and all(name in final and extends(final[name], shown[name]) for name in shown)
    if isinstance(shown, list):
        return (
            isinstance(final, list)
            and len(final) >= len(shown)
            and all(extends(f, s) for f, s in zip(final, shown, strict=False))
        )
    if isinstance(shown, str):
        return isinstance(final, str) and final.startswith(shown)
    return isinstance(final, bool) == isinstance(shown, bool) and bool(final == shown)
