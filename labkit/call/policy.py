"""How long a call may take, how often it may try, and how far it may go to save an answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from labkit.call.cache import Cache
from labkit.call.inputs import Normalization
from labkit.call.repairs import RepairLevel
from labkit.errors import CallInvalid, Outcome

__all__ = ["Attempt", "Policy", "Retry"]

# What another request may mend. A bad answer is not among them: that is a re-ask, not a retry.
RETRIED: frozenset[Outcome] = frozenset({"timeout", "rate_limited", "transport"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Limits of one request to a model.

    Args:
        total_s: Longest one request may take. None: an even share of the time left among the models that may
            still be asked, so that a primary that hangs leaves its fallback model time to answer.
    """

    total_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Another request after one that failed in transport: a timeout, a 429, a 5xx, a broken connection.

    Args:
        max_attempts: Requests in all, the first one included.
        backoff_s: Upper bound of the first wait; it doubles with every retry.
        max_backoff_s: Upper bound of every wait.

    The wait is drawn evenly between 0 and its bound ("full jitter", Brooker 2015, "Exponential Backoff And Jitter",
    AWS Architecture Blog), but never shorter than the provider's ``Retry-After``.
    """

    max_attempts: int = 2
    backoff_s: float = 0.25
    max_backoff_s: float = 4.0

    def wait_s(self, retry: int, retry_after_s: float | None) -> float:
        """Seconds to wait before the *retry*-th retry (1 is the first)."""
        bound = min(self.max_backoff_s, self.backoff_s * 2.0 ** (retry - 1))
        return max(random.uniform(0.0, bound), retry_after_s or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The bounds of a call.

    Args:
        deadline_s: The whole call answers within this, fallbacks included.
        reserve_s: Part of it kept for local fallbacks, which the main path may not touch.
        attempt: Limits of one request.
        retry: Requests after a failure in transport.
        reask: Times a rejected answer goes back to the model with what is wrong with it.
        repair: How far reading an answer may go.
        normalize: What is done to strings before they are validated.
        cache: Keep validated answers; None keeps none.
        record_content: Write input, prompt and output into records; None: only in a notebook.

    Raises:
        CallInvalid: A bound that leaves no time to answer.
    """

    deadline_s: float = 30.0
    reserve_s: float = 0.2
    attempt: Attempt = field(default_factory=Attempt)
    retry: Retry = field(default_factory=Retry)
    reask: int = 0
    repair: RepairLevel = "safe"
    normalize: Normalization = field(default_factory=Normalization)
    cache: Cache | None = None
    record_content: bool | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.reserve_s < self.deadline_s:
            raise CallInvalid(
                f"Policy(deadline_s={self.deadline_s}, reserve_s={self.reserve_s}): the reserve is part of the "
                "deadline and must leave time for the model; give a longer deadline"
            )
        if self.attempt.total_s is not None and self.attempt.total_s <= 0:
            raise CallInvalid(f"Attempt(total_s={self.attempt.total_s}): give a positive number of seconds, or None")
        if self.retry.max_attempts < 1:
            raise CallInvalid(f"Retry(max_attempts={self.retry.max_attempts}): 1 means no retry; give 1 or more")
        if self.reask < 0:
            raise CallInvalid(f"Policy(reask={self.reask}): give 0 or more")
