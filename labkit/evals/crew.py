"""The crew that asks the units of an evaluation: bounded, paced, patient; each answer is kept before the next is asked.

A fixed crew over one iterator, so that memory and tasks do not grow with the dataset.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.call.guarded import GuardedCall
from labkit.call.health import circuits
from labkit.call.record import now
from labkit.call.redaction import hide_in_logs
from labkit.call.result import Result
from labkit.call.sensitive_result import SensitiveResult
from labkit.call.watch import before_request, kept_apart
from labkit.errors import RunStopped, StoreError, StoreGone
from labkit.evals.case import Case
from labkit.evals.hiding import hidden_row
from labkit.evals.pacing import AdaptiveLimit, Pacer, Rate
from labkit.evals.progress import Count, Progress
from labkit.evals.proof import Requests, Scorings
from labkit.evals.runs import Row, fact_of
from labkit.evals.scorers.score import Scorer, ascore_case
from labkit.evals.stored import stored
from labkit.store.facts import Fact
from labkit.store.journal import Journal
from labkit.store.units import RequestStart

if TYPE_CHECKING:
    from labkit.store.runs import RunStore

__all__ = [
    "FIRST_WAIT_S",
    "LONGEST_WAIT_S",
    "Asked",
    "Crew",
    "Limits",
    "Unit",
    "answered",
    "is_away",
    "stop_without_access",
]

_AWAY = frozenset({"rate_limited", "breaker_open"})

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 15.0

WORKER = f"{platform.node()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast, how dear and how patient."""

    concurrency: int
    rate: Rate | None = None
    spend_usd: float | None = None
    patience_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One case and repeat for one arm, and its position in that arm's plan.

    Args:
        twin: How many arms before this one ask the model the same.
    """

    arm: int
    position: int
    case: Case
    repeat: int
    twin: int = 0

    @property
    def apart(self) -> str:
        """What keeps its answers from being those of another unit that asks the same; "" for the first to ask."""
        twin = f"arm {self.twin + 1} of its kind" if self.twin else ""
        return ", ".join(part for part in (f"repeat {self.repeat}" if self.repeat else "", twin) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a session brought: rows, whole and in brief, by position for each arm, and how long it took."""

    rows: Sequence[dict[int, tuple[Row, Fact]]]
    elapsed_s: float


@dataclass(slots=True)
class _Spent:
    """What a session has cost, and what units cost at most: who is in flight may cost as much again."""

    cap_usd: float | None
    total_usd: float = 0.0
    dearest_usd: float = 0.0
    in_flight: int = 0

    def enter(self, model: str, units: int = 1) -> None:
        """Count *units* as in flight.

        Raises:
            RunStopped: What they may cost could pass the cap.
        """
        if self.cap_usd is not None and self.total_usd + (self.in_flight + units) * self.dearest_usd > self.cap_usd:
            raise RunStopped(
                f"the next answer of {model} could pass the cap of ${self.cap_usd:g} (${self.total_usd:.4f} spent)"
            )
        self.in_flight += units

    def leave(self, units: int = 1) -> None:
        self.in_flight -= units

    def pay(self, cost_usd: float | None, model: str) -> None:
        if self.cap_usd is None:
            return
        if cost_usd is None:
            raise RunStopped(
                f"spend_usd={self.cap_usd:g} cannot be kept: the price of {model} is not known; give Model(price=...)"
            )
        self.total_usd += cost_usd
        self.dearest_usd = max(self.dearest_usd, cost_usd)


