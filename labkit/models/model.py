"""Which model to ask, and how: the value behind ``model="openai/gpt-4o-mini"``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from labkit.errors import CallInvalid
from labkit.models.protocol import Sampling

__all__ = ["Model", "Price", "key_variable"]


def key_variable(provider: str) -> str:
    """Give the environment variable that usually holds a provider's key: OPENAI_API_KEY."""
    return re.sub(r"\W", "_", provider).upper() + "_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    prompt_usd: float
    completion_usd: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model by name, with its sampling and, where it is not the provider's own, its address.

    Args:
        name: ``provider/model``: "offline/nearest", "openai/gpt-4o-mini", any litellm name.
        base_url: An OpenAI-compatible server, "http://127.0.0.1:8000/v1"; None: the provider's own.
        client: Which client speaks to it; "auto" chooses by name and base_url.
        temperature: 0 asks for the likeliest answer.
        max_tokens: Most tokens of an answer.
        top_p: Nucleus sampling.
        seed: Where the provider takes one.
        logprobs: Ask for token log probabilities.
        price: Where the model is not in litellm's price table; None there too gives cost None, never 0.
        api_key: Normally left to the provider's environment variable; never shown, recorded or fingerprinted.

    Raises:
        CallInvalid: The name has no provider.
    """

    name: str
    base_url: str | None = field(default=None, kw_only=True)
    client: Literal["auto", "offline", "direct", "litellm"] = field(default="auto", kw_only=True)
    temperature: float | None = field(default=0.0, kw_only=True)
    max_tokens: int | None = field(default=None, kw_only=True)
    top_p: float | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    logprobs: bool = field(default=False, kw_only=True)
    price: Price | None = field(default=None, kw_only=True)
    api_key: str | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        provider, slash, model = self.name.partition("/")
        if not (provider and slash and model):
            raise CallInvalid(
                f"model {self.name!r} has no provider: write it as provider/model, "
                "for example 'openai/gpt-4o-mini' or 'offline/nearest'"
            )

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
        )
