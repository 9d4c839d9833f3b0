"""Step 5: one completion under breaker, attempt timeout and spend, retried or hedged while time and budget allow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from typing import Literal

from labkit.call.definition import Seat
from labkit.call.policy import Attempt
from labkit.call.retry import RETRIED
from labkit.call.steps import StepFailed
from labkit.call.streaming import Presenter
from labkit.call.trip import Trip
from labkit.call.watch import before_request
from labkit.errors import ModelError, Outcome
from labkit.models.model import key_variable
from labkit.models.prices import cost_usd
from labkit.models.protocol import Completion, CompletionRequest

__all__ = ["Sent", "complete"]

log = logging.getLogger("labkit.call")

# A request that has less time than this is not worth sending.
_USEFUL_S = 0.05

# "none" and its like stand for no key, and in many a message for something else.
_KEY_CHARS = 8

Kind = Literal["first", "fallback", "reask", "retry", "hedge", "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A completion and the number of the attempt that brought it."""

    completion: Completion
    n: int


async def complete(trip: Trip, seat: Seat, request: CompletionRequest, until: float, kind: Kind) -> Sent:
    """Get one completion from *seat* before *until*, an instant on the loop's clock.

    Raises:
        StepFailed: None came; the journal has every attempt.
    """
    try:
        if trip.plan.policy.hedge is None:
            return await _retried(trip, seat, request, until, kind)
        return await _hedged(trip, seat, request, until, kind)
    except ModelError as error:
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        if not said.startswith(seat.name):
            said = f"{seat.name}: {said}"
        raise StepFailed(trip.journal.failure(error.outcome, said)) from error


async def _retried(trip: Trip, seat: Seat, request: CompletionRequest, until: float, kind: Kind) -> Sent:
    retry = trip.plan.policy.retry
    clock = asyncio.get_running_loop().time
    waited_s = 0.0
    again: Kind = "sample" if kind == "sample" else "retry"
    for n in range(1, retry.max_attempts):
        try:
            return await _attempt(trip, seat, request, until, kind if n == 1 else again, waited_s)
        except ModelError as error:
            if error.outcome not in RETRIED:
                raise
            waited_s = retry.wait_s(n, error.retry_after_s)
            if clock() + waited_s + _USEFUL_S > until:
                error.add_note(f"not retried: no time left after a wait of {waited_s:.2f} s")
                raise
            if retry.budget is not None and not retry.budget.take():
                error.add_note("not retried: the retry budget is spent")
                raise
        await asyncio.sleep(waited_s)
    return await _attempt(trip, seat, request, until, kind if retry.max_attempts == 1 else again, waited_s)


async def _hedged(trip: Trip, seat: Seat, request: CompletionRequest, until: float, kind: Kind) -> Sent:
    policy = trip.plan.policy
    assert policy.hedge is not None
    after_s = policy.hedge.after_s or seat.health.latencies.p95()
    running = [asyncio.create_task(_attempt(trip, seat, request, until, kind, 0.0))]
    try:
        if after_s is not None:
            await asyncio.wait(running, timeout=after_s)
            if not running[0].done():
                if policy.retry.budget is None or policy.retry.budget.take():
                    running.append(asyncio.create_task(_attempt(trip, seat, request, until, "hedge", 0.0)))
                else:
                    trip.journal.note("not hedged: the retry budget is spent")
        left = set(running)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    return task.result()
        return running[0].result()  # all failed: the first one's error is raised
    finally:
        for task in running:
            task.cancel()
        # the loser writes its attempt down before the call goes on, and no task outlives the call
        await asyncio.gather(*running, return_exceptions=True)


async def _attempt(
    trip: Trip, seat: Seat, request: CompletionRequest, until: float, kind: Kind, waited_s: float
) -> Sent:
    """Send one request, bounded in time, and write down how it ended.

    Raises:
        ModelError: It failed, or was not sent: outcomes ``breaker_open`` and ``budget``.
        asyncio.CancelledError: The deadline passed, another request won, or nobody waits any more.
    """
    if trip.purse is not None and (why := trip.purse.refusal(request, seat.price())):
        raise ModelError(why, outcome="budget")
    if seat.circuit is None:
        return await _send(trip, seat, request, until, kind, waited_s)
    entered = seat.circuit.enter()
    if entered is None:
        raise ModelError(
            f"not asked: its breaker is open, the next probe goes in {seat.circuit.wait_s():.1f} s",
            outcome="breaker_open",
        )
    outcome: Outcome = "cancelled"
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        sent = await _send(trip, seat, request, until, kind, waited_s)
        outcome = "ok"
        return sent
    except ModelError as error:
        outcome = error.outcome
        raise
    except asyncio.CancelledError:
        # A request that began late and was cut off by the deadline says nothing about the provider: calls that queue
        # for their turn would open the breaker by themselves.
        had_time = clock() - began >= (trip.plan.policy.deadline_s - trip.plan.policy.reserve_s) / 2
        outcome = "deadline" if had_time else "cancelled"
        raise
    finally:
        seat.circuit.leave(entered, outcome)


