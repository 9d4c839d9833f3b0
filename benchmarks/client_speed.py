"""A guarded call over HTTP beside the bare openai SDK and bare litellm, in one run against one server.

All send the same messages and schema. labkit does more than the two: template, validation, retry, breaker, deadline,
record to a file. They only ask and give the text back. Rounds are interleaved and ratios taken within a round, so that
whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from instant_server import instant_server
from pydantic import BaseModel, Field

import labkit as lk

ROUNDS = 9
SEQUENTIAL = 100
CONCURRENT = 640
WIDTH = 64

Ask = Callable[[], Awaitable[Any]]


class Ticket(BaseModel):
    text: str = Field(min_length=1, max_length=4_000)


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)


QUESTION = "Where is my new card? I ordered it two weeks ago."
MESSAGES: Any = [
    {"role": "system", "content": "Triage the ticket."},
    {"role": "user", "content": f"Ticket: {QUESTION}"},
]
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "triage", "schema": Triage.model_json_schema(), "strict": False},
}


def guarded(base_url: str, records: Path) -> Ask:
    call = lk.GuardedCall(
        "triage",
        input=Ticket,
        output=Triage,
        prompt=lk.Prompt(system="Triage the ticket.", user="Ticket: {{ input.text }}"),
        model=lk.Model("openai/instant", base_url=base_url),
        policy=lk.Policy(retry=lk.Retry(max_attempts=3), attempt=lk.Attempt(total_s=5.0), deadline_s=10.0),
        sink=f"jsonl:{records}",
    )

    async def ask() -> None:
        result = await call.acall(text=QUESTION)
        assert result.source == "model", result.reason

    return ask


def openai_sdk(base_url: str) -> Ask:
    import openai

    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)

    async def ask() -> None:
        said = await client.chat.completions.create(
            model="instant", temperature=0.0, messages=MESSAGES, response_format=SCHEMA
        )
        assert said.choices[0].message.content

    return ask


def litellm_sdk(base_url: str) -> Ask:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True

    async def ask() -> None:
        said = await litellm.acompletion(
            model="openai/instant", api_base=base_url, api_key="none", temperature=0.0, max_retries=0, num_retries=0,
            messages=MESSAGES, response_format=SCHEMA,
        )  # fmt: skip
        assert said.choices[0].message.content

    return ask


async def one_by_one(ask: Ask) -> float:
    """Mean milliseconds of a call."""
    began = time.perf_counter()
    for _ in range(SEQUENTIAL):
        await ask()
    return (time.perf_counter() - began) / SEQUENTIAL * 1_000


async def side_by_side(ask: Ask, calls: int) -> float:
    """Calls a second at a concurrency of WIDTH."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await ask()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as crew:
        for _ in range(WIDTH):
            crew.create_task(work())
    return calls / (time.perf_counter() - began)


async def measure(asks: dict[str, Ask]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Give milliseconds of a call and calls a second, by client, one of each a round."""
    for ask in asks.values():
        await side_by_side(ask, WIDTH)  # connections, imports, caches
    ms: dict[str, list[float]] = {name: [] for name in asks}
    rate: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, ask in asks.items():
            ms[name].append(await one_by_one(ask))
            rate[name].append(await side_by_side(ask, CONCURRENT))
    return ms, rate


def main() -> None:
    with instant_server() as base_url, tempfile.TemporaryDirectory() as folder:
        asks = {
            "labkit, guarded": guarded(base_url, Path(folder) / "records.jsonl"),
            "openai SDK, bare": openai_sdk(base_url),
            "litellm, bare": litellm_sdk(base_url),
        }
        ms, rate = asyncio.run(measure(asks))
    ours = next(iter(asks))
    print(f"{'':<20}{'one by one':>12}{'labkit is':>11}{f'{WIDTH} at once':>16}{'labkit is':>11}")
    for name in asks:
        slower = statistics.median(a / b for a, b in zip(ms[ours], ms[name], strict=True))
        faster = statistics.median(a / b for a, b in zip(rate[ours], rate[name], strict=True))
        print(
            f"{name:<20}{statistics.median(ms[name]):>9.2f} ms{slower:>10.2f}x"
            f"{statistics.median(rate[name]):>9.0f} calls/s{faster:>9.1f}x"
        )


if __name__ == "__main__":
    main()
