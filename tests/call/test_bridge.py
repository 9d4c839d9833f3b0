"""Sync code waits for the pipeline and can stop waiting; then the pipeline stops too."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading

import pytest
from desk import support_desk

from labkit.call.bridge import run_sync


def test_an_interrupt_cancels_what_is_waited_for():
    """Stop in a notebook, or Ctrl-C: the request ends, too, and no more is spent."""
    started, cancelled = threading.Event(), threading.Event()

    async def hangs() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt() -> None:
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)  # a real one: only that wakes a thread that waits

    presser = threading.Thread(target=interrupt)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        run_sync(hangs())
    presser.join()

    assert cancelled.is_set()


def test_context_variables_are_seen_on_the_other_side():
    """Traces and request ids follow the call."""
    request_id = contextvars.ContextVar("request_id", default="none")
    request_id.set("r-1")

    async def look() -> str:
        return request_id.get()

    assert run_sync(look()) == "r-1"


def test_an_error_comes_back_as_it_was():
    """With its type and message."""

    async def fails() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        run_sync(fails())


def test_all_calls_share_one_loop():
    """Clients keep their connections between calls."""

    async def which() -> int:
        return id(asyncio.get_running_loop())

    assert run_sync(which()) == run_sync(which())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own():
    """A server that forks its workers after the first call still answers in each of them."""

    async def answer() -> int:
        return 7

    run_sync(answer())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if run_sync(answer()) == 7 else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_code_that_exits_does_not_end_the_loop():
    """Whoever made the call gets the exit; the next call is answered."""

    with pytest.raises(SystemExit):
        run_sync(_exits())

    assert support_desk()(text="still there?").ok


async def _exits() -> None:
    raise SystemExit(3)
