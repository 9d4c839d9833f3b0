"""Whether a value is what a JSON Schema says, keyword by keyword (draft 2020-12, and the older forms of its arrays).

What cannot be told here is no fault: ``unevaluatedProperties`` and ``unevaluatedItems``, references to other
documents, patterns that are no regular expression of pydantic's, anything nested deeper than a reader would go. Nor is
what follows from it: "not what cannot be told" is no fault either. ``format`` is but a note.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from labkit.call.reading.fault import Fault, shown
from labkit.call.reading.references import NOWHERE, Root

__all__ = ["fault_in", "matches", "same"]

_MOST_DEPTH = 120
_DECIMAL = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def fault_in(value: Any, schema: Any) -> Fault | None:
    """Give the first thing in *value*, JSON data, that *schema* does not allow; None where there is none."""
    try:
        return Validity(Root(schema)).fault(value, schema, "", 0)
    except RecursionError:
        return Fault("", "it is nested too deeply to be checked")


class Validity:
    """Checks values against the parts of one schema; what was found of a value is remembered."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known: dict[tuple[int, int], tuple[Fault | None, bool]] = {}
        self._doubts = 0

    def is_valid(self, value: Any, schema: Any, depth: int = 0) -> bool:
        return self.fault(value, schema, "", depth) is None

    def fault(self, value: Any, schema: Any, path: str, depth: int) -> Fault | None:
        if schema is False:
            return Fault(path, "nothing is allowed here")
        if not isinstance(schema, Mapping):
            return None
        if depth > _MOST_DEPTH:
            self._doubts += 1
            return None
        key = (id(value), id(schema))
        if key in self._known:
            known, is_doubtful = self._known[key]
            self._doubts += is_doubtful
            return known
        self._known[key] = None, True  # where a reference leads back to itself with the same value
        before = self._doubts
        found = next(self._faults(value, schema, path, depth + 1), None)
        self._known[key] = found, self._doubts > before
        return found

    def _told(self, value: Any, schema: Any, path: str, depth: int) -> tuple[Fault | None, bool]:
        """Give the first fault, and whether that there is one or none is beyond doubt."""
        before = self._doubts
        found = self.fault(value, schema, path, depth)
        return found, self._doubts == before

    def _faults(self, value: Any, schema: Mapping[str, Any], path: str, depth: int) -> Iterator[Fault]:
        yield from self._applied(value, schema, path, depth)
        if isinstance(value, str) and isinstance(schema.get("pattern"), str):
            self._doubts += matches(schema["pattern"], value) is None
        yield from _of_itself(value, schema, path)
        if isinstance(value, dict):
            yield from self._members(value, schema, path, depth)
        elif isinstance(value, list):
            yield from self._items(value, schema, path, depth)

    def _applied(self, value: Any, schema: Mapping[str, Any], path: str, depth: int) -> Iterator[Fault]:
        """Faults of the schemas that are applied to the value itself."""
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(schema.get(keyword), str):
                target = self._root.target(schema[keyword])
                self._doubts += target is NOWHERE
                yield from self._one(value, target, path, depth)
        if schema.keys() & {"unevaluatedProperties", "unevaluatedItems"} and isinstance(value, (dict, list)):
            self._doubts += 1
        for part in _listed(schema.get("allOf")):
            yield from self._one(value, part, path, depth)
        if choices := _listed(schema.get("anyOf")):
            faults = [self.fault(value, choice, path, depth) for choice in choices]
            if all(faults):
                yield _of_choices(value, faults, path)
        if choices := _listed(schema.get("oneOf")):
            told = [self._told(value, choice, path, depth) for choice in choices]
            fitting = sum(fault is None and is_certain for fault, is_certain in told)
            if all(fault for fault, _ in told):
                yield _of_choices(value, [fault for fault, _ in told], path)
            elif fitting > 1:
                yield Fault(path, f"{shown(value)} fits {fitting} choices of which it may fit one")
        if "not" in schema and self._told(value, schema["not"], path, depth) == (None, True):
            yield Fault(path, f"{shown(value)} is what it may not be")
        if "if" in schema:
            refused, is_certain = self._told(value, schema["if"], path, depth)
            if is_certain or refused is not None:
                yield from self._one(value, schema.get("then" if refused is None else "else", True), path, depth)

    def _one(self, value: Any, schema: Any, path: str, depth: int) -> Iterator[Fault]:
        found = self.fault(value, schema, path, depth)
        if found is not None:
            yield found

    def _members(self, value: dict[str, Any], schema: Mapping[str, Any], path: str, depth: int) -> Iterator[Fault]:
        members, patterns = _mapped(schema.get("properties")), _mapped(schema.get("patternProperties"))
        for name in _listed(schema.get("required")):
            if name not in value:
                yield Fault(_within(path, name), "it is missing")
        if len(value) < schema.get("minProperties", 0):
            yield Fault(path, f"it has {len(value)} members of at least {schema['minProperties']}")
        if len(value) > schema.get("maxProperties", len(value)):
            yield Fault(path, f"it has {len(value)} members of at most {schema['maxProperties']}")
        for name, part in value.items():
            where = _within(path, name)
            is_known = name in members
            if is_known:
                yield from self._one(part, members[name], where, depth)
            for pattern, rule in patterns.items():
                does_match = matches(pattern, name)
                self._doubts += does_match is None
                is_known = is_known or does_match is not False
                if does_match:
                    yield from self._one(part, rule, where, depth)
            if not is_known and "additionalProperties" in schema:
                yield from self._one(part, schema["additionalProperties"], where, depth)
            if "propertyNames" in schema:
                yield from self._one(name, schema["propertyNames"], where, depth)
        depending = {**_mapped(schema.get("dependencies")), **_mapped(schema.get("dependentRequired"))}
        for name, needed in depending.items():
            if name in value and isinstance(needed, list):
                for each in needed:
                    if each not in value:
                        yield Fault(_within(path, each), f"it is missing, and {name} is there")
        for name, rule in {**depending, **_mapped(schema.get("dependentSchemas"))}.items():
            if name in value and not isinstance(rule, list):
                yield from self._one(value, rule, path, depth)

    def _items(self, value: list[Any], schema: Mapping[str, Any], path: str, depth: int) -> Iterator[Fault]:
        first, rest = items_of(schema)
        for n, item in enumerate(value):
            yield from self._one(item, first[n] if n < len(first) else rest, _within(path, str(n)), depth)
        if len(value) < schema.get("minItems", 0):
            yield Fault(path, f"it has {len(value)} items of at least {schema['minItems']}")
        if len(value) > schema.get("maxItems", len(value)):
            yield Fault(path, f"it has {len(value)} items of at most {schema['maxItems']}")
        if schema.get("uniqueItems") is True and len({_identity(item) for item in value}) < len(value):
            yield Fault(path, "an item is there twice")
        if "contains" in schema:
            told = [self._told(item, schema["contains"], path, depth) for item in value]
            most = sum(fault is None for fault, _ in told)
            least = sum(fault is None and is_certain for fault, is_certain in told)
            if most < schema.get("minContains", 1) or least > schema.get("maxContains", least):
                yield Fault(path, f"{most} of its items are what it must contain")


