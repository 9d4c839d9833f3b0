"""Any labkit model over HTTP, in OpenAI's chat-completions format, with faults on demand.

So that the real client path is what tests and drills exercise. It listens on loopback only.

    with ModelServer(faults=Faults(error_500=0.1)) as server:
        model = Model("openai/nearest", base_url=server.base_url)

    python -m labkit.models.server --port 8000 --fault error_500=0.1
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import ValidationError

from labkit.errors import ModelError, Outcome
from labkit.models.faults import STATUS_OF, FaultKind, Faults, Injector
from labkit.models.faulty_wire import AnswerWriter, ResetNow, error_response, json_response, reset
from labkit.models.model import Model
from labkit.models.openai_format import ChatRequest, Envelope, models_body
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest
from labkit.models.resolve import client_for
from labkit.models.spoiling import spoil

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ModelServer", "ServerCounts"]

_STOP_WAIT_S = 10.0
_REQUEST_BYTES = 16 * 2**20
_REMEMBERED = 1_000
_PIECE_CHARS = 16
_STREAMED_AS_IT_COMES: frozenset[FaultKind | None] = frozenset(
    {None, "duplicate_chunks", "missing_done", "slow_drip", "hang_in_body", "reset"}
)
_STATUS: Mapping[Outcome, int] = {"rate_limited": 429, "auth": 401, "timeout": 504, "refused": 400, "truncated": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounts:
    """What a server has seen since it was made.

    Args:
        requests: Completions asked for, whatever became of them.
        streamed: Those that asked for a stream.
        rejected: Those it could not read, or with a wrong key.
        aborted: Those the client gave up on.
        faults: Injected faults by kind.
    """

    requests: int = 0
    streamed: int = 0
    rejected: int = 0
    aborted: int = 0
    faults: Mapping[FaultKind, int]


class ModelServer:
    """Serves *client* on a loopback port, on a thread and loop of its own.

    Args:
        client: Who answers: a client, or a model by name; the embedded model by default.
        faults: What goes wrong; none by default. May be replaced while the server runs; counts go on.
        port: 0 takes a free one.
        api_key: What clients must send; None takes anybody.
    """

    def __init__(
        self,
        client: str | Model | Client = "offline/nearest",
        *,
        faults: Faults | None = None,
        port: int = 0,
        api_key: str | None = None,
    ) -> None:
        self._client = client_for(client)
        self._injector = Injector(faults or Faults())
        self._port = port
        self._api_key = api_key
        self._seen: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.requests: deque[Mapping[str, Any]] = deque(maxlen=_REMEMBERED)
        """Bodies of the completions asked for, in order; the last thousand."""

    @property
    def base_url(self) -> str:
        """Where clients find it: "http://127.0.0.1:PORT/v1"."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def counts(self) -> ServerCounts:
        return ServerCounts(faults=dict(self._injector.counts), **self._seen)

    @property
    def faults(self) -> Faults:
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector = Injector(faults, counts=self._injector.counts)

    def wait_until(self, reached: Callable[[ServerCounts], bool], *, within_s: float = 30.0) -> bool:
        """Wait until *reached* holds for the counts, and say whether it came to that; blocks the thread."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(self.counts), within_s)

    def start(self) -> Self:
        """Start serving; returns when the port is open.

        Raises:
            OSError: The port is taken.
        """
        open_ = threading.Event()
        self._failure = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(open_)), name="labkit-model-server", daemon=True
        )
        self._thread.start()
        open_.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Stop serving, also with requests that hang."""
        if self._thread is None or not self._thread.is_alive():
            return
        assert self._loop is not None and self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_WAIT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    async def _serve(self, open_: threading.Event) -> None:
        from aiohttp import web

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=_REQUEST_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        # handler_cancellation: a client that goes away ends its request, so that it can be counted
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._port = runner.addresses[0][1]
        except BaseException as error:
            self._failure = error
            await runner.cleanup()
            return
        finally:
            open_.set()
        await self._stopping.wait()
        await runner.cleanup()

    def _count(self, what: str) -> None:
        with self._changed:
            self._seen[what] += 1
            self._changed.notify_all()

    def _draw(self, *, streamed: bool) -> FaultKind | None:
        with self._changed:
            fault = self._injector.draw(streamed=streamed)
            self._changed.notify_all()
        return fault

    async def _health(self, request: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        if not self._may_ask(request):
            return error_response(401, "Incorrect API key provided", "none", code="invalid_api_key")
        return json_response(models_body(self._client.name))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        self._count("requests")
        request_id = f"chatcmpl-{self._seen['requests']:08d}"
        try:
            return await self._answer(request, request_id)
        except ResetNow:
            reset(request)
        except asyncio.CancelledError:
            if self._stopping is not None and not self._stopping.is_set():
                self._count("aborted")
            raise
        except ConnectionResetError:
            self._count("aborted")
        return web.Response()  # to nobody; raising would log a client that went away as an error of the server

    def _may_ask(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return self._api_key is None or hmac.compare_digest(given, f"Bearer {self._api_key}".encode())

    async def _answer(self, request: web.Request, request_id: str) -> web.StreamResponse:
        raw = await request.read()
        if not self._may_ask(request):
            self._count("rejected")
            return error_response(401, "Incorrect API key provided", request_id, code="invalid_api_key")
        try:
            asked = ChatRequest.model_validate_json(raw)
        except ValidationError as error:
            self._count("rejected")
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            return error_response(400, f"not a chat-completions request: {where}: {first['msg']}", request_id)
        self.requests.append(json.loads(raw))
        if asked.stream:
            self._count("streamed")
        injector = self._injector
        fault = self._draw(streamed=asked.stream)
        if delay_s := injector.delay_s():
            await asyncio.sleep(delay_s)
        if fault is not None and fault in STATUS_OF:
            retry_after_s = injector.faults.retry_after_s if fault == "rate_limited" else None
            return error_response(STATUS_OF[fault], f"{fault} (injected)", request_id, retry_after_s=retry_after_s)
        if fault == "hang":
            await asyncio.get_running_loop().create_future()
        try:
            return await self._write(request, asked, request_id, fault)
        except ModelError as error:
            status = error.status or _STATUS.get(error.outcome, 502)
            code = "content_filter" if error.outcome == "refused" else None
            return error_response(status, str(error), request_id, code=code, retry_after_s=error.retry_after_s)

    async def _write(
        self, request: web.Request, asked: ChatRequest, request_id: str, fault: FaultKind | None
    ) -> web.StreamResponse:
        tool = asked.forced_tool
        writer = AnswerWriter(
            envelope=Envelope(
                id=request_id,
                created=int(time.time()),
                model=self._client.name,
                tool=tool.name if tool else None,
            ),
            fault=fault,
            drip_s=self.faults.drip_s,
            wants_usage=asked.wants_usage,
        )
        question = asked.as_request()
        if not asked.stream:
            return await writer.whole(request, await self._completion(question, fault))
        async with contextlib.aclosing(self._chunks(question, fault)) as chunks:
            # The first one before the headers: what fails at once is an error with its status.
            first = await anext(chunks)
            return await writer.stream(request, first, chunks)

    async def _completion(self, question: CompletionRequest, fault: FaultKind | None) -> Completion:
        completion = await self._client.complete(question)
        return spoil(completion, fault, question.schema) if fault else completion

    async def _chunks(self, question: CompletionRequest, fault: FaultKind | None) -> AsyncGenerator[Chunk, None]:
        if fault in _STREAMED_AS_IT_COMES:
            async for chunk in self._client.stream(question):
                yield chunk
            return
        completion = await self._completion(question, fault)
        size = max(_PIECE_CHARS, len(completion.text) // 1_000)
        for start in range(0, len(completion.text), size):
            yield Chunk(text=completion.text[start : start + size])
        yield Chunk(completion=completion)


def main() -> None:
    """Serve a model in the foreground until it is interrupted or told to end."""
    parser = argparse.ArgumentParser(prog="python -m labkit.models.server", description=main.__doc__)
    parser.add_argument("--model", default="offline/nearest", help="who answers (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=SHARE", help="for example error_500=0.1; may be repeated"
    )
    given = parser.parse_args()
    try:
        shares: dict[str, Any] = {kind: float(share) for kind, _, share in (f.partition("=") for f in given.fault)}
        faults = Faults(seed=given.seed, **shares)
    except (TypeError, ValueError) as error:
        parser.error(f"--fault: {error}; the kinds are {', '.join(get_args(FaultKind))}")
    server = ModelServer(given.model, faults=faults, port=given.port)
    # Set, not inherited: a shell starts what it puts into the background with SIGINT ignored.
    for stops in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stops, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"serving {given.model} at {server.base_url}, stop with Ctrl-C", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
