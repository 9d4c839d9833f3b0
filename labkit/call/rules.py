"""Step 7: guards look at what the model said, business rules at what it means, and confidence at how sure it was."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labkit.call.output_type import OutputType
from labkit.call.repairs import Repair
from labkit.call.result import Reason
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid, Outcome
from labkit.models.protocol import Completion

__all__ = ["Confidence", "Guard", "Reject", "Rule", "apply_guards", "apply_rules", "score_confidence"]

log = logging.getLogger("labkit.call")

Guard = Callable[..., Any]
"""``guard(text) -> text | None | Reject``, sync or async: the text as it may go on, None for "as it is"."""
Rule = Callable[..., Any]
"""``rule(value, input) -> value | Reject``, sync or async. It must be quick: it runs on the call's own loop."""


@dataclass(frozen=True, slots=True)
class Reject:
    """What a guard, a rule or a shortcut returns instead of a value that must not go on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Accept an answer only if it is sure enough.

    Args:
        at_least: Threshold in [0, 1].
        score: "logprob" for the mean token probability the model reports, or a function of the value and its
            ``Completion`` that gives a number in [0, 1].

    Raises:
        CallInvalid: The threshold is not in [0, 1].
    """

    at_least: float
    score: Literal["logprob"] | Callable[[Any, Completion], float] = "logprob"

    def __post_init__(self) -> None:
        if not 0.0 <= self.at_least <= 1.0:
            raise CallInvalid(f"Confidence(at_least={self.at_least}): give a number from 0 to 1")


async def apply_guards(guards: Sequence[Guard], text: str) -> tuple[str, tuple[Repair, ...]]:
    """Show *text* to every guard in turn; each sees what the one before left.

    Raises:
        StepFailed: A guard rejected it (outcome ``guard``) or crashed (``bug``).
    """
    fixes = []
    for guard in guards:
        verdict = await _run(guard, text)
        if isinstance(verdict, Reject):
            raise _failed("guard", f"{name_of(guard)}: {verdict.reason}")
        if verdict is None or verdict == text:
            continue
        if not isinstance(verdict, str):
            raise _failed(
                "bug", f"guard {name_of(guard)} returned a {type(verdict).__name__}: return text, None or Reject"
            )
        fixes.append(Repair(kind="guard", path="", before=text, after=verdict, by=name_of(guard)))
        text = verdict
    return text, tuple(fixes)


async def apply_rules(
    rules: Sequence[Rule], value: Any, given: Any, output: OutputType
) -> tuple[Any, tuple[Repair, ...]]:
    """Show *value* to every rule in turn; what a rule changes is validated again and recorded as its fix.

    Raises:
        StepFailed: A rule rejected the value (outcome ``rule``), or crashed, or broke the schema (``bug``).
    """
    fixes: list[Repair] = []
    for rule in rules:
        verdict = await _run(rule, value, given)
        if isinstance(verdict, Reject):
            raise _failed("rule", f"{name_of(rule)}: {verdict.reason}")
        if verdict is value:
            continue
        if verdict is None and not output.allows_none:
            raise _failed("bug", f"rule {name_of(rule)} returned None: return the value, changed or not, or Reject")
        try:
            checked = output.validate(verdict)
        except StepFailed as broken:
            raise _failed(
                "bug", f"rule {name_of(rule)} made a value that the schema rejects: {broken.reason.message}"
            ) from broken
        changes = _changes(output.dump(value), output.dump(checked), "")
        fixes += [Repair(kind="rule", path=path, before=b, after=a, by=name_of(rule)) for path, b, a in changes]
        value = checked
    return value, tuple(fixes)


async def score_confidence(confidence: Confidence | None, value: Any, completion: Completion) -> float | None:
    """Say how sure the answer is.

    Returns:
        In [0, 1]; None without a Confidence.

    Raises:
        StepFailed: Below the threshold or not to be told (outcome ``low_confidence``); the score crashed (``bug``).
    """
    if confidence is None:
        return None
    if callable(confidence.score):
        score = float(await _run(confidence.score, value, completion))
    elif completion.logprobs:
        score = math.exp(sum(completion.logprobs) / len(completion.logprobs))
    else:
        raise _failed(
            "low_confidence",
            "the model reported no log probabilities: use Model(..., logprobs=True) with a provider that gives them, "
            "or Confidence(score=<function>)",
        )
    if not score >= confidence.at_least:
        raise _failed("low_confidence", f"{score:.2f} is below {confidence.at_least:g}")
    return score


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


async def _run(function: Callable[..., Any], *given: Any) -> Any:
    try:
        verdict = function(*given)
        return await verdict if inspect.isawaitable(verdict) else verdict
    except Exception as error:
        log.exception("%s failed", name_of(function))
        raise _failed("bug", f"{name_of(function)} raised {type(error).__name__}: {error}") from error


def _failed(outcome: Outcome, message: str) -> StepFailed:
    return StepFailed(Reason(step="rules", outcome=outcome, message=message))


def _changes(before: Any, after: Any, path: str) -> list[tuple[str, Any, Any]]:
    """The smallest places where two JSON values differ, by dotted path."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [c for key in before for c in _changes(before[key], after[key], f"{path}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [c for i, (b, a) in pairs for c in _changes(b, a, f"{path}.{i}".lstrip("."))]
    return [(path, before, after)]
