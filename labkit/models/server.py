"""Any labkit model over HTTP, in OpenAI's chat-completions format, with faults on demand.

So that the real client path is what tests and drills exercise. It listens on loopback only, and to programs only: a
page in a browser on the same machine reaches every port, and must not spend a paid model's money. So another Host or
Origin is refused, a body that is not declared JSON, and where the model costs, who has not the key.

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
import re
import secrets
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import ValidationError

from labkit.errors import ModelError, Outcome
from labkit.models.faults import STATUS_OF, FaultKind, Faults, Faulty, Injector
from labkit.models.faulty_wire import AnswerWriter, ResetNow, error_response, json_response, reset
from labkit.models.model import Model
from labkit.models.openai_format import ChatRequest, Envelope, models_body
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest
from labkit.models.resolve import client_for
from labkit.models.scripted import ScriptedModel
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
# Names under which a program finds it. A page may find it under any that a name server of its own gives.
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.I)
_STATUS: Mapping[Outcome, int] = {"rate_limited": 429, "auth": 401, "timeout": 504, "refused": 400, "truncated": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounts:
    """What a server has seen since it was made.

    Args:
        requests: Completions asked for, whatever became of them.
        streamed: Those that asked for a stream.
        rejected: Those it could not read, those with a wrong key, and what came from a page in a browser.
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
        api_key: What clients must send; None takes anybody. Left out: a key made for this server, or None where the
            answers cost nothing: of the embedded and the scripted model, with faults or without. It is in ``api_key``.
    """

    def __init__(
        self,
        client: str | Model | Client = "offline/nearest",
        *,
        faults: Faults | None = None,
        port: int = 0,
        api_key: str | EllipsisType | None = ...,
    ) -> None:
        self._client = client_for(client)
        if isinstance(api_key, EllipsisType):
            api_key = None if _is_free(self._client) else secrets.token_urlsafe(24)
        self.api_key = api_key
        """What clients must send, ``Model(api_key=server.api_key)``; None takes anybody."""
        self._injector = Injector(faults or Faults())
        self._port = port
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
        app = web.Application(client_max_size=_REQUEST_BYTES, middlewares=[self._programs_only()])
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

    def _programs_only(self) -> Any:
        """Refuse what pages in a browser send: by the name under which they found this port, or where they are from."""
        from aiohttp import web

        @web.middleware
        async def check(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
            host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
            said = None
            if not _LOOPBACK.fullmatch(host):
                said = f"Host {host!r} is not this server's: ask {self.base_url}"
            elif origin is not None and origin.lower() != f"http://{host.lower()}":
                said = f"a page of {origin!r} may not ask this server"
            if said is not None:
                self._count("rejected")
                return error_response(403, said, "none")
            answer: web.StreamResponse = await handler(request)
            return answer

        return check

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
        return self.api_key is None or hmac.compare_digest(given, f"Bearer {self.api_key}".encode())

    async def _answer(self, request: web.Request, request_id: str) -> web.StreamResponse:
        raw = await request.read()
        if not self._may_ask(request):
            self._count("rejected")
            return error_response(401, "Incorrect API key provided", request_id, code="invalid_api_key")
        if request.content_type != "application/json":
            self._count("rejected")
            said = f"the body is declared {request.content_type!r}: send Content-Type: application/json"
            return error_response(415, said, request_id)
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


def _is_free(client: Client) -> bool:
    """Whether nobody is billed for what *client* answers."""
    if isinstance(client, Faulty):
        return _is_free(client.client)
    return isinstance(client, ScriptedModel) or client.name.startswith("offline/")


def main() -> None:
    """Serve a model in the foreground until it is interrupted or told to end."""
    parser = argparse.ArgumentParser(prog="python -m labkit.models.server", description=main.__doc__)
    parser.add_argument("--model", default="offline/nearest", help="who answers (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=SHARE", help="for example error_500=0.1; may be repeated"
    )
    parser.add_argument("--api-key", help="what clients must send (default: made anew where the model costs)")
    given = parser.parse_args()
    try:
        shares: dict[str, Any] = {kind: float(share) for kind, _, share in (f.partition("=") for f in given.fault)}
        faults = Faults(seed=given.seed, **shares)
    except (TypeError, ValueError) as error:
        parser.error(f"--fault: {error}; the kinds are {', '.join(get_args(FaultKind))}")
    key = {} if given.api_key is None else {"api_key": given.api_key}
    server = ModelServer(given.model, faults=faults, port=given.port, **key)
    # Set, not inherited: a shell starts what it puts into the background with SIGINT ignored.
    for stops in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stops, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), server:
        asks = f"with key {server.api_key}, " if given.api_key is None and server.api_key is not None else ""
        print(f"serving {given.model} at {server.base_url}, {asks}stop with Ctrl-C", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
