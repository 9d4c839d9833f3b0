"""Step 6 begins: whether a completion is an answer at all, before anybody reads what it says."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from labkit.call.output_type import OutputType
from labkit.call.repairs import Repair, RepairLevel
from labkit.call.result import FieldError, Reason
from labkit.call.steps import StepFailed
from labkit.errors import Outcome
from labkit.models.protocol import Completion

__all__ = ["check_whole", "is_blank", "read_answer"]


def check_whole(completion: Completion) -> None:
    """Check that *completion* was neither withheld, cut off, nor found wanting by its own provider.

    Raises:
        StepFailed: Step ``output``: ``refused``, ``truncated``, or for what the provider found wanting ``schema``, and
            ``parse`` where it is no JSON.
    """
    if completion.finish_reason == "filter":
        raise _failed("refused", "the model or its provider refused to answer")
    if completion.finish_reason == "length":
        raise _failed("truncated", "the answer was cut off at the token limit; raise Model(max_tokens=)")
    if completion.rejected is not None:
        outcome: Outcome = "schema" if _is_json(completion.text) else "parse"
        raise _failed(outcome, f"the provider rejected what the model wrote: {completion.rejected}", kind="rejected")


def read_answer(output: OutputType, text: str, level: RepairLevel) -> tuple[Any, tuple[Repair, ...]]:
    """Read *text* as a value of *output*; a blank one is an answer only to a type that says so.

    That is ``str | None``, whose value is then None, and a ``Literal[""]``.

    Raises:
        StepFailed: Step ``output``: it is blank or holds no JSON (outcome ``parse``), or does not fit (``schema``).
    """
    if not is_blank(text):
        return output.accept(text, level)
    schema = output.schema or {}
    if "" in schema.get("enum", (schema.get("const"),)):
        return output.accept("", level)
    if {option.get("type") for option in schema.get("anyOf", ()) if isinstance(option, dict)} == {"string", "null"}:
        return None, ()
    raise _failed("parse", "the model gave no text at all", kind="blank")


def is_blank(text: str) -> bool:
    """Whether *text* says nothing: blanks, and characters that nobody sees."""
    return not text or (len(text) < 100 and all(each.isspace() or unicodedata.category(each) == "Cf" for each in text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _failed(outcome: Outcome, message: str, kind: str | None = None) -> StepFailed:
    errors = (FieldError(path="", type=kind, message=message),) if kind is not None else ()
    return StepFailed(Reason(step="output", outcome=outcome, message=message, errors=errors))
