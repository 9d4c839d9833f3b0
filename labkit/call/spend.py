"""What one call may cost, over all its attempts, re-asks and fallback models."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.errors import CallInvalid
from labkit.models.estimates import estimated_usage
from labkit.models.model import Price
from labkit.models.prices import cost_usd
from labkit.models.protocol import CompletionRequest, Usage
from labkit.options import Count, Positive, checked

__all__ = ["Purse", "Spend"]


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Most that one call may cost; a request that would exceed it is not sent, and its outcome is ``budget``.

    A request is weighed by the estimated tokens of its prompt, and by ``Model(max_tokens=)`` where that is set. An
    attempt that failed without reporting its usage counts with its prompt: providers bill for what they abandon.

    Args:
        usd: US dollars; every model of the call then needs a price.
        tokens: Prompt and completion tokens together.

    Raises:
        CallInvalid: Neither was given, or one that is not positive.
    """

    usd: Positive | None = None
    tokens: Count | None = None

    def __post_init__(self) -> None:
        if self.usd is None and self.tokens is None:
            raise CallInvalid("Spend() limits nothing: give usd=, tokens=, or both")


class Purse:
    """What one call has spent of its *limit*."""

    __slots__ = ("_limit", "_tokens", "_usd")

    def __init__(self, limit: Spend) -> None:
        self._limit = limit
        self._tokens = 0
        self._usd = 0.0

    def refusal(self, request: CompletionRequest, price: Price | None) -> str | None:
        """Say why *request* may not be sent any more, None when it may."""
        ahead = Usage(
            prompt_tokens=estimated_usage(request, "").prompt_tokens,
            completion_tokens=request.sampling.max_tokens or 0,
        )
        tokens = self._tokens + ahead.total_tokens
        if self._limit.tokens is not None and tokens > self._limit.tokens:
            return f"{self._tokens} tokens were spent and {ahead.total_tokens} more would pass {self._limit.tokens}"
        more_usd = cost_usd(ahead, price) or 0.0
        if self._limit.usd is not None and self._usd + more_usd > self._limit.usd:
            return f"${self._usd:.6g} were spent and ${more_usd:.2g} more would pass ${self._limit.usd:g}"
        return None

    def pay(self, request: CompletionRequest, usage: Usage | None, price: Price | None) -> None:
        """Count an attempt that was sent; *usage* None where it failed without saying."""
        usage = usage or Usage(prompt_tokens=estimated_usage(request, "").prompt_tokens, estimated=True)
        self._tokens += usage.total_tokens
        self._usd += cost_usd(usage, price) or 0.0
