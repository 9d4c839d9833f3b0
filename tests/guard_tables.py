"""The tables that say how good a guard is: texts that it shall stop, texts that it shall let through, and why each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.call.guards import (
    ForbiddenPhrases,
    Language,
    Length,
    PromptLeak,
    UrlAllowList,
    make_canary,
    no_pii,
    no_refusal,
    no_secrets,
)
from labkit.call.rules import Guard

TABLES = Path(__file__).parent / "data" / "guards"

GUARDS: dict[str, Guard] = {
    "pii": no_pii,
    "secrets": no_secrets,
    "phrases": ForbiddenPhrases(
        ["risk free", "guaranteed refund", "Acme Kredit", "100% safe", "crédit gratuit", "无风险"]
    ),
    "length": Length(min_chars=5, max_words=12, max_chars=80),
    "language": Language("en"),
    "refusal": no_refusal,
    "canary": PromptLeak(make_canary(1)),
    "links": UrlAllowList(["good.example"]),
}
"""Which guard each table was written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text.

    Args:
        text: As the model would send it. In the file it may stand in parts, so that nobody's secret scanner takes an
            invented key for a real one.
        hit: What a person who sees it wants: that the guard stops it.
        why: What is hard about it; "(missed)" or "(false alarm)" where the guard is known to be wrong.
        language: ISO 639-1, in the table of languages.
    """

    text: str
    hit: bool
    why: str
    language: str = ""


def rows(table: str) -> list[Row]:
    lines = (TABLES / f"{table}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(line)) for line in lines]


def precision_and_recall(guard: Guard, table: list[Row]) -> tuple[float, float]:
    stopped = [row.hit for row in table if guard(row.text) is not None]
    return sum(stopped) / len(stopped), sum(stopped) / sum(row.hit for row in table)


def _row(data: dict[str, Any]) -> Row:
    return Row(**(data | {"text": "".join(data["text"])}))
