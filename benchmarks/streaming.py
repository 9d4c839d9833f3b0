"""What streaming costs and how soon it shows: CPU of partials over an answer of 2,000 tokens, and the first partial.

The first partial is timed from the moment the server has written its first chunk, both on one clock, over a real
socket.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncGenerator

from pydantic import BaseModel

import labkit as lk
from labkit.call.output_type import OutputType
from labkit.call.partial import PartialReader
from labkit.models.protocol import Chunk, Completion, CompletionRequest
from labkit.models.server import ModelServer

ROUNDS = 15
TOKENS = 2_000


class Question(BaseModel):
    text: str


class Reply(BaseModel):
    reply: str


class Item(BaseModel):
    name: str
    amount: int
    note: str


class Order(BaseModel):
    items: list[Item]


def pieces(text: str) -> list[str]:
    """TOKENS pieces, as a model sends them."""
    size = -(-len(text) // TOKENS)
    return [text[start : start + size] for start in range(0, len(text), size)]


def cpu_ms(output: type[BaseModel], text: str) -> float:
    schema = OutputType(output).schema
    tokens = pieces(text)
    rounds = []
    for _ in range(ROUNDS):
        reader = PartialReader(schema)
        began = time.process_time()
        for token in tokens:
            reader.feed(token)
        rounds.append((time.process_time() - began) * 1_000)
    return statistics.median(rounds)


class Timed:
    """Streams an answer and notes when its first chunk was handed over."""

    name = "timed/m"

    def __init__(self) -> None:
        self.first_at = 0.0

    async def complete(self, request: CompletionRequest) -> Completion:
        text = json.dumps({"reply": "word " * 200})
        return Completion(text=text, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        completion = await self.complete(request)
        self.first_at = time.perf_counter()
        for token in pieces(completion.text):
            yield Chunk(text=token)
            await asyncio.sleep(0)
        yield Chunk(completion=completion)


async def first_partial_ms() -> list[float]:
    client = Timed()
    took = []
    async with ModelServer(client, api_key=None) as server:
        ask = lk.GuardedCall(
            "ask",
            input=Question,
            output=Reply,
            prompt=lk.Prompt(user="{{ input.text }}"),
            model=lk.Model("openai/m", base_url=server.base_url),
        )
        for n in range(ROUNDS + 1):
            seen = None
            async for event in ask.astream(text=f"question {n}"):
                if seen is None and isinstance(event, lk.Partial):
                    seen = time.perf_counter()
            assert seen is not None
            took.append((seen - client.first_at) * 1_000)
    return took[1:]  # the first one imports the client


def main() -> None:
    text = json.dumps({"reply": "word " * 1_600})
    order = {"items": [{"name": f"item {n}", "amount": n, "note": "as usual"} for n in range(160)]}
    print(f"partials of {TOKENS:,} tokens of text      {cpu_ms(Reply, text):.2f} ms CPU (target <= 2)")
    print(f"partials of {TOKENS:,} tokens, 480 values  {cpu_ms(Order, json.dumps(order)):.2f} ms CPU (target <= 2)")
    took = asyncio.run(first_partial_ms())
    print(f"first partial after the first chunk  median {statistics.median(took):.1f} ms, ", end="")
    print(f"longest {max(took):.1f} ms (target <= 10)")


if __name__ == "__main__":
    main()
