"""Step 6: what a model wrote is read as JSON, as well as it honestly can be; everything done to it is listed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.call.reading.align import Aligned, Fault, align
from labkit.call.reading.candidates import candidates_in
from labkit.call.repairs import Repair, RepairLevel
from labkit.errors import OutputRejected

__all__ = ["Reading", "read"]

_COSTS = {"fence": 0.0, "prose": 0.0, "syntax": 1.0, "unclosed": 2.0}
_MOST_CHARS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value as read from text, with what was done to it; pydantic has not seen it yet."""

    value: Any
    repairs: tuple[Repair, ...] = ()


def read(text: str, schema: Mapping[str, Any] | None, repair: RepairLevel = "aligned") -> Reading:
    """Read the value that *text* holds.

    Args:
        text: What the model wrote.
        schema: JSON Schema of the wanted value; a string's takes the text as it is; None takes any object or list.
        repair: ``strict`` takes JSON as it came. ``safe`` also takes it out of fences and prose, mends its syntax, and
            coerces what has one possible meaning. ``aligned`` also picks among several, and says what else it could
            have been.

    Raises:
        OutputRejected: There is no JSON in it (outcome ``parse``), or none that the schema could mean (``schema``).
    """
    if schema is not None and schema.get("type") == "string" and "enum" not in schema and "const" not in schema:
        return Reading(value=text)
    if repair == "strict":
        return _strict(text, schema)
    found, holds_json = _readings(text, schema)
    fits = [fit for fit in found if isinstance(fit, Aligned) and (repair == "aligned" or fit.is_sure)]
    if not fits:
        raise _rejected(found, holds_json=holds_json)
    best = min(fits, key=lambda fit: fit.cost)
    others = tuple(fit.value for fit in fits if fit.value != best.value)
    if not others:
        return Reading(value=best.value, repairs=best.repairs)
    if repair == "safe" and any(fit.cost == best.cost for fit in fits if fit.value != best.value):
        said = f"the text holds {len(others) + 1} different values that fit"
        raise OutputRejected(said, outcome="schema", errors=[("", "ambiguous", said)])
    picked = Repair(kind="ambiguous", path="", before=_excerpt(text), cost=1.0, alternatives=others)
    return Reading(value=best.value, repairs=(*best.repairs, picked))


def _strict(text: str, schema: Mapping[str, Any] | None) -> Reading:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OutputRejected("the text is not JSON", outcome="parse", errors=[("", "parse", "not JSON")]) from error
    if schema is not None:
        try:
            fit = align(value, schema)
        except Fault as fault:
            raise OutputRejected(str(fault), errors=[(fault.path, "schema", fault.said)]) from fault
        if any(each.kind not in ("absent", "extra") for each in fit.repairs):
            first = next(each for each in fit.repairs if each.kind not in ("absent", "extra"))
            said = f"{first.before!r} is not of its type"
            raise OutputRejected(f"{first.path or 'value'}: {said}", errors=[(first.path, "schema", said)])
    return Reading(value=value)


def _readings(text: str, schema: Mapping[str, Any] | None) -> tuple[list[Aligned | Fault], bool]:
    """Read *text* in every way there is.

    Returns:
        What came of each, in the order they stand in the text; and whether there was anything to read.
    """
    readings: list[Aligned | Fault] = []
    values: list[Any] = []
    holds_json = False
    for group in candidates_in(text):
        values.clear()
        for candidate in group:
            holds_json = holds_json or isinstance(candidate.value, (dict, list))
            wrapping = tuple(
                Repair(kind=kind, path="", before=_excerpt(text), cost=_COSTS[kind]) for kind in candidate.kinds
            )
            if schema is not None:
                values.append(candidate.value)
                readings.append(_aligned(candidate.value, schema, wrapping))
            elif isinstance(candidate.value, (dict, list)):
                return [Aligned(candidate.value, wrapping)], True  # nothing tells which of several is meant: the first
        if any(isinstance(reading, Aligned) for reading in readings):
            break
    if schema is None:
        return [], False
    if len(values) > 1 and schema.get("type") == "array":
        several = Repair(kind="list", path="", before=_excerpt(text), cost=2.0)
        readings.append(_aligned(values, schema, (several,)))
    if len(text) <= _MOST_CHARS and not holds_json:
        # a lone label, number or word, with or without others around it
        readings.append(_aligned(text.strip(), schema, ()))
    return readings, holds_json or schema.get("type") not in ("object", "array")


def _aligned(value: Any, schema: Mapping[str, Any], wrapping: tuple[Repair, ...]) -> Aligned | Fault:
    try:
        fit = align(value, schema)
    except Fault as fault:
        return fault
    return Aligned(fit.value, wrapping + fit.repairs)


def _rejected(found: list[Aligned | Fault], *, holds_json: bool) -> OutputRejected:
    if any(isinstance(each, Aligned) for each in found):
        said = "it can be read only by picking among several meanings, which repair='aligned' allows"
        return OutputRejected(said, errors=[("", "ambiguous", said)])
    faults = [each for each in found if isinstance(each, Fault)]
    if not holds_json or not faults:
        return OutputRejected("the text holds no JSON", outcome="parse", errors=[("", "parse", "no JSON found")])
    deepest = max(faults, key=lambda fault: fault.path.count(".") + bool(fault.path))
    return OutputRejected(str(deepest), errors=[(fault.path, "schema", fault.said) for fault in faults[:20]])


def _excerpt(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
