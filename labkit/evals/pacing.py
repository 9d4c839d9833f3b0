"""How fast an evaluation may ask: as many at once as the provider bears, and no more a minute than was agreed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from labkit.call.result import Result
from labkit.errors import OptionInvalid
from labkit.options import Positive, checked

__all__ = ["AdaptiveLimit", "Pacer", "Rate"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What the provider allows a minute; None leaves it open.

    Args:
        requests_per_min: Requests, retries and re-asks among them.
        tokens_per_min: Tokens of prompts and answers together.

    Raises:
        OptionInvalid: A rate that lets nothing through.
    """

    requests_per_min: Positive | None = None
    tokens_per_min: Positive | None = None


class AdaptiveLimit:
    """How many units may be in flight: halved when the provider says "too many", raised by one for each full round.

    A unit that was already in flight when the limit was halved says nothing new: one 429 for each of 64 requests in
    flight is one message, not 64.

    Args:
        most: The limit at the start, never passed.

    Source: Chiu and Jain (1989), "Analysis of the increase and decrease algorithms for congestion avoidance".
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._running = 0
        self._round = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def now(self) -> int:
        """How many may be in flight at present."""
        return int(self._limit)

    async def enter(self) -> int:
        """Wait for a place; give the round it was taken in."""
        while self._running >= self.now:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()  # the place may have been given to one who no longer wants it
                raise
        self._running += 1
        return self._round

    def leave(self, entered: int, *, crowded: bool) -> None:
        """Give the place back, and say whether the provider found it too much."""
        self._running -= 1
        if not crowded:
            self._limit = min(float(self._most), self._limit + 1.0 / self._limit)
        elif entered == self._round:
            self._limit = max(1.0, self._limit / 2)
            self._round += 1
        self._wake()

    def _wake(self) -> None:
        free = self.now - self._running
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1


class Pacer:
    """Keeps to a ``Rate``: each unit waits for its turn, and what it really took is settled afterwards.

    How many requests and tokens a unit takes is known only when it is done, so its turn is charged at the mean so far
    and corrected later. At most one second's worth goes at once.

    Args:
        rate: The agreement.
        clock: Seconds that only go forward; tests give their own, and their own *sleep*.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        limits = (rate.requests_per_min, rate.tokens_per_min)
        self._buckets = [None if limit is None else _Bucket(limit / 60.0, clock()) for limit in limits]
        self._taken = [0.0, 0.0]
        self._settled = 0

    async def turn(self) -> tuple[float, float]:
        """Wait for one unit's turn; give what it was charged."""
        charge = (self._mean(0, 1.0), self._mean(1, 0.0))
        for bucket, amount in zip(self._buckets, charge, strict=True):
            if bucket is not None and (wait_s := bucket.take(amount, self._clock())) > 0:
                await self._sleep(wait_s)
        return charge

    def settle(self, charge: tuple[float, float], requests: int, tokens: int) -> None:
        """Correct a unit's charge by what it took."""
        for n, took in enumerate((requests, tokens)):
            self._taken[n] += took
            if (bucket := self._buckets[n]) is not None:
                bucket.take(took - charge[n], self._clock())
        self._settled += 1

    def settle_result(self, charge: tuple[float, float], result: Result[Any]) -> None:
        """Correct a unit's charge by what its result says."""
        tokens = 0 if result.usage is None else result.usage.prompt_tokens + result.usage.completion_tokens
        self.settle(charge, len(result.attempts), tokens)

    def _mean(self, n: int, first: float) -> float:
        return self._taken[n] / self._settled if self._settled else first


class _Bucket:
    """A token bucket that may be overdrawn: who overdraws it waits until it is level again."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = max(1.0, per_s)
        self._level = self._burst
        self._at = now_s

    def take(self, amount: float, now_s: float) -> float:
        """Take *amount* and give the seconds to wait before it may be used."""
        self._level = min(self._burst, self._level + (now_s - self._at) * self._per_s)
        self._at = now_s
        self._level -= amount
        return max(0.0, -self._level / self._per_s)
