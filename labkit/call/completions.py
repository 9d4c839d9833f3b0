"""Step 6 begins: whether a completion is an answer at all, before anybody reads what it says."""

from __future__ import annotations

import json

from labkit.call.result import FieldError, Reason
from labkit.call.steps import StepFailed
from labkit.errors import Outcome
from labkit.models.protocol import Completion

__all__ = ["check_whole"]


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


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _failed(outcome: Outcome, message: str, kind: str | None = None) -> StepFailed:
    errors = (FieldError(path="", type=kind, message=message),) if kind is not None else ()
    return StepFailed(Reason(step="output", outcome=outcome, message=message, errors=errors))
