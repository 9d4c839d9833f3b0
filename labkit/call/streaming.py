"""An answer while it is written: provisional partials, a retraction when they turn out wrong, one final result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from labkit.call.instances import as_said
from labkit.call.output_type import OutputType
from labkit.call.partial import NOTHING, PartialReader, extends
from labkit.call.result import Reason, Result

__all__ = ["Emit", "Final", "Partial", "Presenter", "Retract", "StreamEvent", "events_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The answer so far. It is provisional: output, guards, rules and confidence have not seen the whole yet.

    Args:
        value: JSON data that the final value extends, unless a ``Retract`` follows.
    """

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Retract:
    """What was shown does not stand: take it back.

    Args:
        reason: What became of the attempt that it came from.
    """

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Final(Generic[T]):
    """The end of every stream: the same result that the call would have given without streaming."""

    result: Result[T]


StreamEvent = Partial | Retract | Final[T]
Emit = Callable[[StreamEvent[Any]], None]


class Presenter:
    """Turns the text of attempts into events.

    Args:
        output: What the text is to become.
        emit: Takes the events.
    """

    def __init__(self, output: OutputType, emit: Emit) -> None:
        self._output = output
        self._emit = emit
        self._reader: PartialReader | None = None
        self._shown: Any = NOTHING

    def begin(self) -> None:
        """A new attempt begins to answer."""
        self._reader = PartialReader(self._output.schema)

    def text(self, piece: str) -> None:
        """The attempt went on to say *piece*."""
        assert self._reader is not None
        value = self._reader.feed(piece)
        if value is not NOTHING:
            self._shown = value
            self._emit(Partial(value=value))

    def abandon(self, reason: Reason) -> None:
        """The attempt failed, or what it said was rejected."""
        if self._shown is not NOTHING:
            self._shown = NOTHING
            self._emit(Retract(reason=reason))

    def finish(self, result: Result[Any]) -> None:
        """End the stream; what was shown and is not in the result is taken back first."""
        if self._shown is not NOTHING and not extends(as_said(result.value), self._shown):
            changed = Reason(step="rules", outcome="rule", message="a rule or a repair changed what was shown")
            self.abandon(result.reason or changed)
        self._emit(Final(result=result))


async def events_of(run: Callable[[Emit], Coroutine[Any, Any, Any]]) -> AsyncGenerator[StreamEvent[Any], None]:
    """Give the events that *run* emits, until it ends; closing early cancels it and waits for that."""
    queue: asyncio.Queue[StreamEvent[Any] | None] = asyncio.Queue()
    task = asyncio.create_task(run(queue.put_nowait))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task  # raises what the call raised
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
