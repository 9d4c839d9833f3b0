"""The model server speaks OpenAI's format, fails on demand, counts, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from labkit.errors import ModelError
from labkit.models.direct import DirectClient
from labkit.models.faults import Faults, Faulty, Injector
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest, Message, Usage
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def _post(server: ModelServer, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{server.base_url}/chat/completions", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.loads(response.read())


def _events(raw: bytes) -> list[Any]:
    """The data of a stream's events; the last one is "[DONE]"."""
    data = [event.removeprefix("data: ") for event in raw.decode().split("\n\n") if event]
    return [event if event == "[DONE]" else json.loads(event) for event in data]


def test_it_answers_as_the_client_behind_it():
    """The body has the form that OpenAI's clients read, and names who really answered."""
    with ModelServer(ScriptedModel("hi there")) as server:
        status, headers, raw = _post(server, HELLO)
        counts = server.counts
    body = json.loads(raw)

    assert (status, body["object"], body["model"]) == (200, "chat.completion", "scripted/model")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hi there", "refusal": None}
    assert body["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert headers["x-request-id"] == body["id"]
    assert (counts.requests, counts.streamed, counts.rejected, counts.aborted) == (1, 0, 0, 0)


@pytest.mark.parametrize("with_usage", [False, True])
def test_a_stream_is_the_answer_in_pieces(with_usage: bool):
    """A role, the text, a finish reason, the tokens only if asked for, and [DONE]."""
    said = Completion(
        text="one two three", finish_reason="stop", latency_s=0.0, model="m", wire="text",
        usage=Usage(prompt_tokens=3, completion_tokens=4), logprobs=(-1.0,),
    )  # fmt: skip
    with ModelServer(ScriptedModel(said, chunk_chars=5)) as server:
        _, headers, raw = _post(
            server, HELLO | {"stream": True, "stream_options": {"include_usage": True} if with_usage else None}
        )
    *chunks, done = _events(raw)
    usage = chunks.pop() if with_usage else None

    assert headers["Content-Type"].startswith("text/event-stream")
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "one t", "wo th", "ree", None]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, None, "stop"]
    assert chunks[-1]["choices"][0]["logprobs"]["content"][0]["logprob"] == -1.0
    if usage is not None:
        assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 7)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "answer"}}])
