"""A value that may be served, with how it was come by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.call.repairs import Repair
from labkit.call.result import AnswerSource

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A validated value and its source; the pipeline makes a ``Result`` of it."""

    value: Any
    source: AnswerSource
    confidence: float | None = None
    repairs: tuple[Repair, ...] = ()
    user_message: str | None = None
