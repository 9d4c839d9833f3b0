"""One question in OpenAI's format and what comes back, asked in one way after the other until one is taken."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from labkit.errors import ModelError
from labkit.models.chat_errors import ServerError, error_of
from labkit.models.chat_response import Answer, AnswerReader, Unreadable, rejected_answer
from labkit.models.event_stream import TooLong
from labkit.models.protocol import Completion, CompletionRequest
from labkit.models.provider_errors import broken_body, provider_error, too_large
from labkit.models.request_body import body_of
from labkit.models.ways import Trial, known_of, refused_parameter

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Exchange", "Post"]

_ERROR_BYTES = 64 * 2**10
_DRAIN_S = 0.02
_GRACE_S = 0.5

Post = Callable[[bytes], Awaitable["aiohttp.ClientResponse"]]


class Exchange:
    """A question and its answer: read with ``text`` until that gives None, then ``completion`` is there.

    Args:
        name: Of the model, for messages.
        model: What the server calls it.
        url: Where what is known of the server is remembered.
        post: Sends a body and gives the response once its headers are there.
        is_openai: It goes to OpenAI itself.
        streamed: Whether to ask for pieces.
    """

    def __init__(
        self,
        request: CompletionRequest,
        *,
        name: str,
        model: str,
        url: str,
        post: Post,
        is_openai: bool,
        streamed: bool,
    ) -> None:
        self._request = request
        self._name = name
        self._model = model
        self._post = post
        self._is_openai = is_openai
        self._streamed = streamed
        self._trial = Trial(known_of(url, model), request, is_openai=is_openai)
        self._first_failure: ModelError | None = None
        self._began = time.perf_counter()
        self._response: aiohttp.ClientResponse | None = None
        self._is_closed = False
        self._reader = AnswerReader()
        self._grace_until: float | None = None
        self._first_chunk_s: float | None = None
        self._answer: Answer | None = None
        self._latency_s = 0.0

    @property
    def is_whole(self) -> bool:
        """The answer is there, and only its usage may follow."""
        return self._answer is not None or self._reader.is_whole

    async def text(self) -> str | None:
        """Wait for the next piece and give its text, "" for a sign of life; None at the end.

        Raises:
            ModelError: No answer comes, or none that can be read.
        """
        import aiohttp

        while self._answer is None:
            try:
                text = await self._next()
            except (Unreadable, _Refusal) as broken:
                self._answer = self._answer_of(broken)
                self._latency_s = time.perf_counter() - self._began
                self.close()
            except aiohttp.ClientError as error:
                raise _network_error(self._name, error) from error
            except TooLong as error:
                raise too_large(self._name) from error
            else:
                if text is not None:
                    return text
        return None

    def completion(self) -> Completion:
        """Give the answer; ``text`` has given None."""
        answer, response = self._answer, self._response
        assert answer is not None and response is not None
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason,
            latency_s=self._latency_s,
            first_chunk_s=self._first_chunk_s,
            model=answer.model or self._model,
            wire=self._trial.way.wire,
            usage=answer.usage.usage(self._request, answer.text, answer.reasoning),
            logprobs=answer.logprobs,
            request_id=response.headers.get("x-request-id") or response.headers.get("request-id"),
            reasoning=answer.reasoning,
            rejected=answer.rejected,
            notes=answer.notes,
        )

    def close(self) -> None:
        """Let go of the connection; one whose response was read to its end is back in the pool already."""
        if self._response is not None and not self._is_closed:
            self._is_closed = True
            self._response.close()

    # --- asking and reading -------------------------------------------------------------------------------------------

    async def _next(self) -> str | None:
        """Give the text of the next piece; None where the answer is complete, or has to be asked for again."""
        if self._response is None:
            self._response = await self._ask()
        reader = self._reader
        while not reader.is_done and (block := await _block(self._response, self._grace_until)):
            pieces = reader.pieces
            text = reader.feed(block)
            if reader.is_whole and self._grace_until is None:
                self._grace_until = asyncio.get_running_loop().time() + _GRACE_S
            if self._streamed and (reader.pieces > pieces or reader.is_whole):
                return self._shown(text)
        self._latency_s = time.perf_counter() - self._began
        if reader.is_done:
            await _drain(self._response, reader)
        text = reader.end()
        self._answer = reader.answer()
        self._trial.worked()
        self.close()
        return self._shown(text) if text and self._streamed else None

    async def _ask(self) -> aiohttp.ClientResponse:
        way = self._trial.way
        body = body_of(self._request, self._model, way, streamed=self._streamed, is_openai=self._is_openai)
        self._reader = AnswerReader(
            self._request.schema_name if way.wire == "tool" else None, is_json=self._request.schema is not None
        )
        self._grace_until = None
        response = await self._post(body)
        if response.status != 200:
            try:
                raise _Refusal(error_of(await _beginning(response), response.headers), response)
            finally:
                response.close()
        return response

    def _shown(self, text: str) -> str:
        if text and self._first_chunk_s is None:
            self._first_chunk_s = time.perf_counter() - self._began
        return text

    # --- what is no answer --------------------------------------------------------------------------------------------

    def _answer_of(self, broken: Unreadable | _Refusal) -> Answer | None:
        """Give what the model wrote where that is what the provider complains of: it is a bad answer; None where the
        next way is to be tried.

        Raises:
            ModelError: It complains of something else, or there is neither answer nor complaint.
        """
        response = broken.response if isinstance(broken, _Refusal) else self._response
        error = broken.error
        if error is None or response is None:
            raise broken_body(self._name, str(broken)) from broken
        said_status = response.status if isinstance(broken, _Refusal) else error.status
        status = said_status or error.status_or_default
        if error.generated is not None and (said_status or 400) < 500:
            self._response = response
            self._trial.worked()  # the model was asked so, and wrote something
            return rejected_answer(error)
        failure = provider_error(
            self._name, status, error.said, code=error.code, headers=response.headers,
            mend=refused_parameter(self._request.sampling, error),
        )  # fmt: skip
        self._first_failure = first = self._first_failure or failure
        if self._first_chunk_s is not None or not self._trial.next(status, error, streamed=self._streamed):
            # what the first way was told is the reason, unless a later one met something else on its way
            raise first if failure.outcome == "bug" else failure from broken
        self.close()
        self._response, self._is_closed = None, False
        return None


class _Refusal(Exception):
    """The server answers with an error, by its status."""

    def __init__(self, error: ServerError, response: aiohttp.ClientResponse) -> None:
        super().__init__(error.said)
        self.error = error
        self.response = response


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Read the body of an error; its beginning is enough."""
    blocks: list[bytes] = []
    while sum(map(len, blocks)) < _ERROR_BYTES and (block := await response.content.readany()):
        blocks.append(block)
    return b"".join(blocks)


async def _block(response: aiohttp.ClientResponse, grace_until: float | None) -> bytes:
    """Wait for the next block; once the answer is whole only so long, and however the connection ends then."""
    import aiohttp

    if grace_until is None:
        return await response.content.readany()
    try:
        async with asyncio.timeout_at(grace_until):
            return await response.content.readany()
    except (TimeoutError, aiohttp.ClientError):
        return b""


def _network_error(name: str, error: aiohttp.ClientError) -> ModelError:
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        return provider_error(name, error.status, f"the proxy said: {error.message}")
    if isinstance(error, aiohttp.InvalidURL):
        return ModelError(f"{name}: base_url is no address: {error}", outcome="bug")
    return ModelError(f"{name}: {type(error).__name__}: {error}", outcome="transport")


async def _drain(response: aiohttp.ClientResponse, reader: AnswerReader) -> None:
    """Read what follows the last event, normally nothing, so that the connection can be used again."""
    import aiohttp

    with contextlib.suppress(TimeoutError, aiohttp.ClientError):  # the answer is there; a new connection costs little
        async with asyncio.timeout(_DRAIN_S):
            while block := await response.content.readany():
                reader.feed(block)
