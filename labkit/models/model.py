"""Which model to ask, and how: the value behind ``model="openai/gpt-4o-mini"``."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, Self

from labkit.addresses import FromEnvironment, from_environment, held_here, masked
from labkit.errors import CallInvalid
from labkit.models.protocol import Sampling
from labkit.options import Count, NotNegative, Share, checked

__all__ = ["Model", "Price", "key_variable", "keys_travel"]

log = logging.getLogger("labkit.call")

_keys_travel: ContextVar[bool] = ContextVar("labkit_keys_travel", default=False)


@contextmanager
def keys_travel() -> Iterator[None]:
    """Let pickles made here hold keys that were given in code: they go to workers of one's own, and into no file."""
    token = _keys_travel.set(True)
    try:
        yield
    finally:
        _keys_travel.reset(token)


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
        api_key: Normally left to the provider's environment variable; never shown, recorded, fingerprinted or pickled:
            a pickle names the environment variable that holds it, and is read with the environment of its reader.

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

    def __repr__(self) -> str:
        said = [repr(self.name)]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            default = each.default_factory() if each.default_factory is not MISSING else each.default
            if each.repr and value != default:
                said.append(f"{each.name}={masked(repr(value))}")
        return f"Model({', '.join(said)})"

    def __copy__(self) -> Self:
        return self  # it cannot change; a copy is no pickle, and keeps its key

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.base_url is not None and masked(self.base_url) != self.base_url:
            state["base_url"] = from_environment(self.base_url)
        if self.api_key is not None:
            key = from_environment(self.api_key)
            travels = isinstance(key, FromEnvironment) or _keys_travel.get()
            state["api_key"] = key if travels else FromEnvironment(key_variable(self.provider))
        return _made, (type(self), state)


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


def _made(kind: type[Model], state: dict[str, Any]) -> Model:
    key = state.get("api_key")
    found = {name: held_here(value) for name, value in state.items()}
    if isinstance(key, FromEnvironment) and found["api_key"] is None:
        log.warning(
            "the key of %s stayed where it was pickled: a pickle holds none. Set %s here", state["name"], str(key)
        )
    return kind(found.pop("name"), **found)
