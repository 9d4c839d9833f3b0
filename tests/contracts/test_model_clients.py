"""What every model client promises, over real HTTP where it has a wire: same results, same outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from labkit.errors import ModelError
from labkit.models.direct import DirectClient
from labkit.models.faults import Faults, Faulty
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.protocol import Client, Completion, CompletionRequest, Message, Sampling, Usage
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["lost_card", "exchange_rate"]}},
    "required": ["intent"],
    "additionalProperties": False,
}
ASKED = (Message("system", "Which intent is it?"), Message("user", "I lost my card"))
QUESTION = CompletionRequest(messages=ASKED, schema=SCHEMA, sampling=Sampling(logprobs=True))
ANSWER = '{"intent": "lost_card"}'

OVER_HTTP: dict[str, Callable[[Model], Client]] = {"direct": DirectClient, "litellm": LitellmClient}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults_left(server: ModelServer) -> Iterator[None]:
    yield
    server.faults = Faults()


@pytest.fixture(params=OVER_HTTP)
def make(request: pytest.FixtureRequest) -> Callable[[Model], Client]:
    """What makes a client with a wire."""
    return OVER_HTTP[request.param]


@pytest.fixture
def over_http(make: Callable[[Model], Client], server: ModelServer) -> Client:
    """A client with a wire, pointed at the server."""
    return make(Model("openai/nearest", base_url=server.base_url))


@pytest.fixture(params=["offline", "scripted", "faulty", *OVER_HTTP])
def client(request: pytest.FixtureRequest, server: ModelServer) -> Client:
    """Every client."""
    here: dict[str, Callable[[], Client]] = {
        "offline": lambda: OfflineModel(Model("offline/nearest")),
        "scripted": lambda: ScriptedModel(ANSWER),
        "faulty": lambda: Faulty("offline/nearest", Faults()),
    }
    if request.param in here:
        return here[request.param]()
    return OVER_HTTP[request.param](Model("openai/nearest", base_url=server.base_url))


async def _streamed(client: Client, request: CompletionRequest) -> tuple[str, list[Completion]]:
    text, completions = "", []
    async for chunk in client.stream(request):
        text += chunk.text
        if chunk.completion is not None:
            completions.append(chunk.completion)
    return text, completions


async def _asked(client: Client, streamed: bool, request: CompletionRequest = QUESTION) -> Completion:
    """Complete, or stream and give the completion at its end."""
    if not streamed:
        return await client.complete(request)
    return (await _streamed(client, request))[1][0]


def _failure(client: Client, *, streamed: bool = False) -> ModelError:
    with pytest.raises(ModelError) as caught:
        asyncio.run(_asked(client, streamed))
    return caught.value


either_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def test_a_completion_is_whole(client: Client):
    """Text, usage, finish reason and wire are there, whoever answers."""
    completion = asyncio.run(client.complete(QUESTION))

    assert completion.text == ANSWER
    assert (completion.finish_reason, completion.wire) == ("stop", "json_schema")
    assert completion.usage is not None and completion.usage.prompt_tokens > 0 < completion.usage.completion_tokens
    assert completion.first_chunk_s is None


def test_a_stream_says_the_same_as_the_completion(client: Client):
    """The pieces make up the text, and exactly one chunk, the last, carries the whole."""
    whole = asyncio.run(client.complete(QUESTION))

    text, completions = asyncio.run(_streamed(client, QUESTION))

    assert text == whole.text
    assert [c.text for c in completions] == [whole.text]
    assert (completions[0].usage, completions[0].logprobs) == (whole.usage, whole.logprobs)
    assert (completions[0].finish_reason, completions[0].wire) == (whole.finish_reason, whole.wire)


def test_text_without_a_schema_travels_as_text(client: Client):
    """Nothing is asked for that was not in the request."""
    completion = asyncio.run(client.complete(CompletionRequest(messages=ASKED)))

    assert completion.wire == "text"
    assert completion.text


@either_way
def test_it_arrives_as_it_was_sent(make: Callable[[Model], Client], streamed: bool):
    """Every character, the provider's own token counts, its log probabilities, its name and its id."""
    text = 'Grüße, 東京 \U0001f600 "quoted"\n\n\\u00e9 \u2028 end '
    said = Completion(
        text=text, finish_reason="stop", latency_s=0.0, model="served", wire="text",
        usage=Usage(prompt_tokens=11, completion_tokens=7), logprobs=(-0.25, -1.5),
    )  # fmt: skip
    with ModelServer(ScriptedModel(said, name="served/by")) as server:
        got = asyncio.run(_asked(make(Model("openai/m", base_url=server.base_url)), streamed))

    assert got.text == text
    assert got.usage == Usage(prompt_tokens=11, completion_tokens=7)
    assert got.logprobs == (-0.25, -1.5)
    assert got.model == "served/by"
    assert got.request_id == "chatcmpl-00000001"
    assert got.first_chunk_s is None or 0 < got.first_chunk_s <= got.latency_s


