"""Whether values of a type can be kept: what is kept reads back equal, or it is not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from pydantic_core import PydanticSerializationError, to_json

from labkit.call.instances import differences, equal
from labkit.errors import CallInvalid

__all__ = ["UNKEPT", "Keeper"]

UNKEPT: Any = object()
"""Stands for the form of a value that has none."""

_NO_SCHEMAS = frozenset({"metadata", "serialization", "default", "config"})
_MOST_DEPTH = 5
_MOST_SAMPLES = 8
# One of each, with all that a serializer might leave out: parts of a second, a zone, digits.
_FORMATS = {
    "date": "2024-05-06", "date-time": "2024-05-06T07:08:09.123456+02:00", "time": "07:08:09.123456",
    "duration": "P1DT2H3M4.5S", "uuid": "6f1c4b1e-0000-4000-8000-0000000000aa", "email": "ab@example.org",
    "uri": "https://example.org/a?b=1", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "binary": "Ab c",
    "ipv4network": "192.0.2.0/24", "ipv6network": "2001:db8::/32", "path": "a/b",
}  # fmt: skip


class Keeper:
    """Turns values of a type into JSON data and back: by field name, without what is computed.

    Args:
        name: What messages call the type.
    """

    def __init__(self, adapter: pydantic.TypeAdapter[Any], name: str) -> None:
        self._adapter = adapter
        self._name = name

    def form_of(self, value: Any) -> Any:
        """Give *value* as JSON data that reads back to an equal value, UNKEPT where it would not."""
        try:
            form = self._dumped(value)
            return form if equal(self.restore(form), value) else UNKEPT
        except (ValueError, TypeError, PydanticSerializationError):
            return UNKEPT

    def restore(self, form: Any) -> Any:
        """Give the value that *form* was made of.

        Raises:
            pydantic.ValidationError: The type has changed, or it was made of something else.
        """
        return self._adapter.validate_json(to_json(form), by_name=True, by_alias=True)

    def check(self) -> None:
        """Try a few values of the type; one that cannot be made says nothing.

        Raises:
            CallInvalid: One would not read back.
        """
        schema = self._adapter.json_schema()
        for n in range(_MOST_SAMPLES):
            for style in (0, 1):
                try:
                    value = self._adapter.validate_python(_Sampler(schema, n, style).value(schema, 0))
                except Exception:  # a validator of the user's own may raise what it likes on a value that is made up
                    continue
                self._check(value)
                break
        hidden = next(_never_dumped(self._adapter.core_schema, ""), None)  # no example could be made of it
        if hidden is not None:
            raise self._cannot(hidden, "it is left out of what the value is dumped as")

    def _check(self, value: Any) -> None:
        try:
            back = self.restore(self._dumped(value))
        except pydantic.ValidationError as error:
            place = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
            raise self._cannot(place, "what it is dumped as is not accepted again") from error
        except (ValueError, TypeError, PydanticSerializationError) as error:
            raise self._cannot("", f"it cannot be dumped: {error}") from error
        differing = next(differences(value, back), None)
        if differing is not None:
            raise self._cannot(differing, "what it is dumped as reads back as another value")

    def _dumped(self, value: Any) -> Any:
        return self._adapter.dump_python(value, mode="json", round_trip=True, by_alias=False, warnings=False)

    def _cannot(self, place: str, why: str) -> CallInvalid:
        what = f"field {place!r} of {self._name}" if place else self._name
        return CallInvalid(
            f"Policy(cache=...) cannot keep {what}: {why}. Take the secret, exclude=True or serializer off the output "
            "type (a field that must not be shown can be marked lk.Sensitive), or give no cache"
        )


def _never_dumped(node: Any, path: str) -> Iterator[str]:
    """Give the fields of a core schema that are secret or excluded, whatever their values."""
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from _never_dumped(part, path)
    if not isinstance(node, dict):
        return
    if node.get("type") == "dataclass-field":
        path = _within(path, node["name"])
    if node.get("serialization_exclude") is True or _is_secret(node.get("cls")):
        yield path
        return
    for key, part in node.items():
        if key == "fields" and isinstance(part, dict):
            for name, field in part.items():
                yield from _never_dumped(field, _within(path, name))
        elif key not in _NO_SCHEMAS:
            yield from _never_dumped(part, path)


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_secret(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret))


class _Sampler:
    """Makes JSON data up that fits a schema; with another *n*, of unions another choice."""

    def __init__(self, schema: Mapping[str, Any], n: int, style: int) -> None:
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._n = n
        self._style = style

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return "a"
        if "$ref" in schema:
            named = self._definitions.get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
            return self.value({**named, **{k: v for k, v in schema.items() if k != "$ref"}}, depth + 1)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._choice(schema[union], depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return next((each for each in reversed(schema["enum"]) if each != schema.get("default")), schema["enum"][0])
        made = list(self._scalars(schema))
        if made:
            return next((each for each in made if each != schema.get("default")), made[0])
        if schema.get("type") == "array":
            return self._list(schema, depth)
        if schema.get("type") == "object":
            return self._object(schema, depth)
        return "a"

    def _choice(self, choices: list[Any], depth: int) -> Any:
        present = [choice for choice in choices if choice.get("type") != "null"] or choices
        if depth > _MOST_DEPTH and len(present) < len(choices):
            return None
        return self.value(present[self._n % len(present)], depth + 1)

    def _list(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", [])]
        if first or depth > _MOST_DEPTH or schema.get("maxItems") == 0:
            return first
        return [self.value(schema.get("items", True), depth + 1)] * max(1, schema.get("minItems", 1))

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        members = {
            name: self.value(member, depth + 1)
            for name, member in schema.get("properties", {}).items()
            if depth <= _MOST_DEPTH or name in required
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping) and depth <= _MOST_DEPTH:
            names = schema.get("propertyNames", {"type": "string"})
            members[str(self.value(names, depth + 1))] = self.value(extra, depth + 1)
        return members

    def _scalars(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        match schema.get("type"):
            case "string" if "contentSchema" in schema:
                yield json.dumps(self.value(schema["contentSchema"], _MOST_DEPTH))
            case "string" if schema.get("format") in _FORMATS:
                yield _FORMATS[schema["format"]]
            case "string":
                for text in ("Ab c", "Bc d") if self._style == 0 else ("a", "b"):
                    yield text.ljust(schema.get("minLength", 0), "a")[: schema.get("maxLength", 100)]
            case "integer":
                step = schema.get("multipleOf", 1)
                yield from (
                    (int(low) + step, int(low) + 2 * step)
                    if low is not None
                    else ((int(high) - step, int(high) - 2 * step) if high is not None else (3 * step, 4 * step))
                )
            case "number" if "multipleOf" in schema:
                yield from (schema["multipleOf"] * 3, schema["multipleOf"] * 4)
            case "number":
                exact, other = (0.1234567, 0.2345678) if self._style == 0 else (0.5, 0.25)
                if low is not None and high is not None:
                    yield from (low + (high - low) * exact, low + (high - low) * other)
                else:
                    start = low if low is not None else high - 1 if high is not None else 1
                    yield from (start + exact, start + other)
            case "boolean":
                yield from (True, False)
            case "null":
                yield None
