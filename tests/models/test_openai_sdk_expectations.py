"""OpenAI's own Python SDK as the judge: it understands the model server, and sends what the direct client sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from labkit.call.output_type import OutputType
from labkit.models.faults import Faults
from labkit.models.model import Model
from labkit.models.protocol import CompletionRequest, Message, Sampling
from labkit.models.resolve import client_for
from labkit.models.schema_wire import strict_form
from labkit.models.scripted import ScriptedModel
from labkit.models.server import ModelServer

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
        sampling=Sampling(temperature=0.5, max_tokens=50, top_p=0.9, seed=7, logprobs=True),
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
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    said = sdk.chat.completions.create(
        model="m",
        messages=MESSAGES,
        temperature=0.5,
        max_tokens=50,
        top_p=0.9,
        seed=7,
        logprobs=True,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "triage", "schema": json.loads(json.dumps(schema)), "strict": False},
        },
        **options,
    )
    if streamed:
        list(said)

    assert ours == server.requests[-1]


def test_the_strict_form_of_a_schema_is_the_sdks_own(sdk: openai.OpenAI, server: ModelServer):
    """What OpenAI's helper makes of a pydantic model, titles aside: strict_form leaves them out."""
    sdk.chat.completions.parse(model="m", messages=MESSAGES, response_format=Triage)
    sent = server.requests[-1]["response_format"]["json_schema"]

    def untitled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: untitled(value) for key, value in node.items() if key != "title"}
        return [untitled(each) for each in node] if isinstance(node, list) else node

    assert (untitled(sent["schema"]), sent["strict"]) == (strict_form(OutputType(Triage).schema or {}), True)
