"""Steps 5 to 7: ask a model, read what it says, judge it, and give back to it what was rejected."""

from __future__ import annotations

import math
from dataclasses import replace

from labkit.call.answer import Answer
from labkit.call.definition import Definition, Seat
from labkit.call.journal import Journal
from labkit.call.repairs import Repair
from labkit.call.result import Reason
from labkit.call.rules import apply_guards, apply_rules, score_confidence
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
            return await _judge(plan, sent.completion, question, journal, is_primary=seat is plan.seat)
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
    plan: Definition, completion: Completion, question: Question, journal: Journal, *, is_primary: bool
) -> Answer:
    """Accept what a completion says, or say why not."""
    with journal.step("output"):
        if completion.finish_reason == "filter":
            raise StepFailed(journal.failure("refused", "the model or its provider refused to answer"))
        if completion.finish_reason == "length":
            raise StepFailed(
                journal.failure("truncated", "the answer was cut off at the token limit; raise Model(max_tokens=)")
            )
    text, guarded = completion.text, _UNTOUCHED
    if plan.guards:
        with journal.step("rules"):
            text, guarded = await apply_guards(plan.guards, text)
    with journal.step("output"):
        value, repairs = plan.output.accept(text, plan.policy.repair)
    fixes, confidence = _UNTOUCHED, None
    with journal.step("rules"):
        if plan.rules:
            value, fixes = await apply_rules(plan.rules, value, question.given, plan.output)
        if plan.confidence is not None:
            confidence = await score_confidence(plan.confidence, value, completion)
    return Answer(
        value=value,
        source="model" if is_primary else "fallback_model",
        confidence=confidence if confidence is not None else _mean_probability(completion),
        repairs=guarded + repairs + fixes,
    )


def _reask(completion: Completion, reason: Reason) -> tuple[Message, Message]:
    return (
        Message("assistant", completion.text),
        Message(
            "user", f"That answer was rejected: {reason.message}\nAnswer again with the whole corrected value only."
        ),
    )


def _mean_probability(completion: Completion) -> float | None:
    return math.exp(sum(completion.logprobs) / len(completion.logprobs)) if completion.logprobs else None
