"""Objects as JSON data that changes when they would behave differently, whatever the process, place and Python."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import logging
import math
import os
import re
import sys
import types
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic.errors import PydanticUserError

from labkit.call.fingerprint import canonical_json, digest
from labkit.call.plain_values import plain_value
from labkit.call.source_code import FunctionNode, node_of
from labkit.call.syntax import canonical, names_read, plain
from labkit.models.media import Media

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["describe", "full_name", "function_form"]

_Above = Mapping[int, int]


def describe(thing: Any) -> Any:
    """Give JSON data that changes when *thing* would behave differently.

    Functions are described by their syntax tree, defaults and closure and, recursively, by the globals of their own
    module that they read; pydantic models by JSON Schema, fields and validators; values by what they are; other
    objects by type and state. What was imported from elsewhere is named, not followed.

    A function without source (made by ``exec``, typed into Python's own shell before 3.13, or left as .pyc without
    its .py) is described by its names and constants, and a warning says so: a change that keeps them is not noticed.
    """
    return _Describer().of(thing)


class _Describer:
    """Describes objects, each once however often it is met."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str | None], tuple[Any, Any]] = {}
        self._reached = math.inf

    def of(self, thing: Any) -> Any:
        return self._of(thing, None, {})

    def _of(self, thing: Any, home: str | None, above: _Above) -> Any:
        """Describe *thing*.

        Args:
            home: The module whose functions and classes are followed; None at the top, where each has its own.
            above: What is being described around it, by id, with its depth.
        """
        if thing is None or type(thing) in (bool, str):
            return thing
        if type(thing) is int:  # a decimal number of 5,000 digits is more than Python writes
            return thing if thing.bit_length() < 10_000 else {"int": f"{thing:x}"}
        if type(thing) is float:
            return thing if math.isfinite(thing) else repr(thing)  # JSON has no nan
        if id(thing) in above:
            self._reached = min(self._reached, above[id(thing)])
            return {"again": getattr(thing, "__name__", type(thing).__name__)}
        if (id(thing), home) in self._known:
            return self._known[id(thing), home][1]
        outside, self._reached = self._reached, math.inf
        described = self._part(thing, home, {**above, id(thing): len(above)})
        if self._reached >= len(above):  # it refers to nothing around it, and is the same wherever it stands
            self._known[id(thing), home] = thing, described
            self._reached = outside
        self._reached = min(self._reached, outside)
        return described

    def _part(self, thing: Any, home: str | None, above: _Above) -> Any:
        def of(part: Any) -> Any:
            return self._of(part, home, above)

        match thing:
            case pydantic.SecretStr() | pydantic.SecretBytes():
                return {"type": type(thing).__name__}
            case os._Environ():
                return {"named": "os.environ"}
            case types.ModuleType():
                return {"named": thing.__name__}
            case logging.Logger():
                return {"named": "logger"}  # usually called after its module, and never part of an answer
            case enum.Enum():
                return {"enum": type(thing).__name__, "value": of(thing.value)}
            case Media():
                return {"media": thing.sha256, "kind": thing.media_type, "name": thing.name}
            case re.Pattern():
                return {"pattern": of(thing.pattern), "flags": thing.flags}
            case functools.partial() | functools.partialmethod():
                return {"partial": of(thing.func), "args": [of(thing.args), of(thing.keywords)]}
            case types.MethodType():
                return {"method": of(thing.__func__), "of": of(thing.__self__)}
            case types.FunctionType():
                return self._function(thing, home, above)
            case types.BuiltinFunctionType():
                return {"named": full_name(thing)}
            case property():
                return {"property": [of(thing.fget), of(thing.fset), of(thing.fdel)]}
            case functools.cached_property():
                return {"property": [of(thing.func)]}
        if _is_type_form(thing):
            return self._type_form(thing, home, above)
        if isinstance(thing, type):
            return self._class(thing, home, above)
        if _is_guarded_call(thing):
            return {"guarded call": thing.name, "versions": dict(thing.versions)}
        if hasattr(thing, "__wrapped__"):  # functools.cache, staticmethod and the like
            return {"by": type(thing).__name__, "wraps": of(thing.__wrapped__)}
        return self._value(thing, home, above)

    def _value(self, thing: Any, home: str | None, above: _Above) -> Any:
        def of(part: Any) -> Any:
            return self._of(part, home, above)

        if isinstance(thing, pydantic.BaseModel):
            kept = {name: value for name, value in (thing.__pydantic_private__ or {}).items() if _is_fixed(value)}
            return {"type": type(thing).__name__, "value": of(dict(thing) | kept)}
        if isinstance(thing, Mapping):
            return {"map": _sorted([of(key), of(value)] for key, value in thing.items())}
        if isinstance(thing, (list, tuple)):
            return [of(item) for item in thing]
        if isinstance(thing, (set, frozenset)):
            return {"set": _sorted(of(item) for item in thing)}
        if (value := plain_value(thing)) is not None:
            return {"type": full_name(type(thing)), "value": of(value)}
        cls = type(thing)
        named = full_name(cls) if _root(cls) != "labkit" else cls.__name__
        made_of: Any = self._class(cls, home, above) if self._is_followed(cls, home) else named
        if dataclasses.is_dataclass(thing):
            state = {f.name: getattr(thing, f.name, None) for f in dataclasses.fields(thing) if f.compare and f.repr}
        elif made_of is named:
            state = _public(vars(thing)) if hasattr(thing, "__dict__") and not _is_of_python(cls) else {}
        else:
            state = dict(_state(thing))
        return {"type": made_of, "state": of(state)}

    # --- functions ----------------------------------------------------------------------------------------------------

    def _function(self, function: types.FunctionType, home: str | None, above: _Above) -> Any:
        stands_in = str(function.__globals__.get("__name__"))
        # functools.wraps gives the decorator's function the module of the one it was put around
        own = function.__module__ if hasattr(function, "__wrapped__") else stands_in
        wrapped = getattr(function, "__wrapped__", None)
        if own != stands_in and (home is None or own == home):  # around a function of the author's, by somebody else
            return {"by": f"{_public_module(stands_in)}.{function.__code__.co_qualname}", "wraps":
                    self._of(wrapped, own, above)}  # fmt: skip
        if _is_python(own) or (home is not None and own != home):
            return {"named": full_name(function)}
        return {"function": function.__name__, "sha256": digest(self._followed(function, own, above))}

    def _followed(self, function: types.FunctionType, home: str, above: _Above) -> dict[str, Any]:
        space = function.__globals__
        form, names = function_form(function)
        if isinstance(form, dict):
            warnings.warn(_no_source(function), stacklevel=2)
        closure = dict(zip(function.__code__.co_freevars, map(_contents, function.__closure__ or ()), strict=True))
        # __name__ and its like differ wherever the code stands; a shell's own names are not the author's
        reads = {
            name: space[name]
            for name in sorted(names - closure.keys())
            if name in space and not name.startswith("__") and not _is_of_the_shell(space[name])
        }
        return {
            "code": form,
            "defaults": [self._of(part, home, above) for part in (function.__defaults__, function.__kwdefaults__)],
            "reads": {name: self._of(thing, home, above) for name, thing in reads.items()},
            "closes over": {name: self._of(thing, home, above) for name, thing in sorted(closure.items())},
        }

    # --- classes ------------------------------------------------------------------------------------------------------

    def _is_followed(self, cls: type, home: str | None) -> bool:
        return not _is_of_python(cls) and _root(cls) != "labkit" and home in (None, cls.__module__)

    def _class(self, cls: type, home: str | None, above: _Above) -> Any:
        if _is_of_python(cls) or (home is not None and cls.__module__ != home):
            return {"named": full_name(cls)}
        return {"class": cls.__name__, "sha256": digest(self._followed_class(cls, cls.__module__, above))}

    def _followed_class(self, cls: type, home: str, above: _Above) -> dict[str, Any]:
        members = {name: self._of(member, home, above) for name, member in _members(cls)}
        if issubclass(cls, enum.Enum):
            values = [[name, self._of(member.value, home, above)] for name, member in cls.__members__.items()]
            return {"values": values, "members": members}
        bases = [self._of(base, home, above) for base in cls.__bases__ if base not in (object, pydantic.BaseModel)]
        described: dict[str, Any] = {"members": members, "bases": bases}
        if issubclass(cls, pydantic.BaseModel):
            return described | self._model(cls, home, above)
        if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls) or hasattr(cls, "_field_defaults"):
            described["fields"] = {name: self._of(form, home, above) for name, form in _hints(cls).items()}
        if dataclasses.is_dataclass(cls):
            described["defaults"] = {
                f.name: [self._default(f.default, home, above), self._default(f.default_factory, home, above)]
                for f in dataclasses.fields(cls)
            }
        return described

    def _model(self, cls: type[pydantic.BaseModel], home: str, above: _Above) -> dict[str, Any]:
        def of(part: Any) -> Any:
            return self._of(part, home, above)

        try:
            schema: Any = cls.model_json_schema()
        except PydanticUserError:  # a field that JSON Schema has no word for
            schema = None
        found = cls.__pydantic_decorators__
        checks: dict[str, Any] = {
            **found.validators, **found.field_validators, **found.root_validators, **found.model_validators,
            **found.field_serializers, **found.model_serializers,
        }  # fmt: skip
        return {
            "schema": schema,
            "fields": {name: self._field(field, home, above) for name, field in cls.model_fields.items()},
            "checks": {
                name: [
                    of(_unbound(check.func)),
                    getattr(check.info, "mode", None),
                    of(getattr(check.info, "fields", None)),
                ]
                for name, check in checks.items()
            },
            "config": of(dict(cls.model_config)),
            "private": {
                name: [self._default(kept.default, home, above), of(kept.default_factory)]
                for name, kept in cls.__private_attributes__.items()
            },
        }

    def _field(self, field: FieldInfo, home: str | None, above: _Above) -> Any:
        said = {name: getattr(field, name, None) for name in _FIELD_SETTINGS}
        return {
            "type": self._of(field.annotation, home, above),
            "constraints": [self._constraint(part, home, above) for part in field.metadata],
            "default": self._default(field.default, home, above),
            **{name: self._of(value, home, above) for name, value in said.items() if value is not None},
        }

    def _constraint(self, part: Any, home: str | None, above: _Above) -> Any:
        """By what it says; pydantic's own class for a pattern or a strict number is private and made on the fly."""
        if isinstance(part, _field_info()):
            return self._field(part, home, above)
        if _root(type(part)) not in ("annotated_types", "pydantic"):
            return self._of(part, home, above)
        kind = type(part).__name__
        said = {name: self._of(value, home, above) for name, value in _state(part)}
        return said if kind.startswith("_") else {"by": kind, **said}

    def _default(self, value: Any, home: str | None, above: _Above) -> Any:
        is_missing = value is dataclasses.MISSING or type(value).__name__ == "PydanticUndefinedType"
        return {"missing": True} if is_missing else self._of(value, home, above)

    def _type_form(self, form: Any, home: str | None, above: _Above) -> Any:
        """``Optional[int]`` and ``int | None`` are the same, and are written differently from version to version."""

        def of(part: Any) -> Any:
            return self._of(part, home, above)

        origin, args = typing.get_origin(form), typing.get_args(form)
        if origin is typing.Union or origin is types.UnionType:
            return {"union": [of(arg) for arg in args]}
        if origin is typing.Annotated:
            return {"annotated": of(args[0]), "with": [self._constraint(part, home, above) for part in args[1:]]}
        if origin is not None:
            return {"generic": of(origin), "of": [of(list(a) if isinstance(a, list) else a) for a in args]}
        if isinstance(form, typing.ForwardRef):
            return {"quoted": form.__forward_arg__}
        if hasattr(form, "__value__"):
            return {"alias": form.__name__, "is": of(form.__value__)}
        if hasattr(form, "__supertype__"):
            return {"new type": form.__name__, "is": of(form.__supertype__)}
        return {"typing": getattr(form, "__name__", None) or getattr(form, "_name", None) or type(form).__name__}