def items_of(schema: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """Give the schemas of a list's first items, and that of the others, in the form of any draft."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return _listed(schema.get("prefixItems")), items


def same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where true is not 1 and 1.0 is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> SchemaValidator | None:
    # pydantic's engine: time that grows with the text and no faster, whoever wrote the pattern
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return None


def matches(pattern: str, text: str) -> bool | None:
    """Whether *pattern* is found in *text*; None where the pattern cannot be read."""
    if (validator := _pattern(pattern)) is None:
        return None
    try:
        validator.validate_python(text)
    except ValidationError as error:
        # half a surrogate pair is no text to the engine
        return None if error.errors(include_url=False)[0]["type"] == "string_unicode" else False
    return True


def _of_itself(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Faults that no other schema has a part in."""
    kinds = schema.get("type")
    wanted = kinds if isinstance(kinds, list) else [kinds] if isinstance(kinds, str) else []
    if wanted and not any(_is_of(value, kind) for kind in wanted):
        yield Fault(path, f"{shown(value)} is no {' or '.join(map(str, wanted))}")
    if "const" in schema and not same(value, schema["const"]):
        yield Fault(path, f"{shown(value)} is not {shown(schema['const'])}")
    if isinstance(schema.get("enum"), list) and not any(same(value, each) for each in schema["enum"]):
        yield Fault(path, f"{shown(value)} is none of {', '.join(map(shown, schema['enum'][:20]))}")
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield Fault(path, f"it has {len(value)} characters of at least {schema['minLength']}")
        if len(value) > schema.get("maxLength", len(value)):
            yield Fault(path, f"it has {len(value)} characters of at most {schema['maxLength']}")
        if isinstance(schema.get("pattern"), str) and matches(schema["pattern"], value) is False:
            yield Fault(path, f"{shown(value)} does not match {schema['pattern']}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _of_number(value, schema, path)


def _of_number(value: float, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    lowest, highest = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    # in older drafts these were true, of the others
    above, lowest = (lowest, None) if schema.get("exclusiveMinimum") is True else (above, lowest)
    below, highest = (highest, None) if schema.get("exclusiveMaximum") is True else (below, highest)
    if lowest is not None and value < lowest:
        yield Fault(path, f"{value} is less than {lowest}")
    if highest is not None and value > highest:
        yield Fault(path, f"{value} is more than {highest}")
    if above is not None and value <= above:
        yield Fault(path, f"{value} is not more than {above}")
    if below is not None and value >= below:
        yield Fault(path, f"{value} is not less than {below}")
    step = _bound(schema, "multipleOf")
    if step is not None and step > 0 and not _is_multiple(value, step):
        yield Fault(path, f"{value} is no multiple of {step}")


def _bound(schema: Mapping[str, Any], keyword: str) -> float | None:
    bound = schema.get(keyword)
    return bound if _is_number(bound) else None


def _is_multiple(value: float, step: float) -> bool:
    if not math.isfinite(value) or not math.isfinite(step):
        return False
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    # 0.3 is a multiple of 0.1 to whoever wrote both; also where the quotient is whole in floats, as validators count
    if (Fraction(str(value)) / Fraction(str(step))).denominator == 1:
        return True
    try:
        quotient = value / step
        return math.isfinite(quotient) and quotient == int(quotient)
    except OverflowError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of(value: Any, kind: Any) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return _is_number(value)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "decimal":  # labkit's own: a number, or a text that is one
            return _is_number(value) or (isinstance(value, str) and _DECIMAL.fullmatch(value) is not None)
        case _:
            return True  # a type that does not exist is the schema's fault


def _of_choices(value: Any, faults: list[Fault | None], path: str) -> Fault:
    only = faults[0]
    return only if len(faults) == 1 and only is not None else Fault(path, f"{shown(value)} fits none of {len(faults)}")


def _identity(value: Any) -> str:
    def told_apart(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: told_apart(each) for key, each in part.items()}
        if isinstance(part, list):
            return [told_apart(each) for each in part]
        is_whole = isinstance(part, float) and part.is_integer()
        return int(part) if is_whole else part

    return json.dumps(told_apart(value), sort_keys=True)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapped(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
