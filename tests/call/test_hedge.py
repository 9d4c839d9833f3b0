"""A second request when the first is slow; events stand for time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit.call.hedge import Latencies
from labkit.errors import ModelError
from labkit.models.protocol import Chunk, Completion, CompletionRequest


class Scripted:
    """Answers the n-th request as *replies* say: text, an error, or "hang"."""

    name = "scripted/tail"

    def __init__(self, *replies: str | ModelError) -> None:
        self._replies = replies
        self.asked = 0
        self.cancelled = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        reply = self._replies[min(self.asked, len(self._replies) - 1)]
        self.asked += 1
        if reply == "hang":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if isinstance(reply, ModelError):
            raise reply
        return Completion(text=str(reply), finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(completion=await self.complete(request))


def hedged(model: Scripted, **changes: object) -> lk.GuardedCall[object]:
    given: dict[str, object] = {"retry": lk.Retry(max_attempts=1), "hedge": lk.Hedge(after_s=0.001), "deadline_s": 5.0}
    return support_desk(model, policy=lk.Policy(**given | changes))  # type: ignore[arg-type, return-value]


def test_the_second_request_answers_for_one_that_hangs():
    """The loser is cancelled, and both are in the record."""
    model = Scripted("hang", GOOD)

    result = hedged(model)(text="a")

    assert result.source == "model"
    assert sorted((a.kind, a.outcome) for a in result.attempts) == [("first", "cancelled"), ("hedge", "ok")]
    assert (model.asked, model.cancelled) == (2, 1)


def test_a_quick_answer_is_not_hedged():
    """Nothing is sent that nobody needs."""
    model = Scripted(GOOD)

    result = hedged(model, hedge=lk.Hedge(after_s=3.0))(text="a")

    assert (result.source, model.asked) == ("model", 1)


def test_a_hedge_that_fails_leaves_the_first_its_time():
    """The faster of two answers wins, not the faster failure."""
    slow = asyncio.Event()

    class FirstWaitsForTheSecond(Scripted):
        async def complete(self, request: CompletionRequest) -> Completion:
            self.asked += 1
            if self.asked == 2:
                slow.set()
                raise ModelError("no", outcome="transport")
            await slow.wait()
            return Completion(text=GOOD, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    result = hedged(FirstWaitsForTheSecond(GOOD))(text="a")

    assert result.source == "model"
    assert [(a.kind, a.outcome) for a in result.attempts] == [("hedge", "transport"), ("first", "ok")]


def test_when_both_fail_the_first_ones_failure_is_the_reason():
    """Two attempts, no third."""
    first_may_fail = asyncio.Event()

    class BothFail(Scripted):
        async def complete(self, request: CompletionRequest) -> Completion:
            self.asked += 1
            if self.asked == 2:
                first_may_fail.set()
                raise ModelError("second", outcome="transport")
            await first_may_fail.wait()
            raise ModelError("first", outcome="timeout")

    model = BothFail(GOOD)
    reason = hedged(model)(text="a").reason

    assert reason is not None
    assert (reason.outcome, "first" in reason.message, model.asked) == ("timeout", True, 2)


def test_an_answer_of_a_hedged_call_that_is_rejected_is_judged_by_its_own_attempt():
    """The loser's record comes after the winner's, and keeps its outcome."""
    result = hedged(Scripted("hang", "nonsense"))(text="a")

    assert {(a.kind, a.outcome) for a in result.attempts} == {("first", "cancelled"), ("hedge", "parse")}


def test_hedges_take_from_the_retry_budget():
    """A provider that is slow for everybody is not asked twice by everybody."""
    model = Scripted("hang")
    retry = lk.Retry(max_attempts=1, budget=lk.RetryBudget(burst=1, refill=0.0))
    desk = hedged(model, retry=retry, deadline_s=0.3, reserve_s=0.1)

    results = [desk(text="a"), desk(text="b")]

    assert [len(r.attempts) for r in results] == [2, 1]
    assert any("the retry budget is spent" in note.message for note in results[1].notes)


def test_without_a_delay_the_models_own_95th_percentile_is_taken():
    """Twenty answers are needed to know it; before, nothing is hedged."""
    latencies = Latencies()
    for n in range(19):
        latencies.add(n / 100)
    before = latencies.p95()
    latencies.add(1.0)

    assert (before, latencies.p95()) == (None, 0.18)


def test_a_hedge_and_retries_exclude_each_other():
    """Together they would multiply."""
    with pytest.raises(lk.CallInvalid, match="max_attempts=1"):
        lk.Policy(hedge=lk.Hedge(after_s=1.0))
    with pytest.raises(lk.CallInvalid, match="after_s"):
        lk.Hedge(after_s=0)
