"""Scores for the behaviours that matter. A scorer that crashes is a score with its error, never a zero."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from labkit.call.description import describe
from labkit.call.fingerprint import digest
from labkit.call.result import Result
from labkit.evals.case import Case

__all__ = ["WHY_NOT_SCORED", "FunctionScorer", "Score", "Scorer", "as_scorer", "ascore_case", "scorer_hash"]


WHY_NOT_SCORED = (
    "its sensitive values were hidden when it was kept, so that it cannot be judged anew: evaluate(..., "
    'content="clear") keeps them'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One scorer's opinion of one answer.

    Args:
        value: In [0, 1]; None when the scorer crashed or could not tell.
        passed: Whether the behaviour is as wanted; None when it could not be told.
        reason: Why, in a sentence; the error when the scorer crashed.
        cost_usd: What scoring cost, such as a judge's call; None when its price is unknown.
    """

    value: float | None
    passed: bool | None
    reason: str = ""
    cost_usd: float | None = 0.0


@runtime_checkable
class Scorer(Protocol):
    """Judges one answer, at once or as a coroutine."""

    @property
    def name(self) -> str: ...

    def score(self, case: Case, result: Result[Any]) -> Score | Awaitable[Score]: ...


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """A function of (case, result) as a scorer: it gives a bool, a number in [0, 1] or a ``Score``; it may be async.

    Args:
        function: Called with ``Case`` and ``Result``.
        at_least: A number passes from here on.
    """

    function: Callable[[Case, Result[Any]], Any]
    at_least: float = 0.5

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def score(self, case: Case, result: Result[Any]) -> Score | Awaitable[Score]:
        given = self.function(case, result)
        return self._awaited(given) if inspect.isawaitable(given) else self._read(given)

    async def _awaited(self, given: Awaitable[Any]) -> Score:
        return self._read(await given)

    def _read(self, given: Any) -> Score:
        if isinstance(given, Score):
            return given
        value = float(given)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"a score is from 0 to 1, {self.name} gave {value}")
        return Score(value=value, passed=value >= self.at_least)


def as_scorer(given: Scorer | Callable[[Case, Result[Any]], Any]) -> Scorer:
    """Give a function the shape of a scorer.

    Raises:
        TypeError: Neither a scorer nor a function.
    """
    if isinstance(given, type):
        raise TypeError(f"{given.__name__} is a class: give a scorer made of it, {given.__name__}(...)")
    if not isinstance(given, Scorer) and not callable(given):
        raise TypeError(f"{given!r} is no scorer: give one, or a function of (case, result)")
    return given if isinstance(given, Scorer) else FunctionScorer(given)


async def ascore_case(scorer: Scorer, case: Case, result: Result[Any]) -> Score:
    """Score one answer; a crash becomes a score that says so.

    A plain function is run on a thread: what it computes must not hold up the requests of other cases. A scorer that
    crashes on an answer that is not there has met the call's failure, not one of its own: that scores 0.
    """
    if result.is_hidden:
        return Score(value=None, passed=None, reason=WHY_NOT_SCORED)
    try:
        if isinstance(scorer, FunctionScorer) and not inspect.iscoroutinefunction(scorer.function):
            given = await asyncio.to_thread(scorer.score, case, result)
        else:
            given = scorer.score(case, result)
        return _checked(scorer.name, await given if inspect.isawaitable(given) else given)
    except (Exception, SystemExit) as error:  # a notebook's check may well call sys.exit()
        said = f"scorer failed: {type(error).__name__}: {error}"
        if result.ok or type(error) is LookupError:  # the latter: the case expects nothing of the kind
            return Score(value=None, passed=None, reason=said)
        return Score(value=0.0, passed=False, reason=f"no value ({said})")


def _checked(name: str, given: Any) -> Score:
    """Give a score of Python's own types: NumPy's would be refused only when the row is stored."""
    if not isinstance(given, Score):
        raise TypeError(f"{name} gave a {type(given).__name__}: give a Score, or wrap a function in FunctionScorer")
    value = None if given.value is None else float(given.value)
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError(f"a score is from 0 to 1, {name} gave {value}")
    return Score(
        value=value, passed=None if given.passed is None else bool(given.passed), reason=str(given.reason),
        cost_usd=None if given.cost_usd is None else float(given.cost_usd),
    )  # fmt: skip


def scorer_hash(scorer: Scorer) -> str:
    """SHA-256 of what the scorer does, so that a changed scorer is seen."""
    return digest(describe(scorer))
