"""Whether a case fits a call: its input the input model, what it expects the output type."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import pydantic
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import to_jsonable_python

from labkit.call.guarded import GuardedCall
from labkit.call.inputs import validate
from labkit.call.result import FieldError
from labkit.call.steps import StepFailed
from labkit.evals.case import Case
from labkit.evals.formats.strict_json import loads
from labkit.evals.scorers.match import alternatives

__all__ = ["fit_faults", "read_as_fields"]

# As spreadsheets write them.
_BOOLEANS = {"TRUE": "true", "True": "true", "FALSE": "false", "False": "false"}

_log = logging.getLogger("labkit.evals")


def fit_faults(case: Case, call: GuardedCall[Any]) -> list[str]:
    """Say how a case does not fit *call*; nothing when it does.

    The input has to pass step 2 as the call does it, unless the case expects just that it does not
    (``{"outcome": "invalid_input", ...}``). Of an expected mapping, and of each in ``{"any_of": [...]}``, every key has
    to be a field of the output model and its value of the field's JSON type; it need not hold all of them. A mapping
    none of whose keys is a field says something that scorers interpret, and is not looked at; nor is anything else
    that is no mapping, or the expectation of a call whose output is no pydantic model.
    """
    faults = []
    expects = case.expected
    if not (isinstance(expects, Mapping) and expects.get("outcome") == "invalid_input"):
        try:
            validate(call.input, case.input, call.policy.normalize)
        except StepFailed as failed:
            said = _said(failed.reason.errors)
            faults.append(f"case {case.id!r}: the input does not fit {call.input.__name__}: {said}")
    model = _model(call)
    for each in alternatives(expects) if model is not None else ():
        if model is not None and isinstance(each, Mapping) and (wrong := _misfits(model, each)):
            said = _said(wrong)
            faults.append(f"case {case.id!r}: what is expected does not fit {model.__name__}: {said}")
    return faults


def read_as_fields(expected: Any, call: GuardedCall[Any]) -> Any:
    """Give what a table of texts expects with each cell that only fits its field as JSON read so: "2" as 2."""
    model = _model(call)
    if isinstance(expected, str) and call.output in (bool, int, float):
        adapter = pydantic.TypeAdapter(call.output)
        return next((value for value in _as_json(expected) if not _field_misfits(adapter, "", value)), expected)
    if model is None or not isinstance(expected, Mapping):
        return expected
    found = dict(expected)
    for name, cell in expected.items():
        if isinstance(cell, str) and _misfits(model, {name: cell}):
            found[name] = next((value for value in _as_json(cell) if not _misfits(model, {name: value})), cell)
    return found


def _as_json(cell: str) -> list[Any]:
    """Give what a cell is as JSON; nothing where it is none."""
    try:
        return [loads(_BOOLEANS.get(cell.strip(), cell))]
    except (ValueError, RecursionError):
        return []


def _model(call: GuardedCall[Any]) -> type[pydantic.BaseModel] | None:
    output: Any = call.output
    is_model = isinstance(output, type) and issubclass(output, pydantic.BaseModel)
    return output if is_model and not issubclass(output, pydantic.RootModel) else None


def _misfits(model: type[pydantic.BaseModel], expected: Mapping[str, Any]) -> list[FieldError]:
    # As the output's data names them, which is what scorers compare with.
    names = {field.serialization_alias or field.alias or name: name for name, field in model.model_fields.items()}
    known = [*names, *model.model_computed_fields]
    if not any(key in known for key in expected):
        return []
    wrong = []
    if model.model_config.get("extra") != "allow":
        wrong = [
            FieldError(path=str(key), type="unknown", message=f"no field of the output, which has {', '.join(known)}")
            for key in expected
            if key not in known
        ]
    return wrong + [
        fault
        for key, value in expected.items()
        if key in names
        for fault in _field_misfits(_adapter(model, names[key]), key, value)
    ]


@lru_cache(maxsize=256)
def _adapter(model: type[pydantic.BaseModel], name: str) -> pydantic.TypeAdapter[Any] | None:
    """Give a field's type by itself: validators of the whole model are not meant for a part of it."""
    field = model.model_fields[name]
    declared: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        return pydantic.TypeAdapter(declared)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        _log.debug("what is expected of %s.%s is not checked: %s", model.__name__, name, error)
        return None


def _field_misfits(adapter: pydantic.TypeAdapter[Any] | None, key: str, value: Any) -> list[FieldError]:
    """Ask the field's type; an expectation may leave out parts of it."""
    if adapter is None:
        return []
    try:
        after = to_jsonable_python(adapter.validate_python(value), by_alias=True)
    except pydantic.ValidationError as error:
        return [
            FieldError(path=".".join(map(str, (key, *fault["loc"]))), type=fault["type"], message=fault["msg"])
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
            # a field may be left out of a part, an item of a tuple may not
            if fault["type"] != "missing" or isinstance(fault["loc"][-1], int)
        ]
    except Exception as error:
        # The author's own validator, which counts on parts that were left out: that tells nothing of the value.
        _log.debug("what is expected of %r is not checked: %r", key, error)
        return []
    return _changed_kind(key, value, after)


def _changed_kind(path: str, before: Any, after: Any) -> list[FieldError]:
    """Name what pydantic takes for another kind of JSON value, such as "4" for 4: no answer will ever equal it."""
    if isinstance(before, dict) and isinstance(after, dict):
        shared = [key for key in before if key in after]
        return [fault for key in shared for fault in _changed_kind(f"{path}.{key}", before[key], after[key])]
    if isinstance(before, list) and isinstance(after, list):
        pairs = enumerate(zip(before, after, strict=False))
        return [fault for n, (b, a) in pairs for fault in _changed_kind(f"{path}.{n}", b, a)]
    if (given := _kind(before)) == (wanted := _kind(after)):
        return []
    return [FieldError(path=path, type="kind", message=f"{given}, where the answer has {wanted}")]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "nothing")


def _said(errors: Sequence[FieldError]) -> str:
    return "; ".join(f"{error.path or 'all of it'}: {error.message}" for error in errors)
