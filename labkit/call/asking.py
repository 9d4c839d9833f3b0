"""Steps 5 to 7: ask a model, read what it says, judge it; retry what failed on the way, re-ask what was rejected."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from labkit.call.answer import Answer
from labkit.call.deadline import Deadline
from labkit.call.definition import Definition, Seat
from labkit.call.journal import Journal
from labkit.call.policy import RETRIED
from labkit.call.result import Reason
from labkit.call.rules import apply_guards, apply_rules, score_confidence
from labkit.call.steps import StepFailed
from labkit.errors import ModelError, Outcome
from labkit.models.prices import cost_usd, price_of
from labkit.models.protocol import Completion, CompletionRequest, Message

__all__ = ["Question", "ask"]

log = logging.getLogger("labkit.call")

# What the model itself may mend when it is told. A refusal or a cut-off answer would come out the same again.
_REASKED: frozenset[Outcome] = frozenset({"parse", "schema", "guard", "rule"})

# A request that has less time than this is not worth sending.
_USEFUL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, whoever answers: the validated input and the messages made of it."""

    given: Any
    messages: tuple[Message, ...]


async def ask(
    plan: Definition, seat: Seat, question: Question, journal: Journal, deadline: Deadline, *, models_after: int
) -> Answer:
    """Get an accepted answer to *question* from the model in *seat*.

    Args:
        models_after: Fallback models that may still have to answer; unless the policy limits attempts itself, the
            time left is shared evenly with them.

    Raises:
        StepFailed: No answer came, or none that passed, within the policy's bounds.
    """
    is_primary = seat is plan.seat
    until = deadline.main_until
    if plan.policy.attempt.total_s is None and models_after:
        until -= deadline.main_left_s() * models_after / (models_after + 1)
    request = CompletionRequest(
        messages=question.messages, schema=plan.output.schema, schema_name=plan.name, sampling=seat.sampling
    )
    kind: Literal["first", "fallback", "reask"] = "first" if is_primary else "fallback"
    for reasks_left in range(plan.policy.reask, -1, -1):
        with journal.step("model"):
            completion = await _complete(plan, seat, request, journal, until, kind)
        try:
            return await _judge(plan, completion, question.given, journal, is_primary)
        except StepFailed as rejected:
            reason = rejected.reason
            journal.judge_last(reason.outcome, reason.message, reason.errors)
            if not reasks_left or reason.outcome not in _REASKED:
                raise
        request = replace(request, messages=(*request.messages, *_reask(completion, reason)))
        kind = "reask"
    raise AssertionError("unreachable: the last round returns or raises")


async def _complete(
    plan: Definition,
    seat: Seat,
    request: CompletionRequest,
    journal: Journal,
    until: float,
    kind: Literal["first", "fallback", "reask"],
) -> Completion:
    """Get one completion, with another request after a failure in transport."""
    retry = plan.policy.retry
    clock = asyncio.get_running_loop().time
    waited_s = 0.0
    for n in range(1, retry.max_attempts + 1):
        try:
            return await _attempt(plan, seat, request, journal, until, kind if n == 1 else "retry", waited_s)
        except ModelError as error:
            outcome, said = error.outcome, str(error)
            waited_s = retry.wait_s(n, error.retry_after_s)
        if outcome not in RETRIED or n == retry.max_attempts:
            break
        if clock() + waited_s + _USEFUL_S > until:
            said += f" (no time left for another attempt after a wait of {waited_s:.2f} s)"
            break
        await asyncio.sleep(waited_s)
    if not said.startswith(seat.name):
        said = f"{seat.name}: {said}"
    raise StepFailed(journal.failure(outcome, said))


async def _attempt(
    plan: Definition,
    seat: Seat,
    request: CompletionRequest,
    journal: Journal,
    until: float,
    kind: Literal["first", "fallback", "reask", "retry"],
    waited_s: float,
) -> Completion:
    """Send one request, bounded in time, and write down how it ended.

    Raises:
        ModelError: It failed.
        asyncio.CancelledError: The deadline passed, or nobody waits any more.
    """
    clock = asyncio.get_running_loop().time
    total_s = plan.policy.attempt.total_s
    began = clock()
    last = until if total_s is None else min(until, began + total_s)
    failure: ModelError
    try:
        async with asyncio.timeout_at(last) as timer:
            completion = await seat.client.complete(request)
    except asyncio.CancelledError:
        journal.attempt(
            kind=kind, model=seat.name, outcome="deadline" if clock() >= until else "cancelled",
            latency_s=clock() - began, waited_s=waited_s, message="given up while waiting for the model",
        )  # fmt: skip
        raise
    except ModelError as error:
        failure = error
    except TimeoutError as error:
        said = f"no answer in {last - began:.2f} s" if timer.expired() else f"TimeoutError: {error}"
        failure = ModelError(said, outcome="timeout" if timer.expired() else "transport")
    except Exception as error:
        log.exception("%s: the client of %s failed", plan.name, seat.name)
        failure = ModelError(f"{type(error).__name__}: {error}", outcome="bug")
    else:
        journal.attempt(
            kind=kind, model=seat.name, outcome="ok", latency_s=clock() - began, waited_s=waited_s,
            served_model=completion.model, wire=completion.wire, first_chunk_s=completion.first_chunk_s,
            usage=completion.usage, cost_usd=_cost(seat, completion), finish_reason=completion.finish_reason,
            request_id=completion.request_id, text=completion.text,
        )  # fmt: skip
        return completion
    journal.attempt(
        kind=kind, model=seat.name, outcome=failure.outcome, latency_s=clock() - began, waited_s=waited_s,
        status=failure.status, request_id=failure.request_id, message=str(failure),
    )  # fmt: skip
    raise failure


async def _judge(plan: Definition, completion: Completion, given: Any, journal: Journal, is_primary: bool) -> Answer:
    """Accept what a completion says, or say why not."""
    with journal.step("output"):
        if completion.finish_reason == "filter":
            raise StepFailed(journal.failure("refused", "the model or its provider refused to answer"))
        if completion.finish_reason == "length":
            raise StepFailed(
                journal.failure("truncated", "the answer was cut off at the token limit; raise Model(max_tokens=)")
            )
    with journal.step("rules"):
        text, guarded = await apply_guards(plan.guards, completion.text)
    with journal.step("output"):
        value, repairs = plan.output.accept(text, plan.policy.repair)
    with journal.step("rules"):
        value, fixes = await apply_rules(plan.rules, value, given, plan.output)
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


def _cost(seat: Seat, completion: Completion) -> float | None:
    if seat.spec is None or completion.usage is None:
        return None
    return cost_usd(completion.usage, price_of(seat.spec))
