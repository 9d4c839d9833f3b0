"""Step 7: guards look at what the model said, business rules at what it means, and confidence at how sure it was."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from labkit.call.instances import differences, equal
from labkit.call.output_type import OutputType
from labkit.call.repairs import Repair
from labkit.call.result import Reason
from labkit.call.steps import StepFailed
from labkit.errors import Outcome
from labkit.models.protocol import Completion
from labkit.options import Bound, Called, NotNegative, Share, checked

__all__ = ["Confidence", "Guard", "Reject", "Rule", "apply_guards", "apply_rules", "score_confidence"]

log = logging.getLogger("labkit.call")

Guard = Annotated[Callable[..., Any], Called("text", gives=(str, Awaitable))]
"""``guard(text) -> text | None | Reject``, sync or async: the text as it may go on, None for "as it is"."""
Rule = Annotated[Callable[..., Any], Called("value", "input")]
"""``rule(value, input) -> value | Reject``, sync or async. It must be quick: it runs on the call's own loop, and
``Policy(rule_timeout_s=)`` can only end one that is async."""


@dataclass(frozen=True, slots=True)
class Reject:
    """What a guard, a rule or a shortcut returns instead of a value that must not go on."""

    reason: str


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Accept an answer only if it is sure enough.

    Args:
        at_least: Threshold in [0, 1].
        score: "logprob" for the mean token probability the model reports (the embedded model derives it from the margin
            between its best two labels); "consistency" for the share of *samples* answers that agree with the first;
            or a function of the value and its ``Completion`` that gives a number in [0, 1].
        samples: For "consistency": answers in all. Each one but the first is a request more, of kind "sample", within
            the same deadline and purse; one that fails does not agree.
        temperature: For "consistency": of the samples; at 0 they would all be the same.
        on: For "consistency": the field to agree on; None compares whole values.
        message: What the person who waits may be told when nothing else answers.

    Raises:
        CallInvalid: The threshold is not in [0, 1], or there is nothing to compare.

    Source of "consistency": Wang et al. (2023), "Self-Consistency Improves Chain of Thought Reasoning".
    """

    at_least: Share
    score: (
        Literal["logprob", "consistency"]
        | Annotated[Callable[[Any, Completion], float | Awaitable[float]], Called("value", "completion")]
    ) = "logprob"
    samples: Annotated[int, Bound(2)] = 3
    temperature: NotNegative = 0.7
    on: str | None = None
    message: str = "We are not sure enough of an answer to give you one. A person should look at this."


async def apply_guards(guards: Sequence[Guard], text: str, timeout_s: float) -> tuple[str, tuple[Repair, ...]]:
    """Show *text* to every guard in turn; each sees what the one before left.

    Raises:
        StepFailed: A guard rejected it (outcome ``guard``), crashed (``bug``) or did not decide (``timeout``).
    """
    fixes = []
    for guard in guards:
        verdict = await _run(guard, text, timeout_s=timeout_s)
        if isinstance(verdict, Reject):
            raise _failed("guard", f"{name_of(guard)}: {verdict.reason}")
        if verdict is None or verdict == text:
            continue
        if not isinstance(verdict, str):
            raise _failed(
                "bug", f"guard {name_of(guard)} returned a {type(verdict).__name__}: return text, None or Reject"
            )
        # without what stood there: a guard that blacks something out must not be the one to pass it on
        fixes.append(Repair(kind="guard", path="", by=name_of(guard)))
        text = verdict
    return text, tuple(fixes)


async def apply_rules(
    rules: Sequence[Rule], value: Any, given: Any, output: OutputType, timeout_s: float
) -> tuple[Any, tuple[Repair, ...]]:
    """Show *value* to every rule in turn; what a rule changes is validated again and recorded as its fix.

    Raises:
        StepFailed: A rule rejected the value (outcome ``rule``), crashed or broke the schema (``bug``), or did not
            decide (``timeout``).
    """
    fixes: list[Repair] = []
    for rule in rules:
        verdict = await _run(rule, value, given, timeout_s=timeout_s)
        if isinstance(verdict, Reject):
            raise _failed("rule", f"{name_of(rule)}: {verdict.reason}")
        if verdict is value:
            continue
        if verdict is None and not output.allows_none:
            raise _failed("bug", f"rule {name_of(rule)} returned None: return the value, changed or not, or Reject")
        try:
            checked = output.validate(verdict, accepted=value)
        except StepFailed as broken:
            raise _failed(
                "bug",
                f"rule {name_of(rule)} made a value that the schema rejects: {broken.reason.message}: "
                "return the value, changed or not, or Reject",
            ) from broken
        changes = _changes(output.dump(value), output.dump(checked), "")
        if not changes:  # what is never dumped, a secret, has changed: that it was is said, and no more
            changes = [(path, None, None) for path in differences(value, checked)]
        fixes += [Repair(kind="rule", path=path, before=b, after=a, by=name_of(rule)) for path, b, a in changes]
        value = checked
    return value, tuple(fixes)


async def score_confidence(
    confidence: Confidence,
    value: Any,
    completion: Completion,
    sample: Callable[[Confidence], Awaitable[Sequence[Any]]],
    timeout_s: float,
) -> float:
    """Say how sure the answer is, in [0, 1].

    Args:
        sample: Gets the other answers for "consistency".

    Raises:
        StepFailed: Below the threshold or not to be told (outcome ``low_confidence``); the score crashed (``bug``).
    """
    if callable(confidence.score):
        score = float(await _run(confidence.score, value, completion, timeout_s=timeout_s))
    elif confidence.score == "consistency":
        others = await sample(confidence)
        agreeing = sum(equal(_part(other, confidence.on), _part(value, confidence.on)) for other in others)
        score = (1 + agreeing) / confidence.samples
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


def _part(value: Any, on: str | None) -> Any:
    if on is None:
        return value
    return value.get(on) if isinstance(value, dict) else getattr(value, on, value)


async def _run(function: Callable[..., Any], *given: Any, timeout_s: float) -> Any:
    timer = asyncio.timeout(timeout_s)
    try:
        verdict = function(*given)
        if not inspect.isawaitable(verdict):
            return verdict
        async with timer:
            return await verdict
    except Exception as error:
        if isinstance(error, TimeoutError) and timer.expired():
            raise _failed("timeout", f"{name_of(function)}: no verdict in {timeout_s:g} s") from error
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
