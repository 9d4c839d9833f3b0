"""Records are written by a thread, so that a sink that waits or fails never holds up a call."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import FrameType
from typing import Any

from labkit.call.record import CallRecord
from labkit.call.sinks import Sink

__all__ = ["WriteBehind", "behind", "dropped", "flush"]

log = logging.getLogger("labkit.records")

_MOST_WAITING = 10_000
_BATCH = 200
_GATHER_S = 0.02
_EXIT_WAIT_S = 5.0
_TERM_WAIT_S = 2.0


class WriteBehind:
    """Hands records to *sink* on a thread of its own, in order.

    Args:
        most_waiting: Records that may wait to be written; more are dropped, counted and said in the log.
    """

    def __init__(self, sink: Sink, *, most_waiting: int = _MOST_WAITING) -> None:
        self._sink = sink
        self._most_waiting = most_waiting
        self.begin()

    def begin(self) -> None:
        """Start empty and without a thread: also in a forked child, whose parent writes what was waiting."""
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._offered = self._done = 0
        self._dropped = 0
        self._said_dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Records that were never written: no room, or the sink failed."""
        return self._dropped

    def offer(self, record: CallRecord) -> None:
        """Take *record* to be written; returns at once."""
        if len(self._waiting) >= self._most_waiting:
            self._drop(1, "the sink is too slow")
            return
        try:
            prepared = record if callable(self._sink) else self._sink.prepare(record)
        except Exception as error:
            self._failed(1, error)
            return
        with self._changed:
            self._offered += 1
            self._waiting.append(prepared)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="labkit-records", daemon=True)
                self._thread.start()
        if not self._work.is_set():
            self._work.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything offered so far was handed to the sink; False when it was not in time."""
        with self._changed:
            target = self._offered
            self._hurry.set()
            written = self._changed.wait_for(lambda: self._done >= target, timeout_s)
            self._hurry.clear()
            return written

    def _run(self) -> None:
        while True:
            self._work.wait()
            # one waking and one write for all that comes in the meantime, instead of one for each record
            self._hurry.wait(_GATHER_S)
            self._work.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                self._write(batch)
                with self._changed:
                    self._done += len(batch)
                    self._changed.notify_all()

    def _write(self, batch: Sequence[Any]) -> None:
        if callable(self._sink):
            for record in batch:
                try:
                    self._sink(record)
                except Exception as error:
                    self._failed(1, error)
            return
        try:
            self._sink.write(batch)
        except Exception as error:
            self._failed(len(batch), error)

    def _failed(self, lost: int, error: Exception) -> None:
        log.error("the sink failed", exc_info=error)
        self._drop(lost, f"{type(error).__name__}: {error}")

    def _drop(self, lost: int, why: str) -> None:
        with self._changed:
            self._dropped += lost
            # said at 1, 2, 4, 8, ...: a sink that stays broken must not fill the log
            is_news = self._dropped >= 2 * self._said_dropped
            if is_news:
                self._said_dropped = self._dropped
        if is_news:
            log.warning("%d call records were dropped so far: %s", self._dropped, why)


# --- the writers of this process --------------------------------------------------------------------------------------

_writers: dict[Sink, WriteBehind] = {}
_lock = threading.Lock()


def behind(sink: Sink) -> WriteBehind:
    """Give the writer of *sink*; calls that share a sink share it."""
    with _lock:
        if not _writers:
            atexit.register(_at_exit)
            _watch_sigterm()
        return _writers.setdefault(sink, WriteBehind(sink))


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until every record of a finished call was handed to its sink; False when it was not in time."""
    until = time.monotonic() + timeout_s
    written = [writer.flush(max(0.0, until - time.monotonic())) for writer in list(_writers.values())]
    return all(written)


def dropped() -> int:
    """Records of this process that were never written, over all sinks."""
    return sum(writer.dropped for writer in list(_writers.values()))


def _at_exit() -> None:
    if not flush(_EXIT_WAIT_S):
        log.warning("the process ends with call records unwritten: a sink took longer than %g s", _EXIT_WAIT_S)
    if lost := dropped():  # the log has heard of some of them, not of how many there were in the end
        log.warning("the process ends, and %d of its call records were dropped", lost)


def _watch_sigterm() -> None:
    """Flush when the process is told to end and nobody else has a say in it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # an interpreter embedded elsewhere
            signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> None:
    # The main thread may have been stopped inside a lock that flush needs: another thread waits instead.
    waiter = threading.Thread(target=flush, args=(_TERM_WAIT_S,), daemon=True)
    waiter.start()
    waiter.join(_TERM_WAIT_S)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for writer in _writers.values():
        writer.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
