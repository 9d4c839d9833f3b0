"""Writing while an evaluation runs: many units finish at once, one thread commits them together and then says so.

A commit of its own for each of 64 units in flight would keep the event loop from the provider; one commit for all that
wait costs the same as one for the first of them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Journal"]

_MOST_AT_ONCE = 1_000


class Journal:
    """Commits entries in the order they came, in groups.

    Args:
        write: Writes a group of (kind, entry) in one transaction. It runs on the journal's thread.
    """

    def __init__(self, write: Callable[[Sequence[tuple[str, Any]]], None]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[str, Any, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="labkit-journal", daemon=True)
        self._thread.start()

    async def put(self, kind: str, entry: Any) -> None:
        """Write *entry*; it is committed when this returns, also when the waiter is cancelled.

        Raises:
            StoreError: It could not be written.
        """
        if asyncio.get_running_loop() is not self._loop:  # a scorer asked another call, on labkit's own loop
            theirs = asyncio.run_coroutine_threadsafe(self.put(kind, entry), self._loop)
            return await asyncio.wrap_future(theirs)
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put((kind, entry, done))
        await done

    async def close(self) -> None:
        """Commit what is there and end the thread."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        open_ = True
        while open_:
            group = [self._waiting.get()]
            while len(group) < _MOST_AT_ONCE and not self._waiting.empty():
                group.append(self._waiting.get())
            entries = [each for each in group if each is not None]
            open_ = len(entries) == len(group)
            if not entries:
                continue
            failure: BaseException | None = None
            try:
                self._write([(kind, entry) for kind, entry, _ in entries])
            except BaseException as error:  # whatever it was, whoever waits for these entries must hear of it
                failure = error
            self._loop.call_soon_threadsafe(_settle, [done for _, _, done in entries], failure)


def _settle(waiters: Sequence[asyncio.Future[None]], failure: BaseException | None) -> None:
    for done in waiters:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
