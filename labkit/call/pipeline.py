"""The nine steps of a guarded call, in order. This is the one implementation; sync and views are bridges to it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import logging
import sys
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from labkit.call import context, inputs
from labkit.call.answer import Answer
from labkit.call.asking import ask
from labkit.call.cache import Cache
from labkit.call.call_id import new_call_id
from labkit.call.deadline import Deadline
from labkit.call.definition import Definition, Seat
from labkit.call.fallback import ModelRung, Rung, answer_by_rules, climb
from labkit.call.flight import Flights, Shared
from labkit.call.journal import Journal
from labkit.call.keeping import UNKEPT
from labkit.call.record import in_notebook, record_of
from labkit.call.redaction import hidden_in_logs, hide_in_logs, secrets_in
from labkit.call.result import Reason, Result
from labkit.call.sensitive_result import SensitiveResult
from labkit.call.spend import Purse
from labkit.call.steps import StepFailed
from labkit.call.streaming import Emit, Presenter
from labkit.call.trip import Question, Trip
from labkit.call.watch import kept_apart
from labkit.errors import ReplayMissed
from labkit.models.protocol import Usage

__all__ = ["run"]

log = logging.getLogger("labkit.call")

_APOLOGY = "We could not answer just now. Please try again in a moment."

_flights: Flights[Answer] = Flights()


async def run(
    plan: Definition, given: tuple[Any, ...], fields: Mapping[str, Any], emit: Emit | None = None
) -> Result[Any]:
    """Answer one call.

    Args:
        given, fields: The input, in one of its forms.
        emit: Takes what can be shown while the model writes, and the result at the end; None where nobody watches.

    Raises:
        ReplayMissed: A replay met a question that was not recorded.

    Beside that only a cancellation or an interrupt is raised; all of them are recorded first.
    """
    if "opentelemetry.trace" not in sys.modules:  # the application does not use it
        return await _run(plan, given, fields, emit, None)
    from labkit.call import telemetry

    with telemetry.call_span(plan.name) as span:
        return await _run(plan, given, fields, emit, span)


async def _run(
    plan: Definition,
    given: tuple[Any, ...],
    fields: Mapping[str, Any],
    emit: Emit | None,
    span: tuple[Any, int] | None,
) -> Result[Any]:
    outer = hidden_in_logs()  # a judge is asked about what another call hides
    trip = Trip(
        plan=plan,
        secrets=outer,
        journal=Journal(),
        deadline=Deadline.start(plan.policy.deadline_s, plan.policy.reserve_s),
        purse=Purse(plan.policy.spend) if plan.policy.spend is not None else None,
        presenter=Presenter(plan.output, emit) if emit is not None else None,
    )
    try:
        answer, reason = await _main_path(trip, given, fields)
        if answer is None and trip.given is not None:
            answer = await _fallbacks(trip)
    except BaseException as stopped:
        outcome, said = ("cancelled", "nobody waited for the answer")
        if isinstance(stopped, ReplayMissed):
            outcome, said = ("bug", str(stopped))
        _record(plan, trip, _result(trip, None, trip.journal.failure(outcome, said)), span)  # type: ignore[arg-type]
        raise
    else:
        with trip.journal.step("record"):
            result = _result(trip, answer, reason)
            _record(plan, trip, result, span)
    finally:
        if plan.is_sensitive:
            hide_in_logs(outer)
    if trip.presenter is not None:
        trip.presenter.finish(result)
    return result


async def _main_path(
    trip: Trip, given: tuple[Any, ...], fields: Mapping[str, Any]
) -> tuple[Answer | None, Reason | None]:
    """Steps 1 to 7; exactly one of answer and reason."""
    plan, journal = trip.plan, trip.journal
    try:
        async with asyncio.timeout_at(trip.deadline.main_until) as timer:
            with journal.step("input"):
                raw = inputs.take(plan.input_type, given, fields)
                if plan.is_sensitive:
                    trip.secrets += secrets_in(plan.input_type, raw)
                    hide_in_logs(trip.secrets)
            with journal.step("validate"):
                trip.given = inputs.validate(plan.input_type, raw, plan.policy.normalize)
                if plan.is_sensitive:  # also as they are after normalization
                    trip.secrets += secrets_in(plan.input_type, trip.given)
                    hide_in_logs(trip.secrets)
            if plan.flags is not None:
                await _read_flags(trip)
            if plan.shortcuts and (answer := await _shortcut(trip)) is not None:
                return answer, None
            trip.question = await _prepare(trip)
            return await _cached_or_asked(trip, trip.question), None
    except StepFailed as failed:
        return None, failed.reason
    except ReplayMissed:
        raise
    except TimeoutError as error:
        if not timer.expired():
            return None, journal.failure("transport", f"TimeoutError: {error}")
        spent = plan.policy.deadline_s - plan.policy.reserve_s
        return None, journal.failure("deadline", f"{spent:g} s were over (deadline less reserve)")
    except Exception as error:
        log.exception("%s: step %s failed", plan.name, journal.current)
        return None, journal.failure("bug", f"{type(error).__name__}: {error}")


async def _read_flags(trip: Trip) -> None:
    """Take one snapshot of the flags, and go on with the variant they choose.

    Raises:
        StepFailed: A kill switch is off.
    """
    flags, journal = trip.plan.flags, trip.journal
    assert flags is not None
    with journal.step("validate"):
        trip.flags = await flags.read(trip.given)
        for reading in trip.flags:
            if reading.error is not None:
                journal.note(f"flag {reading.key}: its default {reading.value!r} holds: {reading.error}")
            elif reading.reason == "DEFAULT":
                journal.note(f"flag {reading.key}: its default {reading.value!r} holds: no provider decides it")
        for reading in trip.flags:
            if reading.value is False:
                trip.models_may_answer = False
                raise StepFailed(
                    Reason(step="model", outcome="disabled", message=f"flag {reading.key} is off ({reading.reason})")
                )
        chosen = {reading.key: reading.value for reading in trip.flags if isinstance(reading.value, str)}
        if chosen:
            trip.plan = trip.plan.variant(chosen)


async def _shortcut(trip: Trip) -> Answer | None:
    """A simple case never reaches the model; a shortcut that fails is passed over, and a note says so."""
    for rung in trip.plan.shortcuts:
        with trip.journal.step("validate"):
            try:
                answer = await answer_by_rules(rung, trip.given, trip.plan.output, "shortcut")
            except StepFailed as failed:
                trip.journal.note(f"shortcut passed over: {failed.reason.message}")
            except Exception as error:
                log.exception("%s: a shortcut failed", trip.plan.name)
                trip.journal.note(f"shortcut passed over: {type(error).__name__}: {error}")
            else:
                if answer is not None:
                    return answer
    return None


async def _prepare(trip: Trip) -> Question:
    with trip.journal.step("context"):
        facts, notes = await context.gather(trip.plan.context, trip.given)
        trip.journal.notes.extend(notes)
    with trip.journal.step("prompt"):
        return Question(given=trip.given, messages=await trip.plan.prompt.arender(trip.given, facts))


async def _cached_or_asked(trip: Trip, question: Question) -> Answer:
    cache = trip.plan.policy.cache
    if cache is None:
        return await _ask_primary(trip, question)
    # The cache comes first: a hit must not need a healthy provider.
    trip.key = _cache_key(trip.plan, question)
    answer = await _kept(trip, cache, trip.key)
    if answer is not None:
        return answer
    if cache.replays:
        apart = kept_apart.get()
        which = f" ({apart})" if apart else ""
        raise ReplayMissed(
            f"{trip.plan.name}: {cache.place} holds no answer to this question{which}: it was never recorded, or the "
            "prompt, model, schema or rules have changed since. Record it anew with "
            "Cache(path=..., ttl_s=math.inf) and a model that answers."
        )
    form: Any = UNKEPT

    async def lead() -> Answer:
        nonlocal form
        led = await _ask_primary(trip, question)
        form = trip.plan.output.keeper.form_of(led.value)
        if form is UNKEPT:
            trip.journal.note("the answer was not kept: what it is dumped as does not read back as an equal value")
        else:
            await cache.keep(trip.key or "", form)
        return led

    found = await _flights.once(trip.key, lead, lambda _: form)
    if not isinstance(found, Shared):
        return found
    if found.value is UNKEPT:
        trip.journal.note("an identical call was in flight, and its answer cannot be shared")
        return await _ask_primary(trip, question)
    trip.journal.note("shared the answer of an identical call that was in flight")
    return Answer(value=trip.plan.output.restore(found.value), source="cache")


async def _kept(trip: Trip, cache: Cache, key: str) -> Answer | None:
    with trip.journal.step("model"):
        entry = await cache.fresh(key)
        if entry is None:
            return None
        try:
            return Answer(value=trip.plan.output.restore(entry.value), source="cache")
        except StepFailed as failed:
            trip.journal.note(f"a kept answer was not used: {failed.reason.message}")
            return None


async def _ask_primary(trip: Trip, question: Question) -> Answer:
    budget = trip.plan.policy.retry.budget
    if budget is not None:
        budget.count_call()
    models_after = sum(isinstance(rung, Seat) for rung in trip.plan.fallbacks)
    return await ask(trip, trip.plan.seat, question, models_after=models_after)


async def _fallbacks(trip: Trip) -> Answer | None:
    plan, journal = trip.plan, trip.journal
    if not plan.fallbacks:
        return None
    rungs: list[Rung] = []
    models_after = sum(isinstance(rung, Seat) for rung in plan.fallbacks)
    for rung in plan.fallbacks:
        if not isinstance(rung, Seat):
            rungs.append(rung)
            continue
        models_after -= 1
        if trip.question is None or not trip.models_may_answer:
            why = "there was no prompt to ask it with" if trip.models_may_answer else "switched off"
            journal.step("fallback").note(f"{rung.name}: {why}")
            continue
        asking = functools.partial(ask, trip, rung, trip.question, models_after=models_after)
        rungs.append(ModelRung(name=rung.name, ask=asking))
    return await climb(
        rungs,
        given=trip.given,
        key=trip.key,
        cache=plan.policy.cache,
        output=plan.output,
        journal=journal,
        deadline=trip.deadline,
    )


def _cache_key(plan: Definition, question: Question) -> str:
    """Everything an accepted answer depends on."""
    messages = [
        (message.role, message.content, *((at, medium.sha256, medium.media_type) for at, medium in message.media))
        for message in question.messages
    ]
    return hashlib.sha256(kept_apart.get().encode() + plan.cache_scope.encode() + to_json(messages)).hexdigest()


def _result(trip: Trip, answer: Answer | None, reason: Reason | None) -> Result[Any]:
    plan, journal = trip.plan, trip.journal
    attempts = tuple(journal.attempts)
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    costs = [attempt.cost_usd for attempt in attempts if attempt.usage is not None]
    result: Result[Any] = Result(
        value=None if answer is None else answer.value,
        source="error" if answer is None else answer.source,
        call=plan.name,
        call_id=new_call_id(),
        elapsed_s=journal.elapsed_s(),
        reason=reason,
        user_message=_user_message(plan, answer, reason),
        confidence=None if answer is None else answer.confidence,
        repairs=() if answer is None else answer.repairs,
        attempts=attempts,
        usage=_sum(usages),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        steps=journal.steps,
        notes=tuple(journal.notes),
        flags=trip.flags,
        versions=plan.versions,
    )
    if not (plan.is_sensitive or trip.secrets):
        return result
    kind = plan.output.wanted
    parts = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return SensitiveResult(**parts, kind=kind, secrets=trip.secrets + secrets_in(kind, result.value))


def _sum(usages: list[Usage]) -> Usage | None:
    return None if not usages else usages[0] if len(usages) == 1 else sum(usages, Usage())


def _user_message(plan: Definition, answer: Answer | None, reason: Reason | None) -> str | None:
    if answer is not None:
        return answer.user_message
    if reason is not None and reason.step in ("input", "validate") and reason.errors:
        return "Please check your input. " + "; ".join(
            f"{e.path}: {e.message}" if e.path else e.message for e in reason.errors
        )
    if reason is not None and reason.outcome == "low_confidence" and plan.confidence is not None:
        return plan.confidence.message
    return _APOLOGY


def _record(plan: Definition, trip: Trip, result: Result[Any], span: tuple[Any, int] | None) -> None:
    """Count, log, trace and write down *result*; *plan* is the call's own, whichever variant answered."""
    plan.tally.add(result)
    if result.reason is not None:
        reason = result.reason
        # what a sender got wrong is not the feature's failure
        level = logging.INFO if reason.step in ("input", "validate") else logging.WARNING
        log.log(
            level,
            "%s answered by %s: step %s ended with %s: %s",
            result.call, result.source, reason.step, reason.outcome, reason.message,
            extra={"call_id": result.call_id},
        )  # fmt: skip
    if plan.records is None and span is None:
        return
    secrets, kind = trip.secrets, None
    if isinstance(result, SensitiveResult):
        secrets, kind = result.secrets, result.kind
    written = functools.partial(
        record_of, result, fingerprint=trip.plan.fingerprint, given=trip.given, secrets=secrets, kind=kind
    )
    if plan.records is not None:
        content = plan.policy.record_content
        plan.records.offer(written(content=in_notebook() if content is None else content))
    if span is not None:
        from labkit.call import telemetry

        telemetry.report(trip.plan, written(content=False), *span)
