"""The direct client: OpenAI's format, also as others speak it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import shutil
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from provider import Answer, Provider, always, completion, provider

from labkit.errors import CallInvalid, ModelError
from labkit.models.direct import DirectClient, payload_of
from labkit.models.model import Model
from labkit.models.protocol import Completion, CompletionRequest, Message, Sampling

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "default": 3}}, "additionalProperties": False}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address or proxy of whoever runs the tests."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "VLLM_API_KEY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        if "PROXY" in name:
            monkeypatch.delenv(name.lower(), raising=False)


def _request(**changes: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message("user", "x"),), **changes)


def _asked(
    answer: Answer, *, times: int = 1, name: str = "openai/m", **request: Any
) -> tuple[list[Completion], Provider]:
    """Ask a provider that gives *answer*, in one loop."""

    async def scenario() -> tuple[list[Completion], Provider]:
        async with provider(answer) as served:
            client = DirectClient(Model(name, base_url=served.base_url))
            return [await client.complete(_request(**request)) for _ in range(times)], served

    return asyncio.run(scenario())


def _failure(answer: Answer, *, streamed: bool = False, **request: Any) -> tuple[ModelError, Provider]:
    async def scenario() -> tuple[ModelError, Provider]:
        async with provider(answer) as served:
            client = DirectClient(Model("openai/m", base_url=served.base_url))
            asked = _read_out(client, _request(**request)) if streamed else client.complete(_request(**request))
            with pytest.raises(ModelError) as caught:
                await asked
            return caught.value, served

    return asyncio.run(scenario())


async def _read_out(client: DirectClient, request: CompletionRequest) -> None:
    async for _ in client.stream(request):
        pass


# --- how the schema travels -------------------------------------------------------------------------------------------


def _refusing(*fields: str) -> Answer:
    """A server that knows nothing of *fields*, and otherwise answers in the form it was asked."""

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        for field in fields:
            if field in asked:
                said = f"Unrecognized request argument supplied: {field}"
                return web.json_response({"error": {"message": said, "code": None}}, status=400)
        if "tools" in asked:
            call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": '{"a": 1}'}}
            return web.json_response(completion(None, tool_calls=[call]))
        return web.json_response(completion('{"a": 1}'))

    return answer


@pytest.mark.parametrize(
    ("refused", "wire", "requests"),
    [((), "json_schema", 1), (("response_format",), "tool", 2), (("response_format", "tools"), "prompted", 3)],
)
def test_a_server_that_rejects_a_form_is_asked_in_the_next(refused: tuple[str, ...], wire: str, requests: int):
    """Once: what worked is remembered, and the record says how it was."""
    answers, served = _asked(_refusing(*refused), times=3, schema=SCHEMA)

    assert [(answer.text, answer.wire) for answer in answers] == [('{"a": 1}', wire)] * 3
    assert len(served.bodies) == requests + 2
    assert ("JSON Schema" in json.dumps(served.bodies[-1]["messages"])) is (wire == "prompted")


def test_what_one_server_rejects_another_is_still_asked():
    """The memory is of an address."""
    _asked(_refusing("response_format"), schema=SCHEMA)

    answers, served = _asked(_refusing(), schema=SCHEMA)

    assert (answers[0].wire, len(served.bodies)) == ("json_schema", 1)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ({"message": "This model's maximum context length is 4096 tokens"}, "refused"),
        ({"message": "The model `m` does not exist", "code": "model_not_found"}, "bug"),
        ({"message": "Incorrect API key provided", "code": "invalid_api_key"}, "bug"),
        ({"message": "Filtered", "code": "content_filter"}, "refused"),
    ],
    ids=["length", "model", "key", "content"],
)
def test_what_is_surely_about_something_else_is_not_asked_in_another_form(error: Any, outcome: str):
    """It would only be refused again."""
    failure, served = _failure(always({"error": error}, status=400), schema=SCHEMA)

    assert (failure.outcome, failure.status) == (outcome, 400)
    assert error["message"] in str(failure)
    assert len(served.bodies) == 1


def test_what_is_refused_in_every_form_is_a_fault_of_the_request_and_tried_once():
    """The message is what the server first said; later requests of that form are refused at once."""

    async def scenario() -> tuple[list[str], Provider]:
        async with provider(always({"error": {"message": "Bad request"}}, status=400)) as served:
            client = DirectClient(Model("openai/m", base_url=served.base_url))
            said = []
            for _ in range(3):
                with pytest.raises(ModelError, match="HTTP 400: Bad request") as caught:
                    await client.complete(_request(schema=SCHEMA))
                said.append(caught.value.outcome)
            return said, served

    outcomes, served = asyncio.run(scenario())

    assert outcomes == ["bug"] * 3
    forms = [next((key for key in ("response_format", "tools") if key in body), "words") for body in served.bodies]
    assert forms == ["response_format", "tools", "words", "response_format", "response_format"]


def test_a_schema_that_is_no_object_cannot_be_a_tool():
    """A tool has named arguments; the schema goes into the prompt."""
    answers, _ = _asked(_refusing("response_format"), schema={"enum": ["a", "b"]})

    assert answers[0].wire == "prompted"


def test_openai_itself_is_asked_in_its_strict_form():
    """With the names that its newer models insist on; other servers get the schema as it is and the name they know."""
    request = _request(schema=SCHEMA, sampling=Sampling(max_tokens=9))

    own, other = (payload_of(request, "m", "json_schema", is_openai=is_openai) for is_openai in (True, False))

    assert own["response_format"]["json_schema"] == {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "additionalProperties": False,
            "required": ["a"],
        },
    }
    assert (own["max_completion_tokens"], other["max_tokens"]) == (9, 9)
    assert other["response_format"]["json_schema"]["schema"] == SCHEMA


# --- keys and addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "api_key", "sent"),
    [
        ("openai/m", None, "Bearer from-openai"),
        ("vllm/m", None, "Bearer from-vllm"),
        ("nobody/m", None, None),
        ("openai/m", "given", "Bearer given"),
    ],
)
def test_the_key_is_the_providers_own(
    name: str, api_key: str | None, sent: str | None, monkeypatch: pytest.MonkeyPatch
):
    """OpenAI's key goes to nobody else, and a server of one's own need not have one."""
    monkeypatch.setenv("OPENAI_API_KEY", "from-openai\n")
    monkeypatch.setenv("VLLM_API_KEY", "from-vllm")

    async def scenario() -> Provider:
        async with provider(always(completion())) as served:
            await DirectClient(Model(name, base_url=served.base_url, api_key=api_key)).complete(_request())
            return served

    assert asyncio.run(scenario()).headers[0].get("Authorization") == sent


def test_a_key_that_cannot_be_one_is_an_auth_failure():
    """A pasted line break or a typographic dash; nothing is sent and the key is not shown."""
    client = DirectClient(Model("openai/m", base_url="http://127.0.0.1:1/v1", api_key="sk\u2013abc"))

    with pytest.raises(ModelError, match="OPENAI_API_KEY") as caught:
        asyncio.run(client.complete(_request()))

    assert caught.value.outcome == "auth"
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["", "/", "/chat/completions"])
def test_the_address_may_come_from_the_environment(suffix: str, monkeypatch: pytest.MonkeyPatch):
    """As OpenAI's own SDK has it, however it was copied."""

    async def scenario() -> Provider:
        async with provider(always(completion())) as served:
            monkeypatch.setenv("OPENAI_BASE_URL", served.base_url + suffix)
            await DirectClient(Model("openai/org/model")).complete(_request())
            return served

    served = asyncio.run(scenario())

    assert served.paths == ["/v1/chat/completions"]
    assert served.bodies[0]["model"] == "org/model"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Model("mistral/m", client="direct"), "give base_url"),
        (Model("openai/m", base_url="127.0.0.1:8000/v1"), "http://host:port/v1"),
        (Model("openai/m", base_url="file:///etc/passwd"), "http://host:port/v1"),
    ],
    ids=["no address", "no scheme", "file"],
)
def test_a_model_without_a_usable_address_is_refused(model: Model, said: str):
    """When it is defined."""
    with pytest.raises(CallInvalid, match=said):
        DirectClient(model)


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    """With their passwords, and not for hosts that NO_PROXY names; a change counts at once."""

    async def scenario() -> tuple[Provider, Provider]:
        async with provider(always(completion("by proxy"))) as proxy, provider(always(completion("direct"))) as served:
            client = DirectClient(Model("openai/m", base_url=served.base_url))
            monkeypatch.setenv("HTTP_PROXY", proxy.origin.replace("http://", "http://user:p%40ss@"))
            texts.append((await client.complete(_request())).text)
            monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
            texts.append((await client.complete(_request())).text)
            return proxy, served

    texts: list[str] = []
    proxy, served = asyncio.run(scenario())

    assert texts == ["by proxy", "direct"]
    assert proxy.paths == [f"{served.base_url}/chat/completions"]
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"  # user:p@ss


