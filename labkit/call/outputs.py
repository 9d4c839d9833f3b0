"""Step 6: what a model wrote is read as JSON, as well as it honestly can be; everything done to it is listed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.call.repairs import Repair, RepairLevel
from labkit.errors import OutputRejected

__all__ = ["Reading", "read"]

_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_START = re.compile(r"[{\[]")

# Mending syntax takes time that grows faster than the text, and recursion that grows with its depth.
_MENDED_CHARS = 100_000
_MENDED_DEPTH = 200
_TRIED_STARTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value as read from text, with what was done to it; pydantic has not seen it yet."""

    value: Any
    repairs: tuple[Repair, ...] = ()


def read(text: str, schema: Mapping[str, Any] | None, repair: RepairLevel = "safe") -> Reading:
    """Read the JSON value that *text* holds.

    Args:
        text: What the model wrote.
        schema: JSON Schema of the wanted value; None or a string's schema takes text that is no JSON as it is.
        repair: ``strict`` takes JSON as it came; the others also take it out of fences and prose and mend its syntax.

    Raises:
        OutputRejected: There is no JSON in it; outcome ``parse``.
    """
    try:
        return Reading(value=json.loads(text))
    except (ValueError, RecursionError):
        pass_on = schema is None or schema.get("type") == "string"
    if pass_on:
        return Reading(value=text)
    if repair == "strict":
        raise OutputRejected("the text is not JSON", outcome="parse", errors=[("", "parse", "not JSON")])
    wants_list = schema is not None and schema.get("type") == "array"
    for reader in (_fenced, _embedded, _mended):
        reading = reader(text, wants_list)
        if reading is not None:
            return reading
    raise OutputRejected("the text holds no JSON", outcome="parse", errors=[("", "parse", "no JSON found")])


def _fenced(text: str, wants_list: bool) -> Reading | None:
    for block in _FENCE.finditer(text):
        try:
            value = json.loads(block[1])
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list if wants_list else dict):
            return Reading(value=value, repairs=(Repair(kind="fence", path="", before=_excerpt(text)),))
    return None


def _embedded(text: str, wants_list: bool) -> Reading | None:
    decoder = json.JSONDecoder()
    for _, start in zip(range(_TRIED_STARTS), _START.finditer(text), strict=False):
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list if wants_list else dict):
            return Reading(value=value, repairs=(Repair(kind="prose", path="", before=_excerpt(text)),))
    return None


def _mended(text: str, wants_list: bool) -> Reading | None:
    import json_repair

    start = _START.search(text)
    if start is None or len(text) > _MENDED_CHARS or _depth(text) > _MENDED_DEPTH:
        return None
    value = json_repair.loads(text[start.start() :])
    if not value or not isinstance(value, list if wants_list else dict):
        return None
    return Reading(value=value, repairs=(Repair(kind="syntax", path="", before=_excerpt(text), cost=1.0),))


def _depth(text: str) -> int:
    return text.count("{") + text.count("[")


def _excerpt(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
