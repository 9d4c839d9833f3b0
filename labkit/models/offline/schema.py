"""Reading JSON Schema: references, ``allOf``, the names it uses, and whether a value fits it."""

from __future__ import annotations

import datetime
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from labkit.models.offline.notation import Vocabulary, fold

__all__ = ["FROM", "Schema", "accepts", "merge", "resolve", "same", "types_of", "vocabulary_of"]

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$defs", "definitions"})
_BOUNDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "minimum": max, "exclusiveMinimum": max, "minLength": max, "minItems": max, "minProperties": max,
    "maximum": min, "exclusiveMaximum": min, "maxLength": min, "maxItems": min, "maxProperties": min,
}  # fmt: skip
FROM = "$from"
_DEEPEST = 40


def resolve(schema: Any, root: Schema) -> Schema:
    """Follow ``$ref`` and merge ``allOf`` until neither is left at the top of *schema*.

    A reference that leads nowhere is taken as "anything". What a reference led to keeps it under ``FROM``, so that
    whoever walks down a schema sees when it goes in circles.
    """
    current: Schema = {} if isinstance(schema, bool) or not isinstance(schema, Mapping) else schema
    for _ in range(_DEEPEST):
        if "$ref" in current:
            target = _target(current["$ref"], root)
            siblings = {key: value for key, value in current.items() if key != "$ref"}
            current = {**merge(target, siblings), FROM: current["$ref"]}
        elif "allOf" in current:
            merged: Schema = {key: value for key, value in current.items() if key != "allOf"}
            for part in current["allOf"]:
                merged = merge(resolve(part, root), merged)
            current = merged
        else:
            return current
    return {}


def types_of(schema: Schema) -> tuple[str, ...]:
    """The JSON types *schema* names or implies; empty for "anything"."""
    named = schema.get("type")
    if isinstance(named, str):
        return (named,)
    if isinstance(named, (list, tuple)):
        return tuple(named)
    if "properties" in schema:
        return ("object",)
    if "items" in schema or "prefixItems" in schema:
        return ("array",)
    return ()


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: ``true`` is not 1, and 1.0 is."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def vocabulary_of(root: Schema) -> Vocabulary:
    """The labels and property names of *root*, folded."""
    labels: set[str] = set()
    fields: set[str] = set()
    for schema in _walk(root):
        values = list(schema.get("enum", ())) + ([schema["const"]] if "const" in schema else [])
        labels.update(fold(value) for value in values if isinstance(value, str))
        fields.update(fold(name) for name in schema.get("properties", {}))
    return Vocabulary(labels=frozenset(labels - {""}), fields=frozenset(fields))