@either_way
def test_what_was_asked_for_is_what_is_sent(make: Callable[[Model], Client], streamed: bool):
    """The schema, the sampling and the messages go over the wire unchanged, and nothing is retried."""
    sampling = Sampling(
        temperature=0.5, max_tokens=64, top_p=0.9, seed=7, logprobs=True, top_k=40, stop=("END",),
        extra={"service_tier": "flex"},
    )  # fmt: skip
    asked = CompletionRequest(messages=ASKED, schema=SCHEMA, schema_name="triage", sampling=sampling)
    with ModelServer(ScriptedModel(ANSWER)) as server:
        asyncio.run(_asked(make(Model("openai/some-model", base_url=server.base_url)), streamed, asked))
        sent = dict(server.requests[0])
        counts = server.counts

    assert (counts.requests, counts.streamed) == (1, int(streamed))
    assert sent["model"] == "some-model"
    assert sent["messages"] == [{"role": message.role, "content": message.content} for message in ASKED]
    assert sent["response_format"]["json_schema"] == {"name": "triage", "schema": SCHEMA, "strict": False}
    assert [sent[key] for key in ("temperature", "max_tokens", "top_p", "seed", "logprobs")] == [0.5, 64, 0.9, 7, True]
    assert [sent[key] for key in ("top_k", "stop", "service_tier")] == [40, ["END"], "flex"]


@either_way
def test_nothing_is_sent_that_was_not_asked_for(make: Callable[[Model], Client], streamed: bool):
    """Leading providers refuse a temperature."""
    with ModelServer(ScriptedModel(ANSWER)) as server:
        asyncio.run(
            _asked(
                make(Model("openai/some-model", base_url=server.base_url)), streamed, CompletionRequest(messages=ASKED)
            )
        )
        sent = server.requests[0]

    assert sent.keys() - {"stream", "stream_options", "extra_body"} == {"model", "messages"}


@either_way
def test_reasoning_is_kept_apart_and_counted(make: Callable[[Model], Client], streamed: bool):
    """It is no part of the text, and is billed."""
    usage = Usage(prompt_tokens=11, completion_tokens=70, cached_tokens=8, reasoning_tokens=60)
    said = Completion(
        text=ANSWER, finish_reason="stop", latency_s=0.0, model="m", wire="text", usage=usage, reasoning="Let me think."
    )
    with ModelServer(ScriptedModel(said)) as server:
        got = asyncio.run(_asked(make(Model("openai/m", base_url=server.base_url)), streamed))

    assert (got.text, got.reasoning, got.usage) == (ANSWER, "Let me think.", usage)
    assert "think" not in repr(got)


