"""An instance of a type is validated as what it is: by its fields, never through what it would be dumped as."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import pydantic
from pydantic_core import SchemaValidator, to_jsonable_python

__all__ = ["Revalidator", "as_said", "differences", "equal", "excluded_in"]

# What stands beside schemas in a core schema and may look like one.
_NO_SCHEMAS = frozenset({"serialization", "metadata", "default", "expected", "config", "cls"})
# What a validator that was written for JSON data raises when it meets an instance. A ValueError is its verdict, unless
# the value is nothing that JSON could be: then it only says that it wants JSON.
_NOT_FOR_INSTANCES = (TypeError, AttributeError, LookupError)
_DATA = (str, int, float, list, dict)


class Revalidator:
    """Validates values of a type again, whatever form its fields are read from.

    Models and dataclasses are looked into field by field, by name; what was parsed from text (``Json``, validators that
    run before) is taken as it is now.
    """

    def __init__(self, adapter: pydantic.TypeAdapter[Any]) -> None:
        self._adapter = adapter
        self._validator: SchemaValidator | None = None

    def validate(self, value: Any) -> Any:
        """Give *value*, an instance or data, as an instance.

        Raises:
            pydantic.ValidationError: It is none.
        """
        if self._validator is None:  # made when it is first needed: few calls do
            self._validator = _built(_looking_into(self._adapter.core_schema))
        return self._validator.validate_python(value, by_name=True, by_alias=True)


def _built(schema: Any) -> SchemaValidator:
    # A model's own validator would be put in the place of the schema, and it takes any instance as it is.
    return SchemaValidator(schema, _use_prebuilt=False)


def _looking_into(node: Any) -> Any:
    """Give a core schema that looks into instances."""
    if isinstance(node, (list, tuple)):
        return type(node)(_looking_into(part) for part in node)
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if not isinstance(kind, str):
        return {name: _looking_into(part) for name, part in node.items()}
    made = {name: part if name in _NO_SCHEMAS else _looking_into(part) for name, part in node.items()}
    if kind in ("model", "dataclass"):
        made["revalidate_instances"] = "always"
        return _without_cached(made) if kind == "model" and _has_cached(made["cls"]) else made
    if kind == "json":
        inner = made.get("schema", {"type": "any"})
        return {**inner, "ref": made["ref"]} if "ref" in made else inner
    if kind in ("function-before", "function-plain", "function-wrap"):
        made["function"] = {**node["function"], "function": _tolerant(node["function"]["function"], kind)}
    return made


def _tolerant(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
    def validate(value: Any, *rest: Any) -> Any:
        try:
            return function(value, *rest)
        except _NOT_FOR_INSTANCES:
            pass
        except ValueError:
            if value is None or isinstance(value, _DATA):
                raise
        return rest[0](value) if kind == "function-wrap" else value

    return validate


def _has_cached(cls: type[pydantic.BaseModel]) -> bool:
    return any(isinstance(part, cached_property) for base in cls.__mro__ for part in vars(base).values())


def _without_cached(model: dict[str, Any]) -> Any:
    """Leave out what an instance has computed and remembered: it lies beside the fields, and is none."""
    cls = model["cls"]

    def only_fields(value: Any) -> Any:
        if not isinstance(value, cls):
            return value
        copied = value.model_copy()
        for name in copied.__dict__.keys() - cls.model_fields.keys():
            del copied.__dict__[name]
        return copied

    ref = model.pop("ref", None)
    from pydantic_core import core_schema

    return core_schema.no_info_before_validator_function(only_fields, model, ref=ref)


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, also where comparing them fails."""
    try:
        return bool(one == other)
    except Exception:  # arrays, and whatever a type of the user's makes of ==
        return False


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Give the places, by dotted path, where two values of one type differ; fields that are never dumped count."""
    if equal(one, other):
        return
    parts, others = _parts(one), _parts(other)
    if type(one) is not type(other) or parts is None or others is None or parts.keys() != others.keys():
        yield path
        return
    is_within = False
    for name, part in parts.items():
        for place in differences(part, others[name], f"{path}.{name}" if path else str(name)):
            is_within = True
            yield place
    if not is_within and not isinstance(one, pydantic.BaseModel):  # what is private to a model is no field
        yield path


def as_said(value: Any) -> Any:
    """Give *value* as JSON data under the names that a model is asked for, whatever it would be dumped as."""
    if isinstance(value, pydantic.RootModel):
        return as_said(value.root)
    if isinstance(value, pydantic.BaseModel):
        fields = type(value).model_fields
        return {_name_of(fields.get(name), name): as_said(part) for name, part in value}
    parts = _parts(value)
    if parts is None:
        return to_jsonable_python(value, fallback=repr)
    said = {name: as_said(part) for name, part in parts.items()}
    return list(said.values()) if isinstance(value, (list, tuple)) else said


def _name_of(field: Any, name: str) -> str:
    alias = None if field is None else field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def excluded_in(value: Any, path: str = "") -> list[str]:
    """Give the places, by dotted path, of what the types in *value* exclude from a dump."""
    parts = _parts(value)
    if not parts:
        return []
    fields = type(value).model_fields if isinstance(value, pydantic.BaseModel) else {}
    found: list[str] = []
    for name, part in parts.items():
        where = f"{path}.{name}" if path else str(name)
        found += [where] if name in fields and fields[name].exclude else excluded_in(part, where)
    return found


def _parts(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, pydantic.BaseModel):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, (list, tuple)) else None
