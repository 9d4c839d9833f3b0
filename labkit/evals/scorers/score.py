"""Scores for the behaviours that matter. A scorer that crashes is a score with its error, never a zero."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Annotated, Any, Protocol, runtime_checkable

from labkit.call.description import describe
from labkit.call.fingerprint import digest
from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.options import Called, Share, checked, fitted, shown

__all__ = ["NO_SCORE", "WHY_NOT_SCORED", "FunctionScorer", "Score", "Scorer", "as_scorer", "ascore_case", "scorer_hash"]


WHY_NOT_SCORED = (
    "its sensitive values were hidden when it was kept, so that it cannot be judged anew: evaluate(..., "
    'content="clear") keeps them'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One scorer's opinion of one answer.

    Args:
        value: In [0, 1]; None when the scorer crashed or could not tell.
        passed: Whether the behaviour is as wanted; None when it could not be told, or the scorer says only how good.
        reason: Why, in a sentence; the error when the scorer crashed.
        cost_usd: What scoring cost, such as a judge's call; None when its price is unknown.
        fault: What is wrong with the scorer itself, as far as this answer shows; "" for nothing. It is not stored.
    """

    value: float | None
    passed: bool | None
    reason: str = ""
    cost_usd: float | None = 0.0
    fault: str = field(default="", repr=False, compare=False)


NO_SCORE = "no score"
"""The ``Score.fault`` of a scorer that gave something else than a score."""


@runtime_checkable
class Scorer(Protocol):
    """Judges one answer, at once or as a coroutine."""

    @property
    def name(self) -> str: ...

    def score(self, case: Case, result: Result[Any]) -> Score | Awaitable[Score]: ...


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """A function of (case, result) as a scorer: it gives a bool, a number in [0, 1] or a ``Score``; it may be async.

    Args:
        function: Called with ``Case`` and ``Result``.
        at_least: A number passes from here on; None: it says how good the answer is, and not whether good enough.
    """

    function: Annotated[Callable[[Case, Result[Any]], Any], Called("case", "result")]
    at_least: Share | None = None

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
        value = _number(self.name, given)
        if self.at_least is not None:
            return Score(value=value, passed=value >= self.at_least)
        # NumPy's bool is none of Python's
        return Score(value=value, passed=bool(given) if type(given).__name__ in ("bool", "bool_") else None)


def as_scorer(given: Scorer | Callable[[Case, Result[Any]], Any]) -> Scorer:
    """Give a function the shape of a scorer.

    Raises:
        OptionInvalid: Neither a scorer nor a function of (case, result).
    """
    if isinstance(given, type):
        raise OptionInvalid(f"{given.__name__} is a class: give a scorer made of it, {given.__name__}(...)")
    if not isinstance(given, Scorer) and not callable(given):
        raise OptionInvalid(f"{shown(given)} is no scorer: give one, or a function of (case, result)")
    if not isinstance(given, Scorer):
        return FunctionScorer(given)
    if not isinstance(given.name, str) or not given.name:
        raise OptionInvalid(f"{shown(given)}: its name is {shown(given.name)}: give a text to tell its scores by")
    kind = Annotated[Any, Called("case", "result")]
    fitted("score", given.score, kind, f"{type(given).__name__}: {{}}", OptionInvalid)
    return given


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
    except _NoScore as error:
        said, fault = str(error), NO_SCORE
    except Unscorable as error:
        return Score(value=None, passed=None, reason=f"scorer failed: {error}")
    except (Exception, SystemExit) as error:  # a notebook's check may well call sys.exit()
        said, fault = f"scorer failed: {type(error).__name__}: {error}", type(error).__name__
        if type(error) is LookupError:  # a scorer's own way of saying that the case expects nothing of the kind
            return Score(value=None, passed=None, reason=said)
    if result.ok:
        return Score(value=None, passed=None, reason=said, fault=fault)
    return Score(value=0.0, passed=False, reason=f"no value ({said})")


class _NoScore(Exception):
    """What a scorer gave is no score. Never leaves this module."""

    def __init__(
        self, name: str, given: Any, *, wanted: str = "True or False, a number from 0 to 1, or a Score"
    ) -> None:
        mend = f"give {wanted}"
        if given is None:
            mend += "; Score(value=None, passed=None, reason=...) where it cannot be told"
        super().__init__(f"scorer {name} gave {shown(given)}, which is no score: {mend}")


def _checked(name: str, given: Any) -> Score:
    """Give a score of Python's own types: NumPy's would be refused only when the row is stored."""
    if not isinstance(given, Score):
        raise _NoScore(name, given, wanted="a Score, or make a function of it: FunctionScorer(function)")
    passed: Any = given.passed
    passed = passed.item() if hasattr(passed, "item") else passed
    if not (passed is None or isinstance(passed, bool)):
        raise _NoScore(name, given)
    return Score(
        value=None if given.value is None else _number(name, given.value), passed=passed, reason=str(given.reason),
        cost_usd=None if given.cost_usd is None else float(given.cost_usd),
    )  # fmt: skip


def _number(name: str, given: Any) -> float:
    value = given.item() if hasattr(given, "item") and not getattr(given, "shape", ()) else given
    number = float(value) if isinstance(value, (Real, Decimal)) else math.nan
    if not 0.0 <= number <= 1.0:  # NaN neither
        raise _NoScore(name, given)
    return number


def scorer_hash(scorer: Scorer) -> str:
    """SHA-256 of what the scorer does, so that a changed scorer is seen."""
    return digest(describe(scorer))
