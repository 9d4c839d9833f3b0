"""OpenAI's own Python SDK as the judge: it understands the model server, and sends what the direct client sends."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from labkit.call.output_type import OutputType
from labkit.models.faults import Faults
from labkit.models.model import Model
from labkit.models.protocol import Completion, CompletionRequest, Message, Sampling
from labkit.models.resolve import client_for
from labkit.models.schema_wire import strict_form
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer
from labkit.models.spoiling import REFUSAL

KEY = "sk-of-the-server"


class Triage(BaseModel):
    intent: Literal["card_arrival", "exchange_rate"]
    urgency: int


ANSWER = '{"intent": "card_arrival", "urgency": 2}'
MESSAGES: Any = [{"role": "system", "content": "Triage."}, {"role": "user", "content": "Where is my card? ✉"}]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(ScriptedModel(ANSWER), api_key=KEY) as server:
        yield server


@pytest.fixture
def sdk(server: ModelServer) -> openai.OpenAI:
    server.faults = Faults()
    return openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0)


def test_a_completion(sdk: openai.OpenAI):
    """Every field the SDK's types promise is there."""
    said = sdk.chat.completions.create(model="m", messages=MESSAGES)

    assert ChatCompletion.model_validate(said.model_dump()) == said
    assert (said.choices[0].message.content, said.choices[0].finish_reason) == (ANSWER, "stop")
    assert said.usage is not None
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens


def test_a_stream_with_its_usage(sdk: openai.OpenAI):
    """Pieces, a finish reason, and usage in the last chunk."""
    chunks = list(
        sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True})
    )

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert (text, reasons) == (ANSWER, ["stop"])
    assert chunks[-1].usage is not None


def test_a_parsed_answer(sdk: openai.OpenAI):
    """The SDK's helper for pydantic models."""
    said = sdk.chat.completions.parse(model="m", messages=MESSAGES, response_format=Triage)

    assert said.choices[0].message.parsed == Triage(intent="card_arrival", urgency=2)


def test_a_forced_tool(sdk: openai.OpenAI):
    """The answer comes as the tool's arguments."""
    function: Any = {"name": "triage", "parameters": Triage.model_json_schema()}
    said = sdk.chat.completions.create(
        model="m",
        messages=MESSAGES,
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "triage"}},
    )

    (call,) = said.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("triage", ANSWER)


@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities(streamed: bool):
    """One for each token, where the SDK looks for them."""
    said = Completion(text="Hello", finish_reason="stop", latency_s=0.0, model="m", wire="text", logprobs=(-0.1, -0.2))
    with ModelServer(ScriptedModel(said)) as server:
        sdk = openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0)
        if streamed:
            chunks = sdk.chat.completions.create(model="m", messages=MESSAGES, logprobs=True, stream=True)
            choices: list[Any] = [choice for chunk in chunks for choice in chunk.choices]
        else:
            choices = list(sdk.chat.completions.create(model="m", messages=MESSAGES, logprobs=True).choices)

    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert [token.logprob for token in tokens] == [-0.1, -0.2]


@pytest.mark.parametrize(
    ("fault", "error"),
    [("truncated", openai.LengthFinishReasonError), ("content_filter", openai.ContentFilterFinishReasonError)],
)
def test_an_answer_that_is_not_whole_is_not_parsed(
    sdk: openai.OpenAI, server: ModelServer, fault: str, error: type[openai.OpenAIError]
):
    """The SDK raises by the finish reason."""
    server.faults = Faults(**{fault: 1.0})  # type: ignore[arg-type]

    with pytest.raises(error):
        sdk.chat.completions.parse(model="m", messages=MESSAGES, response_format=Triage)


def test_a_refusal_is_in_its_own_field(sdk: openai.OpenAI, server: ModelServer):
    """It is no answer that happens not to be JSON."""
    server.faults = Faults(refusal=1.0)

    message = sdk.chat.completions.parse(model="m", messages=MESSAGES, response_format=Triage).choices[0].message

    assert (message.refusal, message.content, message.parsed) == (REFUSAL, None, None)


