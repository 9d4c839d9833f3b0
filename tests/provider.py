"""A provider that says what a test tells it to, over real HTTP, and writes down what it was asked."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


@dataclass
class Provider:
    """Where it is, and what it was asked, in order."""

    origin: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"


@asynccontextmanager
async def provider(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """Serve *answer* for every path and method until the block ends."""
    served = Provider()

    async def handle(request: web.Request) -> web.StreamResponse:
        served.bodies.append(json.loads(await request.read() or b"null"))
        served.headers.append(dict(request.headers))
        served.paths.append(request.raw_path)
        assert request.transport is not None
        served.connections.add(request.transport.get_extra_info("peername"))
        return await answer(request, served.bodies[-1])

    # A server and not an application with routes: a proxy's requests name whole addresses.
    runner = web.ServerRunner(web.Server(handle))  # type: ignore[arg-type]
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        served.origin = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()


def completion(text: str | None = "hello", **changes: Any) -> dict[str, Any]:
    """The body of an answer; *changes* are of its message."""
    message = {"role": "assistant", "content": text, **changes}
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"message": message, "finish_reason": "stop"}],
    }


def always(body: Any, status: int = 200, **headers: str) -> Answer:
    """Answer the same every time: JSON data, or bytes as they are."""

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=raw, status=status, headers={"Content-Type": "application/json", **headers})

    return answer
