"""How many tokens a provider says an answer took, in whichever form it says so.

OpenAI's ``prompt_tokens`` and ``completion_tokens`` with their details; Anthropic's ``input_tokens``, which leave out
what came from the cache; DeepSeek's ``prompt_cache_hit_tokens``; reasoning within the completion's tokens or beside
them; halves that are null, floats, digits in quotes, totals that are more than their parts. What was reported is kept,
and only what is missing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.models.estimates import estimated_usage
from labkit.models.protocol import CompletionRequest, Usage

__all__ = ["NOTHING_REPORTED", "UsageReport"]

_MOST_TOKENS = 10**9  # more is no count of one answer's tokens
_NOT_PLAIN = frozenset(
    {"prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details"}
    | {"input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "prompt_cache_hit_tokens"}
    | {"cache_read_input_tokens", "cache_read_tokens", "cache_creation_input_tokens"}
)
_DETAILS = ("prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_read_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What was said of an answer's tokens; 0 for what was not."""

    prompt: int = 0
    completion: int = 0
    total: int = 0
    cached: int = 0
    reasoning: int = 0

    @classmethod
    def read(cls, said: object) -> UsageReport:
        """Read the ``usage`` of a body; what cannot be a count counts as not said."""
        if not isinstance(said, Mapping):
            return NOTHING_REPORTED
        prompt, completion = _count(said, "prompt_tokens"), _count(said, "completion_tokens")
        if _NOT_PLAIN.isdisjoint(said):
            return cls(prompt=prompt, completion=completion, total=_count(said, "total_tokens"))
        cached = max((_count(where, name) for where in _places(said) for name in _CACHED), default=0)
        if not prompt:
            prompt = _count(said, "input_tokens")
            # Anthropic's own form counts the three apart
            prompt += _count(said, "cache_read_input_tokens") + _count(said, "cache_creation_input_tokens")
        return cls(
            prompt=prompt,
            completion=completion or _count(said, "output_tokens"),
            total=_count(said, "total_tokens"),
            cached=cached,
            reasoning=max(_count(where, "reasoning_tokens") for where in _places(said)),
        )

    def __or__(self, other: UsageReport) -> UsageReport:
        """Put two reports of one answer together: a stream's grow, and may say one half now and one later."""
        return UsageReport(
            prompt=max(self.prompt, other.prompt),
            completion=max(self.completion, other.completion),
            total=max(self.total, other.total),
            cached=max(self.cached, other.cached),
            reasoning=max(self.reasoning, other.reasoning),
        )

    def usage(self, request: CompletionRequest, text: str, reasoning: str | None = None) -> Usage:
        """Give the usage of an answer to *request* that said *text* after its *reasoning*."""
        prompt, completion = self.prompt, self.completion
        if self.reasoning > completion:  # it stands beside
            completion += self.reasoning
        if prompt:
            completion = max(completion, self.total - prompt)
        elif completion:
            prompt = max(0, self.total - completion)
        is_whole = bool(prompt and (completion or not text))
        if not is_whole:
            guess = estimated_usage(request, text + (reasoning or ""))
            if self.total and not (prompt or completion):
                prompt = min(guess.prompt_tokens, self.total)
                completion = self.total - prompt
            prompt = prompt or guess.prompt_tokens
            completion = completion or guess.completion_tokens
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            estimated=not is_whole,
            cached_tokens=min(self.cached, prompt),
            reasoning_tokens=min(self.reasoning, completion),
        )


NOTHING_REPORTED = UsageReport()


def _places(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield said
    for name in _DETAILS:
        if isinstance(said.get(name), Mapping):
            yield said[name]


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is int:
        return value if 0 < value <= _MOST_TOKENS else 0
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0
    if isinstance(value, float):
        value = int(value) if value.is_integer() else 0  # False for infinities and NaN
    return value if isinstance(value, int) and 0 < value <= _MOST_TOKENS else 0
