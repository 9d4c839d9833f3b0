"""Which model to ask, and how: the value behind ``model="openai/gpt-4o-mini"``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from labkit.errors import CallInvalid
from labkit.models.protocol import Sampling
from labkit.options import Count, NotNegative, Share, checked

__all__ = ["Model", "Price", "key_variable"]


def key_variable(provider: str) -> str:
    """Give the environment variable that usually holds a provider's key: OPENAI_API_KEY."""
    return re.sub(r"\W", "_", provider).upper() + "_API_KEY"


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens.

    Args:
        cached_usd: Of the prompt's tokens that came from the provider's cache; None: as the others.
    """

    prompt_usd: NotNegative
    completion_usd: NotNegative
    cached_usd: NotNegative | None = None


@checked()
@dataclass(frozen=True, slots=True)
class Model:
    """A model by name, with its sampling and, where it is not the provider's own, its address.

    Args:
        name: ``provider/model``: "offline/nearest", "openai/gpt-4o-mini", any litellm name.
        base_url: An OpenAI-compatible server, "http://127.0.0.1:8000/v1"; None: the provider's own.
        client: Which client speaks to it; "auto" chooses by name and base_url.
        temperature: 0 asks for the likeliest answer; many reasoning models refuse any. This and all that follows is
            sent only where it is set.
        max_tokens: Most tokens of an answer, under whichever name the server takes.
        top_p: Nucleus sampling.
        seed: Where the provider takes one.
        logprobs: Ask for token log probabilities.
        top_k: Choose among so many tokens; servers of one's own take it, OpenAI does not.
        stop: Text, or several, before which the answer ends.
        reasoning_effort: How long a reasoning model may think: "minimal", "low", "medium", "high".
        extra: Whatever else the body of the request is to hold, as JSON data: ``{"service_tier": "flex"}``.
        price: Where the model is not in litellm's price table; None there too gives cost None, never 0.
        api_key: Normally left to the provider's environment variable; never shown, recorded or fingerprinted.

    Raises:
        CallInvalid: The name has no provider, or *extra* holds what labkit itself sends.
    """

    name: str
    base_url: str | None = field(default=None, kw_only=True)
    client: Literal["auto", "offline", "direct", "litellm"] = field(default="auto", kw_only=True)
    temperature: NotNegative | None = field(default=None, kw_only=True)
    max_tokens: Count | None = field(default=None, kw_only=True)
    top_p: Share | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    logprobs: bool = field(default=False, kw_only=True)
    top_k: Count | None = field(default=None, kw_only=True)
    stop: str | Sequence[str] = field(default=(), kw_only=True)
    reasoning_effort: str | None = field(default=None, kw_only=True)
    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    price: Price | None = field(default=None, kw_only=True)
    api_key: str | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        provider, slash, model = self.name.partition("/")
        if not (provider and slash and model):
            raise CallInvalid(
                f"model {self.name!r} has no provider: write it as provider/model, "
                "for example 'openai/gpt-4o-mini' or 'offline/nearest'"
            )
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        object.__setattr__(self, "extra", _checked(self.name, self.extra))

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            top_p=self.top_p,
            seed=self.seed,
            logprobs=self.logprobs,
            top_k=self.top_k,
            stop=tuple(self.stop),
            reasoning_effort=self.reasoning_effort,
            extra=self.extra,
        )


# What the body of a request holds already: under its own name, or as what is asked and how it is answered.
_PARAMETERS = frozenset(
    {"temperature", "max_tokens", "top_p", "seed", "logprobs", "top_k", "stop", "reasoning_effort"}
)  # fmt: skip
_NOT_EXTRA = frozenset(
    {"messages", "model", "stream", "stream_options", "response_format", "tools", "tool_choice", "functions"}
    | {"function_call", "n", "parallel_tool_calls", "prompt", "input", "modalities", "audio"}
)


def _checked(name: str, extra: Any) -> dict[str, Any]:
    """Give a copy that nobody else can change."""
    if not isinstance(extra, Mapping) or not all(isinstance(key, str) for key in extra):
        raise CallInvalid(f"Model({name!r}, extra={extra!r}): give a dict of what the request's body is to hold")
    for key in extra:
        if key in _PARAMETERS or key == "max_completion_tokens":
            own = "max_tokens" if key == "max_completion_tokens" else key
            raise CallInvalid(f"Model({name!r}, extra=): {key!r} has a parameter of its own: give Model({own}=)")
        if key in _NOT_EXTRA:
            raise CallInvalid(
                f"Model({name!r}, extra=): {key!r} is labkit's to send, an answer of another form could not be read: "
                "leave it out"
            )
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(extra), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CallInvalid(f"Model({name!r}, extra=): it must be JSON data: {error}") from error
    return copy
