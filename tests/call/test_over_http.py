"""The whole call against a provider that fails the way providers do, over real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from desk import GOOD, Triage, support_desk

import labkit as lk
from labkit.models.faults import Faults
from labkit.models.server import ModelServer

FAULTS = Faults(seed=11, error_500=0.15, rate_limited=0.1, malformed=0.1, hang=0.05, retry_after_s=0.01)


def test_every_call_answers_and_every_request_is_accounted_for():
    """Nothing raises, nothing is left without an answer, and the server saw exactly the attempts that were recorded."""
    with ModelServer(faults=FAULTS) as server:
        desk = support_desk(
            policy=lk.Policy(
                deadline_s=30, attempt=lk.Attempt(total_s=1.0), retry=lk.Retry(max_attempts=3, backoff_s=0.01), reask=1
            ),
            fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=3))],
        ).replace(model=lk.Model("openai/nearest", base_url=server.base_url, api_key="none"))

        async def burst() -> list[lk.Result[Triage]]:
            return await asyncio.gather(*(desk.acall(text=f"Where is card number {n}?") for n in range(60)))

        results = asyncio.run(burst())
        counts = server.counts

    attempts = [attempt for result in results for attempt in result.attempts]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    assert all(result.ok for result in results)
    assert all(result.degraded == (result.source == "default") for result in results)
    assert len(attempts) == counts.requests
    assert outcomes["rate_limited"] == counts.faults["rate_limited"]
    assert outcomes["timeout"] >= counts.faults["hang"] > 0
    assert {"transport", "ok"} <= outcomes.keys()


def test_a_provider_that_is_down_is_not_stormed():
    """Breaker and retry budget hold: 8 calls at once and 200 more send fewer requests than there are calls."""
    with ModelServer(faults=Faults(error_500=1.0)) as server:
        desk = support_desk(
            policy=lk.Policy(retry=lk.Retry(max_attempts=3, backoff_s=0.01, budget=lk.RetryBudget())),
            fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=3))],
        ).replace(model=lk.Model("openai/nearest", base_url=server.base_url))

        async def scenario() -> list[lk.Result[Triage]]:
            at_once = await asyncio.gather(*(desk.acall(text=f"{n}") for n in range(8)))
            return [*at_once, *[await desk.acall(text=f"{n}") for n in range(200)]]

        results = asyncio.run(scenario())
        requests = server.counts.requests

    assert {result.source for result in results} == {"default"}
    assert requests == sum(len(result.attempts) for result in results) < 208
    assert {result.reason.outcome for result in results if result.reason} <= {"transport", "breaker_open"}


EVERYTHING = {
    "hang": 0.10, "hang_in_body": 0.10, "reset": 0.05, "error_500": 0.10, "rate_limited": 0.05, "malformed": 0.05,
    "truncated": 0.05, "slow_drip": 0.02,
}  # fmt: skip


@pytest.mark.parametrize("limits", [{}, {"first_token_s": 1.0}], ids=["whole", "streamed"])
def test_when_everything_goes_wrong_every_call_still_answers_and_says_why(limits: dict[str, float]):
    """None raises, every answer that is not the model's has its reason, and no request is unaccounted for."""
    with ModelServer(lk.ScriptedModel(GOOD), faults=Faults(seed=5, **EVERYTHING)) as server:  # type: ignore[arg-type]
        desk = support_desk(
            policy=lk.Policy(
                deadline_s=5.0,
                reserve_s=1.0,
                attempt=lk.Attempt(total_s=1.5, **limits),
                retry=lk.Retry(max_attempts=3, backoff_s=0.01, budget=lk.RetryBudget(burst=10)),
                reask=1,
                breaker=None,  # with so many faults it would open at some point that depends on their timing
            ),
            fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=3))],
        ).replace(model=lk.Model("openai/nearest", base_url=server.base_url))

        async def burst() -> list[lk.Result[Triage]]:
            return await asyncio.gather(*(desk.acall(text=f"Where is card number {n}?") for n in range(100)))

        results = asyncio.run(burst())
        requests = server.counts.requests

    assert {result.source for result in results} == {"model", "default"}
    assert all(result.reason is not None for result in results if result.source == "default")
    assert requests == sum(len(result.attempts) for result in results)
    retries = sum(attempt.kind == "retry" for result in results for attempt in result.attempts)
    assert retries <= 10 + 0.2 * 100


def test_a_missing_key_is_not_asked_again_about(monkeypatch: pytest.MonkeyPatch):
    """An auth failure goes straight to the fallback, and the reason can be read."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    desk = support_desk(policy=lk.Policy(retry=lk.Retry(max_attempts=3))).replace(model="openai/gpt-4o-mini")

    reason = desk(text="hello").reason

    assert reason is not None
    assert (reason.step, reason.outcome) == ("model", "auth")
    assert "OPENAI_API_KEY" in reason.message
