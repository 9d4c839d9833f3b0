"""Whether a scorer can judge at all: its fields are the output's, and some case expects what it compares with.

Found before the first request: a name that is misspelt would be told for every case, once all of them were paid for.
"""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import pydantic

from labkit.call.guarded import GuardedCall
from labkit.call.result import Result
from labkit.errors import LabkitWarning, OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.score import FunctionScorer, Scorer
from labkit.options import no_option

__all__ = ["check_scorers"]

_UNANSWERED: Result[Any] = Result(value=None, source="error", call="", call_id="", elapsed_s=0.0)


def check_scorers(scorers: Sequence[Scorer], calls: Sequence[GuardedCall[Any]], cases: Iterable[Case]) -> None:
    """Check labkit's own scorers against what the calls give and what the cases expect; warn where none expects any.

    Raises:
        OptionInvalid: A field that the output does not have, or nothing that any case expects of it.
    """
    cases = list(cases)
    for scorer in scorers:
        if not _is_own(scorer):
            continue
        for call in calls:
            for path in _paths(scorer):
                if (fault := _fault(call.output, path)) is not None:
                    raise OptionInvalid(f"{type(scorer).__name__}({path!r}): {fault}")
        if (said := _unscorable(scorer, cases)) is not None:
            every = f"none of the {len(cases)} cases can be scored" if cases[1:] else "the case cannot be scored"
            said = f"{type(scorer).__name__}: {every}: {said}"
            if any(case.expected is not None or case.checks for case in cases):
                raise OptionInvalid(said)
            warnings.warn(said, LabkitWarning, stacklevel=2)  # cases of production, perhaps: there is much to see


def _is_own(scorer: Scorer) -> bool:
    is_ours = type(scorer).__module__.startswith("labkit.") and not isinstance(scorer, FunctionScorer)
    return is_ours and not inspect.iscoroutinefunction(scorer.score)


def _paths(scorer: Any) -> list[str]:
    fields = getattr(scorer, "fields", None) or ()
    field = getattr(scorer, "field", "")
    return [*fields, *([field] if field else ())]


def _unscorable(scorer: Scorer, cases: Sequence[Case]) -> str | None:
    """Give what *scorer* says of the first case when it cannot judge any: what is expected is looked at first."""
    first = None
    for case in cases:
        try:
            scorer.score(case, _UNANSWERED)
        except Unscorable as error:
            first = first or str(error)
        else:
            return None
    return first


def _fault(wanted: Any, path: str) -> str | None:
    """Say that a type has no part at *path*; None where it has, or where that cannot be told."""
    if wanted is str:
        return "the output is a text, which has no fields: leave the field out"
    parts = path.split(".")
    for n, part in enumerate(parts):
        wanted = _without_none(wanted)
        if not (isinstance(wanted, type) and issubclass(wanted, pydantic.BaseModel)):
            return None
        if issubclass(wanted, pydantic.RootModel) or wanted.model_config.get("extra") == "allow":
            return None
        names = _names(wanted)
        if ".".join(parts[n:]) in names:  # a name may hold a dot of its own
            return None
        if part not in names:
            return no_option(wanted.__name__, part, list(wanted.model_fields))
        wanted = names[part]
    return None


def _names(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Give the type of each field by every name that the output's data may have it under."""
    names: dict[str, Any] = dict.fromkeys(model.model_computed_fields)
    for name, field in model.model_fields.items():
        for each in (name, field.alias, field.serialization_alias):
            if each is not None:
                names[each] = field.annotation
    return names


def _without_none(wanted: Any) -> Any:
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        others = [each for each in typing.get_args(wanted) if each is not types.NoneType]
        return others[0] if len(others) == 1 else wanted
    return wanted
