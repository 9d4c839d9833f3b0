"""OpenAI's chat-completions format over aiohttp: OpenAI, vLLM, Ollama, llama.cpp, LM Studio, gateways.

A schema travels as ``response_format``. A server that rejects that is asked again with a forced tool, and one that
rejects that too with the schema in the prompt; ``ways`` remembers what worked, so that this costs one or two more
requests once. ``Completion.wire`` says how it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from labkit.errors import CallInvalid, ModelError
from labkit.models.chat_errors import ServerError, error_of
from labkit.models.chat_response import Answer, AnswerReader, Unreadable, rejected_answer
from labkit.models.event_stream import TooLong
from labkit.models.http_session import Route, route_to, session
from labkit.models.model import Model, key_variable
from labkit.models.protocol import Chunk, Completion, CompletionRequest, Wire
from labkit.models.provider_errors import broken_body, provider_error, too_large
from labkit.models.schema_wire import messages_of, prompted_messages, response_format, tool_fields
from labkit.models.ways import Limit, Trial, Way, known_of, refused_parameter

if TYPE_CHECKING:
    import aiohttp

__all__ = ["DirectClient", "payload_of"]

_OPENAI = "https://api.openai.com/v1"
_ERROR_BYTES = 64 * 2**10
_DRAIN_S = 0.02
_GRACE_S = 0.5

_encode = json.JSONEncoder(separators=(",", ":")).encode

# Most of a body is the schema, which is the same for every request of a call: encoded once. The schema is kept beside,
# so that its id is not given to another.
_encoded: dict[tuple[Any, ...], tuple[object, bytes]] = {}
_MOST_ENCODED = 256


class DirectClient:
    """Asks *model* in OpenAI's format.

    Its address is ``base_url``, else OPENAI_BASE_URL or OpenAI's own. Its key is ``api_key``, else the environment's
    ``<PROVIDER>_API_KEY``: OPENAI_API_KEY for "openai/...". A server at a ``base_url`` need not have one.

    Args:
        model: Without its provider, its name is what the server is asked for.

    Raises:
        CallInvalid: It has no address, or one that is no HTTP address.
    """

    def __init__(self, model: Model) -> None:
        if model.base_url is None and model.provider != "openai":
            raise CallInvalid(
                f"client='direct' does not know where {model.name!r} is: give base_url, or client='litellm'"
            )
        if model.base_url is not None and not re.match(r"https?://[^/]", model.base_url):
            raise CallInvalid(
                f"base_url={model.base_url!r} of {model.name!r} is no HTTP address: write it as 'http://host:port/v1'"
            )
        self._model = model
        self._served_name = model.name.partition("/")[2]
        self._key_variable = key_variable(model.provider)

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        async with contextlib.aclosing(self._exchange(request, streamed=False)) as chunks:
            async for chunk in chunks:
                if chunk.completion is not None:
                    return chunk.completion
        raise AssertionError("unreachable: an exchange ends with its completion or raises")

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece."""
        return self._exchange(request, streamed=True)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _exchange(self, request: CompletionRequest, *, streamed: bool) -> AsyncGenerator[Chunk, None]:
        """Ask in one way after the other, until one is taken: pieces only where they were asked for, and the answer.

        Raises:
            ModelError: None was taken, or something else went wrong.
        """
        import aiohttp

        url = self._url()
        route = route_to(url)
        trial = Trial(known_of(url, self._served_name), request, is_openai=_is_openai(route))
        first: ModelError | None = None
        while True:
            try:
                async with contextlib.aclosing(self._asked(request, route, trial, streamed=streamed)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except _Refusal as refusal:
                failure = self._failure(request, refusal)
                first = first or failure
                if not trial.next(refusal.status, refusal.error, streamed=streamed):
                    # what the first way was told is the reason, unless a later one met something else on its way
                    raise first if failure.outcome == "bug" else failure from refusal
            except aiohttp.ClientError as error:
                raise _network_error(self.name, error) from error
            except TooLong as error:
                raise too_large(self.name) from error

    async def _asked(
        self, request: CompletionRequest, route: Route, trial: Trial, *, streamed: bool
    ) -> AsyncGenerator[Chunk, None]:
        """Ask in the present way, and read what comes.

        Raises:
            _Refusal: An error, with whichever status.
            aiohttp.ClientError, TooLong: No answer, or one without end.
        """
        began = time.perf_counter()
        way, shown, first_chunk_s = trial.way, False, None
        is_openai = _is_openai(route)
        response = await self._send(
            route, _body(request, self._served_name, way, streamed=streamed, is_openai=is_openai)
        )
        reader = AnswerReader(tool=request.schema_name if way.wire == "tool" else None)
        try:
            if response.status != 200:
                error = error_of(await _beginning(response), response.headers)
                raise _Refusal(error, response.status, response)
            grace_until: float | None = None
            while not reader.is_done and (block := await _block(response, grace_until)):
                pieces = reader.pieces
                text = reader.feed(block)
                if reader.is_whole and grace_until is None:
                    grace_until = asyncio.get_running_loop().time() + _GRACE_S
                if streamed and (reader.pieces > pieces or reader.is_whole):
                    if text and first_chunk_s is None:
                        first_chunk_s = time.perf_counter() - began
                    shown = shown or bool(text)
                    yield Chunk(text=text, is_end=reader.is_whole)
            text = reader.end()
            if text and streamed:
                first_chunk_s = first_chunk_s or time.perf_counter() - began
                yield Chunk(text=text, is_end=True)
            answer = reader.answer()
            latency_s = time.perf_counter() - began
            if reader.is_done:
                await _drain(response)
            trial.worked()
        except (Unreadable, _Refusal) as broken:
            answer, latency_s = self._rejected(broken, response, shown=shown), time.perf_counter() - began
            trial.worked()  # the model was asked so, and wrote something
        finally:
            response.close()  # a connection whose response was read to its end is back in the pool already
        yield Chunk(
            completion=Completion(
                text=answer.text,
                finish_reason=answer.finish_reason,
                latency_s=latency_s,
                first_chunk_s=first_chunk_s,
                model=answer.model or self._served_name,
                wire=way.wire,
                usage=answer.usage.usage(request, answer.text + (answer.reasoning or "")),
                logprobs=answer.logprobs,
                request_id=_request_id(response),
                reasoning=answer.reasoning,
                rejected=answer.rejected,
                notes=answer.notes,
            )
        )

    def _rejected(self, broken: Unreadable | _Refusal, response: aiohttp.ClientResponse, *, shown: bool) -> Answer:
        """Give what the model wrote where that is what the provider complains of; it is a bad answer.

        Raises:
            _Refusal: It complains of something else.
            ModelError: So it does, in the middle of the answer; or there is neither answer nor complaint.
        """
        error = broken.error
        if error is None:
            raise broken_body(self.name, str(broken)) from broken
        status = broken.status if isinstance(broken, _Refusal) else error.status_or_default
        if error.generated is not None and status < 500:
            return rejected_answer(error)
        if shown:
            raise provider_error(self.name, status, error.said, code=error.code, headers=response.headers) from broken
        raise _Refusal(error, status, response) from broken

    def _failure(self, request: CompletionRequest, refusal: _Refusal) -> ModelError:
        error = refusal.error
        return provider_error(
            self.name, refusal.status, error.said, code=error.code, headers=refusal.response.headers,
            mend=refused_parameter(request.sampling, error),
        )  # fmt: skip

    def _url(self) -> str:
        """Give the address of completions; what follows a "?" stays at its end, as Azure has it."""
        base_url = self._model.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
        address, mark, query = base_url.partition("#")[0].partition("?")
        return f"{address.rstrip('/').removesuffix('/chat/completions')}/chat/completions{mark}{query}"

    async def _send(self, route: Route, body: bytes) -> aiohttp.ClientResponse:
        headers = {"Content-Type": "application/json", **route.headers}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        return await (await session()).post(
            route.url,
            data=body,
            headers=headers,
            proxy=route.proxy,
            proxy_headers=route.proxy_headers,
            ssl=route.tls,
            allow_redirects=False,  # a POST that is redirected loses its body or its key
        )

    def _key(self) -> str | None:
        key = (self._model.api_key or os.environ.get(self._key_variable, "")).strip()
        if not key and self._model.base_url is None and not os.environ.get("OPENAI_BASE_URL"):
            raise ModelError(
                f"{self.name}: there is no API key: set {self._key_variable} in the environment", outcome="auth"
            )
        if not (key.isascii() and key.isprintable()):
            raise ModelError(
                f"{self.name}: the API key holds characters that no key has: check {self._key_variable}", outcome="auth"
            )
        return key


class _Refusal(Exception):
    """The server answers with an error, by its status or in a body of status 200."""

    def __init__(self, error: ServerError, status: int, response: aiohttp.ClientResponse) -> None:
        super().__init__(error.said)
        self.error = error
        self.status = status
        self.response = response


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Read the body of an error; its beginning is enough."""
    blocks: list[bytes] = []
    while sum(map(len, blocks)) < _ERROR_BYTES and (block := await response.content.readany()):
        blocks.append(block)
    return b"".join(blocks)


def _body(request: CompletionRequest, model: str, way: Way, *, streamed: bool, is_openai: bool) -> bytes:
    """Give ``payload_of`` as JSON, with what says how the answer should come."""
    options: dict[str, Any] = {"stream": streamed}  # also false: some servers stream unless told not to
    if streamed and way.wants_usage:
        options["stream_options"] = {"include_usage": True}
    if way.wire == "prompted":
        payload = payload_of(request, model, way.wire, is_openai=is_openai, limit=way.limit) | options
        return _encode(payload).encode()
    key = (id(request.schema), request.schema_name, request.sampling, model, way, is_openai, streamed)
    known = _encoded.get(key)
    if known is None or known[0] is not request.schema:
        payload = payload_of(request, model, way.wire, is_openai=is_openai, limit=way.limit) | options
        del payload["messages"]
        if len(_encoded) >= _MOST_ENCODED:
            _encoded.clear()
        known = _encoded[key] = (request.schema, _encode(payload).encode())
    messages = messages_of(request)
    try:
        encoded = to_json(messages)
    except PydanticSerializationError:  # half a surrogate pair, which only an escape can carry
        encoded = _encode(messages).encode()
    return b"".join((b'{"messages":', encoded, b",", known[1][1:]))


def payload_of(
    request: CompletionRequest, model: str, wire: Wire, *, is_openai: bool, limit: Limit | None = None
) -> dict[str, Any]:
    """Give the body that asks *model* for a completion of *request*: nothing that was not asked for.

    Args:
        is_openai: At OpenAI's own address: the schema in its strict form, and the names that its newer models want.
        limit: What the limit of tokens is called; None: as is usual there.
    """
    sampling = request.sampling
    payload: dict[str, Any] = {"model": model}
    payload["messages"] = prompted_messages(request) if wire == "prompted" else messages_of(request)
    if sampling.temperature is not None:
        payload["temperature"] = sampling.temperature
    if sampling.max_tokens is not None:
        payload[limit or ("max_completion_tokens" if is_openai else "max_tokens")] = sampling.max_tokens
    if sampling.top_p is not None:
        payload["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        payload["top_k"] = sampling.top_k
    if sampling.seed is not None:
        payload["seed"] = sampling.seed
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.reasoning_effort is not None:
        payload["reasoning_effort"] = sampling.reasoning_effort
    if sampling.logprobs:
        payload["logprobs"] = True
    payload |= sampling.extra
    if wire == "json_schema":
        payload["response_format"] = response_format(request, strictly=is_openai)
    elif wire == "tool":
        payload |= tool_fields(request)
    return payload


def _is_openai(route: Route) -> bool:
    host = route.url.host or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


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


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what follows the last event, normally nothing, so that the connection can be used again."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while await response.content.readany():
                pass
    except TimeoutError:
        return  # the server lingers; a new connection costs less than to wait for it


def _request_id(response: aiohttp.ClientResponse) -> str | None:
    return response.headers.get("x-request-id") or response.headers.get("request-id")