def test_a_forced_tool_takes_the_answer_as_its_arguments(choice: Any, streamed: bool):
    """Providers without a schema field are asked this way."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "answer", "parameters": schema}}
    model = ScriptedModel('{"a": 1}', chunk_chars=3)
    with ModelServer(model) as server:
        _, _, raw = _post(server, HELLO | {"tools": [tool], "tool_choice": choice, "stream": streamed})

    if streamed:
        calls = [c["choices"][0]["delta"].get("tool_calls", [{}])[0].get("function", {}) for c in _events(raw)[:-1]]
        assert calls[0]["name"] == "answer"
        assert "".join(call.get("arguments", "") for call in calls) == '{"a": 1}'
    else:
        call = json.loads(raw)["choices"][0]["message"]["tool_calls"][0]
        assert call["function"] == {"name": "answer", "arguments": '{"a": 1}'}
    assert model.requests[0].schema == schema


def test_what_is_asked_for_reaches_the_client_behind_it():
    """Sampling, roles, parts of messages and the schema are translated, not dropped."""
    model = ScriptedModel("x")
    body = {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ],
        "temperature": 0.5, "top_p": 0.25, "seed": 3, "max_completion_tokens": 9, "logprobs": True,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    }  # fmt: skip
    with ModelServer(model) as server:
        _post(server, body)
    asked = model.requests[0]

    assert [(m.role, m.content) for m in asked.messages] == [("system", "be brief"), ("user", "ab")]
    assert (asked.schema, asked.schema_name) == ({"type": "object"}, "n")
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.seed) == (0.5, 0.25, 3)
    assert (asked.sampling.max_tokens, asked.sampling.logprobs) == (9, True)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        ({}, "model"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        (HELLO | {"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_request_it_cannot_read_is_a_400_that_says_where(body: Any, where: str):
    """As with a real provider, the caller learns what is wrong."""
    with ModelServer(ScriptedModel("x")) as server:
        status, _, raw = _post(server, body)
        counts = server.counts
    error = json.loads(raw)["error"]

    assert (status, error["type"]) == (400, "invalid_request_error")
    assert f": {where}: " in error["message"]
    assert counts.rejected == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_what_fails_behind_it_is_an_error_with_its_status(streamed: bool):
    """A gateway passes on what its provider said."""
    error = ModelError("slow down", outcome="rate_limited", status=429, retry_after_s=3.0)
    with ModelServer(ScriptedModel(error)) as server:
        status, headers, raw = _post(server, HELLO | {"stream": streamed})

    assert (status, headers["Retry-After"]) == (429, "3")
    assert json.loads(raw)["error"]["message"] == "slow down"


def test_the_wrong_key_is_refused_where_one_is_asked_for():
    """So that clients can be tested against a 401."""
    with ModelServer(ScriptedModel("x"), api_key="s3cret") as server:
        statuses = [_post(server, HELLO, {"Authorization": f"Bearer {key}"})[0] for key in ("s3cret", "other", "")]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _get(f"{server.base_url}/models")

    assert statuses == [200, 401, 401]


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"Host": "attacker.example"}, 403),
        ({"Host": "attacker.example:8000"}, 403),
        ({"Host": "127.0.0.1.attacker.example"}, 403),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Host": "localhost"}, 200),
    ],
    ids=str,
)
def test_a_page_in_a_browser_cannot_ask_it(headers: dict[str, str], refusal: int):
    """A page may send any of these to a port of the same machine without being asked; a program sends none."""
    model = ScriptedModel("x")
    with ModelServer(model) as server:
        status, _, raw = _post(server, HELLO, headers)
        counts = server.counts

    assert status == refusal
    assert (len(model.requests), counts.rejected) == ((1, 0) if refusal == 200 else (0, 1))
    assert "error" in json.loads(raw) or refusal == 200


def test_its_own_pages_may_ask_it():
    """Same address, same origin."""
    with ModelServer(ScriptedModel("x")) as server:
        origin = server.base_url.removesuffix("/v1")
        assert _post(server, HELLO, {"Origin": origin})[0] == 200


class Paid:
    """A client that somebody is billed for."""

    name = "openai/gpt-4o"

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion(text="dear", finish_reason="stop", latency_s=0.0, model=self.name, wire="text")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(completion=await self.complete(request))


@pytest.mark.parametrize("client", [Paid(), Faulty(Paid(), Faults())], ids=["paid", "paid with faults"])
def test_a_model_that_costs_is_not_there_for_everybody(client: Client):
    """Without being asked for, there is a key, a new one for each server, and who has it is answered."""
    with ModelServer(client) as server, ModelServer(client) as other:
        key = server.api_key
        assert key is not None and key != other.api_key and len(key) > 20
        assert _post(server, HELLO)[0] == 401
        asked = DirectClient(Model("openai/m", base_url=server.base_url, api_key=key))
        answer = asyncio.run(asked.complete(CompletionRequest(messages=(Message("user", "hello"),))))

    assert answer.text == "dear"


@pytest.mark.parametrize(
    "client", ["offline/nearest", ScriptedModel("x"), Faulty("offline/nearest", Faults())], ids=["a", "b", "c"]
)
def test_a_model_that_costs_nothing_needs_no_key(client: Any):
    """As in all examples; and who serves a model that costs may say that anybody may ask it."""
    with ModelServer(client) as server, ModelServer(Paid(), api_key=None) as open_to_all:
        assert server.api_key is None
        assert _post(server, HELLO)[0] == _post(open_to_all, HELLO)[0] == 200


def test_the_key_is_said_on_the_command_line():
    """Where it was made there; one that was given is not repeated."""
    paid = ["--model", "openai/gpt-4o"]
    with _served(*paid) as (_, made), _served(*paid, "--api-key", "s3cret") as (_, given):
        assert made.startswith("http://127.0.0.1:") and given.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _get_completion(made)


def test_it_says_whom_it_serves_and_that_it_is_well():
    """What gateways and supervisors ask."""
    with ModelServer() as server:
        assert [model["id"] for model in _get(f"{server.base_url}/models")["data"]] == ["offline/nearest"]
        assert _get(server.base_url.removesuffix("/v1") + "/health") == {"status": "ok"}


def test_faults_are_drawn_from_the_seed_and_counted():
    """A drill can be repeated, and its counts are true."""
    faults = Faults(seed=3, error_500=0.2, rate_limited=0.2, malformed=0.2)
    twin = Injector(faults)
    expected = [twin.draw() for _ in range(40)]

    with ModelServer(ScriptedModel('{"a": 1}'), faults=faults) as server:
        statuses = [_post(server, HELLO)[0] for _ in range(40)]
        counts = server.counts

    assert statuses == [{"error_500": 500, "rate_limited": 429}.get(kind or "", 200) for kind in expected]
    assert counts.faults == twin.counts
    assert set(counts.faults) == {"error_500", "rate_limited", "malformed"}


def test_faults_can_be_replaced_while_it_runs_and_counts_go_on():
    """A drill has several acts."""
    with ModelServer(ScriptedModel("x"), faults=Faults(error_500=1.0)) as server:
        first = _post(server, HELLO)[0]
        server.faults = Faults(error_503=1.0)
        second = _post(server, HELLO)[0]
        server.faults = Faults()
        third = _post(server, HELLO)[0]
        counts = server.counts

    assert [first, second, third] == [500, 503, 200]
    assert counts.faults == {"error_500": 1, "error_503": 1}


@pytest.mark.parametrize(
    ("faults", "check"),
    [
        (Faults(duplicate_chunks=1.0), lambda texts: texts == ["ab", "ab", "cd", "cd"]),
        (Faults(missing_done=1.0), lambda texts: texts == ["ab", "cd"]),
    ],
    ids=["duplicate_chunks", "missing_done"],
)
def test_faults_of_streams(faults: Faults, check: Any):
    """They befall streams; an answer in one piece cannot have them and is not counted."""
    with ModelServer(ScriptedModel("abcd", chunk_chars=2), faults=faults) as server:
        whole = json.loads(_post(server, HELLO)[2])
        events = _events(_post(server, HELLO | {"stream": True})[2])
        counts = server.counts

    chunks = [event for event in events if event != "[DONE]"]
    assert check([c["choices"][0]["delta"]["content"] for c in chunks if c["choices"][0]["delta"].get("content")])
    assert (events[-1] == "[DONE]") is bool(faults.duplicate_chunks)
    assert whole["choices"][0]["message"]["content"] == "abcd"
    assert sum(counts.faults.values()) == 1


def test_answers_drift_after_a_while():
    """The first ones are right, the later ones fit as well and are wrong."""
    schema = {"type": "object", "properties": {"label": {"enum": ["a", "b", "c"]}}}
    body = HELLO | {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    with ModelServer(ScriptedModel('{"label": "c"}'), faults=Faults(drift=1.0, drift_after=2)) as server:
        texts = [json.loads(_post(server, body)[2])["choices"][0]["message"]["content"] for _ in range(4)]
        counts = server.counts

    assert texts == ['{"label": "c"}', '{"label": "c"}', '{"label": "a"}', '{"label": "a"}']
    assert counts.faults == {"drift": 2}


def test_it_stops_with_requests_that_hang():
    """A drill ends when its block ends, and what it cut off was not the client's doing."""
    server = ModelServer(ScriptedModel("x"), faults=Faults(hang=1.0)).start()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            _post(server, HELLO)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert server.wait_until(lambda counts: counts.faults.get("hang") == 3)
    server.stop()
    for thread in threads:
        thread.join(30)

    assert len(failures) == 3
    assert server.counts.aborted == 0


