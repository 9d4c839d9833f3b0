"""What labkit itself costs: CPU of a fully armed call over its model, of a cache hit, and threads under load.

CPU seconds of the whole process, so that what the thread that writes records does is in it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

import labkit as lk
from labkit.models.protocol import CompletionRequest, Message

ROUNDS = 15
CALLS = 400
ANSWER = '{"intent": "card_arrival", "urgency": 2}'


class Ticket(BaseModel):
    text: str = Field(min_length=1, max_length=4_000)


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)


async def opening_hours(ticket: Ticket) -> str:
    return "weekdays, 9 to 17"


def not_too_long(text: str) -> str | lk.Reject:
    return text if len(text) < 2_000 else lk.Reject("too long")


def no_promises(text: str) -> str | lk.Reject:
    return lk.Reject("promises a refund") if "refund" in text.lower() else text


def stolen_is_urgent(value: Triage, ticket: Ticket) -> Triage:
    if value.intent == "lost_or_stolen_card" and value.urgency < 4:
        return value.model_copy(update={"urgency": 4})
    return value


def armed(records: Path, **changes: Any) -> lk.GuardedCall[Triage]:
    policy: dict[str, Any] = {"deadline_s": 10.0, "attempt": lk.Attempt(total_s=5.0), "retry": lk.Retry(max_attempts=3)}
    return lk.GuardedCall(
        "triage",
        input=Ticket,
        output=Triage,
        prompt=lk.Prompt(system="Triage the ticket. Open: {{ context.opening_hours }}", user="{{ input.text }}"),
        model=lk.ScriptedModel(ANSWER),
        context=[lk.Source(opening_hours)],
        guards=[not_too_long, no_promises],
        rules=[stolen_is_urgent],
        fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=5))],
        policy=lk.Policy(**policy | changes),
        sink=f"jsonl:{records}",
    )


async def cpu_ms(ask: Callable[[], Awaitable[Any]]) -> float:
    """Median over rounds of the mean CPU milliseconds of a call."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await ask()
        rounds.append((time.process_time() - began) / CALLS * 1_000)
    return statistics.median(rounds)


async def measure(folder: Path) -> None:
    bare = lk.ScriptedModel(ANSWER)
    request = CompletionRequest(messages=(Message("user", "Where is my card?"),), schema={})
    call = armed(folder / "armed.jsonl")
    cached = armed(folder / "cached.jsonl", cache=lk.Cache(path=str(folder / "cache.db")))

    async def alone() -> None:
        await bare.complete(request)

    async def guarded() -> None:
        assert (await call.acall(text="Where is my card?")).source == "model"

    async def hit() -> None:
        assert (await cached.acall(text="Where is my card?")).source == "cache"

    await cached.acall(text="Where is my card?")
    alone_ms, guarded_ms, hit_ms = await cpu_ms(alone), await cpu_ms(guarded), await cpu_ms(hit)
    print(f"model alone            {alone_ms:.3f} ms CPU")
    print(
        f"fully armed call       {guarded_ms:.3f} ms CPU, {guarded_ms - alone_ms:.3f} over the model (target <= 0.25)"
    )
    print(f"cache hit, SQLite file {hit_ms:.3f} ms CPU (target < 0.15)")

    before = threading.active_count()
    most = 0

    async def watched(n: int) -> None:
        nonlocal most
        await call.acall(text=f"ticket {n}")
        most = max(most, threading.active_count())

    await asyncio.gather(*(watched(n) for n in range(1_000)))
    print(f"1,000 calls at once    {most - before} threads more than before (target: none per call)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))
        lk.flush()


if __name__ == "__main__":
    main()
