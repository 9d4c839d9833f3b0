"""What every model client promises, over real HTTP where it has a wire: same results, same outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.errors import ModelError
from labkit.models.faults import Faults
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.protocol import Client, Completion, CompletionRequest, Message, Sampling
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["lost_card", "exchange_rate"]}},
    "required": ["intent"],
    "additionalProperties": False,
}
QUESTION = CompletionRequest(
    messages=(Message("system", "Which intent is it?"), Message("user", "I lost my card")),
    schema=SCHEMA,
    sampling=Sampling(logprobs=True),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults_left(server: ModelServer) -> Iterator[None]:
    yield
    server.faults = Faults()


@pytest.fixture(params=["litellm"])
def over_http(request: pytest.FixtureRequest, server: ModelServer) -> Client:
    """Clients with a wire, pointed at the server."""
    model = Model("openai/nearest", base_url=server.base_url, api_key="none")
    return {"litellm": LitellmClient}[request.param](model)


@pytest.fixture(params=["offline", "scripted", "litellm"])
def client(request: pytest.FixtureRequest, server: ModelServer) -> Client:
    """Every client."""
    made: dict[str, Any] = {
        "offline": lambda: OfflineModel(Model("offline/nearest")),
        "scripted": lambda: ScriptedModel('{"intent": "lost_card"}'),
        "litellm": lambda: LitellmClient(Model("openai/nearest", base_url=server.base_url, api_key="none")),
    }
    return made[request.param]()


async def _streamed(client: Client, request: CompletionRequest) -> tuple[str, list[Completion]]:
    text, completions = "", []
    async for chunk in client.stream(request):
        text += chunk.text
        if chunk.completion is not None:
            completions.append(chunk.completion)
    return text, completions


def _failure(client: Client, *, streamed: bool = False) -> ModelError:
    work = _streamed(client, QUESTION) if streamed else client.complete(QUESTION)
    with pytest.raises(ModelError) as caught:
        asyncio.run(work)  # type: ignore[arg-type]
    return caught.value


def test_a_completion_is_whole(client: Client):
    """Text, usage, finish reason and wire are there, whoever answers."""
    completion = asyncio.run(client.complete(QUESTION))

    assert completion.text == '{"intent": "lost_card"}'
    assert completion.finish_reason == "stop"
    assert completion.wire == "json_schema"
    assert completion.usage is not None and completion.usage.prompt_tokens > 0 < completion.usage.completion_tokens


def test_a_stream_says_the_same_as_the_completion(client: Client):
    """The pieces make up the text, and exactly one chunk carries the whole."""
    whole = asyncio.run(client.complete(QUESTION))

    text, completions = asyncio.run(_streamed(client, QUESTION))

    assert text == whole.text
    assert [c.text for c in completions] == [whole.text]
    assert completions[0].usage == whole.usage
    assert completions[0].finish_reason == "stop"


def test_log_probabilities_come_where_they_are_asked_for(over_http: Client):
    """Confidence rests on them."""
    completion = asyncio.run(over_http.complete(QUESTION))

    assert completion.logprobs is not None
    assert all(value <= 0 for value in completion.logprobs)


def test_an_answer_cut_off_at_the_limit_says_so(over_http: Client):
    """Half an answer must not look like a whole one."""
    short = CompletionRequest(messages=QUESTION.messages, schema=SCHEMA, sampling=Sampling(max_tokens=1))

    assert asyncio.run(over_http.complete(short)).finish_reason == "length"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("faults", "outcome", "status", "retry_after_s"),
    [
        (Faults(error_500=1.0), "transport", 500, None),
        (Faults(rate_limited=1.0, retry_after_s=7.0), "rate_limited", 429, 7.0),
    ],
)
def test_an_error_is_sorted_by_its_status(
    over_http: Client,
    server: ModelServer,
    faults: Faults,
    outcome: str,
    status: int,
    retry_after_s: float | None,
    streamed: bool,
):
    """The pipeline decides by outcome whether another request can help."""
    server.faults = faults

    error = _failure(over_http, streamed=streamed)

    assert (error.outcome, error.status, error.retry_after_s) == (outcome, status, retry_after_s)
    assert "injected" in str(error)
    assert error.request_id


def test_one_completion_is_one_request(over_http: Client, server: ModelServer):
    """Nobody retries but the pipeline: hidden retries multiply."""
    server.faults = Faults(error_500=1.0)
    before = server.counts.requests

    _failure(over_http)

    assert server.counts.requests == before + 1


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cancelled_request_frees_its_connection(over_http: Client, server: ModelServer, streamed: bool):
    """A hanging server does not keep the client, and learns that the client went away."""
    server.faults = Faults(hang=1.0)
    before = server.counts

    async def scenario() -> None:
        work = _streamed(over_http, QUESTION) if streamed else over_http.complete(QUESTION)
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        while server.counts.faults.get("hang", 0) == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):  # so that a connection that is kept fails the test instead of hanging it
            while server.counts.aborted == before.aborted:
                await asyncio.sleep(0)

    asyncio.run(scenario())

    assert server.counts.aborted == before.aborted + 1


def test_a_server_that_is_not_there_is_a_transport_failure(over_http: Client, server: ModelServer):
    """Nothing listens: the outcome can be retried and the message says what was tried."""
    with ModelServer() as gone:
        address = gone.base_url
    client = type(over_http)(Model("openai/nearest", base_url=address, api_key="none"))  # type: ignore[call-arg]

    assert _failure(client).outcome == "transport"


def test_a_missing_key_is_an_auth_failure(over_http: Client, monkeypatch: pytest.MonkeyPatch):
    """Retrying it would only be slow; the message names the variable."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    client = type(over_http)(Model("openai/gpt-4o-mini"))  # type: ignore[call-arg]

    error = _failure(client)

    assert (error.outcome, error.status) == ("auth", 401)
    assert "OPENAI_API_KEY" in str(error)
