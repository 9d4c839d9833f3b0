"""What a guarded call does when the provider misbehaves: down, a mix of faults, and a deadline over everything.

Real sockets, a server in a process of its own, faults drawn from a seed. Nothing here depends on how fast the machine
is but the overshoot of the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Literal

from fault_server import FaultServer, fault_server
from pydantic import BaseModel, Field

import labkit as lk

SEEDS = (1, 2, 3, 4, 5)


class Ticket(BaseModel):
    text: str = Field(min_length=1)


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)


DEFAULT = Triage(intent="card_arrival", urgency=5)


def desk(server: FaultServer, policy: lk.Policy) -> lk.GuardedCall[Triage]:
    return lk.GuardedCall(
        "triage",
        input=Ticket,
        output=Triage,
        prompt=lk.Prompt(system="Triage the ticket.", user="Ticket: {{ input.text }}"),
        model=lk.Model("openai/faulty", base_url=server.base_url),
        fallbacks=[lk.SafeDefault(DEFAULT)],
        policy=policy,
    )


async def ask_all(call: lk.GuardedCall[Triage], calls: int, width: int) -> list[lk.Result[Triage]]:
    results: list[lk.Result[Triage]] = []
    left = iter(range(calls))

    async def work() -> None:
        for n in left:
            results.append(await call.acall(text=f"ticket {n}"))

    async with asyncio.TaskGroup() as crew:
        for _ in range(width):
            crew.create_task(work())
    return results


def attempts(results: list[lk.Result[Triage]]) -> int:
    return sum(len(result.attempts) for result in results)


def down() -> None:
    """8 calls at once, then 200 more, while every request is answered with a 500."""
    with fault_server(error_500=1.0) as server:
        call = desk(server, lk.Policy(retry=lk.Retry(max_attempts=3, backoff_s=0.05, budget=lk.RetryBudget())))

        async def scenario() -> list[lk.Result[Triage]]:
            return await ask_all(call, 8, 8) + await ask_all(call, 200, 1)

        results = asyncio.run(scenario())
        seen = server.counts()["requests"]
    print("provider down, 8 calls at once and 200 more")
    print(f"  requests per call  {seen / len(results):.2f}   (target < 1.5)")
    print(f"  answered           {sum(r.ok for r in results)} of {len(results)}")
    print(f"  why not the model  {dict(Counter(f'{r.reason.step}: {r.reason.outcome}' for r in results if r.reason))}")


def mix() -> None:
    """10% 500, 5% 429, 5% malformed, 2% hang; 500 calls, 32 at a time."""
    print("10% 500, 5% 429, 5% malformed, 2% hang; 500 calls at concurrency 32, attempts of 2 s")
    for max_attempts, reask in ((3, 1), (3, 2), (4, 2)):
        by_model: list[float] = []
        requests: list[float] = []
        answered = 0
        for seed in SEEDS:
            with fault_server(error_500=0.10, rate_limited=0.05, malformed=0.05, hang=0.02, seed=seed) as server:
                policy = lk.Policy(
                    deadline_s=30,
                    attempt=lk.Attempt(total_s=2.0),
                    retry=lk.Retry(max_attempts=max_attempts, backoff_s=0.05, budget=lk.RetryBudget()),
                    reask=reask,
                )
                results = asyncio.run(ask_all(desk(server, policy), 500, 32))
                requests.append(server.counts()["requests"] / 500)
            by_model.append(sum(r.source == "model" for r in results) / 500)
            answered += sum(r.ok for r in results)
        n = len(SEEDS)
        print(f"  {max_attempts} attempts, {reask} re-asks: answered {answered} of {500 * n}")
        print(
            f"    by the model       {sum(by_model) / n:.2%} ({', '.join(f'{s:.1%}' for s in by_model)}; target 99.8%)"
        )
        print(f"    requests per call  {sum(requests) / n:.3f} (target <= 1.27)")
    three, four = 0.17**3, 0.17**4
    print(f"  (17% of requests fail in transport: 3 independent attempts lose {three:.2%} of calls, 4 {four:.2%})")


def deadline() -> None:
    """2,000 calls against everything at once, 64 at a time."""
    faults = {
        "hang": 0.10, "hang_in_body": 0.10, "reset": 0.05, "error_500": 0.10, "rate_limited": 0.05, "malformed": 0.05,
        "truncated": 0.05, "slow_drip": 0.02,
    }  # fmt: skip
    deadline_s = 2.0
    with fault_server(seed=7, **faults) as server:
        policy = lk.Policy(
            deadline_s=deadline_s,
            reserve_s=0.1,
            attempt=lk.Attempt(total_s=0.8),
            retry=lk.Retry(max_attempts=3, backoff_s=0.05, budget=lk.RetryBudget()),
            reask=1,
        )
        call = desk(server, policy)

        async def scenario() -> tuple[list[lk.Result[Triage]], list[float]]:
            took: list[float] = []
            results: list[lk.Result[Triage]] = []
            clock = asyncio.get_running_loop().time
            left = iter(range(2_000))

            async def work() -> None:
                for n in left:
                    began = clock()
                    results.append(await call.acall(text=f"ticket {n}"))
                    took.append(clock() - began)

            async with asyncio.TaskGroup() as crew:
                for _ in range(64):
                    crew.create_task(work())
            return results, took

        results, took = asyncio.run(scenario())
        seen = server.counts()
    sources = Counter(r.source for r in results)
    unexplained = sum(r.source != "model" and r.reason is None for r in results)
    took.sort()
    print(f"{', '.join(f'{share:.0%} {kind}' for kind, share in faults.items())}; 2,000 calls at concurrency 64")
    print(f"  answered            {sum(r.ok for r in results)} of {len(results)}: {dict(sources)}")
    print(f"  without a reason    {unexplained} (target 0)")
    print(f"  p50, p95, p100      {took[1000]:.3f} s, {took[1900]:.3f} s, {took[-1]:.3f} s of {deadline_s:g} s")
    print(f"  beyond the deadline {max(0.0, took[-1] - deadline_s) * 1e3:.0f} ms (target <= 100)")
    print(f"  requests per call   {seen['requests'] / 2_000:.3f} (target <= 1.40)")
    print(f"  requests seen by the server {seen['requests']}, attempts recorded {attempts(results)}")


def main() -> None:
    logging.disable()
    down()
    mix()
    deadline()


if __name__ == "__main__":
    main()