def test_models_are_listed(sdk: openai.OpenAI):
    """GET /v1/models."""
    assert [model.id for model in sdk.models.list()] == ["scripted/model"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limited", openai.RateLimitError),
        ("error_500", openai.InternalServerError),
        ("error_503", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
def test_failures_are_the_sdks_own_errors(
    sdk: openai.OpenAI, server: ModelServer, fault: str, error: type[openai.OpenAIError]
):
    """It tells them apart by status."""
    server.faults = Faults(**{fault: 1.0}, retry_after_s=7)  # type: ignore[arg-type]

    with pytest.raises(error) as failed:
        sdk.chat.completions.create(model="m", messages=MESSAGES)

    if isinstance(failed.value, openai.RateLimitError):
        assert float(failed.value.response.headers["retry-after"]) == 7


def test_a_wrong_key_and_a_wrong_request(server: ModelServer):
    """401 and 400, with a message."""
    stranger = openai.OpenAI(base_url=server.base_url, api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        stranger.chat.completions.create(model="m", messages=MESSAGES)

    sdk = openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0)
    with pytest.raises(openai.BadRequestError, match="messages"):
        sdk.chat.completions.create(model="m", messages=[])


@pytest.mark.parametrize("streamed", [False, True])
def test_the_direct_client_sends_what_the_sdk_sends(sdk: openai.OpenAI, server: ModelServer, streamed: bool):
    """Field by field, the same body for the same request."""
    schema = OutputType(Triage).schema
    request = CompletionRequest(
        messages=tuple(Message(m["role"], m["content"]) for m in MESSAGES),
        schema=schema,
        schema_name="triage",
        sampling=Sampling(
            temperature=0.5,
            max_tokens=50,
            top_p=0.9,
            seed=7,
            logprobs=True,
            top_k=40,
            stop=("END", "\n\n"),
            reasoning_effort="low",
            extra={"service_tier": "flex", "metadata": {"team": "cards"}},
        ),
    )
    client = client_for(Model("openai/m", base_url=server.base_url, api_key=KEY))

    async def direct() -> None:
        if streamed:
            async for _ in client.stream(request):
                pass
        else:
            await client.complete(request)

    asyncio.run(direct())
    ours = dict(server.requests[-1])
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {"stream": False}
    said = sdk.chat.completions.create(
        model="m",
        messages=MESSAGES,
        temperature=0.5,
        max_tokens=50,
        top_p=0.9,
        seed=7,
        logprobs=True,
        stop=["END", "\n\n"],
        reasoning_effort="low",
        service_tier="flex",
        metadata={"team": "cards"},
        extra_body={"top_k": 40},
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "triage", "schema": json.loads(json.dumps(schema)), "strict": False},
        },
        **options,
    )
    if streamed:
        list(said)

    assert ours == server.requests[-1]


class Recorded(NamedTuple):
    line: str
    headers: dict[str, str]
    body: Any


@contextlib.contextmanager
def recorder() -> Iterator[tuple[str, list[Recorded]]]:
    """Gives the address of a server that writes down whole requests, and what it wrote."""
    requests: list[Recorded] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            requests.append(Recorded(self.requestline, headers, json.loads(raw)))
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            body = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1", requests
        finally:
            listening.shutdown()
            thread.join()


def test_the_direct_client_asks_as_the_sdk_asks():
    """The same request line, key and type of body; no header is missing but the SDK's telemetry about itself."""
    with recorder() as (base_url, requests):
        client = client_for(Model("openai/m", base_url=base_url, api_key=KEY))
        request = CompletionRequest(messages=tuple(Message(m["role"], m["content"]) for m in MESSAGES))
        text = asyncio.run(client.complete(request)).text
        sdk = openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0)
        said = sdk.chat.completions.create(model="m", messages=MESSAGES, stream=False)
        sdk.close()

    ours, theirs = requests
    assert text == said.choices[0].message.content == "Hello"
    assert (ours.line, ours.body) == (theirs.line, theirs.body)
    assert [ours.headers[name] for name in ("authorization", "content-type")] == [
        theirs.headers[name] for name in ("authorization", "content-type")
    ]
    missing = {name for name in theirs.headers.keys() - ours.headers.keys() if not name.startswith("x-stainless-")}
    assert missing <= {"connection"}  # HTTP/1.1 keeps it alive unasked


def test_the_strict_form_of_a_schema_is_the_sdks_own(sdk: openai.OpenAI, server: ModelServer):
    """What OpenAI's helper makes of a pydantic model, titles aside: strict_form leaves them out."""
    sdk.chat.completions.parse(model="m", messages=MESSAGES, response_format=Triage)
    sent = server.requests[-1]["response_format"]["json_schema"]

    def untitled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: untitled(value) for key, value in node.items() if key != "title"}
        return [untitled(each) for each in node] if isinstance(node, list) else node

    assert (untitled(sent["schema"]), sent["strict"]) == (strict_form(OutputType(Triage).schema or {}), True)
