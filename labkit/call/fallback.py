"""Step 9: who answers when the main path could not. Rungs are tried in order, and each one that fires is seen."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from labkit.call.answer import Answer
from labkit.call.cache import Cache
from labkit.call.deadline import Deadline
from labkit.call.journal import Journal
from labkit.call.output_type import OutputType
from labkit.call.result import AnswerSource
from labkit.call.rules import Reject, name_of
from labkit.call.steps import StepFailed
from labkit.options import Called, checked

__all__ = ["Apology", "ModelRung", "RulesBased", "Rung", "SafeDefault", "Stale", "answer_by_rules", "climb"]

log = logging.getLogger("labkit.call")


@checked()
@dataclass(frozen=True, slots=True)
class RulesBased:
    """Answers by fixed rules: as a shortcut for simple cases, or as a fallback.

    Args:
        answer: ``answer(input) -> value | None | Reject``, sync or async; None passes to the next rung.
        message: What the person who waits may be told when it serves as a fallback.
    """

    answer: Annotated[Callable[[Any], Any], Called("input")]
    message: str | None = field(default="This answer was made by fixed rules, without the model.", kw_only=True)


@checked()
@dataclass(frozen=True, slots=True)
class Stale:
    """Serves an earlier answer to the same question from the policy's cache, past its time to live."""

    message: str | None = field(
        default="This is an earlier answer to the same question; it may be out of date.", kw_only=True
    )


@checked()
@dataclass(frozen=True, slots=True)
class SafeDefault:
    """Serves one fixed value, checked against the output type when the call is made: the rung that cannot fail.

    Args:
        value: An instance of the output type, or JSON data for one.
        message: What the person who waits may be told.
    """

    value: Any
    message: str | None = field(
        default="We could not work out an answer just now, so a safe default was used.", kw_only=True
    )


@checked()
@dataclass(frozen=True, slots=True)
class Apology:
    """Ends the fallbacks without a value: a readable error state, in the feature's own words.

    Args:
        message: What the person who waits is told; it becomes ``Result.user_message``.
    """

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRung:
    """Another model, asked the same question with what is left of the time: ``ask`` runs steps 5 to 7."""

    name: str
    ask: Callable[[], Awaitable[Answer]]


Rung = RulesBased | Stale | SafeDefault | Apology | ModelRung


async def climb(
    rungs: list[Rung],
    *,
    given: Any,
    key: str | None,
    cache: Cache | None,
    output: OutputType,
    journal: Journal,
    deadline: Deadline,
) -> Answer | None:
    """Try *rungs* in order.

    Args:
        given: The validated input.
        key: The question's cache key, None when the call failed before there was one.

    Returns:
        The first answer, that of an ``Apology`` without a value; None when no rung had one. Why each had none is in
        the journal's notes.
    """
    for rung in rungs:
        last = deadline.main_until if isinstance(rung, ModelRung) else deadline.at
        try:
            async with asyncio.timeout_at(last) as timer:
                answer = await _try(rung, given=given, key=key, cache=cache, output=output, journal=journal)
        except StepFailed as failed:
            journal.step("fallback").note(f"{_label(rung)}: {failed.reason.outcome}: {failed.reason.message}")
            continue
        except TimeoutError as error:
            said = "no time was left" if timer.expired() else f"TimeoutError: {error}"
            journal.step("fallback").note(f"{_label(rung)}: {said}")
            continue
        except Exception as error:
            log.exception("fallback %s failed", _label(rung))
            journal.step("fallback").note(f"{_label(rung)}: bug: {type(error).__name__}: {error}")
            continue
        if answer is not None:
            return answer
        journal.step("fallback").note(f"{_label(rung)}: had no answer")
    return None


async def answer_by_rules(rung: RulesBased, given: Any, output: OutputType, source: AnswerSource) -> Answer | None:
    """Ask *rung*; None when it passes.

    Raises:
        StepFailed: What it gave does not fit the output type.
    """
    value = rung.answer(given)
    if inspect.isawaitable(value):
        value = await value
    if value is None or isinstance(value, Reject):
        return None
    return Answer(value=output.validate(value), source=source, user_message=rung.message if source == "rules" else None)


async def _try(
    rung: Rung, *, given: Any, key: str | None, cache: Cache | None, output: OutputType, journal: Journal
) -> Answer | None:
    if isinstance(rung, ModelRung):
        return await rung.ask()
    with journal.step("fallback"):
        if isinstance(rung, RulesBased):
            return await answer_by_rules(rung, given, output, "rules")
        if isinstance(rung, SafeDefault):
            return Answer(value=rung.value, source="default", user_message=rung.message)
        if isinstance(rung, Apology):
            return Answer(value=None, source="error", user_message=rung.message)
        entry = await cache.stale(key) if cache is not None and key is not None else None
        if entry is None:
            return None
        return Answer(value=output.restore(entry.value), source="stale", user_message=rung.message)


def _label(rung: Rung) -> str:
    if isinstance(rung, ModelRung):
        return rung.name
    if isinstance(rung, RulesBased):
        return f"RulesBased({name_of(rung.answer)})"
    return type(rung).__name__
