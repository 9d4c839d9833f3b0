"""Scores for the behaviours that matter. A scorer that crashes is a score with its error, never a zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from labkit.call.fingerprint import describe, digest
from labkit.call.result import Result
from labkit.evals.cases import Case

__all__ = ["ExactMatch", "FunctionScorer", "Score", "Scorer", "as_scorer", "score_case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One scorer's opinion of one answer.

    Args:
        value: In [0, 1]; None when the scorer crashed or could not tell.
        passed: Whether the behaviour is as wanted; None when it could not be told.
        reason: Why, in a sentence; the error when the scorer crashed.
    """

    value: float | None
    passed: bool | None
    reason: str = ""


@runtime_checkable
class Scorer(Protocol):
    """Judges one answer."""

    @property
    def name(self) -> str: ...

    def score(self, case: Case, result: Result[Any]) -> Score: ...


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """The answer, or one field of it, equals what is expected.

    Args:
        field: Dotted name of a field of both; "" compares the whole value.
    """

    field: str = ""

    @property
    def name(self) -> str:
        return f"{self.field}: exact" if self.field else "exact"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """1 when equal, else 0; a call without a value scores 0.

        Raises:
            LookupError: The case expects nothing of this field.
        """
        expected = _at(case.expected, self.field, f"case {case.id!r} expects nothing of")
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        found = _at(result.data(), self.field, "the output has no field")
        same = bool(found == expected)
        return Score(value=float(same), passed=same, reason="" if same else f"expected {expected!r}")


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """A function of (case, result) as a scorer: it gives a bool, a number in [0, 1] or a ``Score``.

    Args:
        function: Called with ``Case`` and ``Result``.
        at_least: A number passes from here on.
    """

    function: Callable[[Case, Result[Any]], bool | float | Score]
    at_least: float = 0.5

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def score(self, case: Case, result: Result[Any]) -> Score:
        given = self.function(case, result)
        if isinstance(given, Score):
            return given
        value = float(given)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"a score is from 0 to 1, {self.name} gave {value}")
        return Score(value=value, passed=value >= self.at_least)


def as_scorer(given: Scorer | Callable[[Case, Result[Any]], Any]) -> Scorer:
    """Give a function the shape of a scorer."""
    return given if isinstance(given, Scorer) else FunctionScorer(given)


def score_case(scorer: Scorer, case: Case, result: Result[Any]) -> Score:
    """Score one answer; a crash becomes a score that says so."""
    try:
        return scorer.score(case, result)
    except Exception as error:
        return Score(value=None, passed=None, reason=f"scorer failed: {type(error).__name__}: {error}")


def scorer_hash(scorer: Scorer) -> str:
    """SHA-256 of what the scorer does, so that a changed scorer is seen."""
    return digest(describe(scorer))


def _at(data: Any, path: str, missing: str) -> Any:
    for part in path.split(".") if path else ():
        if not (isinstance(data, dict) and part in data):
            raise LookupError(f"{missing} {path!r}")
        data = data[part]
    return data
