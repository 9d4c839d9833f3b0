"""OpenAI's chat-completions format over aiohttp: OpenAI, vLLM, Ollama, llama.cpp, LM Studio, gateways.

A schema travels as ``response_format``. A server that rejects that is asked again with a forced tool, and one that
rejects that too with the schema in the prompt; ``ways`` remembers what worked, so that this costs one or two more
requests once. ``Completion.wire`` says how it was.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from labkit.errors import CallInvalid, ModelError
from labkit.models.exchange import Exchange
from labkit.models.http_session import Route, route_to, session
from labkit.models.model import Model, key_variable
from labkit.models.protocol import Chunk, Completion, CompletionRequest
from labkit.models.request_body import payload_of

if TYPE_CHECKING:
    import aiohttp

__all__ = ["DirectClient", "payload_of"]

_OPENAI = "https://api.openai.com/v1"


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
        exchange = self._exchange(request, streamed=False)
        try:
            while await exchange.text() is not None:
                pass
            return exchange.completion()
        finally:
            exchange.close()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece."""
        exchange = self._exchange(request, streamed=True)
        try:
            while (text := await exchange.text()) is not None:
                yield Chunk(text=text, is_end=exchange.is_whole)
            completion = exchange.completion()
        finally:
            exchange.close()
        yield Chunk(completion=completion)

    def _exchange(self, request: CompletionRequest, *, streamed: bool) -> Exchange:
        url = self._url()
        route = route_to(url)
        return Exchange(
            request,
            name=self.name,
            model=self._served_name,
            url=url,
            post=functools.partial(self._post, route),
            is_openai=route.is_openai,
            streamed=streamed,
        )

    def _url(self) -> str:
        """Give the address of completions; what follows a "?" stays at its end, as Azure has it."""
        base_url = self._model.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
        address, mark, query = base_url.partition("#")[0].partition("?")
        return f"{address.rstrip('/').removesuffix('/chat/completions')}/chat/completions{mark}{query}"

    async def _post(self, route: Route, body: bytes) -> aiohttp.ClientResponse:
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
