"""Step 3: trusted sources are asked side by side, each with its own timeout, before the prompt is written."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from labkit.call.result import Note, Reason
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid, Outcome
from labkit.options import Called, Seconds, checked

__all__ = ["Source", "gather"]

log = logging.getLogger("labkit.call")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@checked()
@dataclass(frozen=True, slots=True)
class Source:
    """Something the prompt may rely on: a policy, an account, search results.

    Args:
        ask: Takes the validated input, returns what the template sees as ``context.<name>``. A plain function runs in a
            worker thread, since it may wait; past its timeout it is left behind there, a coroutine is cancelled.
        name: As the template calls it; the function's own name by default.
        timeout_s: Longest wait.
        required: Whether the call can go on without it; then ``context.<name>`` is None and a note says so.

    Raises:
        CallInvalid: It is no function of one argument, or has no name and none was given; or the timeout is none.
    """

    ask: Annotated[Callable[[Any], Any] | Callable[[Any], Awaitable[Any]], Called("input")]
    name: str = field(default="", kw_only=True)
    timeout_s: Seconds = field(default=2.0, kw_only=True)
    required: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        name = self.name or getattr(self.ask, "__name__", "")
        if not name.isidentifier():
            raise CallInvalid(
                f"Source({self.ask!r}) needs a name that a template can write after 'context.': give name='policy'"
            )
        object.__setattr__(self, "name", name)


async def gather(sources: Sequence[Source], value: Any) -> tuple[Mapping[str, Any], tuple[Note, ...]]:
    """Ask every source at once.

    Returns:
        What each said, by name, and a note for every optional source that did not answer.

    Raises:
        StepFailed: A required source did not answer.
    """
    if not sources:
        return _NOTHING, ()
    if len(sources) == 1:  # without a task of its own: half the cost of the step
        answers = [await _ask(sources[0], value)]
    else:
        answers = await asyncio.gather(*(_ask(source, value) for source in sources))
    notes = []
    context = {}
    for source, (answer, failure) in zip(sources, answers, strict=True):
        context[source.name] = answer
        if failure is None:
            continue
        if source.required:
            raise StepFailed(failure)
        notes.append(Note(step="context", message=f"went on without {failure.message}"))
    return context, tuple(notes)


async def _ask(source: Source, value: Any) -> tuple[Any, Reason | None]:
    try:
        async with asyncio.timeout(source.timeout_s) as timer:
            if inspect.iscoroutinefunction(source.ask):
                return await source.ask(value), None
            answer = await asyncio.to_thread(source.ask, value)
            # what only looks like a plain function: an object with an async __call__, a lambda around a coroutine
            return (await answer if inspect.isawaitable(answer) else answer), None
    except TimeoutError as error:
        if timer.expired():
            return None, _failure(source, "timeout", f"no answer in {source.timeout_s:g} s")
        return None, _failure(source, "transport", f"TimeoutError: {error}")
    except OSError as error:
        return None, _failure(source, "transport", f"{type(error).__name__}: {error}")
    except Exception as error:
        log.exception("context source %s failed", source.name)
        return None, _failure(source, "bug", f"{type(error).__name__}: {error}")


def _failure(source: Source, outcome: Outcome, said: str) -> Reason:
    return Reason(step="context", outcome=outcome, message=f"source {source.name}: {said}")
