"""What happened in one call, written down as it happens, so that a crash cannot erase the evidence.

Steps only write to it; none of them reads what another wrote.
"""

from __future__ import annotations

import dataclasses
import time
from types import TracebackType
from typing import Any

from labkit.call.result import AttemptRecord, FieldError, Note, Reason, Step
from labkit.errors import Outcome

__all__ = ["Journal"]


class Journal:
    """The steps, attempts and notes of one call in flight."""

    __slots__ = ("_step_began", "attempts", "began", "current", "notes", "steps")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.steps: dict[str, float] = {}
        self.attempts: list[AttemptRecord] = []
        self.notes: list[Note] = []
        self.current: Step = "input"
        self._step_began = self.began

    def step(self, name: Step) -> Journal:
        """Time a step: ``with journal.step("prompt"): ...``. Steps follow each other and never nest."""
        self.current = name
        return self

    def __enter__(self) -> None:
        self._step_began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spent = time.perf_counter() - self._step_began
        self.steps[self.current] = self.steps.get(self.current, 0.0) + spent

    def note(self, message: str) -> None:
        self.notes.append(Note(step=self.current, message=message))

    def attempt(self, **fields: Any) -> int:
        """Write down a request to a model and give its number; hedged ones are numbered as they end."""
        n = len(self.attempts) + 1
        began_s = max(0.0, self.elapsed_s() - fields["latency_s"])
        self.attempts.append(AttemptRecord(n=n, began_s=began_s, **fields))
        return n

    def judge(self, n: int, outcome: Outcome, message: str, errors: tuple[FieldError, ...]) -> None:
        """Change the outcome of attempt *n*: its text came, and was then found wanting."""
        self.attempts[n - 1] = dataclasses.replace(
            self.attempts[n - 1], outcome=outcome, message=message, errors=errors
        )

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began

    def failure(self, outcome: Outcome, message: str) -> Reason:
        """Give the reason for ending in the current step."""
        return Reason(step=self.current, outcome=outcome, message=message)