@either_way
def test_tokens_that_nobody_reported_are_marked_as_estimated(make: Callable[[Model], Client], streamed: bool):
    """An estimate must not look like a bill."""
    said = Completion(text="four words or so", finish_reason="stop", latency_s=0.0, model="m", wire="text")
    with ModelServer(ScriptedModel(said)) as server:
        got = asyncio.run(_asked(make(Model("openai/m", base_url=server.base_url)), streamed))

    assert got.usage is not None and got.usage.estimated
    assert got.usage.completion_tokens > 0 < got.usage.prompt_tokens


@either_way
@pytest.mark.parametrize(
    ("faults", "finish_reason"),
    [(Faults(truncated=1.0), "length"), (Faults(content_filter=1.0), "filter"), (Faults(empty=1.0), "stop")],
    ids=["truncated", "content_filter", "empty"],
)
def test_why_an_answer_ended_is_known(
    over_http: Client, server: ModelServer, faults: Faults, finish_reason: str, streamed: bool
):
    """Half an answer, or a withheld one, must not look like a whole one."""
    server.faults = faults

    completion = asyncio.run(_asked(over_http, streamed))

    assert completion.finish_reason == finish_reason
    assert completion.text != ANSWER


def test_a_refusal_is_one(over_http: Client, server: ModelServer):
    """The words of the refusal are kept."""
    server.faults = Faults(refusal=1.0)

    completion = asyncio.run(over_http.complete(QUESTION))

    assert completion.finish_reason == "filter"
    assert "can't help" in completion.text


@either_way
@pytest.mark.parametrize(
    ("faults", "outcome", "status", "retry_after_s"),
    [
        (Faults(error_500=1.0), "transport", 500, None),
        (Faults(error_502=1.0), "transport", 502, None),
        (Faults(error_503=1.0), "transport", 503, None),
        (Faults(error_529=1.0), "transport", 529, None),
        (Faults(rate_limited=1.0, retry_after_s=7.0), "rate_limited", 429, 7.0),
        (Faults(rate_limited_silently=1.0), "rate_limited", 429, None),
    ],
    ids=lambda value: next(iter(value.shares())) if isinstance(value, Faults) else None,
)
def test_an_error_is_sorted_by_its_status(
    over_http: Client, server: ModelServer, faults: Faults, outcome: str, status: int, retry_after_s: float | None,
    streamed: bool,
):  # fmt: skip
    """The pipeline decides by outcome whether another request can help; exactly one was made."""
    server.faults = faults
    before = server.counts.requests

    error = _failure(over_http, streamed=streamed)

    assert (error.outcome, error.status, error.retry_after_s) == (outcome, status, retry_after_s)
    assert "injected" in str(error) and "openai/nearest" in str(error)
    assert error.request_id == f"chatcmpl-{before + 1:08d}"
    assert server.counts.requests == before + 1


@either_way
@pytest.mark.parametrize("kind", ["reset", "not_json", "wrong_encoding"])
def test_a_response_that_cannot_be_read_is_a_transport_failure(
    over_http: Client, server: ModelServer, kind: str, streamed: bool
):
    """A crash half-way, a proxy's page, a wrong encoding: it may work when asked again, by the pipeline."""
    server.faults = Faults(**{kind: 1.0})  # type: ignore[arg-type]
    before = server.counts.requests

    error = _failure(over_http, streamed=streamed)

    assert (error.outcome, error.status) == ("transport", None)
    assert server.counts.requests == before + 1


@either_way
def test_an_answer_without_end_does_not_fill_the_memory(over_http: Client, server: ModelServer, streamed: bool):
    """What is larger than any answer is given up on, and asking again would give the same."""
    server.faults = Faults(huge=1.0)

    error = _failure(over_http, streamed=streamed)

    assert error.outcome == "truncated"
    assert "max_tokens" in str(error)


def test_a_stream_without_its_last_word_is_still_an_answer(over_http: Client, server: ModelServer):
    """Servers forget [DONE]; the finish reason is what counts."""
    server.faults = Faults(missing_done=1.0)

    assert asyncio.run(_asked(over_http, True)).text == ANSWER


