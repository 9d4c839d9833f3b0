"""One call on its way through the nine steps: what it is made of, its bounds, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.call.deadline import Deadline
from labkit.call.definition import Definition
from labkit.call.journal import Journal
from labkit.call.result import FlagReading
from labkit.call.spend import Purse
from labkit.call.streaming import Presenter
from labkit.models.protocol import Message

__all__ = ["Question", "Trip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, whoever answers: the validated input and the messages made of it."""

    given: Any
    messages: tuple[Message, ...]


@dataclass(slots=True, kw_only=True)
class Trip:
    """A call in flight. The fallbacks need whatever the main path reached before it ended.

    Args:
        plan: The definition; a flag may exchange it for a variant's.
        given: The validated input, None before there is one.
        question: None before the prompt is written.
        key: The question's cache key, None without a cache.
        flags: As they were read.
        secrets: Texts that must not be written down.
        presenter: Shows the answer while it is written; None where nobody watches.
        models_may_answer: False once a kill switch is off, which fallback models heed too.
    """

    plan: Definition
    journal: Journal
    deadline: Deadline
    purse: Purse | None
    given: Any = None
    question: Question | None = None
    key: str | None = None
    flags: tuple[FlagReading, ...] = ()
    models_may_answer: bool = True
    secrets: tuple[str, ...] = ()
    presenter: Presenter | None = None
