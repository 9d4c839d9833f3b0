"""How many calls may be at one model at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from desk import GOOD, support_desk

import labkit as lk
from labkit.call.limiter import Limiter
from labkit.models.protocol import Chunk, Completion, CompletionRequest


class Gate:
    """A model that answers when it is told to, and counts who is inside."""

    name = "scripted/gate"

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.opened = asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.opened.wait()
            await asyncio.sleep(0)
        finally:
            self.inside -= 1
        return Completion(text=GOOD, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(completion=await self.complete(request))


def test_no_more_than_the_limit_are_at_the_model_and_all_are_answered():
    """The others wait their turn."""

    async def scenario() -> tuple[int, list[str]]:
        gate = Gate()
        desk = support_desk(gate, policy=lk.Policy(max_concurrency=3))
        calls = [asyncio.create_task(desk.acall(text=f"{n}")) for n in range(20)]
        while gate.inside < 3:
            await asyncio.sleep(0)
        gate.opened.set()
        return gate.most, [result.source for result in await asyncio.gather(*calls)]

    most, sources = asyncio.run(scenario())

    assert (most, sources) == (3, ["model"] * 20)


def test_waiting_for_a_turn_ends_with_the_deadline():
    """A crowded model is not a reason to be late."""

    async def scenario() -> lk.Result[object]:
        gate = Gate()
        desk = support_desk(gate, policy=lk.Policy(max_concurrency=1, deadline_s=0.2, reserve_s=0.1))
        patient = support_desk(gate, policy=lk.Policy(max_concurrency=1))
        first = asyncio.create_task(patient.acall(text="first"))
        while not gate.inside:
            await asyncio.sleep(0)
        late = await desk.acall(text="second")
        gate.opened.set()
        assert (await first).source == "model"
        return late

    late = asyncio.run(scenario())

    assert late.reason is not None
    assert (late.reason.step, late.reason.outcome, late.attempts) == ("model", "deadline", ())


def test_turns_pass_between_loops():
    """A notebook that mixes sync and async calls has two loops, and the model still one limit."""
    limiter = Limiter(1)
    order: list[str] = []
    held, may_go = threading.Event(), threading.Event()

    def other_loop() -> None:
        async def hold() -> None:
            await limiter.acquire()
            held.set()
            await asyncio.to_thread(may_go.wait, 10)
            order.append("other")
            limiter.release()

        asyncio.run(hold())

    async def here() -> None:
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        may_go.set()
        await waiting
        order.append("here")
        limiter.release()

    thread = threading.Thread(target=other_loop)
    thread.start()
    assert held.wait(10)
    asyncio.run(here())
    thread.join(10)

    assert order == ["other", "here"]


def test_one_that_gives_up_waiting_hands_its_turn_on():
    """A cancelled call leaves no hole."""

    async def scenario() -> bool:
        limiter = Limiter(1)
        await limiter.acquire()
        quitter = asyncio.create_task(limiter.acquire())
        waiter = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        quitter.cancel()
        limiter.release()
        await waiter
        limiter.release()
        await limiter.acquire()
        return quitter.cancelled()

    assert asyncio.run(scenario())


def test_a_turn_that_came_while_its_waiter_gave_up_is_not_lost():
    """Cancelled between being told and taking it."""

    async def scenario() -> None:
        limiter = Limiter(1)
        await limiter.acquire()
        quitter = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.release()
        quitter.cancel()
        await asyncio.gather(quitter, return_exceptions=True)
        await asyncio.wait_for(limiter.acquire(), 10)

    asyncio.run(scenario())
