"""Another request after one that failed in transport, and the budget that keeps retries from becoming a storm."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any

from labkit.errors import Outcome
from labkit.options import Bound, Count, NotNegative, checked

__all__ = ["RETRIED", "Retry", "RetryBudget"]

# What another request may mend. A bad answer is not among them: that is a re-ask, not a retry.
RETRIED: frozenset[Outcome] = frozenset({"timeout", "rate_limited", "transport"})


@checked()
class RetryBudget:
    """How many retries and hedges may be sent, over everything that shares it: a token bucket.

    Every call adds *refill* tokens, every second request takes one. While few calls fail nobody notices; when most do,
    requests grow by *refill* a call and not by the number of attempts, and the provider can come back.

    Args:
        burst: Most tokens, and those it begins with.
        refill: Tokens a call adds; 0.2 allows one retry for every five calls.

    Raises:
        CallInvalid: A burst below 1 or a negative refill.

    Source: Brooker (2022), "Fixing retries with token buckets and circuit breakers"; gRPC's retry throttling.
    """

    def __init__(self, *, burst: Annotated[float, Bound(1)] = 100.0, refill: NotNegative = 0.2) -> None:
        self.burst = burst
        self.refill = refill
        self._tokens = burst
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """What is left."""
        return self._tokens

    def count_call(self) -> None:
        with self._lock:
            self._tokens = min(self.burst, self._tokens + self.refill)

    def take(self) -> bool:
        """Take one token; False when there is none."""
        with self._lock:
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True

    def __reduce__(self) -> str | tuple[Any, ...]:
        # a budget belongs to its process: another one keeps its own, and the one they all share stays that
        return "_PROCESS_WIDE" if self is _PROCESS_WIDE else (_budget, (self.burst, self.refill))

    def __repr__(self) -> str:
        return f"RetryBudget(burst={self.burst:g}, refill={self.refill:g})"


def _budget(burst: float, refill: float) -> RetryBudget:
    return RetryBudget(burst=burst, refill=refill)


_PROCESS_WIDE = RetryBudget()


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Another request after one that failed in transport: a timeout, a 429, a 5xx, a broken connection.

    Args:
        max_attempts: Requests in all, the first one included.
        backoff_s: Upper bound of the first wait; it doubles with every retry.
        max_backoff_s: Upper bound of every wait.
        budget: Shared by all calls of the process unless a call is given one of its own; None is unlimited.

    The wait is drawn evenly between 0 and its bound ("full jitter", Brooker 2015, "Exponential Backoff And Jitter",
    AWS Architecture Blog), but never shorter than the provider's ``Retry-After``.

    Raises:
        CallInvalid: No attempt at all, or a negative wait.
    """

    max_attempts: Count = 2  # 1 is no retry
    backoff_s: NotNegative = 0.25
    max_backoff_s: NotNegative = 4.0
    budget: RetryBudget | None = field(default=_PROCESS_WIDE, compare=False)

    def wait_s(self, retry: int, retry_after_s: float | None) -> float:
        """Seconds to wait before the *retry*-th retry (1 is the first)."""
        bound = min(self.max_backoff_s, self.backoff_s * 2.0 ** (retry - 1))
        return max(random.uniform(0.0, bound), retry_after_s or 0.0)
