"""The nine steps of a guarded call, in order. This is the one implementation; sync and views are bridges to it."""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.call import context, inputs, record
from labkit.call.answer import Answer
from labkit.call.asking import Question, ask
from labkit.call.deadline import Deadline
from labkit.call.definition import Definition, Seat
from labkit.call.fallback import ModelRung, Rung, answer_by_rules, climb
from labkit.call.fingerprint import digest
from labkit.call.journal import Journal
from labkit.call.result import Reason, Result
from labkit.call.steps import StepFailed
from labkit.models.protocol import Usage

__all__ = ["run"]

log = logging.getLogger("labkit.call")

_APOLOGY = "We could not answer just now. Please try again in a moment."


@dataclass(slots=True)
class _Trip:
    """How far the main path has come; the fallbacks need whatever it reached."""

    given: Any = None
    question: Question | None = None
    key: str | None = None


async def run(plan: Definition, given: tuple[Any, ...], fields: Mapping[str, Any]) -> Result[Any]:
    """Answer one call; only a cancellation or an interrupt raises, and it is recorded first."""
    journal, trip = Journal(), _Trip()
    deadline = Deadline.start(plan.policy.deadline_s, plan.policy.reserve_s)
    try:
        answer, reason = await _main_path(plan, given, fields, journal, trip, deadline)
        if answer is None and trip.given is not None:
            answer = await _fallbacks(plan, journal, trip, deadline)
    except BaseException:
        stopped = journal.failure("cancelled", "nobody waited for the answer")
        _record(plan, journal, trip, _result(plan, journal, None, stopped))
        raise
    with journal.step("record"):
        result = _result(plan, journal, answer, reason)
        _record(plan, journal, trip, result)
    return result


async def _main_path(
    plan: Definition,
    given: tuple[Any, ...],
    fields: Mapping[str, Any],
    journal: Journal,
    trip: _Trip,
    deadline: Deadline,
) -> tuple[Answer | None, Reason | None]:
    """Steps 1 to 7; exactly one of answer and reason."""
    try:
        async with asyncio.timeout_at(deadline.main_until) as timer:
            with journal.step("input"):
                raw = inputs.take(plan.input_type, given, fields)
            with journal.step("validate"):
                trip.given = inputs.validate(plan.input_type, raw, plan.policy.normalize)
                answer = await _shortcut(plan, journal, trip.given)
            if answer is None:
                trip.question = await _prepare(plan, journal, trip.given)
                answer = await _cached_or_asked(plan, journal, trip, trip.question, deadline)
        return answer, None
    except StepFailed as failed:
        return None, failed.reason
    except TimeoutError as error:
        if not timer.expired():
            return None, journal.failure("transport", f"TimeoutError: {error}")
        spent = plan.policy.deadline_s - plan.policy.reserve_s
        return None, journal.failure("deadline", f"{spent:g} s were over (deadline less reserve)")
    except Exception as error:
        log.exception("%s: step %s failed", plan.name, journal.current)
        return None, journal.failure("bug", f"{type(error).__name__}: {error}")


async def _shortcut(plan: Definition, journal: Journal, given: Any) -> Answer | None:
    """A simple case never reaches the model; a shortcut that fails is passed over, and a note says so."""
    for rung in plan.shortcuts:
        try:
            answer = await answer_by_rules(rung, given, plan.output, "shortcut")
        except StepFailed as failed:
            journal.note(f"shortcut passed over: {failed.reason.message}")
        except Exception as error:
            log.exception("%s: a shortcut failed", plan.name)
            journal.note(f"shortcut passed over: {type(error).__name__}: {error}")
        else:
            if answer is not None:
                return answer
    return None


async def _prepare(plan: Definition, journal: Journal, given: Any) -> Question:
    with journal.step("context"):
        facts, notes = await context.gather(plan.context, given)
        journal.notes.extend(notes)
    with journal.step("prompt"):
        return Question(given=given, messages=plan.prompt.render(given, facts))


async def _cached_or_asked(
    plan: Definition, journal: Journal, trip: _Trip, question: Question, deadline: Deadline
) -> Answer:
    # The cache comes first: a hit must not need a healthy provider.
    cache = plan.policy.cache
    if cache is not None:
        with journal.step("model"):
            trip.key = _cache_key(plan, question)
            entry = await cache.fresh(trip.key)
            if entry is not None:
                try:
                    return Answer(value=plan.output.validate(entry.value), source="cache")
                except StepFailed as failed:
                    journal.note(f"a kept answer was not used: {failed.reason.message}")
    models_after = sum(isinstance(rung, Seat) for rung in plan.fallbacks)
    answer = await ask(plan, plan.seat, question, journal, deadline, models_after=models_after)
    if cache is not None and trip.key is not None:
        await cache.keep(trip.key, plan.output.dump(answer.value))
    return answer


async def _fallbacks(plan: Definition, journal: Journal, trip: _Trip, deadline: Deadline) -> Answer | None:
    rungs: list[Rung] = []
    models_after = sum(isinstance(rung, Seat) for rung in plan.fallbacks)
    for rung in plan.fallbacks:
        if not isinstance(rung, Seat):
            rungs.append(rung)
            continue
        models_after -= 1
        if trip.question is None:
            journal.step("fallback").note(f"{rung.name}: there was no prompt to ask it with")
            continue
        asking = functools.partial(ask, plan, rung, trip.question, journal, deadline, models_after=models_after)
        rungs.append(ModelRung(name=rung.name, ask=asking))
    return await climb(
        rungs,
        given=trip.given,
        key=trip.key,
        cache=plan.policy.cache,
        output=plan.output,
        journal=journal,
        deadline=deadline,
    )


def _cache_key(plan: Definition, question: Question) -> str:
    """Everything an accepted answer depends on."""
    parts = {name: plan.versions[name] for name in ("output_schema", "model", "rules")}
    return digest([parts, [[message.role, message.content] for message in question.messages]])


def _result(plan: Definition, journal: Journal, answer: Answer | None, reason: Reason | None) -> Result[Any]:
    attempts = tuple(journal.attempts)
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    costs = [attempt.cost_usd for attempt in attempts if attempt.usage is not None]
    return Result(
        value=None if answer is None else answer.value,
        source="error" if answer is None else answer.source,
        call=plan.name,
        call_id=uuid.uuid4().hex,
        elapsed_s=journal.elapsed_s(),
        reason=reason,
        user_message=_user_message(answer, reason),
        confidence=None if answer is None else answer.confidence,
        repairs=() if answer is None else answer.repairs,
        attempts=attempts,
        usage=sum(usages, Usage()) if usages else None,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        steps=journal.steps,
        notes=tuple(journal.notes),
        versions=plan.versions,
    )


def _user_message(answer: Answer | None, reason: Reason | None) -> str | None:
    if answer is not None:
        return answer.user_message
    if reason is not None and reason.step in ("input", "validate") and reason.errors:
        return "Please check your input. " + "; ".join(
            f"{e.path}: {e.message}" if e.path else e.message for e in reason.errors
        )
    return _APOLOGY


def _record(plan: Definition, journal: Journal, trip: _Trip, result: Result[Any]) -> None:
    if plan.sink is None and result.reason is None:
        return
    content = plan.policy.record_content
    content = record.in_notebook() if content is None else content
    record.emit(
        record.CallRecord(
            call=plan.name,
            call_id=result.call_id,
            at=record.now(),
            fingerprint=plan.fingerprint,
            outcome="ok" if result.reason is None else result.reason.outcome,
            result=result,
            input=trip.given if content else None,
            content=content,
        ),
        plan.sink,
    )
