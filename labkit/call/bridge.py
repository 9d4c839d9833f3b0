"""How sync code waits for the async pipeline: one loop thread for the whole process, also inside a running loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from labkit.errors import LoopMisuse

__all__ = ["run_sync"]

T = TypeVar("T")

_CANCEL_WAIT_S = 5.0


class _LoopThread:
    """An event loop that runs on a daemon thread for as long as the process lives.

    Repeated ``asyncio.run`` would make a new loop for every call and so a new connection; a running loop, as in a
    notebook, refuses it altogether. Patching asyncio to nest is unmaintained and touches everybody else's code.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="labkit-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            work.close()
            raise LoopMisuse(
                "a sync call was made from inside an async rule, source or callback of another call: it would wait for "
                "itself. Use 'await call.acall(...)' there."
            )
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()
        task: asyncio.Task[T] | None = None

        def finish(finished: asyncio.Task[T]) -> None:
            # set_exception also for a cancel: waiting on a future that was merely cancelled does not always wake up
            error = asyncio.CancelledError() if finished.cancelled() else finished.exception()
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(finished.result())

        def start() -> None:
            nonlocal task
            task = self._loop.create_task(work, context=context)
            task.add_done_callback(finish)

        try:
            self._loop.call_soon_threadsafe(start)
            return done.result()
        except BaseException:
            if not done.done():  # this thread was interrupted: stop spending before saying so
                self._loop.call_soon_threadsafe(lambda: task.cancel() if task else None)
                concurrent.futures.wait([done], timeout=_CANCEL_WAIT_S)
            raise


_thread: _LoopThread | None = None
_lock = threading.Lock()


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on labkit's loop thread and wait for it; an interrupt cancels it and waits for that.

    Raises:
        LoopMisuse: Called on the loop thread itself.
    """
    global _thread
    with _lock:
        if _thread is None:
            _thread = _LoopThread()
    return _thread.run(work)


def _forget() -> None:
    """A forked child has no copy of the thread: it starts its own."""
    global _thread, _lock
    _thread, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
