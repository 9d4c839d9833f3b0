"""As many at once as the provider bears, and no more a minute than was agreed."""

from __future__ import annotations

import asyncio

import pytest

from labkit.evals.pacing import AdaptiveLimit, Pacer, Rate


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_429_halves_what_is_in_flight_and_answers_win_it_back():
    """One message from the provider counts once, however many were in flight when it came."""

    async def scenario() -> list[int]:
        limit = AdaptiveLimit(16)
        seen = [limit.now]
        entered = [await limit.enter() for _ in range(16)]
        for round_ in entered:
            limit.leave(round_, crowded=True)
        seen.append(limit.now)
        limit.leave(await limit.enter(), crowded=True)
        seen.append(limit.now)
        for _ in range(200):
            limit.leave(await limit.enter(), crowded=False)
        seen.append(limit.now)
        return seen

    assert asyncio.run(scenario()) == [16, 8, 4, 16]


def test_nobody_enters_beyond_the_limit_and_nobody_is_forgotten():
    """Who waits gets the next place, also when one of those waiting gave up."""

    async def scenario() -> tuple[bool, bool, int]:
        limit = AdaptiveLimit(1)
        round_ = await limit.enter()
        gives_up, waits = asyncio.create_task(limit.enter()), asyncio.create_task(limit.enter())
        await asyncio.sleep(0)
        blocked = not waits.done()
        gives_up.cancel()
        limit.leave(round_, crowded=False)
        await asyncio.wait([gives_up, waits])
        return blocked, gives_up.cancelled(), waits.result()

    assert asyncio.run(scenario()) == (True, True, 0)


def test_requests_a_minute_are_kept():
    """After the first second's worth, one turn for each share of a minute."""

    async def scenario() -> float:
        clock = Clock()
        pacer = Pacer(Rate(requests_per_min=120), clock=clock, sleep=clock.sleep)
        for _ in range(242):
            pacer.settle(await pacer.turn(), 1, 0)
        return clock.now_s

    assert asyncio.run(scenario()) == pytest.approx(120.0)


def test_retries_and_tokens_are_charged_for():
    """A unit that took three requests, or many tokens, makes the next ones wait."""

    async def scenario(rate: Rate, requests: int, tokens: int) -> float:
        clock = Clock()
        pacer = Pacer(rate, clock=clock, sleep=clock.sleep)
        for _ in range(61):
            pacer.settle(await pacer.turn(), requests, tokens)
        return clock.now_s

    assert asyncio.run(scenario(Rate(requests_per_min=60), 3, 0)) == pytest.approx(182.0)
    assert asyncio.run(scenario(Rate(tokens_per_min=6_000), 1, 100)) == pytest.approx(60.0)
    assert asyncio.run(scenario(Rate(), 1, 100)) == 0.0


def test_a_rate_that_lets_nothing_through_is_refused():
    """The parameter is named."""
    with pytest.raises(ValueError, match="requests_per_min=0"):
        Rate(requests_per_min=0)
