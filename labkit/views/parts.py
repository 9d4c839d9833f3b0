"""Pieces that several views show: an answer's way, its fields, its faults, and the search box."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from labkit.call.redaction import HIDDEN
from labkit.call.repairs import Repair
from labkit.call.result import STEPS, UNKNOWN_COST, Result
from labkit.evals.runs import Row
from labkit.views.markup import Safe, chip, count, h, join, seconds, usd

__all__ = [
    "field_list",
    "fields_of",
    "interval_bar",
    "search_box",
    "shown",
    "signed",
    "source_words",
    "step_bar",
    "way",
    "why_degraded",
]

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LONG = 400

_SOURCES = {
    "model": "model",
    "cache": "cache",
    "shortcut": "shortcut",
    "fallback_model": "fallback model",
    "stale": "stale answer",
    "rules": "rules",
    "default": "safe default",
    "error": "no answer",
}


def source_words(result: Result[Any]) -> str:
    return _SOURCES[result.source]


def shown(value: Any) -> str:
    """A field's value as one line of text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONG else text[:_LONG] + "…"


def fields_of(result: Result[Any]) -> Mapping[str, Any]:
    """The value's fields, or the value itself under "value"; empty when there is none."""
    if not result.ok:
        return {}
    data = result.hidden().data()
    return data if isinstance(data, dict) else {"value": data}


def way(result: Result[Any]) -> Safe:
    """In a line: who answered, how long it took, how many attempts, what it cost."""
    tried = count(len(result.attempts), "attempt")
    outcomes = [attempt.outcome for attempt in result.attempts]
    if len(outcomes) > 1 or (outcomes and outcomes != ["ok"]):
        tried += f" ({', then '.join(outcomes)})"
    parts = [
        source_words(result),
        seconds(result.elapsed_s),
        tried if result.attempts else "no model call",
        usd(result.cost_usd),
    ]
    if result.confidence is not None:
        parts.append(f"confidence {result.confidence:.2f}")
    mend = UNKNOWN_COST if result.cost_usd is None else None
    return h("span", " · ".join(parts), class_="lk-mut", title=mend)


def why_degraded(result: Result[Any]) -> Safe | None:
    """In a line: what answered instead, and where the main path ended; None where it did not."""
    reason = result.reason
    if reason is None:
        return None
    instead = f"answered by {source_words(result)}, not the main path" if result.ok else "no answer"
    return h("p", f"! {instead}: {reason.step} ended with {reason.outcome}: {reason.message}", class_="lk-note")


def search_box(query: str, found: Any, what: str) -> Safe:
    """The search of a live view, with the number of cases that are left beside it."""
    return h(
        "div",
        h(
            "input",
            type="search",
            value=query or None,
            placeholder=f"search {what}",
            data_act="search",
            data_key="/",
            aria_label="search",
        ),
        h("span", found, class_="lk-mut", data_region="found"),
        class_="lk-search",
    )


def field_list(row: Row, other: Row | None, *, inserted: bool) -> Safe:
    """A row's output, field by field, with what differs from *other*'s and from what was expected.

    Args:
        inserted: Whether differences are marked as gained or as lost.
    """
    mine, theirs = fields_of(row.result), fields_of(other.result) if other is not None else {}
    expected = row.case.expected if isinstance(row.case.expected, dict) else {}
    items = []
    for name, value in mine.items():
        body: Any = shown(value)
        if name in theirs and theirs[name] != value:
            body = _marked(shown(value), shown(theirs[name]), "ins" if inserted else "del")
        notes = [_repair_chip(repair) for repair in row.result.repairs if repair.path.partition(".")[0] == name]
        if row.result.is_hidden and HIDDEN in shown(value):
            notes.insert(0, h("span", " hidden", class_="lk-mut"))  # equal signs for what is hidden would say nothing
        elif name in expected and expected[name] == value:
            notes.insert(0, h("span", " ✓", class_="lk-ok"))
        elif name in expected:
            notes.insert(0, h("span", " ✗ expected ", shown(expected[name]), class_="lk-no"))
        items += [h("dt", name), h("dd", body, " ", notes)]
    if not mine:
        items = [h("dt", "value"), h("dd", "none", class_="lk-no")]
    # what was done to the text as a whole belongs to no field, and must be seen all the same
    whole = [_repair_chip(repair) for repair in row.result.repairs if repair.path.partition(".")[0] not in mine]
    return join([h("dl", items), h("div", whole) if whole else None])


def _repair_chip(repair: Repair) -> Safe:
    if repair.by is not None:
        return chip("✎ fixed by rule: ", repair.by, tone="lk-fix")
    return chip("~ repaired: ", repair.kind, tone="lk-rep")


def signed(n: int) -> str:
    """Write a gain or a loss; nothing gained has no sign."""
    return f"+{n:,}" if n > 0 else f"−{-n:,}" if n < 0 else "0"


def step_bar(result: Result[Any]) -> Safe:
    """Where the time went, as a bar and in words; steps of under a twentieth are only drawn."""
    spent = [(step, result.steps[step]) for step in STEPS if result.steps.get(step)]
    total = sum(took for _, took in spent) or 1.0
    bars = [
        h(
            "i",
            class_="lk-model" if step == "model" else "lk-odd" if n % 2 else None,
            style=f"flex:{took / total:.4f}",
            title=f"{step} {seconds(took)}",
        )
        for n, (step, took) in enumerate(spent)
    ]
    words = " · ".join(f"{step} {seconds(took)}" for step, took in spent if took / total >= 0.05)
    return join([h("div", bars, class_="lk-steps"), h("span", words, class_="lk-mut")])


def interval_bar(low: float | None, middle: float | None, high: float | None, tone: str) -> Safe:
    """An interval around 0, drawn to its own scale: the side it lies on is what it says."""
    if middle is None:
        return Safe("")
    reach = max(abs(v) for v in (low, middle, high) if v is not None) or 1.0

    def at(value: float) -> str:
        return f"{115 + value / reach * 100:.1f}"

    colour = f"var(--{tone})"
    line = None
    if low is not None and high is not None:
        line = h("line", x1=at(low), x2=at(high), y1=8, y2=8, stroke=colour, stroke_width=2)
    return h(
        "svg",
        h("line", x1=115, x2=115, y1=0, y2=16, stroke="var(--line)"),
        line,
        h("circle", cx=at(middle), cy=8, r=4, fill=colour),
        width=230,
        height=16,
        viewBox="0 0 230 16",
    )


def _marked(text: str, other: str, tag: str) -> Safe:
    """*text* with the words marked that *other* does not have in that place."""
    mine, theirs = _WORDS.findall(text), _WORDS.findall(other)
    parts: list[Any] = []
    for kind, start, end, _, _ in difflib.SequenceMatcher(a=mine, b=theirs, autojunk=False).get_opcodes():
        piece = "".join(mine[start:end])
        if piece:
            parts.append(piece if kind == "equal" else h(tag, piece))
    return join(parts)
