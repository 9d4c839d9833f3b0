"""Steps 5 to 7: ask a model, read what it says, judge it, and give back to it what was rejected."""

from __future__ import annotations

import asyncio
import functools
import math
from dataclasses import replace
from typing import Any

from labkit.call.answer import Answer
from labkit.call.blanks import is_blank
from labkit.call.completions import check_whole
from labkit.call.definition import Seat
from labkit.call.redaction import hide_in_logs
from labkit.call.repairs import Repair
from labkit.call.result import Reason
from labkit.call.rules import Confidence, apply_guards, apply_rules, score_confidence
from labkit.call.sensitive_result import secrets_in_text
from labkit.call.steps import StepFailed
from labkit.call.transport import Kind, complete
from labkit.call.trip import Question, Trip
from labkit.errors import Outcome
from labkit.models.protocol import Completion, CompletionRequest, Message

__all__ = ["ask"]

# What the model itself may mend when it is told. A refusal or a cut-off answer would come out the same again.
_REASKED: frozenset[Outcome] = frozenset({"parse", "schema", "guard", "rule"})


_UNTOUCHED: tuple[Repair, ...] = ()


async def ask(trip: Trip, seat: Seat, question: Question, *, models_after: int) -> Answer:
    """Get an accepted answer to *question* from the model in *seat*.

    Args:
        models_after: Fallback models that may still have to answer; unless the policy limits attempts itself, the
            time left is shared evenly with them.

    Raises:
        StepFailed: No answer came, or none that passed, within the policy's bounds.
    """
    if seat.limiter is None:
        return await _ask(trip, seat, question, models_after)
    with trip.journal.step("model"):  # waiting for one's turn is time spent on the model
        await seat.limiter.acquire()
    try:
        return await _ask(trip, seat, question, models_after)
    finally:
        seat.limiter.release()


async def _ask(trip: Trip, seat: Seat, question: Question, models_after: int) -> Answer:
    plan, journal = trip.plan, trip.journal
    until = trip.deadline.main_until
    if plan.policy.attempt.total_s is None and models_after:
        until -= trip.deadline.main_left_s() * models_after / (models_after + 1)
    request = CompletionRequest(
        messages=question.messages, schema=plan.output.schema, schema_name=plan.name, sampling=seat.sampling
    )
    kind: Kind = "first" if seat is plan.seat else "fallback"
    for reasks_left in range(plan.policy.reask, -1, -1):
        with journal.step("model"):
            sent = await complete(trip, seat, request, until, kind)
        try:
            return await _judge(trip, seat, request, sent.completion, question, until)
        except StepFailed as rejected:
            reason = rejected.reason
            journal.judge(sent.n, reason.outcome, reason.message, reason.errors)
            if trip.presenter is not None:
                trip.presenter.abandon(reason)
            if not reasks_left or reason.outcome not in _REASKED:
                raise
        request = replace(request, messages=(*request.messages, *_reask(sent.completion, reason)))
        kind = "reask"
    raise AssertionError("unreachable: the last round returns or raises")


async def _judge(
    trip: Trip, seat: Seat, request: CompletionRequest, completion: Completion, question: Question, until: float
) -> Answer:
    """Accept what a completion says, or say why not."""
    plan, journal, timeout_s = trip.plan, trip.journal, trip.plan.policy.rule_timeout_s
    if plan.is_sensitive:  # whoever rejects it may quote it
        trip.secrets += secrets_in_text(plan.output.wanted, completion.text)
        hide_in_logs(trip.secrets)
    with journal.step("output"):
        check_whole(completion)
        # guards judge what may be served, and of what was thought aloud nothing is
        text, thoughts = plan.output.answer_in(completion.text)
    guarded = _UNTOUCHED
    if plan.guards:
        with journal.step("rules"):
            text, guarded = await apply_guards(plan.guards, text, timeout_s)
    with journal.step("output"):
        value, repairs = plan.output.accept(text, plan.policy.repair)
    fixes, confidence = _UNTOUCHED, None
    with journal.step("rules"):
        if plan.rules:
            value, fixes = await apply_rules(plan.rules, value, question.given, plan.output, timeout_s)
        if plan.confidence is not None:
            sample = functools.partial(_sample, trip, seat, request, until)
            confidence = await score_confidence(plan.confidence, value, completion, sample, timeout_s)
    return Answer(
        value=value,
        source="model" if seat is plan.seat else "fallback_model",
        confidence=confidence if confidence is not None else _mean_probability(completion),
        repairs=thoughts + guarded + repairs + fixes,
    )


async def _sample(
    trip: Trip, seat: Seat, request: CompletionRequest, until: float, confidence: Confidence
) -> list[Any]:
    """Ask the same again, side by side; what cannot be read is left out."""
    request = replace(request, sampling=replace(request.sampling, temperature=confidence.temperature))
    wanted = confidence.samples - 1
    sent = await asyncio.gather(
        *(complete(trip, seat, request, until, "sample") for _ in range(wanted)), return_exceptions=True
    )
    values = []
    for each in sent:
        if isinstance(each, StepFailed):
            trip.journal.note(f"a sample is missing: {each.reason.message}")
        elif isinstance(each, BaseException):
            raise each
        else:
            try:
                check_whole(each.completion)
                values.append(trip.plan.output.accept(each.completion.text, "safe")[0])
            except StepFailed as failed:
                trip.journal.judge(each.n, failed.reason.outcome, failed.reason.message, failed.reason.errors)
    return values


def _reask(completion: Completion, reason: Reason) -> tuple[Message, Message]:
    said = "(no answer)" if is_blank(completion.text) else completion.text  # some servers refuse an empty message
    return (
        Message("assistant", said),
        Message(
            "user", f"That answer was rejected: {reason.message}\nAnswer again with the whole corrected value only."
        ),
    )


def _mean_probability(completion: Completion) -> float | None:
    return math.exp(sum(completion.logprobs) / len(completion.logprobs)) if completion.logprobs else None
