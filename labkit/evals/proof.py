"""Whether an evaluation can work at all, as its first answers show: one that cannot is stopped, not finished.

A misspelt model, a parameter that the server refuses, a rule that crashes on everything: each case would be answered by
a fallback, or not at all, and a gate would take that for the feature's quality. A scorer that gives no scores would be
told of once every case was paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.call.result import Result
from labkit.errors import RunStopped
from labkit.evals.scorers.score import NO_SCORE, Score

__all__ = ["Requests", "Scorings"]

_HANDFUL = 5


class Requests:
    """The answers of one arm, until one of them shows that what is asked can be answered.

    Args:
        model: The arm's, for the message.
        units: How many are to be asked; fewer than a handful need not fail more often than there are.
    """

    def __init__(self, model: str, units: int) -> None:
        self._model = model
        self._enough = min(_HANDFUL, units)
        self._failed: list[tuple[Any, ...]] = []
        self._works = False

    def is_doubted_by(self, result: Result[Any]) -> bool:
        """Say whether *result* may be none: it failed by what is asked, and nothing was answered so far.

        Raises:
            RunStopped: A handful failed alike.
        """
        if self._works:
            return False
        reason = result.reason
        if reason is None or reason.outcome != "bug":
            self._works = bool(result.attempts)  # a shortcut, a cache or a refused input shows nothing
            if self._works:
                self._failed.clear()
            return False
        status = result.attempts[-1].status if result.attempts else None
        self._failed.append((reason.step, status))
        if len(self._failed) >= self._enough and len(set(self._failed[-self._enough :])) == 1:
            n = len(self._failed)
            first = f"the first {n} answers" if n > 1 else "the answer"
            raise RunStopped(f"{self._model}: {first} failed alike, at step {reason.step}: {reason.message}")
        return True


class Scorings:
    """The scores of every scorer, until one of them is a score."""

    def __init__(self) -> None:
        self._works: set[str] = set()
        self._faults: dict[str, list[str]] = {}

    def check(self, case_id: str, result: Result[Any], scores: Mapping[str, Score]) -> None:
        """Look at a case's scores.

        Raises:
            RunStopped: A scorer gave something that is no score, or crashed alike a handful of times, and never gave a
                score.
        """
        if not result.ok:
            return
        for name, score in scores.items():
            if name in self._works:
                continue
            if not score.fault:
                if score.value is not None or score.passed is not None:
                    self._works.add(name)
                continue
            faults = self._faults.setdefault(name, [])
            faults.append(score.fault)
            alike = len(faults) >= _HANDFUL and len(set(faults[-_HANDFUL:])) == 1
            if score.fault == NO_SCORE or alike:
                often = f", for each of the first {len(faults)} cases" if alike else f" (case {case_id!r})"
                said = score.reason if score.fault == NO_SCORE else f"{name}: {score.reason}"
                raise RunStopped(f"{said}{often}", resumable=False)