def test_it_can_be_used_in_async_code():
    """Starting and stopping do not block the loop."""

    async def scenario() -> int:
        async with ModelServer(ScriptedModel("x")) as server:
            return (await asyncio.to_thread(_post, server, HELLO))[0]

    assert asyncio.run(scenario()) == 200


def test_a_taken_port_is_an_error_at_start():
    """Not a server that nobody reaches."""
    with ModelServer(ScriptedModel("x")) as server:
        port = int(server.base_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            ModelServer(ScriptedModel("x"), port=port).start()


@contextlib.contextmanager
def _served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on the command line and its address; it does not outlive the block."""
    command = [sys.executable, "-m", "labkit.models.server", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split(" at ")[1].split(",")[0]
        finally:
            process.kill()


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN], ids=["terminal", "background"])
@pytest.mark.parametrize("stops", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_from_the_command_line(stops: signal.Signals, inherited: signal.Handlers):
    """For a browser, curl, or another language's client; Ctrl-C and a supervisor's SIGTERM end it, also where a shell
    put it into the background and so had it ignore interrupts."""
    before = signal.signal(signal.SIGINT, inherited)
    try:
        with _served("--fault", "error_503=1") as (process, url):
            with pytest.raises(urllib.error.HTTPError, match="503"):
                _get_completion(url)
            process.send_signal(stops)
            assert process.wait(30) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def _get_completion(url: str) -> None:
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{url}/chat/completions", data=json.dumps(HELLO).encode(), headers=headers)
    )


def test_an_unknown_fault_on_the_command_line_is_refused():
    """With the kinds there are."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.models.server", "--fault", "gremlins=1"], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "gremlins" in done.stderr and "error_500" in done.stderr
