"""How sync code waits for the async pipeline: one loop thread for the whole process, also inside a running loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from labkit.errors import LoopMisuse

__all__ = ["iterate_sync", "run_sync"]

T = TypeVar("T")

_CANCEL_WAIT_S = 5.0


class _LoopThread:
    """An event loop that runs on a daemon thread for as long as the process lives.

    Repeated ``asyncio.run`` would make a new loop for every call and so a new connection; a running loop, as in a
    notebook, refuses it altogether. Patching asyncio to nest is unmaintained and touches everybody else's code.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="labkit-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # A rule or scorer called sys.exit(). asyncio gives it to whoever waits for the task *and* raises it
                # here; without the loop every later call would wait for ever.
                continue
            return

    def take(self, work: Coroutine[Any, Any, T]) -> _Running[T]:
        if threading.current_thread() is self._thread:
            work.close()
            raise LoopMisuse(
                "a sync call was made from inside an async rule, source or callback of another call: it would wait for "
                "itself. Use 'await call.acall(...)' or 'async for' over 'call.astream(...)' there."
            )
        return _Running(self._loop, work)


class _Running(Generic[T]):
    """Work for the loop thread, seen from another: ``start`` and ``stop`` it there, its outcome is ``done``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.done: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._context = contextvars.copy_context()

    def start(self) -> None:
        self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """Cancel what is not done, and wait for that."""
        if not self.done.done():
            self._loop.call_soon_threadsafe(lambda: self._task.cancel() if self._task else None)
            concurrent.futures.wait([self.done], timeout=_CANCEL_WAIT_S)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._work, context=self._context)
        self._task.add_done_callback(self._finish)

    def _finish(self, finished: asyncio.Task[T]) -> None:
        # set_exception also for a cancel: waiting on a future that was merely cancelled does not always wake up
        error = asyncio.CancelledError() if finished.cancelled() else finished.exception()
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(finished.result())


_thread: _LoopThread | None = None
_lock = threading.Lock()


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on labkit's loop thread and wait for it; an interrupt cancels it and waits for that.

    Raises:
        LoopMisuse: Called on the loop thread itself.
    """
    running = _on_loop_thread(work)
    try:
        # started in here: an interrupt may come as soon as it runs
        running.start()
        return running.done.result()
    except BaseException:
        running.stop()
        raise


def _on_loop_thread(work: Coroutine[Any, Any, T]) -> _Running[T]:
    global _thread
    with _lock:
        if _thread is None:
            _thread = _LoopThread()
    return _thread.take(work)


def iterate_sync(make: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
    """Iterate over what *make* gives, on labkit's loop thread; closing early, or an interrupt, closes it there too.

    Events wait in a queue, so that one that comes does not cost a journey between threads for those that are there.
    """
    arrived: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()

    async def pump() -> None:
        events = make()
        try:
            async for event in events:
                arrived.put((event,))
        finally:
            await events.aclose()

    pumping = _on_loop_thread(pump())
    pumping.done.add_done_callback(lambda _: arrived.put(None))
    try:
        pumping.start()
        while (event := arrived.get()) is not None:
            yield event[0]
        pumping.done.result()  # raises what the call raised
    finally:
        pumping.stop()


def _forget() -> None:
    """A forked child has no copy of the thread: it starts its own."""
    global _thread, _lock
    _thread, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
