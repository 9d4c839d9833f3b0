"""What guards cost: an ordinary answer of 2 kB, and how a hostile megabyte compares with half of one.

The ratio is what to look at: 2 is linear, 4 would be quadratic.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from labkit.call.guards import (
    ForbiddenPhrases,
    Language,
    Length,
    Pii,
    PromptLeak,
    UrlAllowList,
    make_canary,
    no_pii,
    no_refusal,
    no_secrets,
)

ROUNDS = 50
MEGABYTE = 1_000_000

GUARDS: dict[str, Callable[[str], object]] = {
    "no_pii": no_pii,
    "Pii, redacting": Pii(action="redact"),
    "no_secrets": no_secrets,
    "ForbiddenPhrases, 20": ForbiddenPhrases([f"forbidden phrase {number}" for number in range(20)]),
    "Length": Length(max_words=1_000_000),
    "Language": Language("en"),
    "no_refusal": no_refusal,
    "PromptLeak": PromptLeak(make_canary("benchmark")),
    "UrlAllowList": UrlAllowList(["bank.example"]),
}
REPLY = "Thank you for your patience. Your card was sent on 2024-01-15 and should arrive within 5 to 7 working days. "
ANSWER = json.dumps({"intent": "card_arrival", "urgency": 2, "order_id": 123456789012, "reply": REPLY * 18})
HOSTILE = {
    "one letter": "a",
    "digits and blanks": "1 ",
    "escapes": '\\"',
    "labels": "a.",
    "addresses": "bob@a.example ",
    "links": "http://a.b ",
    "Chinese": "中",
    "hosts that differ": "",
}


def seconds(guard: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    guard(text)
    return time.process_time() - began


def hostile(unit: str, chars: int) -> str:
    if unit:
        return unit * (chars // len(unit))
    return " ".join(f"http://{'é' * 50}{number}.b" for number in range(chars // 64))


def main() -> None:
    print(f"{'guard':22} {'2 kB answer':>12}   worst megabyte, s, and its ratio to half of one")
    for name, guard in GUARDS.items():
        guard(ANSWER)
        ordinary_us = statistics.median(seconds(guard, ANSWER) for _ in range(ROUNDS)) * 1e6
        worst = max((seconds(guard, hostile(unit, MEGABYTE)), kind) for kind, unit in HOSTILE.items())
        half = seconds(guard, hostile(HOSTILE[worst[1]], MEGABYTE // 2))
        print(f"{name:22} {ordinary_us:9.0f} us   {worst[0]:6.2f}  {worst[1]:20} x{worst[0] / half:.1f}")


if __name__ == "__main__":
    main()