_FIELD_SETTINGS = (
    "default_factory", "alias", "validation_alias", "serialization_alias", "validate_default", "exclude",
    "discriminator", "frozen", "init",
)  # fmt: skip


def function_form(function: types.FunctionType) -> tuple[Any, frozenset[str]]:
    """Give a function's code as JSON data, a dictionary where there is no source, and the outer names that it reads."""
    node = node_of(function)
    if node is None:
        return _without_source(function.__code__)
    return _form(node)


@functools.lru_cache(maxsize=512)
def _form(node: FunctionNode) -> tuple[Any, frozenset[str]]:
    """Kept, for a call is often defined again with little changed: by replace(), for each variant of a flag."""
    bare = plain(node)
    return canonical(bare), names_read(bare)


def full_name(thing: Any) -> str:
    """A class or function's name with its module, as its users import it: the place inside a library may move."""
    module = thing.__globals__.get("__name__") if isinstance(thing, types.FunctionType) else thing.__module__
    return f"{_public_module(module or 'builtins')}.{thing.__qualname__}"


def _no_source(function: types.FunctionType) -> str:
    code = function.__code__
    return (
        f"the source of {function.__qualname__} ({code.co_filename}, line {code.co_firstlineno}) cannot be read. Its "
        "fingerprint knows its names and constants only, and misses a change that keeps them: write it in a file or a "
        "notebook's cell, outside of exec and %%time."
    )