def test_a_slow_answer_is_an_answer(over_http: Client, server: ModelServer):
    """How slow is too slow is the pipeline's to say."""
    server.faults = Faults(slow_drip=1.0, drip_s=0.001)

    assert asyncio.run(over_http.complete(QUESTION)).text == ANSWER
    assert asyncio.run(_asked(over_http, True)).text == ANSWER


@either_way
def test_a_wrong_key_is_an_auth_failure(make: Callable[[Model], Client], streamed: bool):
    """No retry will mend it, and the message does not repeat the key."""
    with ModelServer(api_key="right") as server:
        client = make(Model("openai/m", base_url=server.base_url, api_key="wrong-key"))
        error = _failure(client, streamed=streamed)
        counts = server.counts
        right = asyncio.run(make(Model("openai/m", base_url=server.base_url, api_key="right")).complete(QUESTION))

    assert (error.outcome, error.status) == ("auth", 401)
    assert "wrong-key" not in str(error)
    assert counts.requests == 1
    assert right.text == ANSWER


def test_a_missing_key_is_an_auth_failure(make: Callable[[Model], Client], monkeypatch: pytest.MonkeyPatch):
    """Retrying it would only be slow; the message names the variable."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    error = _failure(make(Model("openai/gpt-4o-mini")))

    assert (error.outcome, error.status) == ("auth", None)
    assert "OPENAI_API_KEY" in str(error)


def test_a_wrong_address_is_a_fault_of_the_definition(make: Callable[[Model], Client], server: ModelServer):
    """It is neither retried nor counted as a refusal."""
    error = _failure(make(Model("openai/m", base_url=f"{server.base_url}/nowhere")))

    assert (error.outcome, error.status) == ("bug", 404)
    assert "base_url" in str(error)


def test_a_server_that_is_not_there_is_a_transport_failure(make: Callable[[Model], Client]):
    """Nothing listens: the outcome can be retried and the message says what was tried."""
    with ModelServer() as gone:
        address = gone.base_url

    error = _failure(make(Model("openai/m", base_url=address)))

    assert (error.outcome, error.status) == ("transport", None)
    assert "127.0.0.1" in str(error)


@either_way
@pytest.mark.parametrize("kind", ["hang", "hang_in_body"])
def test_a_cancelled_request_frees_its_connection(over_http: Client, server: ModelServer, kind: str, streamed: bool):
    """A hanging server does not keep the client, and learns that the client went away."""
    server.faults = Faults(**{kind: 1.0})  # type: ignore[arg-type]
    before = server.counts

    async def scenario() -> bool:
        task = asyncio.create_task(_asked(over_http, streamed))
        assert await _seen(server, lambda counts: sum(counts.faults.values()) > sum(before.faults.values()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await _seen(server, lambda counts: counts.aborted == before.aborted + 1)

    assert asyncio.run(scenario())


def test_a_stream_that_is_left_early_frees_its_connection(over_http: Client, server: ModelServer):
    """Who has read enough need not read on."""
    server.faults = Faults(hang_in_body=1.0)
    before = server.counts

    async def scenario() -> bool:
        stream = over_http.stream(QUESTION)
        async for chunk in stream:
            assert chunk.text
            break
        await stream.aclose()  # type: ignore[attr-defined]
        return await _seen(server, lambda counts: counts.aborted == before.aborted + 1)

    assert asyncio.run(scenario())


def _seen(server: ModelServer, reached: Callable[[Any], bool]) -> Coroutine[Any, Any, bool]:
    return asyncio.to_thread(server.wait_until, reached)


def test_many_at_once_do_not_mix(over_http: Client):
    """Answers find their questions."""
    asked = [
        CompletionRequest(messages=(Message("user", query),), schema=SCHEMA)
        for query in ["lost card", "exchange rate"] * 20
    ]

    async def scenario() -> list[str]:
        return [c.text for c in await asyncio.gather(*(over_http.complete(request) for request in asked))]

    assert asyncio.run(scenario()) == [ANSWER, '{"intent": "exchange_rate"}'] * 20
