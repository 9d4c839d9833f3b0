"""A model for tests: it says what it is told, in order, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Sequence

from labkit.errors import OptionInvalid
from labkit.models.protocol import Chunk, Completion, CompletionRequest, FinishReason, Usage
from labkit.options import Count, checked

__all__ = ["ScriptedModel"]

Reply = str | Completion | BaseException | Callable[[CompletionRequest], str]


@checked(OptionInvalid)
class ScriptedModel:
    """Answers with *replies* in order; the last one is repeated for ever.

    Args:
        replies: Text, a whole ``Completion``, an exception to raise, or a function of the request; one or several.
        name: What records and the fingerprint call it.
        finish_reason: For text replies.
        chunk_chars: Characters a chunk when streamed.

    Raises:
        OptionInvalid: No reply was given.
    """

    def __init__(
        self,
        replies: Reply | Sequence[Reply],
        *,
        name: str = "scripted/model",
        finish_reason: FinishReason = "stop",
        chunk_chars: Count = 8,
    ) -> None:
        self._replies: tuple[Reply, ...] = (
            tuple(replies) if isinstance(replies, Sequence) and not isinstance(replies, str) else (replies,)
        )
        if not self._replies:
            raise OptionInvalid("ScriptedModel needs at least one reply")
        self._name = name
        self._finish_reason: FinishReason = finish_reason
        self._chunk_chars = chunk_chars
        self._lock = threading.Lock()
        self.requests: list[CompletionRequest] = []

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give the next reply."""
        with self._lock:
            reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
            self.requests.append(request)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Completion):
            return reply
        text = reply if isinstance(reply, str) else reply(request)
        prompt_words = sum(len(message.content.split()) for message in request.messages)
        return Completion(
            text=text,
            finish_reason=self._finish_reason,
            latency_s=0.0,
            model=self._name,
            wire="text" if request.schema is None else "json_schema",
            usage=Usage(prompt_tokens=prompt_words, completion_tokens=len(text.split()), estimated=True),
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Give the next reply in pieces of ``chunk_chars``."""
        completion = await self.complete(request)
        for start in range(0, len(completion.text), self._chunk_chars):
            yield Chunk(text=completion.text[start : start + self._chunk_chars])
        yield Chunk(completion=completion)