def test_a_proxy_that_refuses_says_so(monkeypatch: pytest.MonkeyPatch):
    """It is asked for a tunnel with its password, and its refusal is a matter of keys."""

    async def scenario() -> tuple[ModelError, Provider]:
        async with provider(always(b"", status=407)) as proxy:
            monkeypatch.setenv("https_proxy", proxy.origin.replace("http://", "http://user:other@"))
            client = DirectClient(Model("openai/m", base_url="https://127.0.0.1:1/v1"))
            with pytest.raises(ModelError) as caught:
                await client.complete(_request())
            return caught.value, proxy

    error, proxy = asyncio.run(scenario())

    assert (error.outcome, error.status) == ("auth", 407)
    assert "proxy" in str(error) and "other" not in str(error)
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpvdGhlcg=="  # user:other


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_to_trust_come_from_the_environment(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Behind a company's own authority; without it the connection fails and says why."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)

    async def scenario() -> tuple[ModelError, str]:
        async with provider(always(completion()), tls) as served:
            client = DirectClient(Model("openai/m", base_url=served.base_url))
            with pytest.raises(ModelError) as caught:
                await client.complete(_request())
            monkeypatch.setenv(variable, str(certificate))
            return caught.value, (await client.complete(_request())).text

    untrusted, text = asyncio.run(scenario())

    assert untrusted.outcome == "transport" and "certificate" in str(untrusted)
    assert text == "hello"


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch):
    """Instead of every certificate being self-signed."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")

    with pytest.raises(ModelError, match=r"SSL_CERT_FILE=/no/such\.pem does not exist") as caught:
        asyncio.run(DirectClient(Model("openai/m", base_url="https://127.0.0.1:1/v1")).complete(_request()))

    assert caught.value.outcome == "bug"


# --- what servers say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "as OpenAI", "code": "c"}}, "as OpenAI"),
        ({"error": "as Ollama"}, "as Ollama"),
        ({"detail": "as FastAPI"}, "as FastAPI"),
        ({"detail": [{"loc": ["body"], "msg": "as pydantic"}]}, "as pydantic"),
        ({"message": "as vLLM", "code": 503}, "as vLLM"),
        (b"<html>as nginx</html>", "as nginx"),
        (b"", "nothing"),
        (b"\xff\xfe", "HTTP 503"),
        (["as nobody"], "as nobody"),
    ],
)
def test_an_error_says_what_its_server_said(body: Any, said: str):
    """In whichever form."""
    error, _ = _failure(always(body, status=503, **{"Retry-After": "2", "x-request-id": "r1"}))

    assert (error.outcome, error.status, error.retry_after_s, error.request_id) == ("transport", 503, 2.0, "r1")
    assert said in str(error)


def test_a_redirect_is_not_followed():
    """A POST would lose its body or carry its key elsewhere; the message says where to."""
    error, served = _failure(always(b"", status=307, Location="https://elsewhere.example/v1"))

    assert (error.outcome, len(served.bodies)) == ("bug", 1)
    assert "elsewhere.example" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'{"choices": []}', b'{"choices": {}}', b'{"choices": [null]}',
        b'{"choices": [{"message": null}]}', b'{"choices": [{"message": "x"}]}', b'{"choices": [{"text": "x"}]}',
        b"[" * 100_000, b'{"choices": [{"message": {"content": "x"}}]', b'{"choices": "\xe9"}',
    ],
    ids=range(13),
)  # fmt: skip
def test_a_body_that_is_no_answer_is_a_transport_failure(body: bytes):
    """However it is broken, and nothing else is raised."""
    error, _ = _failure(always(body))

    assert (error.outcome, error.status) == ("transport", None)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (completion(""), ""),
        (completion(None), ""),
        (completion(None, tool_calls=[]), ""),
        (completion(None, tool_calls=[{"function": {"arguments": {"a": 1}}}]), '{"a": 1}'),
        (completion([{"type": "thinking"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab"),  # type: ignore[arg-type]
        (completion("x") | {"usage": "many"}, "x"),
        (completion("x") | {"model": 7}, "x"),
    ],
    ids=range(7),
)
def test_answers_come_in_several_forms(body: Any, text: str):
    """Empty, as parts, as a tool's arguments already read; odd company does no harm."""
    answers, _ = _asked(always(body))

    assert answers[0].text == text
    assert answers[0].usage is not None and answers[0].usage.estimated


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        ({"message": "upstream is slow", "code": 429}, "rate_limited", 429),
        ({"message": "upstream is down"}, "transport", 500),
        ("upstream is down", "transport", 500),
    ],
    ids=["code", "no code", "text"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_may_hide_behind_status_200(error: Any, outcome: str, status: int, streamed: bool):
    """Gateways do that, also in the middle of a stream."""
    piece = json.dumps({"choices": [{"delta": {"content": "half an"}}]}).encode()
    event = json.dumps({"error": error}).encode()
    body = b"data: " + piece + b"\n\ndata: " + event + b"\n\n" if streamed else event

    failure, _ = _failure(always(body), streamed=streamed)

    assert (failure.outcome, failure.status) == (outcome, status)
    assert "upstream" in str(failure)


def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up_on():
    """Compression does not get around the limit."""
    bomb = gzip.compress(json.dumps(completion("x" * 30_000_000)).encode())

    error, _ = _failure(always(bomb, **{"Content-Encoding": "gzip"}))

    assert len(bomb) < 100_000
    assert error.outcome == "truncated"


# --- streams ----------------------------------------------------------------------------------------------------------


def _stream_of(raw: bytes) -> tuple[str, Completion]:
    async def scenario() -> tuple[str, Completion]:
        async with provider(always(raw)) as served:
            chunks = [c async for c in DirectClient(Model("openai/m", base_url=served.base_url)).stream(_request())]
        assert chunks[-1].completion is not None
        return "".join(chunk.text for chunk in chunks), chunks[-1].completion

    return asyncio.run(scenario())


def _data(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


def test_a_stream_may_end_with_either_of_its_two_ends():
    """A finish reason or [DONE]; who forgets both was cut off."""
    piece = _data(delta={"content": "hi"})

    assert _stream_of(piece + b"data: [DONE]\n\n")[0] == "hi"
    assert _stream_of(piece + _data(delta={}, finish_reason="length"))[1].finish_reason == "length"
    error, _ = _failure(always(piece), streamed=True)
    assert error.outcome == "transport" and "middle of the answer" in str(error)


def test_a_refusal_in_a_stream_is_one():
    """Its words come as pieces too."""
    raw = _data(delta={"refusal": "I "}) + _data(delta={"refusal": "won't."}) + _data(delta={}, finish_reason="stop")

    text, whole = _stream_of(raw)

    assert text == whole.text == "I won't."
    assert whole.finish_reason == "filter"


def test_odd_events_do_no_harm():
    """Comments that keep the connection alive, chunks without choices or delta, a null where text was expected."""
    raw = (
        b": keep-alive\r\n\r\nevent: ping\n\n"
        + b'data: {"choices": []}\n\ndata:{"choices": [{"delta": null}]}\r\n\r\n'
        + _data(delta={"content": None})
        + _data(delta={"content": "ok"}, finish_reason="stop")
        + b"data: [DONE]\n\n"
    )

    assert _stream_of(raw)[0] == "ok"


@pytest.mark.parametrize("raw", [b"data: {\n\n", b"data: []\n\n", b"data: \xff\n\n"], ids=["cut", "list", "bytes"])
def test_an_event_that_is_no_chunk_is_a_transport_failure(raw: bytes):
    """Nothing else is raised."""
    assert _failure(always(raw), streamed=True)[0].outcome == "transport"


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again():
    """By every client of the loop, after answers, streams and errors alike."""
    stream = _data(delta={"content": "x"}, finish_reason="stop") + b"data: [DONE]\n\n"
    answers = iter([completion(), stream, None, completion()])

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        body = next(answers)
        return await always(body, status=500 if body is None else 200)(request, asked)

    async def scenario() -> Provider:
        async with provider(answer) as served:
            first, second = (DirectClient(Model(name, base_url=served.base_url)) for name in ("openai/a", "openai/b"))
            await first.complete(_request())
            await _read_out(first, _request())
            with pytest.raises(ModelError):
                await first.complete(_request())
            await second.complete(_request())
            return served

    served = asyncio.run(scenario())

    assert len(served.bodies) == 4
    assert len(served.connections) == 1


def test_one_client_serves_many_loops(caplog: pytest.LogCaptureFixture):
    """One after the other and side by side; each loop closes what it opened."""

    async def scenario() -> str:
        async with provider(always(completion())) as served:
            return (await DirectClient(Model("openai/m", base_url=served.base_url)).complete(_request())).text

    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(asyncio.run(scenario()))) for _ in range(4)]
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        for _ in range(3):
            texts.append(asyncio.run(scenario()))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()

    assert texts == ["hello"] * 7
    assert caplog.records == []


def test_a_process_ends_quietly_with_connections_open():
    """A script that called from a loop on a thread prints no complaint at its end."""
    code = (
        "import asyncio, threading\n"
        "from labkit.models.direct import DirectClient\n"
        "from labkit.models.model import Model\n"
        "from labkit.models.protocol import CompletionRequest, Message\n"
        "from labkit.models.server import ModelServer\n"
        "loop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "with ModelServer() as server:\n"
        "    client = DirectClient(Model('openai/m', base_url=server.base_url))\n"
        "    asked = CompletionRequest(messages=(Message('user', 'hello'),))\n"
        "    print(asyncio.run_coroutine_threadsafe(client.complete(asked), loop).result().finish_reason)\n"
        "    left = asyncio.new_event_loop()\n"
        "    print(left.run_until_complete(client.complete(asked)).finish_reason)\n"
    )

    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "stop\nstop\n"
    assert "Unclosed" not in done.stderr and "Traceback" not in done.stderr
