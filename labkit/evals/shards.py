"""An evaluation past one machine: shards of cases are asked inside Dask tasks, the client owns rate, spend and store.

A coroutine counts against a worker's threads, so one task asks a whole shard at once. Dask sends a shard again when its
worker is lost; the unique key of a unit keeps one answer. What the lost worker had already asked is paid for twice, and
not among ``EvalRun.unaccounted``: nobody is left who counted it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from labkit.call.result import Result
from labkit.call.watch import before_request, kept_apart
from labkit.errors import OptionInvalid, RunStopped
from labkit.evals.crew import FIRST_WAIT_S, LONGEST_WAIT_S, Unit, answered, is_away, stop_without_access
from labkit.evals.runs import Row
from labkit.extras import needs
from labkit.models.model import keys_travel

if TYPE_CHECKING:
    from labkit.evals.crew import Crew

__all__ = ["ask_on_dask"]

_LARGEST_SHARD = 50
_RETRIES = 3


async def ask_on_dask(crew: Crew, units: Sequence[Unit], client: Any) -> None:
    """Ask *units* on the workers of *client*, a ``dask.distributed.Client``.

    Raises:
        MissingDependency: distributed is not installed.
        OptionInvalid: An asynchronous client of another event loop.
        RunStopped: As ``Crew.run``.
    """
    with needs("distributed", "evaluate(engine=...)"):
        import cloudpickle
        from distributed import Client
    if not isinstance(client, Client):
        raise OptionInvalid(f"engine={type(client).__name__}: give a dask.distributed.Client, or None")
    if getattr(client, "_asynchronous", False) and not client.asynchronous:
        raise OptionInvalid(
            "this client belongs to another event loop: await aevaluate(...) there, or give a sync client"
        )
    threads = client.nthreads()
    if inspect.isawaitable(threads):
        threads = await threads
    size = min(_LARGEST_SHARD, math.ceil(crew.limits.concurrency / max(1, sum(threads.values()))))
    # By value, and once: a call that was defined in a notebook has no module a worker could import.
    # Keys that stand in the code go along, to the workers of this client and nowhere else; those that stand in the
    # environment are read from the workers'.
    with keys_travel():
        payloads = [cloudpickle.dumps((call, tuple(crew.judges))) for call in crew.calls]
    waiting = _shards(units, size)

    async def work() -> None:
        try:
            for shard in waiting:
                await _until_answered(crew, shard, client, payloads[shard[0].arm])
        except RunStopped as stopped:
            crew.stopped = stopped

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, crew.limits.concurrency // size)):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    if crew.stopped is not None:
        raise crew.stopped


def _shards(units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Give units of one arm together, and the arms in turn as they come."""
    gathered: dict[int, list[Unit]] = {}
    for unit in units:
        shard = gathered.setdefault(unit.arm, [])
        shard.append(unit)
        if len(shard) == size:
            yield gathered.pop(unit.arm)
    yield from gathered.values()


async def _until_answered(crew: Crew, shard: list[Unit], client: Any, payload: bytes) -> None:
    """Ask a shard, and those of its units again that the provider had no time for."""
    wait_s = FIRST_WAIT_S
    sent: Counter[int] = Counter()
    while True:
        shard = await _asked(crew, shard, client, payload, sent)
        if not shard:
            return
        model = crew.calls[shard[0].arm].model
        if time.monotonic() - crew.answered_at > crew.limits.patience_s:
            raise RunStopped(f"{model} has not answered for {crew.limits.patience_s:g} s")
        crew.show_waiting(f"waiting for {model}")
        await asyncio.sleep(wait_s)
        wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


async def _asked(crew: Crew, shard: list[Unit], client: Any, payload: bytes, sent: Counter[int]) -> list[Unit]:
    """Ask a shard once, keep what was answered, give the units whose provider was away.

    *sent* counts the requests of each unit, over all the times its shard was asked.
    """
    if crew.stopped is not None:
        raise crew.stopped
    arm = shard[0].arm
    crew.spent.enter(crew.calls[arm].model, len(shard))
    try:
        charges = [await crew.pacer.turn() for _ in shard] if crew.pacer is not None else []
        for unit in shard:
            await crew.note(unit, sent[unit.position] + 1)
        future = client.submit(_ask, payload, shard, retries=_RETRIES, pure=False)
        try:
            found = await future if client.asynchronous else await _fetched(future)
        except BaseException:
            cancelled = future.cancel()
            if inspect.isawaitable(cancelled):
                await cancelled
            raise
    finally:
        crew.spent.leave(len(shard))
    away = []
    stopped: RunStopped | None = None
    for n, (unit, (row, requests)) in enumerate(zip(shard, found, strict=True)):
        for number in range(2, requests + 1):
            await crew.note(unit, sent[unit.position] + number)
        sent[unit.position] += max(1, requests)
        if crew.pacer is not None:
            crew.pacer.settle_result(charges[n], row.result)
        if crew.limits.patience_s:
            stop_without_access(crew.calls[arm].model, row.result)
        if is_away(row.result) and crew.limits.patience_s:
            if row.result.cost_usd:  # a fallback answered, and is not kept
                crew.spent.pay(row.result.cost_usd, crew.calls[arm].model)
            away.append(unit)
        else:
            crew.answered_at = time.monotonic()
            try:
                await crew.keep(unit, row, sent[unit.position])
            except RunStopped as stop:
                stopped = stop  # what else the shard brought is paid for, and kept
    if stopped is not None:
        raise stopped
    return away


async def _fetched(future: Any) -> Any:
    """Wait for a future of a synchronous client; no thread waits with it, or a few of these would be the limit."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
    return await asyncio.to_thread(future.result)


async def _ask(payload: bytes, units: Sequence[Unit]) -> list[tuple[Row, int]]:
    """What a worker does: ask and score every unit of a shard at once."""
    call, judges = _loaded(payload)

    async def one(unit: Unit) -> tuple[Row, int]:
        sent = 0

        async def count(_: str) -> None:
            nonlocal sent
            sent += 1

        before_request.set(count)  # of this task only
        kept_apart.set(unit.apart)
        result: Result[Any] = await call.acall(unit.case.input)
        return await answered(unit, result, judges), sent

    return list(await asyncio.gather(*(one(unit) for unit in units)))


@lru_cache(maxsize=8)
def _loaded(payload: bytes) -> Any:
    """One call for all shards of a worker, so that they share its connections and its breaker."""
    import cloudpickle

    return cloudpickle.loads(payload)
