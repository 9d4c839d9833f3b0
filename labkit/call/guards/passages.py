"""The passages of prose in a model's text: the string values of its JSON, or the text itself."""

from __future__ import annotations

import re

from labkit.call.guards.patterns import Pattern
from labkit.call.guards.reading import read

__all__ = ["STRING", "passages"]

STRING = Pattern(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"?', re.DOTALL)
"""A JSON string, also one that was cut off: it always matches at a quote, so no quote is read twice."""

_OPENING = Pattern(r'\{\s*+"|\[\s*+["{\[]')
_KEY_END = Pattern(r"\s*+:")
_JSON_STRING = Pattern(r'\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+\Z', re.DOTALL)


def passages(text: str) -> tuple[str, ...]:
    """What a person would read, without keys, numbers and punctuation of JSON; escapes are undone.

    Broken and truncated JSON gives its strings too: guards stand before the repairs.
    """
    if _JSON_STRING.match(text):
        return (read(text.strip()[1:-1]).text,)
    opening = _OPENING.search(text)
    if opening is None:
        return (read(text).text,)
    found = [text[: opening.start()]] if text[: opening.start()].strip(" \t\r\n`") not in ("", "json") else []
    found += [m.group(1) for m in STRING.finditer(text[opening.start() :]) if not _is_key(text, opening.start(), m)]
    return tuple(read(passage).text for passage in found)


def _is_key(text: str, offset: int, string: re.Match[str]) -> bool:
    return _KEY_END.match(text, offset + string.end()) is not None
