"""What one completion is, and the seam every model client fits: two methods and a name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from labkit.models.media import Media

__all__ = ["Chunk", "Client", "Completion", "CompletionRequest", "FinishReason", "Message", "Sampling", "Usage", "Wire"]

FinishReason = Literal["stop", "length", "filter"]
Wire = Literal["json_schema", "tool", "prompted", "text"]
"""How the schema travelled: the provider's own field, a forced tool, in the prompt, or not at all."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message.

    Args:
        content: Its text.
        media: Pictures and documents, each with where it stands in the text: a number of characters, in order.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    media: tuple[tuple[int, Media], ...] = ()

    def parts(self) -> Iterator[str | Media]:
        """Give text and media as they follow each other; no text is empty."""
        at = 0
        for position, medium in self.media:
            if text := self.content[at:position]:
                yield text
            yield medium
            at = position
        if text := self.content[at:]:
            yield text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the model should choose its tokens. What is not set is not sent: the provider's default holds.

    Args:
        extra: Whatever else the body of the request is to hold, as JSON data.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool = False
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one completion or a sum of several.

    Args:
        prompt_tokens: All of the prompt, those that came from the provider's cache included.
        completion_tokens: All that was generated and is billed, reasoning included.
        estimated: Some of them are a guess, because the provider did not report them.
        cached_tokens: Of the prompt's, those that came from the provider's cache; 0 where it does not say.
        reasoning_tokens: Of the completion's, those of the reasoning; 0 where it does not say.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            estimated=self.estimated or other.estimated,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One question to a model.

    Args:
        messages: In order; the last one is the user's.
        schema: JSON Schema of the wanted answer with ``$defs`` inlined, None for plain text.
        schema_name: Identifier that providers ask for beside a schema, ``[A-Za-z0-9_-]{1,64}``.
        sampling: Passed whole.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer from a model.

    Args:
        text: As the provider sent it; tool arguments count as text.
        finish_reason: ``filter`` also stands for an explicit refusal.
        latency_s: From the request to the last byte.
        first_chunk_s: From the request to the first text of a stream; None without streaming.
        model: The model that answered, as the provider names it; may differ from the one asked for.
        wire: How the schema travelled.
        usage: None when it is neither reported nor estimated.
        logprobs: Natural logarithms, one a token, where asked for and given.
        request_id: The provider's.
        reasoning: What the model thought before it answered, where the provider gives it; never part of ``text``.
        rejected: What the provider said where it found by itself that ``text`` is not what was asked for; None where
            it did not.
        notes: What was odd about the answer and did not spoil it.
    """

    text: str
    finish_reason: FinishReason
    latency_s: float
    model: str
    wire: Wire
    first_chunk_s: float | None = None
    usage: Usage | None = None
    logprobs: tuple[float, ...] | None = None
    request_id: str | None = None
    reasoning: str | None = field(default=None, repr=False)
    rejected: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a streamed answer; the last one carries the whole *completion* and no text of its own.

    Args:
        text: May be "": a sign of life, such as a piece of the reasoning.
        is_end: The text is whole; only its bookkeeping may follow.
    """

    text: str = ""
    is_end: bool = False
    completion: Completion | None = None


@runtime_checkable
class Client(Protocol):
    """Something that completes messages.

    Both methods raise ``ModelError`` for what the provider or the network did, translated at the adapter, and let
    ``CancelledError`` through at once, closing what they opened. Neither retries nor has a timeout of its own: the
    pipeline owns both.
    """

    @property
    def name(self) -> str:
        """The model as the user names it, "openai/gpt-4o-mini"; goes into records and the fingerprint."""
        ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece; exactly one chunk, the last, has a ``completion``."""
        ...