def accepts(schema: Any, value: Any, root: Schema, depth: int = 0) -> bool:
    """Whether *value* fits *schema*; keywords that this model never has to fill (``not``, ``if``) count as met."""
    if schema is False:
        return False
    if depth > _DEEPEST:
        return True
    rules = resolve(schema, root)

    def fits(part: Any, item: Any) -> bool:
        return accepts(part, item, root, depth + 1)

    types = types_of(rules) if "type" in rules else ()
    if types and not any(_has_type(value, name) for name in types):
        return False
    if "const" in rules and not same(rules["const"], value):
        return False
    if "enum" in rules and not any(same(option, value) for option in rules["enum"]):
        return False
    if "anyOf" in rules and not any(fits(option, value) for option in rules["anyOf"]):
        return False
    if "oneOf" in rules and sum(fits(option, value) for option in rules["oneOf"]) != 1:
        return False
    if isinstance(value, str):
        return _accepts_text(rules, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _accepts_number(rules, value)
    if isinstance(value, list):
        return _accepts_list(rules, value, fits)
    return _accepts_object(rules, value, fits) if isinstance(value, dict) else True


def _accepts_text(rules: Schema, value: str) -> bool:
    if not rules.get("minLength", 0) <= len(value) <= rules.get("maxLength", math.inf):
        return False
    if "pattern" in rules and not _matches(rules["pattern"], value):
        return False
    check = _FORMATS.get(rules.get("format", ""))
    try:
        return check is None or bool(check(value))
    except ValueError:
        return False


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True  # ECMA syntax that Python does not know cannot be checked here


def _accepts_number(rules: Schema, value: float) -> bool:
    step = rules.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        return False
    is_within: bool = (
        rules.get("minimum", -math.inf) <= value <= rules.get("maximum", math.inf)
        and value > rules.get("exclusiveMinimum", -math.inf)
        and value < rules.get("exclusiveMaximum", math.inf)
    )
    return is_within


def _accepts_list(rules: Schema, value: list[Any], fits: Callable[[Any, Any], bool]) -> bool:
    if not rules.get("minItems", 0) <= len(value) <= rules.get("maxItems", math.inf):
        return False
    if rules.get("uniqueItems") and any(same(a, b) for n, a in enumerate(value) for b in value[:n]):
        return False
    first = rules.get("prefixItems", ())
    return all(fits(part, item) for part, item in zip(first, value, strict=False)) and all(
        fits(rules.get("items", True), item) for item in value[len(first) :]
    )


def _accepts_object(rules: Schema, value: dict[str, Any], fits: Callable[[Any, Any], bool]) -> bool:
    properties = rules.get("properties", {})
    patterns = rules.get("patternProperties", {})
    if any(name not in value for name in rules.get("required", ())):
        return False
    if not rules.get("minProperties", 0) <= len(value) <= rules.get("maxProperties", math.inf):
        return False
    for name, item in value.items():
        parts = [properties[name]] if name in properties else []
        parts += [part for pattern, part in patterns.items() if _matches(pattern, name)]
        if not all(fits(part, item) for part in parts or [rules.get("additionalProperties", True)]):
            return False
        if "propertyNames" in rules and not fits(rules["propertyNames"], name):
            return False
    return True


def _has_type(value: Any, name: str) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, (int, float)) and not isinstance(value, bool) and value == math.floor(value)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
    return True


def _target(reference: str, root: Schema) -> Schema:
    place: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if key and not (isinstance(place, Mapping) and key in place):
            return {}
        place = place[key] if key else place
    return place if isinstance(place, Mapping) else {}


def merge(below: Schema, above: Schema) -> Schema:
    """One schema that asks for what both ask; annotations of *above* win."""
    merged = dict(below)
    for key, value in above.items():
        if key not in merged or key in _ANNOTATIONS:
            merged[key] = value
        elif key in _BOUNDS:
            merged[key] = _BOUNDS[key](merged[key], value)
        elif key == "properties":
            both = {name: {"allOf": [merged[key][name], part]} for name, part in value.items() if name in merged[key]}
            merged[key] = {**merged[key], **value, **both}
        elif key == "required":
            merged[key] = list(dict.fromkeys([*merged[key], *value]))
        elif key == "enum":
            merged[key] = [option for option in merged[key] if any(same(option, other) for other in value)]
        else:
            merged[key] = value
    return merged


def _walk(schema: Any, depth: int = 0) -> Iterator[Schema]:
    if depth > _DEEPEST:
        return
    if isinstance(schema, Mapping):
        yield schema
        for key, part in schema.items():
            if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(part, Mapping):
                for inner in part.values():
                    yield from _walk(inner, depth + 1)
            elif key not in ("default", "examples", "enum", "const"):
                yield from _walk(part, depth + 1)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            yield from _walk(part, depth + 1)


def _is_moment(value: str) -> bool:
    return "T" in value.upper() and datetime.datetime.fromisoformat(value.upper()).tzinfo is not None


_FORMATS: Mapping[str, Callable[[str], object]] = {
    "date": datetime.date.fromisoformat,
    "date-time": _is_moment,
    "time": datetime.time.fromisoformat,
    "uuid": uuid.UUID,
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+").fullmatch,
    "uri": re.compile(r"[a-zA-Z][\w+.-]*:\S+").fullmatch,
}