def _without_source(code: types.CodeType) -> tuple[Any, frozenset[str]]:
    """What is left of a function's text in what it was compiled to, without what depends on the compiler."""
    codes = list(_with_inner(code))
    names = frozenset(name for c in codes for name in c.co_names if name.isidentifier() and not name.startswith("__"))
    constants = {text for c in codes for constant in c.co_consts for text in _constant_texts(constant)}
    form = {
        "without source": code.co_name,
        "parameters": list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]),
        "names": sorted(names),
        "constants": sorted(constants),
    }
    return form, names


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_inner(constant)


def _constant_texts(constant: Any) -> Iterator[str]:
    """Members of tuples and sets one by one: which of them a compiler keeps together is its own affair."""
    if isinstance(constant, (tuple, frozenset)):
        for member in constant:
            yield from _constant_texts(member)
    elif isinstance(constant, str):
        yield repr(" ".join(constant.split()))  # 3.13 takes the indentation out of docstrings
    elif isinstance(constant, (bytes, int, float, complex)) and not isinstance(constant, bool):
        yield repr(constant)


# --- whose something is -----------------------------------------------------------------------------------------------


def _root(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


def _is_python(module: str | None) -> bool:
    return str(module).partition(".")[0] in sys.stdlib_module_names


def _is_of_python(cls: type) -> bool:
    return _is_python(cls.__module__)


def _public_module(module: str) -> str:
    """Where its users find it: ``pathlib.Path`` stands in pathlib._local in 3.13, and Decimal in _decimal."""
    root, *rest = module.split(".")
    root = root.lstrip("_") if _is_python(root) and root != "__future__" else root
    return ".".join([root, *(part for part in rest if not part.startswith("_"))])


def _is_of_the_shell(thing: Any) -> bool:
    """IPython puts its own ``open`` and ``exit`` among the author's names; the first says that it is io's."""
    space = thing.__globals__ if isinstance(thing, types.FunctionType) else {}
    module = space.get("__name__") or getattr(thing, "__module__", "")
    return str(module).partition(".")[0] in ("IPython", "ipykernel")


def _is_guarded_call(thing: Any) -> bool:
    return type(thing).__module__ == "labkit.call.guarded" and hasattr(type(thing), "versions")


def _is_type_form(thing: Any) -> bool:
    home = type(thing).__module__
    return typing.get_origin(thing) is not None or (
        home in ("typing", "typing_extensions") and not isinstance(thing, type)
    )


# --- what something consists of ---------------------------------------------------------------------------------------


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """What the author wrote into a class, without what Python, dataclasses, enum and pydantic put there.

    The fields of a model, its private attributes and the members of an enum are described as what they are.
    """
    values_too = not issubclass(cls, (pydantic.BaseModel, enum.Enum))
    for name, member in sorted(vars(cls).items()):
        function = inspect.unwrap(_unbound(member)) if callable(_unbound(member)) else member
        if isinstance(function, types.FunctionType):
            is_own = function.__globals__.get("__name__") == cls.__module__ and not _is_generated(cls, name, function)
        elif isinstance(member, (property, functools.cached_property)):
            is_own = True
        else:
            is_own = values_too and not _is_made_by_python(cls, name, member)
        if is_own:
            yield name, member


def _is_generated(cls: type, name: str, function: types.FunctionType) -> bool:
    """dataclasses writes methods as text that nobody keeps; the fields say the same."""
    return dataclasses.is_dataclass(cls) and name in _WRITTEN_BY_DATACLASSES and node_of(function) is None


def _is_made_by_python(cls: type, name: str, member: Any) -> bool:
    descriptors = (types.MemberDescriptorType, types.GetSetDescriptorType)
    private = name in ("_abc_impl", "_is_protocol", "_is_runtime_protocol") or (name[:2] == name[-2:] == "__")
    return private or isinstance(member, descriptors) or name in getattr(cls, "_fields", ())


_WRITTEN_BY_DATACLASSES = frozenset(
    {"__delattr__", "__eq__", "__ge__", "__gt__", "__hash__", "__init__", "__le__", "__lt__", "__repr__", "__setattr__"}
)


def _state(thing: Any) -> Iterator[tuple[str, Any]]:
    """An object's attributes, without what it fills while it runs: a cache, a client, a counter that starts at None."""
    attributes = dict(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if hasattr(thing, name) and name not in ("__dict__", "__weakref__"):
                attributes[name] = getattr(thing, name)
    for name, value in sorted(attributes.items()):
        if not name.startswith("_") or _is_fixed(value):
            yield name, value


def _is_fixed(value: Any) -> bool:
    if isinstance(value, (tuple, frozenset)):
        return all(_is_fixed(item) for item in value)
    fixed = isinstance(
        value, (bool, int, float, str, bytes, enum.Enum, re.Pattern, types.FunctionType, functools.partial)
    )
    return fixed or (plain_value(value) is not None and not isinstance(value, bytearray))


def _public(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not name.startswith("_")}


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):  # quoted names that nothing has
        return dict(getattr(cls, "__annotations__", {}))


def _unbound(function: Any) -> Any:
    return getattr(function, "__func__", function)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not filled yet: a function that will close over itself


def _sorted(parts: Iterable[Any]) -> list[Any]:
    return sorted(parts, key=canonical_json)


def _field_info() -> type[FieldInfo]:
    # pydantic loads most of itself with this, at the first model that anybody makes
    from pydantic.fields import FieldInfo

    return FieldInfo
