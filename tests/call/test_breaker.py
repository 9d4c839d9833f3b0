"""The circuit breaker, with a clock that the tests wind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit.call.breaker import Breaker, Circuit
from labkit.errors import ModelError
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Completion, CompletionRequest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def circuit(**limits: float) -> tuple[Circuit, Clock]:
    clock = Clock()
    given: dict[str, float] = {"min_calls": 4, "window_s": 10, "open_s": 5} | limits
    return Circuit(Breaker(**given, clock=clock), "m"), clock  # type: ignore[arg-type]


def request(circuit: Circuit, outcome: str) -> bool:
    """Send one request that ends with *outcome*; False when it was not let through."""
    entered = circuit.enter()
    if entered is None:
        return False
    circuit.leave(entered, outcome)  # type: ignore[arg-type]
    return True


def test_it_opens_when_half_of_the_requests_failed():
    """Not before there are enough of them to say so."""
    breaker, _ = circuit()

    sent = [request(breaker, outcome) for outcome in ("transport", "timeout", "ok", "deadline", "ok", "ok")]

    assert sent == [True, True, True, True, False, False]
    assert breaker.state == "open"


@pytest.mark.parametrize(
    "outcome", ["schema", "parse", "guard", "rule", "auth", "refused", "rate_limited", "bug", "ok"]
)
def test_what_says_nothing_about_the_providers_health_never_trips_it(outcome: str):
    """A bad answer comes from a provider that answers; a 429 says itself when to come back."""
    breaker, _ = circuit()

    assert all(request(breaker, outcome) for _ in range(50))


def test_failures_that_are_long_ago_do_not_count():
    """The window slides."""
    breaker, clock = circuit()
    for _ in range(3):
        request(breaker, "transport")

    clock.now += 11
    request(breaker, "transport")

    assert breaker.state == "closed"


def test_one_probe_goes_at_a_time_and_its_success_closes():
    """A provider that comes back is not met by everybody at once."""
    breaker, clock = circuit()
    for _ in range(4):
        request(breaker, "transport")
    clock.now += 4.9
    still_open = breaker.enter()
    clock.now += 0.2
    state, probe, second = breaker.state, breaker.enter(), breaker.enter()
    assert probe is not None
    breaker.leave(probe, "ok")

    assert (still_open, state, probe, second) == (None, "half_open", "probe", None)
    assert breaker.state == "closed"


def test_a_probe_that_fails_opens_it_anew():
    """For the whole time again."""
    breaker, clock = circuit()
    for _ in range(4):
        request(breaker, "transport")
    clock.now += 5

    request(breaker, "timeout")

    assert (breaker.state, breaker.wait_s()) == ("open", 5.0)


def test_a_cancelled_probe_gives_its_place_to_the_next():
    """Nobody learned anything, and nobody is shut out for it."""
    breaker, clock = circuit()
    for _ in range(4):
        request(breaker, "transport")
    clock.now += 5

    request(breaker, "cancelled")

    assert (breaker.state, breaker.enter()) == ("half_open", "probe")


def test_a_call_behind_an_open_breaker_asks_nobody_and_says_so(caplog: pytest.LogCaptureFixture):
    """The fallback answers at once; no attempt is recorded that was not made."""
    down = lk.ScriptedModel(ModelError("no", outcome="transport"))
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), breaker=lk.Breaker(min_calls=3, clock=Clock()))
    desk = support_desk(down, policy=policy, fallbacks=[lk.SafeDefault({"intent": "card_arrival", "urgency": 1})])

    with caplog.at_level(logging.WARNING, logger="labkit.call"):
        results = [desk(text="hello") for _ in range(5)]

    assert [r.reason.outcome for r in results if r.reason] == ["transport"] * 3 + ["breaker_open"] * 2
    assert [len(r.attempts) for r in results] == [1, 1, 1, 0, 0]
    assert len(down.requests) == 3
    assert "breaker opens for 15 s: 3 of 3 requests failed" in caplog.text


class Silent:
    """Never answers."""

    name = "scripted/silent"

    async def complete(self, request: CompletionRequest) -> Completion:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody sets it")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(completion=await self.complete(request))


@pytest.mark.parametrize(("queue_s", "state"), [(0.0, "open"), (0.25, "closed")])
def test_a_request_cut_off_by_the_deadline_counts_only_if_it_had_its_time(queue_s: float, state: str):
    """Whoever spent the time elsewhere, as in a queue, learned nothing about the provider."""

    async def slow_source(ticket: object) -> None:
        await asyncio.sleep(queue_s)

    policy = lk.Policy(deadline_s=0.4, reserve_s=0.1, breaker=lk.Breaker(min_calls=1, clock=Clock()))
    desk = support_desk(Silent(), policy=policy, context=[lk.Source(slow_source)])

    result = desk(text="hello")

    assert result.reason is not None
    assert desk._plan.seat.circuit is not None
    assert (result.reason.outcome, desk._plan.seat.circuit.state) == ("deadline", state)


def test_calls_that_ask_the_same_model_share_its_breaker():
    """When a provider is down, it is down for all of them."""
    down = lk.ScriptedModel(ModelError("no", outcome="transport"))
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), breaker=lk.Breaker(min_calls=2, clock=Clock()))
    one, other = support_desk(down, policy=policy), support_desk(down, policy=policy)

    one(text="a")
    one(text="b")

    assert other(text="c").reason.outcome == "breaker_open"  # type: ignore[union-attr]


def test_the_same_name_at_another_address_has_a_breaker_of_its_own():
    """Two deployments of one model fail apart."""
    breaker = lk.Breaker(clock=Clock())
    policy = lk.Policy(breaker=breaker)
    here, there = (support_desk(policy=policy).replace(model=Model("x/m", base_url=f"http://{h}/v1")) for h in "ab")

    assert here._plan.seat.circuit is not there._plan.seat.circuit


def test_without_a_breaker_everybody_is_sent():
    """Policy(breaker=None)."""
    down = lk.ScriptedModel([*[ModelError("no", outcome="transport")] * 50, GOOD])
    desk = support_desk(down, policy=lk.Policy(retry=lk.Retry(max_attempts=1), breaker=None))

    assert [desk(text="a").source for _ in range(51)][-1] == "model"


@pytest.mark.parametrize("limits", [{"ratio": 0.0}, {"ratio": 1.1}, {"min_calls": 0}, {"probes": 0}, {"open_s": 0}])
def test_limits_that_leave_no_breaker_are_refused(limits: dict[str, float]):
    """When it is made, not in the night when it was needed."""
    with pytest.raises(lk.CallInvalid, match="Breaker"):
        lk.Breaker(**limits)  # type: ignore[arg-type]
