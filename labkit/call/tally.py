"""How often a call was answered by what, and why: the figures behind an alert on its fallback rate."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from labkit.call.result import AnswerSource, Result

__all__ = ["Firing", "Tally"]


class Firing(NamedTuple):
    """Who answered, and what ended the main path: "model: timeout", "" when nothing did."""

    source: AnswerSource
    reason: str


class Tally:
    """Counts the results of one call since the process began."""

    def __init__(self) -> None:
        self._counts: Counter[Firing] = Counter()
        self._lock = threading.Lock()

    def add(self, result: Result[object]) -> None:
        why = "" if result.reason is None else f"{result.reason.step}: {result.reason.outcome}"
        with self._lock:
            self._counts[Firing(result.source, why)] += 1

    def counts(self) -> Mapping[Firing, int]:
        with self._lock:
            return dict(self._counts)
