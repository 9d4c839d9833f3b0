"""Python objects as the JSON data that an answer of the same type is compared as."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

__all__ = ["as_json"]


def as_json(value: Any, place: str) -> Any:
    """Give *value* with every object in it as JSON data, as ``Result.data`` gives it; JSON data stays what it is.

    A ``Decimal`` becomes its text, a ``datetime`` ISO 8601, a model or a dataclass a mapping, a set a list.

    Raises:
        ValueError: Something that JSON has no form for; the message names where it stands.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: as_json(item, f"{place}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return [as_json(item, f"{place}.{n}") for n, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):  # in an order that every process gives it
        return sorted((as_json(item, place) for item in value), key=repr)
    if isinstance(value, type) or callable(value):
        named = getattr(value, "__name__", type(value).__name__)
        raise ValueError(f"{place} is {named}, which is no value: give JSON data, or an instance of the output type")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        return _by_its_own_schema(value, place)


def _by_its_own_schema(value: Any, place: str) -> Any:
    """A type may say for itself how it is written, as pictures do."""
    try:
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    except (PydanticSchemaGenerationError, PydanticSerializationError) as error:
        raise ValueError(
            f"{place} is a {type(value).__name__}, which JSON has no form for: give text, numbers, lists and mappings"
        ) from error
