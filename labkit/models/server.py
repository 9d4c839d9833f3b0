"""Any labkit model over HTTP, in OpenAI's chat-completions format, with faults on demand.

So that the real client path is what tests and drills exercise. It binds to loopback only and checks no key.

    with ModelServer(faults=Faults(error_500=0.1)) as server:
        model = Model("openai/nearest", base_url=server.base_url, api_key="none")

    python -m labkit.models.server --port 8000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from labkit.errors import ModelError
from labkit.models.faults import FaultKind, Faults, Injector
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.protocol import Client, Completion, CompletionRequest, Message, Sampling, Usage

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ModelServer", "ServerCounts"]

_FINISH = {"stop": "stop", "length": "length", "filter": "content_filter"}
_STOP_WAIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounts:
    """What a server has seen: completions asked for, those the client gave up on, and faults by kind."""

    requests: int
    aborted: int
    faults: Mapping[FaultKind, int]


class ModelServer:
    """Serves *client* on a free loopback port, on a thread and loop of its own.

    Args:
        client: Who answers; the embedded model by default.
        faults: What goes wrong; none by default. May be replaced while the server runs.
        port: 0 takes a free one.
    """

    def __init__(self, client: Client | None = None, *, faults: Faults | None = None, port: int = 0) -> None:
        self._client = client or OfflineModel(Model("offline/nearest"))
        self._injector = Injector(faults or Faults())
        self._port = port
        self._requests = 0
        self._aborted = 0
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self.requests: list[Mapping[str, Any]] = []
        """Bodies of the completions asked for, in order."""

    @property
    def base_url(self) -> str:
        """Where clients find it: "http://127.0.0.1:PORT/v1"."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def counts(self) -> ServerCounts:
        return ServerCounts(requests=self._requests, aborted=self._aborted, faults=dict(self._injector.counts))

    @property
    def faults(self) -> Faults:
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector = Injector(faults)

    def start(self) -> Self:
        """Start serving; returns when the port is open.

        Raises:
            OSError: The port is taken.
        """
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="labkit-model-server", daemon=True
        )
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Stop serving, also with requests that hang."""
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(_STOP_WAIT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        # handler_cancellation: a client that goes away ends its request, so that it can be counted
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        try:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            await site.start()
            self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        except BaseException as error:
            self._failure = error
            return
        finally:
            self._started.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        from aiohttp import web

        listed = {"id": self._client.name, "object": "model", "created": 0, "owned_by": "labkit"}
        return web.json_response({"object": "list", "data": [listed]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self._requests += 1
        try:
            return await self._answer(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self._aborted += 1
            raise

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            asked = _read_request(body)
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, f"not a chat-completions request: {error}", "invalid_request_error")
        self.requests.append(body)
        fault = self._injector.draw()
        if fault == "error_500":
            return _error(500, "the server had an error (injected)", "server_error")
        if fault == "rate_limited":
            headers = {"Retry-After": f"{self.faults.retry_after_s:g}"}
            return _error(429, "rate limit reached (injected)", "rate_limit_error", headers)
        if fault == "hang":
            await asyncio.Event().wait()
        try:
            completion = await self._client.complete(asked)
        except ModelError as error:
            return _error(error.status or 502, str(error), "server_error")
        if fault == "malformed":
            half = completion.text[: max(1, len(completion.text) // 2)]
            completion = replace(completion, text=f"Certainly! Here you go: {half}")
        model = str(body.get("model", self._client.name))
        if body.get("stream"):
            usage_wanted = bool((body.get("stream_options") or {}).get("include_usage"))
            return await _stream(request, completion, model, usage_wanted, as_tool=_tool_name(body))
        return _whole(completion, model, as_tool=_tool_name(body), logprobs=asked.sampling.logprobs)


def _read_request(body: Any) -> CompletionRequest:
    """A labkit request of an OpenAI one; the schema comes from response_format or a forced tool."""
    messages = tuple(Message(_role(item["role"]), _text(item["content"])) for item in body["messages"])
    if not messages:
        raise ValueError("messages is empty")
    given = (body.get("response_format") or {}).get("json_schema") or {}
    schema, name = given.get("schema"), given.get("name", "answer")
    tool = _tool_name(body)
    if tool is not None:
        function = next(item["function"] for item in body["tools"] if item["function"]["name"] == tool)
        schema, name = function["parameters"], tool
    sampling = Sampling(
        temperature=body.get("temperature"),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        top_p=body.get("top_p"),
        seed=body.get("seed"),
        logprobs=bool(body.get("logprobs")),
    )
    return CompletionRequest(messages=messages, schema=schema, schema_name=name, sampling=sampling)


def _role(role: str) -> Any:
    if role not in ("system", "developer", "user", "assistant"):
        raise ValueError(f"role {role!r} is not served")
    return "system" if role == "developer" else role


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _tool_name(body: Mapping[str, Any]) -> str | None:
    choice = body.get("tool_choice")
    return choice["function"]["name"] if isinstance(choice, dict) else None


def _error(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> web.Response:
    from aiohttp import web

    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers={"x-request-id": _request_id(), **(headers or {})})


def _whole(completion: Completion, model: str, *, as_tool: str | None, logprobs: bool) -> web.Response:
    from aiohttp import web

    choice: dict[str, Any] = {"index": 0, "finish_reason": _FINISH[completion.finish_reason], "logprobs": None}
    if as_tool is None:
        choice["message"] = {"role": "assistant", "content": completion.text, "refusal": None}
    else:
        call = {"id": "call_1", "type": "function", "function": {"name": as_tool, "arguments": completion.text}}
        choice["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    if logprobs and completion.logprobs is not None:
        tokens = [{"token": "", "logprob": value, "bytes": None, "top_logprobs": []} for value in completion.logprobs]
        choice["logprobs"] = {"content": tokens, "refusal": None}
    body = _envelope("chat.completion", model) | {"choices": [choice], "usage": _usage(completion.usage)}
    return web.json_response(body, headers={"x-request-id": body["id"]})


async def _stream(
    request: web.Request, completion: Completion, model: str, usage_wanted: bool, *, as_tool: str | None
) -> web.StreamResponse:
    """The answer in pieces of a few characters, as server-sent events."""
    from aiohttp import web

    envelope = _envelope("chat.completion.chunk", model)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-request-id": envelope["id"]})
    await response.prepare(request)

    async def send(data: Mapping[str, Any]) -> None:
        await response.write(b"data: " + json.dumps({**envelope, **data}).encode() + b"\n\n")

    def choice(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    await send(choice({"role": "assistant", "content": None if as_tool else ""}))
    for start in range(0, len(completion.text), 8):
        piece = completion.text[start : start + 8]
        if as_tool is None:
            await send(choice({"content": piece}))
        else:
            call = {"index": 0, "function": {"arguments": piece}}
            if start == 0:
                call |= {"id": "call_1", "type": "function", "function": {"name": as_tool, "arguments": piece}}
            await send(choice({"tool_calls": [call]}))
    await send(choice({}, _FINISH[completion.finish_reason]))
    if usage_wanted:
        await send({"choices": [], "usage": _usage(completion.usage)})
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _envelope(kind: str, model: str) -> dict[str, Any]:
    return {"id": _request_id(), "object": kind, "created": int(time.time()), "model": model}


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _request_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def main() -> None:
    """Serve the embedded model in the foreground until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m labkit.models.server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=8000)
    server = ModelServer(port=parser.parse_args().port).start()
    print(f"serving offline/nearest at {server.base_url}, stop with Ctrl-C", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
