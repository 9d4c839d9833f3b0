"""A secret that a field is marked with, a key or an exception quotes is found in no record and no log."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from desk import GOOD, support_desk
from provider import always, provider
from pydantic import BaseModel, SecretStr, field_validator

import labkit as lk
from labkit.call.redaction import HIDDEN, holds_sensitive, redacted, scrubbed, secrets_in
from labkit.errors import ModelError

CANARY = 'canary-"7f3a"-ü-91'


class Account(BaseModel):
    owner: str
    iban: Annotated[str, lk.Sensitive]


class Transfer(BaseModel):
    text: str
    pin: Annotated[str | None, lk.Sensitive] = None
    token: SecretStr | None = None
    accounts: list[Account] = []

    @field_validator("pin")
    @classmethod
    def not_zero(cls, pin: str) -> str:
        if pin.endswith("zero"):
            raise ValueError(f"{pin} cannot be a PIN")
        return pin


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything any labkit logger says, tracebacks included."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("labkit")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def transfers(model: Any = GOOD, **changes: Any) -> tuple[lk.GuardedCall[Any], list[lk.CallRecord]]:
    records: list[lk.CallRecord] = []
    policy = lk.Policy(record_content=True, retry=lk.Retry(max_attempts=1), reask=1)
    prompt = lk.Prompt(user="{{ input.text }} {{ input.pin }} {% for a in input.accounts %}{{ a.iban }}{% endfor %}")
    given = {"input": Transfer, "policy": policy, "prompt": prompt, "sink": records.append} | changes
    return support_desk(model, **given), records


INPUT = {
    "text": "send it",
    "pin": CANARY,
    "token": CANARY,
    "accounts": [{"owner": "me", "iban": CANARY}],
}


def _raise(*_: Any) -> Any:
    raise TypeError(f"cannot use {CANARY}")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": f"the PIN {CANARY} is no JSON"},
        {"model": lk.ScriptedModel(ModelError(f"provider said {CANARY}", outcome="transport"))},
        {"model": lk.ScriptedModel(RuntimeError(CANARY))},
        {"rules": [_raise]},
        {"rules": [lambda value, given: lk.Reject(f"not with {given.pin}")]},
        {"guards": [_raise]},
        {"context": [lk.Source(_raise, name="bank", required=False)]},
        {"context": [lk.Source(_raise, name="bank")]},
        {"shortcuts": [lk.RulesBased(_raise)]},
        {"fallbacks": [lk.RulesBased(_raise), lk.Apology("sorry")], "model": "nope"},
        {"confidence": lk.Confidence(at_least=0.5, score=_raise)},
    ],
    ids=lambda changes: "+".join(changes) or "nothing",
)
def test_a_marked_value_is_written_nowhere(changes: dict[str, Any], logged: io.StringIO):
    """Whatever goes wrong and quotes it: not in records with full content, and not in logs with tracebacks."""
    desk, records = transfers(**changes)

    desk(**INPUT)

    assert lk.flush()
    (record,) = records
    escaped = CANARY.replace('"', '\\"')
    for text in (repr(record), record.line().decode(), str(record.data()), logged.getvalue()):
        assert CANARY not in text
        assert escaped not in text
    assert record.input["pin"] == record.input["token"] == record.input["accounts"][0]["iban"] == HIDDEN
    assert record.input["accounts"][0]["owner"] == "me"


def test_an_input_that_is_refused_is_not_quoted_either(logged: io.StringIO):
    """A validator may say what it saw."""
    desk, records = transfers()

    result = desk(text="send", pin=f"{CANARY}-zero")

    assert result.source == "error"
    assert lk.flush()
    assert CANARY not in repr(records[0]) + logged.getvalue()
    assert HIDDEN in records[0].reason.message  # type: ignore[union-attr]


def test_the_model_is_given_what_it_needs():
    """Hiding is for what is written down."""
    model = lk.ScriptedModel(GOOD)
    desk, _ = transfers(model)

    desk(**INPUT)

    assert CANARY in model.requests[0].messages[-1].content


class Found(BaseModel):
    name: str
    code: Annotated[str, lk.Sensitive]


def test_a_marked_output_is_hidden_and_so_is_the_text_it_came_in():
    """The value is for the caller."""
    said = '{"name": "a", "code": "' + "c-1234567" + '"}'
    desk, records = transfers(said, output=Found)

    result = desk(text="hello")

    assert result.unwrap().code == "c-1234567"
    assert lk.flush()
    assert "c-1234567" not in repr(records[0])
    assert records[0].value == {"name": "a", "code": HIDDEN}


def test_a_key_that_the_provider_quotes_is_hidden(logged: io.StringIO):
    """'Incorrect API key provided: sk-...' is what providers say, and proxies show whole headers."""
    key = "sk-canary-0123456789"
    records: list[lk.CallRecord] = []

    async def scenario() -> lk.Result[Any]:
        said = {"error": {"message": f"Incorrect API key provided: {key} in Authorization: Bearer {key}"}}
        async with provider(always(said, status=401)) as served:
            model = lk.Model("openai/m", base_url=served.base_url, api_key=key)
            return await support_desk(sink=records.append).replace(model=model).acall(text="hello")

    result = asyncio.run(scenario())

    assert lk.flush()
    assert result.reason is not None
    assert "[API key]" in result.reason.message
    assert key not in repr(result) + repr(records[0]) + logged.getvalue()


def test_calls_without_marks_pay_nothing_and_hide_nothing():
    """The types tell before the first call."""
    assert not support_desk()._plan.is_sensitive
    assert transfers()[0]._plan.is_sensitive
    assert scrubbed({"a": "text"}, ()) == {"a": "text"}


def test_marks_are_found_wherever_a_type_holds_them():
    """Nested, optional, in lists and mappings."""

    class Deep(BaseModel):
        maps: dict[str, Account] = {}
        codes: list[Annotated[str, lk.Sensitive]] = []

    deep = Deep(maps={"x": Account(owner="me", iban="DE-0001")}, codes=["c-0001", "c-0002"])

    assert holds_sensitive(Deep) and not holds_sensitive(dict[str, int])
    assert redacted(deep) == {"maps": {"x": {"owner": "me", "iban": HIDDEN}}, "codes": HIDDEN}
    assert set(secrets_in(Deep, deep)) == {"DE-0001", "c-0001", "c-0002"}


def test_a_short_value_is_hidden_in_its_field_and_not_looked_for():
    """'no' stands in anything."""
    assert secrets_in(Transfer, {"text": "no", "pin": "no"}) == ()
    assert redacted(Transfer(text="no", pin="no"))["pin"] == HIDDEN


class Node(BaseModel):
    text: str
    pin: Annotated[str, lk.Sensitive] = "0000"
    parts: list[Node] = []


def test_a_model_that_holds_itself_is_hidden_at_every_depth():
    """And can be an input and an output at all."""
    records: list[lk.CallRecord] = []
    reply = '{"text": "a", "pin": "4711", "parts": [{"text": "b", "pin": "0815"}]}'
    prompt = lk.Prompt(user="{{ input.text }}")
    call = lk.GuardedCall(
        "nodes", input=Node, output=Node, prompt=prompt, model=lk.ScriptedModel(reply), sink=records.append,
        policy=lk.Policy(record_content=True),
    )  # fmt: skip

    result = call(text="x", parts=[{"text": "y", "pin": "2222"}])
    lk.flush()

    assert result.value is not None and result.value.parts[0].pin == "0815"
    assert not {pin for pin in ("4711", "0815", "2222") if pin in str(records[0].data()) + repr(result)}
