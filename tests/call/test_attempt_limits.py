"""Limits on one request, over real sockets: no first token, no more tokens, no end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, Triage, support_desk

import labkit as lk
from labkit.models.faults import Faults
from labkit.models.server import ModelServer

TESTS = Path(__file__).parents[1]


def asked(server: ModelServer, attempt: lk.Attempt, **policy: Any) -> lk.Result[Triage]:
    given: dict[str, Any] = {"deadline_s": 20.0, "retry": lk.Retry(max_attempts=1), "attempt": attempt}
    desk = support_desk(policy=lk.Policy(**given | policy))
    return desk.replace(model=lk.Model("openai/m", base_url=server.base_url))(text="hello")


@pytest.mark.parametrize(
    ("fault", "attempt", "says"),
    [
        ("hang", lk.Attempt(first_token_s=0.2), "no first token in 0.2 s"),
        ("hang_in_body", lk.Attempt(idle_s=0.2), "no more in 0.2 s"),
        ("hang", lk.Attempt(total_s=0.2), "no answer in 0.20 s"),
        ("hang", lk.Attempt(total_s=0.2, first_token_s=5), "no answer in 0.20 s"),
        ("slow_drip", lk.Attempt(total_s=0.3, idle_s=5), "no end in 0.30 s"),
    ],
)
def test_a_request_that_is_too_slow_is_given_up_on_and_freed(fault: str, attempt: lk.Attempt, says: str):
    """The message says which patience ended, and the server sees the connection close."""
    long = '{"intent": "card_arrival", "urgency": 2}' + " " * 400
    with ModelServer(lk.ScriptedModel(long), faults=Faults(**{fault: 1.0}, drip_s=0.1)) as server:
        result = asked(server, attempt)

        assert server.wait_until(lambda counts: counts.aborted == 1)
        assert result.reason is not None
        assert (result.reason.outcome, says in result.reason.message) == ("timeout", True), result.reason


def test_with_limits_on_tokens_the_answer_is_streamed_and_the_same():
    """Whoever calls sees no difference but the time of the first token."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        plain = asked(server, lk.Attempt())
        streamed = asked(server, lk.Attempt(first_token_s=5, idle_s=5))

        assert server.counts.streamed == 1
    assert plain.value == streamed.value
    assert (plain.attempts[0].first_chunk_s, streamed.attempts[0].first_chunk_s is not None) == (None, True)
    assert streamed.usage == plain.usage


def test_a_slow_answer_that_keeps_coming_is_not_idle():
    """Every piece renews the patience."""
    with ModelServer(lk.ScriptedModel(GOOD), faults=Faults(slow_drip=1.0, drip_s=0.05)) as server:
        assert asked(server, lk.Attempt(idle_s=5.0, total_s=15.0)).source == "model"


def test_a_hang_is_retried_long_before_the_whole_attempt_is_over():
    """first_token_s is what makes a retried hang cheap."""
    with ModelServer(lk.ScriptedModel(GOOD), faults=Faults(seed=3, hang=0.5)) as server:
        retry = lk.Retry(max_attempts=8, backoff_s=0.0)
        results = [asked(server, lk.Attempt(total_s=60.0, first_token_s=0.1), retry=retry) for _ in range(5)]

        hung = server.counts.faults["hang"]

    assert [r.source for r in results] == ["model"] * 5
    assert sum(a.outcome == "timeout" for r in results for a in r.attempts) == hung > 0


@pytest.mark.parametrize("limit", [{"total_s": 0}, {"first_token_s": -1}, {"idle_s": 0}])
def test_limits_that_leave_no_time_are_refused(limit: dict[str, float]):
    """Attempt(total_s=0) is a slip."""
    with pytest.raises(lk.CallInvalid, match="give a positive number of seconds"):
        lk.Attempt(**limit)  # type: ignore[arg-type]


def test_a_closed_client_frees_the_connection():
    """The task that waits is cancelled; the provider's connection closes with it."""

    async def scenario(server: ModelServer) -> None:
        desk = support_desk().replace(model=lk.Model("openai/m", base_url=server.base_url))
        task = asyncio.create_task(desk.acall(text="hello"))
        await asyncio.to_thread(server.wait_until, lambda counts: counts.faults.get("hang") == 1)
        task.cancel()
        assert await asyncio.to_thread(server.wait_until, lambda counts: counts.aborted == 1)
        with pytest.raises(asyncio.CancelledError):
            await task

    with ModelServer(faults=Faults(hang=1.0)) as server:
        asyncio.run(scenario(server))


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
import labkit as lk
from desk import support_desk
support_desk().replace(model=lk.Model("openai/m", base_url=sys.argv[1]))(text="hello")
"""


def test_ctrl_c_frees_the_connection():
    """Interrupting a cell stops the request as well as the waiting."""
    with ModelServer(faults=Faults(hang=1.0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, server.base_url, str(TESTS)], stderr=subprocess.PIPE, text=True
        )
        assert server.wait_until(lambda counts: counts.faults.get("hang") == 1)
        os.kill(process.pid, signal.SIGINT)
        freed = server.wait_until(lambda counts: counts.aborted == 1)
        _, said = process.communicate()

    assert freed
    assert said.rstrip().endswith("KeyboardInterrupt")
