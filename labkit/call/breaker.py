"""The circuit breaker: a model that keeps failing is left alone for a while; calls fail fast and it can recover."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from labkit.errors import Outcome
from labkit.options import Bound, Called, Count, Positive, Seconds, checked

__all__ = ["Breaker", "BreakerState", "Circuit"]

log = logging.getLogger("labkit.call")

BreakerState = Literal["closed", "open", "half_open"]

# A request that failed so says that the provider is not well. A 429 does not: it says that it is well and busy, and
# Retry-After deals with that. Neither does a bad answer or a wrong key.
TRIPPING: frozenset[Outcome] = frozenset({"timeout", "deadline", "transport"})

_SLICES = 10


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When to stop asking a model, and for how long. One circuit per model and address, for the whole process.

    Args:
        ratio: Share of failed requests in the window, in (0, 1], at which it opens.
        min_calls: Requests in the window before the ratio counts.
        window_s: How far back it looks.
        open_s: How long nobody is sent to the model once it is open.
        probes: Requests let through at a time after that; one that succeeds closes it, one that fails opens it anew.
        clock: Seconds that only go forward; tests give their own.

    Raises:
        CallInvalid: A number that leaves no breaker.

    Source: Nygard (2018), "Release It!", 2nd ed., chapter 5; the window and its names are Polly's.
    """

    ratio: Annotated[float, Bound(0.0, 1.0, above=True)] = 0.5
    min_calls: Count = 20
    window_s: Positive = 30.0
    open_s: Seconds = 15.0
    probes: Count = 1
    clock: Annotated[Callable[[], float], Called()] = field(default=time.monotonic, repr=False)


class Circuit:
    """One model's circuit. A request asks ``enter`` for leave and reports with ``leave``; both take microseconds.

    Args:
        breaker: Its limits.
        name: The model, for the log.
    """

    def __init__(self, breaker: Breaker, name: str) -> None:
        self._limits = breaker
        self.name = name
        self._lock = threading.Lock()
        self._slices: deque[list[float]] = deque()  # [began, requests, failures], the oldest first
        self._opened_at: float | None = None
        self._probing = 0

    @property
    def state(self) -> BreakerState:
        with self._lock:
            if self._opened_at is None:
                return "closed"
            return "open" if self._wait_s() > 0 else "half_open"

    def wait_s(self) -> float:
        """Seconds until the next probe may go; 0 when requests may go now."""
        with self._lock:
            return self._wait_s()

    def enter(self) -> Literal["closed", "probe"] | None:
        """Give leave for one request, None when the circuit is open."""
        with self._lock:
            if self._opened_at is None:
                return "closed"
            if self._wait_s() > 0 or self._probing >= self._limits.probes:
                return None
            self._probing += 1
            return "probe"

    def leave(self, entered: Literal["closed", "probe"], outcome: Outcome) -> None:
        """Report how a request ended that *entered*; a cancelled one says nothing about the model."""
        failed = outcome in TRIPPING
        with self._lock:
            if entered == "probe":
                self._probing -= 1
                if failed:
                    self._open("a probe failed")
                elif outcome != "cancelled":
                    self._close()
            elif self._opened_at is None and outcome != "cancelled":
                self._count(failed)

    def _wait_s(self) -> float:
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._limits.open_s - self._limits.clock())

    def _count(self, failed: bool) -> None:
        now, window_s = self._limits.clock(), self._limits.window_s
        while self._slices and self._slices[0][0] <= now - window_s:
            self._slices.popleft()
        if not self._slices or self._slices[-1][0] <= now - window_s / _SLICES:
            self._slices.append([now, 0, 0])
        self._slices[-1][1] += 1
        if not failed:
            return
        self._slices[-1][2] += 1
        requests = sum(each[1] for each in self._slices)
        failures = sum(each[2] for each in self._slices)
        if requests >= self._limits.min_calls and failures >= self._limits.ratio * requests:
            self._open(f"{failures:.0f} of {requests:.0f} requests failed within {window_s:g} s")

    def _open(self, why: str) -> None:
        self._opened_at = self._limits.clock()
        self._slices.clear()
        log.warning("%s: breaker opens for %g s: %s", self.name, self._limits.open_s, why)

    def _close(self) -> None:
        self._opened_at = None
        log.info("%s: breaker closes: a probe succeeded", self.name)
