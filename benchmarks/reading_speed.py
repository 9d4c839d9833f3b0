"""How long reading takes: a good answer, an answer in prose, and texts that are made to hurt."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import Any, Literal

from pydantic import BaseModel

from labkit.call.output_type import OutputType
from labkit.call.outputs import read
from labkit.errors import OutputRejected


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int


GOOD = '{"intent": "card_arrival", "urgency": 2}'
USUAL = {
    "JSON as asked for": GOOD,
    "in a fence": f"Sure:\n```json\n{GOOD}\n```",
    "in prose, other case": "It is {intent: 'Card Arrival', urgency: '2'}.",
}
HOSTILE = {
    "1 MB of [": "[" * 1_000_000,
    '{"a": nested 100,000 deep': '{"a":' * 100_000,
    "5 MB of text": "word " * 1_000_000,
    "5 MB of {": "{" * 5_000_000,
    "1 MB of quotes in a string": '{"a": "' + '"' * 1_000_000,
    "1 MB of numbers without an end": '{"a": [' + "1, " * 330_000,
}


def once_s(text: str, schema: Any) -> float:
    began = time.perf_counter()
    with contextlib.suppress(OutputRejected):
        read(text, schema, "aligned")
    return time.perf_counter() - began


def main() -> None:
    output = OutputType(Triage)
    for name, text in USUAL.items():
        rounds = []
        for _ in range(7):
            began = time.perf_counter()
            for _ in range(500):
                output.accept(text, "aligned")
            rounds.append((time.perf_counter() - began) / 500 * 1e6)
        print(f"{name:<32} {statistics.median(rounds):>8.1f} µs")
    for name, text in HOSTILE.items():
        print(f"{name:<32} {max(once_s(text, output.schema) for _ in range(3)):>8.2f} s (target < 1)")


if __name__ == "__main__":
    main()