@dataclass(kw_only=True)
class Crew:
    """Asks units and keeps their answers.

    Args:
        calls: The arms.
        run_ids: The run of each.
        group: What they are resumed by.
        before: Units that earlier sessions have answered, for the progress.
        hides: What calls mark as sensitive is kept hidden.
    """

    calls: Sequence[GuardedCall[Any]]
    run_ids: Sequence[str]
    group: str
    judges: Sequence[Scorer]
    store: RunStore
    limits: Limits
    progress: Progress
    label: str
    before: int = 0
    hides: bool = True
    _session: str = field(default_factory=lambda: secrets.token_hex(4))

    async def run(self, units: Sequence[Unit], *, engine: Any = None) -> Asked:
        """Ask every unit.

        Raises:
            RunStopped: The spend cap was reached, or the provider stayed away; what was answered is stored.
            StoreError: An answer could not be stored.
        """
        self._rows: list[dict[int, tuple[Row, Fact]]] = [{} for _ in self.calls]
        self._count = Count(self.label, self.before + len(units), done=self.before)
        self._limit = AdaptiveLimit(self.limits.concurrency)
        self.pacer = Pacer(self.limits.rate) if self.limits.rate is not None else None
        self.spent = _Spent(self.limits.spend_usd)
        self.answered_at = time.monotonic()
        self.stopped: RunStopped | None = None
        self._lost: Exception | None = None
        self._requests = [
            Requests(call.model, sum(unit.arm == n for unit in units)) for n, call in enumerate(self.calls)
        ]
        self._scorings = Scorings()
        self._doubted: list[list[tuple[Unit, Row, int]]] = [[] for _ in self.calls]
        async with self._journals() as self._written:
            # Under a cap each arm is asked once alone: what one answer costs says how many may be in flight.
            alone = len(self.calls) if self.limits.spend_usd is not None else 0
            await self._ask_here(units[:alone], at_once=1)
            if engine is not None:
                from labkit.evals.shards import ask_on_dask

                await ask_on_dask(self, units[alone:], engine)
            else:
                await self._ask_here(units[alone:], at_once=self.limits.concurrency)
            for arm in range(len(self.calls)):
                await self._keep_doubted(arm)
        return Asked(rows=self._rows, elapsed_s=self._count.elapsed_s())

    @asynccontextmanager
    async def _journals(self) -> AsyncIterator[list[Journal]]:
        journals = [self.store.journal(run_id) for run_id in self.run_ids]
        try:
            yield journals
        except StoreGone as failure:
            raise StoreGone(f"run {self.group!r} stopped: {failure}. Evaluate anew") from failure
        except BaseException as failure:
            said = f"{self._count.done} of {self._count.total} cases are stored"
            if isinstance(failure, RunStopped) and not failure.resumable:
                said += f" (run {self.group!r}): mend the scorer and evaluate anew"
            else:
                said += f": go on with evaluate(..., resume={self.group!r})"
            # a store that fails may not keep the time, either: that is not the news
            with suppress(StoreError) if isinstance(failure, StoreError) else nullcontext():
                for run_id in self.run_ids:
                    self.store.pause(run_id, self._count.elapsed_s())
            if isinstance(failure, RunStopped):
                raise RunStopped(f"{failure}. {said}") from failure
            named = StoreError(f"run {self.group!r}: {failure}") if isinstance(failure, StoreError) else failure
            named.add_note(said)
            raise named from failure.__cause__
        finally:
            for journal in journals:
                await journal.close()

    async def _ask_here(self, units: Sequence[Unit], *, at_once: int) -> None:
        waiting = iter(units)
        try:
            async with asyncio.TaskGroup() as crew:
                for _ in range(min(at_once, len(units))):
                    crew.create_task(self._work(waiting))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # one worker's failure stopped the others; it is the news
        if self.stopped is not None:
            raise self.stopped

    async def _work(self, waiting: Iterator[Unit]) -> None:
        # Every member of the crew is a task of its own, so the requests of its unit are told from the others'.
        sent = 0
        unit: Unit

        async def note(model: str) -> None:
            nonlocal sent
            sent += 1
            await self.note(unit, sent, model)

        before_request.set(note)
        try:
            for unit in waiting:
                sent = 0
                kept_apart.set(unit.apart)  # for judges as well: what they keep is a repeat's own, too
                self.spent.enter(self.calls[unit.arm].model)
                try:
                    result = await self._patiently(unit)
                    await self.keep(unit, await answered(unit, result, self.judges), sent)
                finally:
                    self.spent.leave()  # paid for by now, its judges too
        except RunStopped as stopped:
            self.stopped = stopped  # the others finish what they have in flight: it is paid for

    async def note(self, unit: Unit, n: int, model: str = "") -> None:
        """Write down that the *n*-th request of a unit is about to be sent."""
        start = RequestStart(position=unit.position, session=self._session, n=n, model=model)
        try:
            await self._written[unit.arm].put("start", start)
        except Exception as error:
            self._lost = error  # within a call it would count as a failure of the call
            raise

    async def keep(self, unit: Unit, row: Row, requests: int) -> None:
        """Store an answer, then count it: what progress shows is what a crash leaves.

        What may be no answer is held back until another one shows that it is.

        Raises:
            RunStopped: The first answers, or scores, show that no other will be any better.
        """
        if self.limits.patience_s and self._requests[unit.arm].is_doubted_by(row.result):
            self._doubted[unit.arm].append((unit, row, requests))
            return
        await self._keep_doubted(unit.arm)
        await self._store(unit, row, requests)
        self._scorings.check(unit.case.id, row.result, row.scores)

    async def _keep_doubted(self, arm: int) -> None:
        held, self._doubted[arm] = self._doubted[arm], []
        for unit, row, requests in held:
            await self._store(unit, row, requests)

    async def _store(self, unit: Unit, row: Row, requests: int) -> None:
        cost_usd = _cost_of(row)
        self.spent.pay(cost_usd, self.calls[unit.arm].model)
        fact = fact_of(row)
        if self.hides:
            row = hidden_row(row, self.calls[unit.arm])
        await self._written[unit.arm].put("row", stored(row, fact, unit.position, requests))
        self._rows[unit.arm][unit.position] = (row, fact)
        self.progress.show(self._count.with_one_more(row.result, cost_usd))

    def show_waiting(self, note: str) -> None:
        self.progress.show(self._count.waiting(note))

    async def _patiently(self, unit: Unit) -> Result[Any]:
        """Ask until the provider has answered, or been away for longer than there is patience."""
        call = self.calls[unit.arm]
        wait_s = FIRST_WAIT_S
        while True:
            if self.stopped is not None:
                raise self.stopped
            await self._while_open(call)
            result = await self._in_turn(call, unit)
            if self.limits.patience_s:
                stop_without_access(call.model, result)
            if not is_away(result) or self.limits.patience_s == 0:
                self.answered_at = time.monotonic()
                return result
            assert result.reason is not None
            if time.monotonic() - self.answered_at > self.limits.patience_s:
                raise RunStopped(f"{call.model} has not answered for {self.limits.patience_s:g} s: {_said(result)}")
            if result.cost_usd:  # a fallback answered, and is not kept
                self.spent.pay(result.cost_usd, call.model)
            self.show_waiting(f"waiting for {call.model}: {result.reason.outcome.replace('_', ' ')}")
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)

    async def _while_open(self, call: GuardedCall[Any]) -> None:
        """Wait while the model's breaker is open: what would be asked now would be answered by a fallback."""
        while self.limits.patience_s and (wait_s := _open_for_s(call.model)) > 0:
            if time.monotonic() + wait_s - self.answered_at > self.limits.patience_s:
                raise RunStopped(f"{call.model} has not answered for {self.limits.patience_s:g} s: its breaker is open")
            self.show_waiting(f"waiting for {call.model}: breaker open for {wait_s:.0f} s")
            await asyncio.sleep(wait_s)

    async def _in_turn(self, call: GuardedCall[Any], unit: Unit) -> Result[Any]:
        entered = await self._limit.enter()
        crowded = False
        try:
            charge = await self.pacer.turn() if self.pacer is not None else None
            result = await call.acall(unit.case.input)
            if self._lost is not None:
                raise self._lost
            crowded = any(attempt.outcome == "rate_limited" for attempt in result.attempts)
            if self.pacer is not None and charge is not None:
                self.pacer.settle_result(charge, result)
            return result
        finally:
            self._limit.leave(entered, crowded=crowded)


