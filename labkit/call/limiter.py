"""How many requests may be at one model at a time, over all threads and loops of the process."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

__all__ = ["Limiter"]


class Limiter:
    """A semaphore for coroutines of any loop; first come, first served.

    asyncio's own belongs to one loop, and a notebook that mixes sync and async calls has two.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    async def acquire(self) -> None:
        """Wait for a turn; ``release`` ends it."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            loop = asyncio.get_running_loop()
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, turn))
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                still_waiting = (loop, turn) in self._waiting
                if still_waiting:
                    self._waiting.remove((loop, turn))
            if not still_waiting:
                self.release()  # it was handed over while this one gave up
            raise

    def release(self) -> None:
        """End a turn: the one that has waited longest is next."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                loop, turn = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(_take, turn)
            except RuntimeError:
                continue  # its loop was closed with the call still waiting: the next one's turn
            return


def _take(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
