"""OpenAI's chat-completions format over aiohttp: OpenAI, vLLM, Ollama, llama.cpp, LM Studio, gateways.

A schema travels as ``response_format``. A server that rejects that is asked again with a forced tool, and one that
rejects that too with the schema in the prompt; what worked is remembered for the address and model, so that this costs
one or two more requests once. ``Completion.wire`` says how it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from labkit.errors import CallInvalid, ModelError
from labkit.models.chat_response import Answer, StreamedAnswer, Unreadable, error_of
from labkit.models.estimates import estimated_usage
from labkit.models.event_stream import EventStream, TooLong
from labkit.models.http_session import Route, route_to, session
from labkit.models.model import Model, key_variable
from labkit.models.protocol import Chunk, Completion, CompletionRequest, Wire
from labkit.models.provider_errors import MAX_ANSWER_BYTES, broken_body, provider_error, too_large
from labkit.models.schema_wire import messages_of, prompted_messages, response_format, tool_fields

if TYPE_CHECKING:
    import aiohttp

__all__ = ["DirectClient", "payload_of"]

_OPENAI = "https://api.openai.com/v1"
_ERROR_BYTES = 64 * 2**10
_DRAIN_S = 0.02
_NEXT_WIRE: Mapping[Wire, Wire] = {"json_schema": "tool", "tool": "prompted"}
_ABOUT_WIRE = {
    "json_schema": re.compile(r"response_?format|json_?schema|structured output", re.I),
    "tool": re.compile(r"tool|function", re.I),
}
_ABOUT_SCHEMA = re.compile(r"invalid[_ ](json_)?schema|invalid_function_parameters", re.I)

# What worked at an address, by (url, model); the rest are asked the first way.
_wire_at: dict[tuple[str, str], Wire] = {}

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
        import aiohttp

        began = time.perf_counter()
        try:
            wire, response = await self._ask(request, {})
            try:
                raw = await self._read(response, MAX_ANSWER_BYTES)
            finally:
                response.close()  # a connection whose response was read to its end is back in the pool already
        except aiohttp.ClientError as error:
            raise _network_error(self.name, error) from error
        answer = self._answer(raw, response)
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason,
            latency_s=time.perf_counter() - began,
            model=answer.model or self._served_name,
            wire=wire,
            usage=answer.usage or estimated_usage(request, answer.text),
            logprobs=answer.logprobs,
            request_id=_request_id(response),
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece."""
        import aiohttp

        began = time.perf_counter()
        first_chunk_s: float | None = None
        answer = StreamedAnswer()
        try:
            wire, response = await self._ask(request, {"stream": True, "stream_options": {"include_usage": True}})
            try:
                events = EventStream()
                while not answer.is_done and (block := await response.content.readany()):
                    for data in events.feed(block):
                        text = answer.take(data)
                        if text:
                            first_chunk_s = first_chunk_s or time.perf_counter() - began
                            yield Chunk(text=text)
                latency_s = time.perf_counter() - began
                answer.check_end()
                await _drain(response)
            finally:
                response.close()
        except aiohttp.ClientError as error:
            raise _network_error(self.name, error) from error
        except TooLong as error:
            raise too_large(self.name) from error
        except Unreadable as error:
            raise self._unreadable(error, response) from error
        text = answer.text
        yield Chunk(
            completion=Completion(
                text=text,
                finish_reason=answer.finish_reason,
                latency_s=latency_s,
                first_chunk_s=first_chunk_s,
                model=answer.model or self._served_name,
                wire=wire,
                usage=answer.usage or estimated_usage(request, text),
                logprobs=answer.logprobs,
                request_id=_request_id(response),
            )
        )

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, request: CompletionRequest, options: dict[str, Any]) -> tuple[Wire, aiohttp.ClientResponse]:
        """Send *request*, and give the response once its headers say that an answer follows.

        Raises:
            ModelError: They say something else.
            aiohttp.ClientError: There are none.
        """
        base_url = self._base_url()
        route = route_to(f"{base_url}/chat/completions")
        while True:
            wire = self._wire(request, base_url)
            response = await self._send(
                route, _body(request, self._served_name, wire, options, is_openai=base_url == _OPENAI)
            )
            if response.status == 200:
                return wire, response
            try:
                raw = await self._read(response, _ERROR_BYTES)
            finally:
                response.close()
            said, code = error_of(raw, response.headers)
            following = _NEXT_WIRE.get(wire)
            if following is None or not _rejects(wire, response.status, f"{code} {said}"):
                raise provider_error(self.name, response.status, said, code=code, headers=response.headers)
            _wire_at[base_url, self._served_name] = following

    def _base_url(self) -> str:
        base_url = self._model.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
        return base_url.rstrip("/").removesuffix("/chat/completions")

    def _wire(self, request: CompletionRequest, base_url: str) -> Wire:
        if request.schema is None:
            return "text"
        wire = _wire_at.get((base_url, self._served_name), "json_schema")
        takes_any_root = wire == "json_schema" and base_url != _OPENAI
        return wire if takes_any_root or request.schema.get("type") == "object" else "prompted"

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

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """Read the body; of an error its beginning is enough, an answer of more than *most* bytes is given up on."""
        blocks = []
        size = 0
        while block := await response.content.readany():
            size += len(block)
            if size > most:
                if response.status == 200:
                    raise too_large(self.name)
                break
            blocks.append(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _answer(self, raw: bytes, response: aiohttp.ClientResponse) -> Answer:
        try:
            return Answer.read(raw)
        except Unreadable as error:
            raise self._unreadable(error, response) from error

    def _unreadable(self, error: Unreadable, response: aiohttp.ClientResponse) -> ModelError:
        if error.status is None:
            return broken_body(self.name, str(error))
        return provider_error(self.name, error.status, str(error), code=error.code, headers=response.headers)


def _body(request: CompletionRequest, model: str, wire: Wire, options: dict[str, Any], *, is_openai: bool) -> bytes:
    """Give ``payload_of`` and *options* as JSON."""
    if wire == "prompted":
        return _encode(payload_of(request, model, wire, is_openai=is_openai) | options).encode()
    key = (id(request.schema), request.schema_name, request.sampling, model, wire, is_openai, "stream" in options)
    known = _encoded.get(key)
    if known is None or known[0] is not request.schema:
        payload = payload_of(request, model, wire, is_openai=is_openai) | options
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


def payload_of(request: CompletionRequest, model: str, wire: Wire, *, is_openai: bool) -> dict[str, Any]:
    """Give the body that asks *model* for a completion of *request*.

    Args:
        is_openai: At OpenAI's own address: the schema in its strict form, and the names that its newer models want.
    """
    sampling = request.sampling
    payload: dict[str, Any] = {"model": model}
    payload["messages"] = prompted_messages(request) if wire == "prompted" else messages_of(request)
    if sampling.temperature is not None:
        payload["temperature"] = sampling.temperature
    if sampling.max_tokens is not None:
        payload["max_completion_tokens" if is_openai else "max_tokens"] = sampling.max_tokens
    if sampling.top_p is not None:
        payload["top_p"] = sampling.top_p
    if sampling.seed is not None:
        payload["seed"] = sampling.seed
    if sampling.logprobs:
        payload["logprobs"] = True
    if wire == "json_schema":
        payload["response_format"] = response_format(request, strictly=is_openai)
    elif wire == "tool":
        payload |= tool_fields(request)
    return payload


def _rejects(wire: Wire, status: int, said: str) -> bool:
    """Whether an error is about how the schema travels, and not about the schema."""
    return status in (400, 422) and bool(_ABOUT_WIRE[wire].search(said)) and not _ABOUT_SCHEMA.search(said)


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
