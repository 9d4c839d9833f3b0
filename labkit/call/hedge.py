"""A second request when the first is slower than usual, for features where the slowest answers hurt most."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from labkit.options import Positive, checked

__all__ = ["Hedge", "Latencies"]

_REMEMBERED = 200
_ENOUGH = 20


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """Ask a second time when the first request has not answered after a while; the first good answer wins.

    The loser is cancelled. It costs about one request in twenty more, takes a token of the retry budget, and never
    goes together with retries.

    Args:
        after_s: How long to wait; None: the 95th percentile of the model's last 200 answers in this process, and no
            hedge before there are 20 of them.

    Raises:
        CallInvalid: A wait that is not positive.

    Source: Dean and Barroso (2013), "The Tail at Scale", Communications of the ACM 56(2).
    """

    after_s: Positive | None = None


class Latencies:
    """How long a model's last answers took."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, latency_s: float) -> None:
        self._last.append(latency_s)

    def p95(self) -> float | None:
        """The 95th percentile in seconds (nearest rank), None before there are enough answers."""
        seen = sorted(self._last.copy())  # copying is atomic; another thread may be adding
        return seen[math.ceil(0.95 * len(seen)) - 1] if len(seen) >= _ENOUGH else None
