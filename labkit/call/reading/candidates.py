"""Where in a text a value may stand, best first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labkit.call.reading.lenient import Unreadable, read_lenient

__all__ = ["Candidate", "candidates_in"]

_FENCE = re.compile(r"```[ \t]*[A-Za-z0-9_+-]*[ \t]*\n(.*?)(?:\n?[ \t]*```|\Z)", re.DOTALL)
_START = re.compile(r"[{\[]")

_TRIED_STARTS = 60
_TRIED_FENCES = 20
# What a lenient look may cost in all: a text that is tangled is read a few times over, not once for every brace.
_LENIENT_CHARS = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A value that stands in the text, and what had to be done to take it out.

    Args:
        kinds: "fence", "prose", "syntax", "unclosed"; none for a text that is JSON as it came.
    """

    value: Any
    kinds: tuple[str, ...] = ()


def candidates_in(text: str) -> Iterator[Iterator[Candidate]]:
    """Give the objects and lists in *text*, in groups: the whole, what is fenced, what stands in prose.

    A later group is for when nothing of an earlier one fits: a fence may also stand within a string of the answer.
    """
    yield _whole(text)
    yield _fenced(text)
    yield _in_prose(text)


def _whole(text: str) -> Iterator[Candidate]:
    try:
        yield Candidate(value=json.loads(text))
    except (ValueError, RecursionError):
        return


def _fenced(text: str) -> Iterator[Candidate]:
    for _, block in zip(range(_TRIED_FENCES), _FENCE.finditer(text), strict=False):
        for candidate in _in_prose(block[1]):
            kinds = [kind for kind in candidate.kinds if kind != "prose"]
            yield Candidate(value=candidate.value, kinds=("fence", *kinds))


def _in_prose(text: str) -> Iterator[Candidate]:
    decoder = json.JSONDecoder()
    at, tried, budget = 0, 0, _LENIENT_CHARS
    while tried < _TRIED_STARTS and (start := _START.search(text, at)):
        tried += 1
        begin = start.start()
        try:
            value, at = decoder.raw_decode(text, begin)
            kinds: tuple[str, ...] = ()
        except (ValueError, RecursionError):
            if budget <= 0:
                at = begin + 1
                continue
            try:
                value, at, is_whole = read_lenient(text, begin, budget)
                budget -= at - begin
                if not value and not is_whole:
                    continue  # a bracket and nothing more
                kinds = ("syntax",) if is_whole else ("syntax", "unclosed")
            except (Unreadable, RecursionError):
                budget -= 10_000
                at = begin + 1
                continue
        around = (text[:begin] + text[at:]).strip() if len(text) < 10_000 else "…"
        yield Candidate(value=value, kinds=(*(("prose",) if around else ()), *kinds))
