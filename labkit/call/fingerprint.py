"""What a call is made of, hashed part by part, so that history can say what changed.

Equal in the notebook and in the exported package: nothing here depends on a module's name, a line number, a comment
or the order of keys.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import json
import logging
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

__all__ = ["canonical_json", "describe", "digest", "operations"]

_SKIPPED = frozenset({"CACHE", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "COPY_FREE_VARS"})


def canonical_json(data: Any) -> str:
    """JSON with sorted keys and no blanks: equal data gives equal text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(data: Any) -> str:
    """SHA-256 of *data*'s canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode("utf-8", "surrogatepass")).hexdigest()


def describe(thing: Any) -> Any:
    """Give JSON data that changes when *thing* would behave differently.

    Functions are described by their normalized source and, recursively, by the globals of their own module that they
    read; pydantic models by their JSON Schema and validators; other objects by type and public state. What was
    imported from elsewhere is named, not followed.
    """
    return _describe(thing, frozenset())


def _describe(thing: Any, seen: frozenset[int]) -> Any:
    if thing is None or (isinstance(thing, (bool, int, float, str)) and not isinstance(thing, enum.Enum)):
        return thing
    if id(thing) in seen:
        return {"again": getattr(thing, "__name__", type(thing).__name__)}
    seen = seen | {id(thing)}
    if isinstance(thing, Mapping):
        return {"map": sorted(([_describe(k, seen), _describe(v, seen)] for k, v in thing.items()), key=canonical_json)}
    if isinstance(thing, (list, tuple)):
        return [_describe(item, seen) for item in thing]
    if isinstance(thing, (set, frozenset)):
        return {"set": sorted((_describe(item, seen) for item in thing), key=canonical_json)}
    if isinstance(thing, enum.Enum):
        return {"enum": type(thing).__name__, "value": _describe(thing.value, seen)}
    if isinstance(thing, re.Pattern):
        return {"pattern": thing.pattern, "flags": thing.flags}
    if isinstance(thing, functools.partial):
        return {"partial": _describe(thing.func, seen), "args": _describe([thing.args, thing.keywords], seen)}
    if isinstance(thing, types.MethodType):
        return {"method": _describe(thing.__func__, seen), "of": _describe(thing.__self__, seen)}
    if isinstance(thing, types.FunctionType):
        return _describe_function(thing, seen)
    if isinstance(thing, type):
        return _describe_class(thing, seen)
    if isinstance(thing, pydantic.BaseModel):
        return {"type": type(thing).__name__, "value": to_jsonable_python(thing, fallback=repr)}
    if dataclasses.is_dataclass(thing):
        shown = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.compare and f.repr}
        return {"type": type(thing).__name__, "value": _describe(shown, seen)}
    if isinstance(thing, (types.ModuleType, types.BuiltinFunctionType)):
        return {"named": thing.__name__}
    if isinstance(thing, logging.Logger):
        return {"named": "logger"}  # usually called after its module, and never part of an answer
    state = {name: value for name, value in getattr(thing, "__dict__", {}).items() if not name.startswith("_")}
    return {"type": _describe(type(thing), seen), "state": _describe(state, seen)}


def _describe_function(function: types.FunctionType, seen: frozenset[int]) -> Any:
    plain = inspect.unwrap(function)
    reads = {}
    for name in sorted(_global_names(plain.__code__)):
        # __name__ and its like differ wherever the code stands; a shell's own names are not the author's
        if name in plain.__globals__ and not name.startswith("__") and not _of_the_shell(plain.__globals__[name]):
            reads[name] = _own(plain.__globals__[name], plain.__module__, seen)
    cells = [_own(_cell(cell), plain.__module__, seen) for cell in plain.__closure__ or ()]
    return {
        "function": _source(plain) or _code(plain.__code__),
        "defaults": _describe([plain.__defaults__, plain.__kwdefaults__], seen),
        "reads": reads,
        "closes over": cells,
    }


def _describe_class(cls: type, seen: frozenset[int]) -> Any:
    if issubclass(cls, enum.Enum):
        return {"enum": cls.__name__, "members": [[member.name, _describe(member.value, seen)] for member in cls]}
    if not issubclass(cls, pydantic.BaseModel):
        own = {name: member for name, member in vars(cls).items() if not name.startswith("__") or callable(member)}
        followed = {n: _own(m, cls.__module__, seen) for n, m in own.items() if _is_plain(m)}
        return {"class": cls.__name__, "members": followed}
    decorators = cls.__pydantic_decorators__
    validators: dict[str, Any] = {**decorators.field_validators, **decorators.model_validators}
    return {
        "model": cls.model_json_schema(),
        "validators": {name: _own(_plain(found.func), cls.__module__, seen) for name, found in validators.items()},
    }


def _own(thing: Any, module: str, seen: frozenset[int]) -> Any:
    """Follow *thing* if it was made in *module*; name it if it was imported from elsewhere."""
    home = getattr(thing, "__module__", module)
    if isinstance(thing, (type, types.FunctionType)) and home != module:
        return {"named": f"{home}.{thing.__qualname__}"}
    return _describe(thing, seen)


def _of_the_shell(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in ("IPython", "ipykernel")


def _is_plain(member: Any) -> bool:
    """A method or a constant; descriptors that Python made say nothing of their own."""
    return isinstance(
        member, (types.FunctionType, bool, int, float, str, tuple, list, dict, set, frozenset, type(None))
    )


def _plain(function: Any) -> Any:
    return getattr(function, "__func__", function)


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not filled yet: a function that will close over itself


def _source(function: types.FunctionType) -> str | None:
    """The function's source without comments and layout; None for a lambda, whose lines hold more than itself."""
    if function.__name__ == "<lambda>":
        return None
    try:
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, SyntaxError, TypeError):
        return None


def _code(code: types.CodeType) -> Any:
    return {
        "names": list(code.co_names),
        "constants": [_constant(constant) for constant in code.co_consts],
        "variables": list(code.co_varnames),
        "operations": list(operations(code)),
    }


def _constant(constant: Any) -> Any:
    if isinstance(constant, types.CodeType):
        return _code(constant)
    if isinstance(constant, (tuple, frozenset)):
        described = [_constant(item) for item in constant]
        return described if isinstance(constant, tuple) else sorted(described, key=canonical_json)
    return repr(constant)


def operations(code: types.CodeType) -> Iterator[str]:
    """Give a function's operations with their arguments, without what depends on where the code stands.

    CPython compiles ``json.dumps(x)`` to LOAD_METHOD or LOAD_ATTR depending on whether ``import json`` stands in the
    same compilation unit, and jump targets move with it. Constants are compared on their own.
    """
    for instruction in dis.get_instructions(code):
        if instruction.opname in _SKIPPED:
            continue
        name = "LOAD_ATTR" if instruction.opname == "LOAD_METHOD" else instruction.opname
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            yield name
        elif name == "LOAD_CONST":
            yield f"{name} {instruction.arg}"
        else:
            yield f"{name} {instruction.argrepr.replace('NULL + ', '').replace('NULL|self + ', '')}"


def _global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names