async def _send(trip: Trip, seat: Seat, request: CompletionRequest, until: float, kind: Kind, waited_s: float) -> Sent:
    journal, limits = trip.journal, trip.plan.policy.attempt
    clock = asyncio.get_running_loop().time
    watch = before_request.get()
    if watch is not None:
        await watch(seat.name)
    began = clock()
    last = until if limits.total_s is None else min(until, began + limits.total_s)
    failure: ModelError
    completion: Completion | None = None
    # two answers at once could not be read
    presenter = trip.presenter if kind not in ("hedge", "sample") else None
    if presenter is not None:
        presenter.begin()
    try:
        completion = await _receive(seat, request, limits, last, presenter)
    except asyncio.CancelledError:
        if presenter is not None:
            presenter.abandon(journal.failure("cancelled", "the request was given up on"))
        journal.attempt(
            kind=kind, model=seat.name, outcome="deadline" if clock() >= until else "cancelled",
            latency_s=clock() - began, waited_s=waited_s, message="given up while waiting for the model",
        )  # fmt: skip
        raise
    except ModelError as error:
        failure = error
    except TimeoutError as error:
        failure = ModelError(f"TimeoutError: {error}", outcome="transport")
    except Exception as error:
        log.exception("%s: the client of %s failed", trip.plan.name, seat.name)
        failure = ModelError(f"{type(error).__name__}: {error}", outcome="bug")
    finally:
        if trip.purse is not None:
            trip.purse.pay(request, None if completion is None else completion.usage, seat.price())
    latency_s = clock() - began
    if completion is not None:
        seat.health.latencies.add(latency_s)
        n = journal.attempt(
            kind=kind, model=seat.name, outcome="ok", latency_s=latency_s, waited_s=waited_s,
            served_model=completion.model, wire=completion.wire, first_chunk_s=completion.first_chunk_s,
            usage=completion.usage, cost_usd=cost_usd(completion.usage, seat.price()),
            finish_reason=completion.finish_reason, request_id=completion.request_id, text=completion.text,
            reasoning=completion.reasoning,
        )  # fmt: skip
        for note in completion.notes:
            journal.note(f"{seat.name}: {note}")
        return Sent(completion=completion, n=n)
    failure = _without_key(failure, seat)
    if presenter is not None:
        presenter.abandon(journal.failure(failure.outcome, str(failure)))
    journal.attempt(
        kind=kind, model=seat.name, outcome=failure.outcome, latency_s=latency_s, waited_s=waited_s,
        status=failure.status, request_id=failure.request_id, message=str(failure),
    )  # fmt: skip
    raise failure


def _without_key(failure: ModelError, seat: Seat) -> ModelError:
    """Providers quote the key they refuse; their words go into records."""
    if seat.spec is None:
        return failure
    key = seat.spec.api_key or os.environ.get(key_variable(seat.spec.provider), "")
    if len(key.strip()) < _KEY_CHARS or key.strip() not in str(failure):
        return failure
    clean = ModelError(
        str(failure).replace(key.strip(), "[API key]"),
        outcome=failure.outcome,
        status=failure.status,
        retry_after_s=failure.retry_after_s,
        request_id=failure.request_id,
    )
    return clean.with_traceback(None)


async def _receive(
    seat: Seat, request: CompletionRequest, limits: Attempt, last: float, presenter: Presenter | None
) -> Completion:
    """Wait for the answer until *last*; stream it where somebody watches or its pieces have limits."""
    clock = asyncio.get_running_loop().time
    began = clock()
    waits_for = f"no answer in {last - began:.2f} s"
    try:
        async with asyncio.timeout_at(last) as timer:
            if presenter is None and limits.first_token_s is None and limits.idle_s is None:
                return await seat.client.complete(request)
            if limits.first_token_s is not None and began + limits.first_token_s < last:
                timer.reschedule(began + limits.first_token_s)
                waits_for = f"no first token in {limits.first_token_s:g} s"
            async with contextlib.aclosing(seat.client.stream(request)) as chunks:
                async for chunk in chunks:
                    if chunk.completion is not None:
                        return chunk.completion
                    if presenter is not None and chunk.text:
                        presenter.text(chunk.text)
                    if chunk.is_end:  # it is the client that waits now, and not for the model
                        timer.reschedule(last)
                        continue
                    idle_until = last if limits.idle_s is None else clock() + limits.idle_s
                    timer.reschedule(min(last, idle_until))
                    waits_for = (
                        f"no end in {last - began:.2f} s" if idle_until >= last else f"no more in {limits.idle_s:g} s"
                    )
    except TimeoutError as error:
        if timer.expired():
            raise ModelError(waits_for, outcome="timeout") from error
        raise
    raise ModelError("the stream ended without its completion", outcome="bug")
