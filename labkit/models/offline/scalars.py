"""Numbers and strings where nothing in the prompt shows what to say: by simple rules that keep to the schema."""

from __future__ import annotations

import datetime
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.models.offline.patterns import shortest_match
from labkit.models.offline.schema import Schema, accepts
from labkit.models.offline.similarity import MOST_CHARS
from labkit.models.offline.slots import numbers

__all__ = ["excerpt", "find_text", "lowest_number", "plain_text", "stated_number"]

_EXCERPT_CHARS = 200
_FOUND_IN_TEXT: Mapping[str, re.Pattern[str]] = {
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:\d{2})"),
    "time": re.compile(r"\b\d{2}:\d{2}(?::\d{2})?\b"),
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "uri": re.compile(r"\bhttps?://[^\s<>\"']+"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
}
_FIXED: Mapping[str, str] = {
    "base64": "", "base64url": "", "duration": "PT0S", "hostname": "example.org", "idn-hostname": "example.org",
    "ipv4": "0.0.0.0", "ipv6": "::", "ipvanyaddress": "0.0.0.0", "ipvanyinterface": "0.0.0.0/32", "regex": "a",
    "ipvanynetwork": "0.0.0.0/32", "ipv4interface": "0.0.0.0/32", "ipv4network": "0.0.0.0/32", "ipv6network": "::/128",
    "ipv6interface": "::/128", "json-pointer": "", "uri-reference": "/", "iri": "https://example.org/",
    "multi-host-uri": "https://example.org/",
}  # fmt: skip


def stated_number(query: str, schema: Schema, root: Schema) -> float | int | None:
    """The first number in *query* that *schema* accepts."""
    return next((number for number in numbers(query) if accepts(schema, number, root)), None)


def lowest_number(schema: Schema, root: Schema, ordinal: int = 0) -> float | int:
    """The lowest number *schema* accepts, 0 where it has no lower bound; the next ones by *ordinal*."""
    accepted = (number for number in _candidates(schema) if accepts(schema, number, root))
    last: float | int = 0
    for rank, number in enumerate(accepted):
        last = number
        if rank == ordinal:
            break
    return last


def _candidates(schema: Schema) -> Iterator[float | int]:
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf") or (1 if schema.get("type") == "integer" else None)
    if low == -math.inf:
        low = min(0, high if step is None else math.floor(high / step) * step) if high < math.inf else 0
        if low == high or low > high:
            low -= 200 * (step or 1)
            yield from (high - rank * (step or 1) for rank in range(200)) if step is None else ()
    if step is not None:
        first = math.ceil(low / step)
        yield from (_tidy((first + rank) * step) for rank in range(200))
        return
    yield from (low + rank for rank in range(200) if low + rank <= high)
    if high < math.inf:
        yield from (low + (high - low) / parts for parts in range(2, 200))


def _tidy(number: float | int) -> float | int:
    return number if isinstance(number, int) else round(number, 12)


def find_text(query: str, schema: Schema, root: Schema) -> str | None:
    """The first piece of *query* that has the format or the pattern *schema* asks for; None if it asks for neither."""
    shapes = [_FOUND_IN_TEXT[name]] if (name := schema.get("format", "")) in _FOUND_IN_TEXT else []
    if "pattern" in schema:
        try:
            shapes.append(re.compile(re.sub(r"^(\^|\\A)|(?<!\\)(\$|\\Z|\\z)$", "", schema["pattern"])))
        except re.error:
            return None  # ECMA syntax that Python does not know cannot be searched for
    found = (match[0] for shape in shapes for match in shape.finditer(query[:MOST_CHARS]))
    return next((text for text in found if text and accepts(schema, text, root)), None)


def plain_text(query: str, schema: Schema, root: Schema, ordinal: int = 0) -> str:
    """A text that *schema* accepts: what its format or pattern needs at least, else an excerpt of *query*."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", _EXCERPT_CHARS)
    if "format" in schema and (fixed := _formatted(schema["format"], ordinal)) is not None:
        return fixed
    text = excerpt(query, max(most, 0) if "maxLength" in schema else max(least, _EXCERPT_CHARS))
    if ordinal:
        mark = str(ordinal + 1)
        text = text[: max(0, most - len(mark))] + mark[: max(0, most)]
    text = text.ljust(least, ".")
    if "pattern" in schema and not accepts(schema, text, root):
        return shortest_match(schema["pattern"], min_length=least) or text
    return text


def _formatted(name: str, ordinal: int) -> str | None:
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=ordinal)
    mark = str(ordinal) if ordinal else ""
    if name.startswith("uuid"):
        # UUID() overwrites the bits of the version: "uuid4" wants a 4 there, "uuid" takes the nil UUID.
        return str(
            uuid.UUID(int=ordinal, version=int(name[4])) if name[4:] in "1345" and name[4:] else uuid.UUID(int=ordinal)
        )
    made: dict[str, Any] = {
        "date": day.isoformat(),
        "date-time": f"{day.isoformat()}T00:00:00Z",
        "time": f"{ordinal // 60 % 24:02}:{ordinal % 60:02}:00Z",
        "email": f"nobody{mark}@example.org",
        "idn-email": f"nobody{mark}@example.org",
        "uri": f"https://example.org/{mark}",
    }
    return made.get(name, _FIXED.get(name))


def excerpt(text: str, most: int = _EXCERPT_CHARS) -> str:
    """The beginning of *text*, at most *most* characters, cut between words where that loses less than half."""
    text = text.strip()
    if len(text) <= most:
        return text
    cut = text[:most]
    space = cut.rfind(" ")
    return cut[:space].rstrip() if text[most] != " " and space > most // 2 else cut.rstrip()
