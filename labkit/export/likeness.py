"""What two objects have in common when they were made by the same code: JSON data to compare across processes.

Constants are described by value, pydantic models by JSON Schema, functions by their syntax tree, a guarded call by its
versions. What was imported is named; objects of foreign classes that are no plain values are known by their type only.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import re
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from labkit.call.description import function_form
from labkit.call.guarded import GuardedCall

__all__ = ["Likeness", "first_difference"]

_VALUE_MODULES = frozenset(
    {"array", "builtins", "collections", "datetime", "decimal", "fractions", "ipaddress", "itertools"}
    | {"numpy", "pandas", "pathlib", "random", "uuid", "zoneinfo"}
)
_MADE_BY_PYTHON = frozenset(
    {"__abstractmethods__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
    | {"__classcell__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__", "__firstlineno__"}
    | {"__match_args__", "__module__", "__qualname__", "__slots__", "__static_attributes__", "__weakref__", "_abc_impl"}
)
_MOST_NODES = 200_000


class Likeness:
    """Describes objects of one session or module.

    Args:
        module: What classes and functions made there say of their home; left out of descriptions, for it differs.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._nodes = 0

    def of(self, thing: Any) -> Any:
        """Describe *thing* as JSON data; equal for objects that the same code has made."""
        self._nodes = 0
        return self._of(thing, {})

    def _of(self, thing: Any, above: dict[int, int]) -> Any:
        self._nodes += 1
        if thing is None or type(thing) in (bool, int, str):
            return "<module>" if thing == self._module else thing
        if type(thing) is float:
            return thing if math.isfinite(thing) else repr(thing)  # JSON has no nan, and nan is not equal to itself
        if id(thing) in above:
            return {"again": above[id(thing)]}
        if self._nodes > _MOST_NODES or len(above) > 60:
            return {"type": self._name(type(thing))}
        return self._part(thing, above | {id(thing): len(above)})

    def _part(self, thing: Any, above: dict[int, int]) -> Any:
        if isinstance(thing, GuardedCall):
            return {"guarded call": thing.name, "versions": dict(thing.versions)}
        if isinstance(thing, types.ModuleType):
            return {"module": thing.__name__}
        if isinstance(thing, type):
            return self._class(thing, above)
        if isinstance(thing, types.FunctionType):
            return self._function(thing, above)
        if isinstance(thing, types.MethodType):
            return {"method": self._of(thing.__func__, above), "of": self._of(thing.__self__, above)}
        if isinstance(thing, functools.partial):
            return {"partial": self._of(thing.func, above), "given": self._of([thing.args, thing.keywords], above)}
        if isinstance(thing, (classmethod, staticmethod)) or hasattr(thing, "__wrapped__"):
            return {"wraps": self._of(thing.__wrapped__, above), "by": self._name(type(thing))}
        if isinstance(thing, property):
            return {"property": self._of([thing.fget, thing.fset], above)}
        if isinstance(thing, enum.Enum):
            return {"member": thing.name, "of": self._name(type(thing)), "value": self._of(thing.value, above)}
        if isinstance(thing, re.Pattern):
            return {
                "pattern": thing.pattern if isinstance(thing.pattern, str) else repr(thing.pattern),
                "flags": thing.flags,
            }
        if isinstance(thing, bytes):
            return {"bytes": thing.hex()}
        if isinstance(thing, BaseModel):
            return {"type": self._name(type(thing)), "fields": self._of(dict(thing), above)}
        return self._container(thing, above)

    def _container(self, thing: Any, above: dict[int, int]) -> Any:
        if isinstance(thing, Mapping):
            return {
                "type": self._name(type(thing)),
                "items": [[self._of(k, above), self._of(thing[k], above)] for k in thing],
            }
        if isinstance(thing, (list, tuple)):
            items = [self._of(item, above) for item in thing]
            return items if type(thing) is list else {"type": self._name(type(thing)), "items": items}
        if isinstance(thing, (set, frozenset)):
            return {"type": self._name(type(thing)), "members": sorted((self._of(m, above) for m in thing), key=repr)}
        if dataclasses.is_dataclass(thing):
            shown = {f.name: getattr(thing, f.name, None) for f in dataclasses.fields(thing) if f.compare and f.repr}
            return {"type": self._name(type(thing)), "fields": self._of(shown, above)}
        home = type(thing).__module__
        if home in ("typing", "types", "typing_extensions"):
            return {"type form": self._text(thing)}
        if isinstance(thing, (types.BuiltinFunctionType, types.GeneratorType, types.CoroutineType)):
            return {"named": f"{getattr(thing, '__module__', None)}.{thing.__qualname__}"}
        if home == self._module:
            return {"type": self._name(type(thing)), "state": self._of(dict(_state(thing)), above)}
        if home.partition(".")[0] in _VALUE_MODULES:
            return {"type": self._name(type(thing)), "value": self._reduced(thing, above)}
        return {"type": self._name(type(thing))}

    def _reduced(self, thing: Any, above: dict[int, int]) -> Any:
        """By what pickling would keep, which for an iterator is how far it has got."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of iterators, which 3.14 pickles no more
                made_by = thing.__reduce_ex__(2)
        except Exception:  # whatever a foreign __reduce_ex__ raises, the object has no value but what it shows
            return self._text(thing)
        if isinstance(made_by, str):
            return made_by
        # the fourth and fifth are iterators over items, which list and dict subclasses have had described above
        return [self._of(part, above) for part in made_by[:3]]

    def _class(self, cls: type, above: dict[int, int]) -> Any:
        if cls.__module__ != self._module:
            return {"named": f"{cls.__module__}.{cls.__qualname__}"}
        if issubclass(cls, enum.Enum):
            return {"enum": cls.__qualname__, "members": {m.name: self._of(m.value, above) for m in cls}}
        described = {
            "class": cls.__qualname__,
            "bases": [self._of(base, above) for base in cls.__bases__],
            "annotations": self._text(getattr(cls, "__annotations__", {})),
            "members": {name: self._of(member, above) for name, member in _members(cls)},
        }
        if dataclasses.is_dataclass(cls):
            described["fields"] = [
                [f.name, self._of([f.default, f.default_factory, f.compare, f.kw_only], above)]
                for f in dataclasses.fields(cls)
            ]
        if issubclass(cls, BaseModel):
            described |= self._model(cls, above)
        return described

    def _model(self, cls: type[BaseModel], above: dict[int, int]) -> dict[str, Any]:
        try:
            schema: Any = cls.model_json_schema()
        except PydanticUserError:  # a field that JSON Schema has no word for
            schema = {name: self._text(found.annotation) for name, found in cls.model_fields.items()}
        fields = {
            name: self._of([list(found.metadata), found.default, found.default_factory], above)
            for name, found in cls.model_fields.items()
        }
        return {
            "annotations": None,
            "schema": schema,
            "fields": fields,
            "config": self._of(dict(cls.model_config), above),
        }

    def _function(self, function: types.FunctionType, above: dict[int, int]) -> Any:
        if function.__module__ != self._module:
            return {"named": f"{function.__module__}.{function.__qualname__}"}
        return {
            "name": function.__code__.co_name,
            "code": function_form(function)[0],
            "defaults": self._of([function.__defaults__, function.__kwdefaults__], above),
            "closure": [self._of(_contents(cell), above) for cell in function.__closure__ or ()],
            "attributes": self._of(dict(function.__dict__), above),
        }

    def _name(self, cls: type) -> str:
        return cls.__qualname__ if cls.__module__ == self._module else f"{cls.__module__}.{cls.__qualname__}"

    def _text(self, thing: Any) -> str:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(thing).replace(f"{self._module}.", ""))


def first_difference(live: Any, written: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two descriptions differ: its path and both sides; None when they are equal."""
    if json.dumps(live, sort_keys=True) == json.dumps(written, sort_keys=True):  # True is not 1 here
        return None
    if isinstance(live, dict) and isinstance(written, dict) and live.keys() == written.keys():
        pairs: list[tuple[str, Any, Any]] = [(f"{path}.{key}".lstrip("."), live[key], written[key]) for key in live]
    elif isinstance(live, list) and isinstance(written, list) and len(live) == len(written):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(live, written, strict=True))]
    else:
        return path, live, written
    return next(found for at, a, b in pairs if (found := first_difference(a, b, at)) is not None)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(cls).items():
        generated = (
            name in _MADE_BY_PYTHON
            or name.startswith(("__pydantic_", "model_", "_generate_"))
            or (isinstance(member, types.FunctionType) and member.__module__ != cls.__module__)
        )
        if not generated and not isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            yield name, member


def _state(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        yield from (
            (name, getattr(thing, name))
            for name in ([slots] if isinstance(slots, str) else slots)
            if hasattr(thing, name)
        )


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not filled yet
