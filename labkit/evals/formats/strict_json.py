"""JSON as it is written by people: what Python's reader would take without a word is refused.

A key that stands twice would lose what was written first, and NaN is no JSON value.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["loads", "value_at"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)


class _Twice(ValueError):
    pass


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value: write null, or a text")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_members)


def loads(text: str) -> Any:
    """Read a text that is JSON as a whole.

    Raises:
        ValueError: It is not, a key appears twice in an object, or it holds NaN or an infinity.
        RecursionError: It is nested too deeply.
    """
    at = len(text) - len(text.lstrip(" \t\n\r"))
    value, end = value_at(text, at)
    if text[end:].strip(" \t\n\r"):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def value_at(text: str, at: int) -> tuple[Any, int]:
    """Read the value that begins at *at*; give it and where it ends.

    Raises:
        json.JSONDecodeError: As for ``loads``, with the place.
        RecursionError: It is nested too deeply.
    """
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except _Twice as error:
        key, place = _second(text, at)
        raise json.JSONDecodeError(f"the key {key!r} appears twice in an object: remove one", text, place) from error
    except ValueError as error:
        raise json.JSONDecodeError(str(error), text, at) from error


def _second(text: str, at: int) -> tuple[str, int]:
    """Find the first key that its object has had before; the reader itself does not tell the place."""
    open_: list[set[str] | None] = []
    string: re.Match[str] | None = None
    for token in _TOKEN.finditer(text, at):
        said = token.group()
        if said == "{":
            open_.append(set())
        elif said == "[":
            open_.append(None)
        elif said in "}]":
            open_.pop()
        elif said == ":" and string is not None and (keys := open_[-1]) is not None:
            key = json.loads(string.group())
            if key in keys:
                return key, string.start()
            keys.add(key)
        string = token if said[0] == '"' else None
    raise AssertionError("the reader found a key twice")