async def answered(unit: Unit, result: Result[Any], judges: Sequence[Scorer]) -> Row:
    """Score a unit's answer."""
    if isinstance(result, SensitiveResult):
        hide_in_logs(result.secrets)  # a judge is a call with records of its own
    try:
        scores = {judge.name: await ascore_case(judge, unit.case, result) for judge in judges}
    finally:
        if isinstance(result, SensitiveResult):
            hide_in_logs(())
    return Row(
        case=unit.case,
        repeat=unit.repeat,
        result=result,
        scores=scores,
        finished_at=now(),
        worker=WORKER,
    )


def is_away(result: Result[Any]) -> bool:
    """Say whether the provider could not answer: that says nothing about the case."""
    return result.reason is not None and result.reason.outcome in _AWAY


def stop_without_access(model: str, result: Result[Any]) -> None:
    """Stop at a missing or wrong key: no case would be answered, and a gate would take that for worse answers.

    Raises:
        RunStopped: The provider does not let this caller in.
    """
    if result.reason is not None and result.reason.outcome == "auth":
        raise RunStopped(f"{model}: {_said(result)}")


def _said(result: Result[Any]) -> str:
    reason = result.hidden().reason
    return "" if reason is None else reason.message


def _cost_of(row: Row) -> float | None:
    """Of the call and of whoever judged it; None when any price is unknown."""
    costs = [row.result.cost_usd, *(score.cost_usd for score in row.scores.values())]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _open_for_s(model: str) -> float:
    return max((circuit.wait_s() for circuit in circuits() if circuit.name == model), default=0.0)
