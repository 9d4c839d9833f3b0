"""Single-flight: of identical calls at the same time one asks the model, and the others share its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, TypeVar

from labkit.call.steps import StepFailed

__all__ = ["Flights", "Shared"]

T = TypeVar("T")

_Landing = tuple[Literal["value", "failed", "abandoned"], Any]


class Shared:
    """What another call published."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Flights(Generic[T]):
    """Calls in flight by their cache key, over all threads and loops of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[_Landing]]]] = {}

    async def once(self, key: str, lead: Callable[[], Awaitable[T]], publish: Callable[[T], Any]) -> T | Shared:
        """Run *lead*, or wait for the one that already runs for *key*.

        A failure is shared too, so that a provider that is down is asked once. A leader that was cancelled or ran out
        of its own time says nothing about the others: the next one leads.

        Args:
            publish: What of the leader's answer the others get: data that nobody changes.

        Returns:
            The leader's own answer, or what it published.

        Raises:
            StepFailed: *lead* failed, here or there.
        """
        while True:
            loop = asyncio.get_running_loop()
            with self._lock:
                others = self._waiting.get(key)
                if others is None:
                    self._waiting[key] = []
                    break
                landing: asyncio.Future[_Landing] = loop.create_future()
                others.append((loop, landing))
            how, what = await landing
            if how == "value":
                return Shared(what)
            if how == "failed":
                raise StepFailed(what)
        landed: _Landing = ("abandoned", None)
        try:
            answer = await lead()
            landed = ("value", publish(answer))
            return answer
        except StepFailed as failed:
            landed = ("failed", failed.reason)
            raise
        finally:
            self._land(key, landed)

    def _land(self, key: str, landed: _Landing) -> None:
        with self._lock:
            waiting = self._waiting.pop(key)
        for loop, landing in waiting:
            try:
                loop.call_soon_threadsafe(_tell, landing, landed)
            except RuntimeError:
                continue  # its loop was closed: nobody waits there any more


def _tell(landing: asyncio.Future[_Landing], landed: _Landing) -> None:
    if not landing.done():
        landing.set_result(landed)
