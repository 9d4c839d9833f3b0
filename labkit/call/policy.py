"""How long a call may take, how often it may try, and how far it may go to save an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from labkit.call.breaker import Breaker
from labkit.call.cache import Cache
from labkit.call.hedge import Hedge
from labkit.call.inputs import Normalization
from labkit.call.repairs import RepairLevel
from labkit.call.retry import Retry
from labkit.call.spend import Spend
from labkit.errors import CallInvalid
from labkit.options import Count, NotNegative, Seconds, Whole, checked

__all__ = ["Attempt", "Policy"]


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Limits of one request to a model.

    Args:
        total_s: Longest one request may take. None: an even share of the time left among the models that may
            still be asked, so that a primary that hangs leaves its fallback model time to answer.
        first_token_s: Longest wait for the first piece of text.
        idle_s: Longest wait between two pieces of text.

    With either of the last two the answer is streamed from the provider, whether or not the caller sees it stream: a
    request that hangs is then given up on long before ``total_s``.

    Raises:
        CallInvalid: Something else than a positive number of seconds.
    """

    total_s: Seconds | None = None
    first_token_s: Seconds | None = None
    idle_s: Seconds | None = None


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The bounds of a call.

    Args:
        deadline_s: The whole call answers within this, fallbacks included.
        reserve_s: Part of it kept for local fallbacks, which the main path may not touch.
        attempt: Limits of one request.
        retry: Requests after a failure in transport.
        reask: Times a rejected answer goes back to the model with what is wrong with it.
        breaker: When to leave a model alone that keeps failing; None asks it whatever happens.
        hedge: A second request when the first is slow; needs ``retry=Retry(max_attempts=1)``.
        spend: Most that the call may cost.
        max_concurrency: Most calls at a model at a time, over all calls of the process with the same limit; the
            others wait their turn within their deadlines. None: no limit.
        rule_timeout_s: Longest that each async guard, rule or confidence score may take.
        repair: How far reading an answer may go.
        normalize: What is done to strings before they are validated.
        cache: Keep validated answers; None keeps none.
        record_content: Write input, prompt and output into records; None: only in a notebook.

    Raises:
        CallInvalid: A bound of another kind or out of its range, or one that leaves no time to answer.
    """

    deadline_s: Seconds = 30.0
    reserve_s: NotNegative = 0.2
    attempt: Attempt = field(default_factory=Attempt)
    retry: Retry = field(default_factory=Retry)
    reask: Whole = 0
    breaker: Breaker | None = field(default_factory=Breaker)
    hedge: Hedge | None = None
    spend: Spend | None = None
    max_concurrency: Count | None = None
    rule_timeout_s: Seconds = 2.0
    repair: RepairLevel = "safe"
    normalize: Normalization = field(default_factory=Normalization)
    cache: Cache | None = None
    record_content: bool | None = None

    def __post_init__(self) -> None:
        if not self.reserve_s < self.deadline_s:
            raise CallInvalid(
                f"Policy(deadline_s={self.deadline_s}, reserve_s={self.reserve_s}): the reserve is part of the "
                "deadline and must leave time for the model; give a longer deadline"
            )
        if self.hedge is not None and self.retry.max_attempts > 1:
            raise CallInvalid(
                "Policy(hedge=...): a hedge is a second request already, and retries would multiply it; "
                "give retry=Retry(max_attempts=1) beside it"
            )
