"""Feature flags through a real OpenFeature provider."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desk import GOOD, STOLEN, Triage, support_desk
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata
from pydantic import BaseModel

import labkit as lk

Decide = Callable[[str, Any, EvaluationContext | None], FlagResolutionDetails[Any]]


class Provider(AbstractProvider):
    """Decides as a function says."""

    def __init__(self, decide: Decide) -> None:
        super().__init__()
        self._decide = decide
        self.asked: list[tuple[str, str | None]] = []

    def get_metadata(self) -> Metadata:
        return Metadata("test")

    def _say(self, key: str, default: Any, context: EvaluationContext | None = None) -> FlagResolutionDetails[Any]:
        self.asked.append((key, context.targeting_key if context else None))
        return self._decide(key, default, context)

    def resolve_boolean_details(self, flag_key: str, default_value: bool, evaluation_context: Any = None) -> Any:
        return self._say(flag_key, default_value, evaluation_context)

    def resolve_string_details(self, flag_key: str, default_value: str, evaluation_context: Any = None) -> Any:
        return self._say(flag_key, default_value, evaluation_context)

    resolve_integer_details = resolve_float_details = resolve_object_details = resolve_string_details


@pytest.fixture
def provider() -> Iterator[Callable[[Decide], Provider]]:
    """Installs a provider that decides as a function says; taken out again afterwards."""

    def install(decide: Decide) -> Provider:
        installed = Provider(decide)
        api.set_provider(installed)
        return installed

    yield install
    api.clear_providers()


def always(value: Any, variant: str | None = None) -> Decide:
    return lambda key, default, context: FlagResolutionDetails(
        value=value, variant=variant, reason=Reason.TARGETING_MATCH
    )


DEFAULT = Triage(intent="card_arrival", urgency=1)


def test_a_kill_switch_that_is_off_leaves_the_model_alone(provider: Callable[[Decide], Provider]):
    """Fallback models too: what is switched off is the feature's use of models."""
    provider(always(False))
    first, second = lk.ScriptedModel(GOOD), lk.ScriptedModel(GOOD)

    result = support_desk(first, flags={"triage.enabled": True}, fallbacks=[second, lk.SafeDefault(DEFAULT)])(text="a")

    assert (result.source, first.requests, second.requests) == ("default", [], [])
    assert result.reason is not None
    assert (result.reason.step, result.reason.outcome) == ("model", "disabled")
    assert "triage.enabled is off (TARGETING_MATCH)" in result.reason.message


def test_a_kill_switch_that_is_on_changes_nothing(provider: Callable[[Decide], Provider]):
    """And its reading is in result and record."""
    provider(always(True, variant="on"))
    records: list[lk.CallRecord] = []

    result = support_desk(flags={"triage.enabled": False}, sink=records.append)(text="a")

    assert result.source == "model"
    (reading,) = result.flags
    assert (reading.key, reading.value, reading.variant, reading.reason, reading.error) == (
        "triage.enabled", True, "on", "TARGETING_MATCH", None,
    )  # fmt: skip
    assert lk.flush()
    assert records[0].data()["flags"] == [
        {"key": "triage.enabled", "value": True, "variant": "on", "reason": "TARGETING_MATCH", "error": None}
    ]


def test_a_variant_changes_prompt_or_model_and_is_known_by_its_versions(provider: Callable[[Decide], Provider]):
    """What answered is what the record says."""
    provider(always("short"))
    other = lk.ScriptedModel(STOLEN, name="scripted/other")
    short = {"prompt": lk.Prompt(user="{{ input.text }}"), "model": other}

    desk = support_desk(GOOD, flags={"triage.variant": {"control": {}, "short": short}})
    result = desk(text="hello")

    assert result.unwrap().intent == "lost_or_stolen_card"
    assert [m.content for m in other.requests[0].messages] == ["hello"]
    assert result.versions["prompt"] != desk.versions["prompt"]
    assert result.versions["input_schema"] == desk.versions["input_schema"]


class Customer(BaseModel):
    text: str
    customer: int


def test_the_sticky_field_decides_who_gets_which_variant(provider: Callable[[Decide], Provider]):
    """One person sees one variant."""
    installed = provider(
        lambda key, default, context: FlagResolutionDetails(
            value="b" if context and context.targeting_key == "7" else "a", reason=Reason.SPLIT
        )
    )
    desk = support_desk(
        input=Customer, sticky="customer", flags={"x": {"a": {}, "b": {"model": lk.ScriptedModel(STOLEN)}}}
    )

    intents = [desk(text="hello", customer=number).unwrap().intent for number in (6, 7, 6, 7)]

    assert intents == ["card_arrival", "lost_or_stolen_card"] * 2
    assert installed.asked == [("x", "6"), ("x", "7"), ("x", "6"), ("x", "7")]


def test_variants_of_two_flags_go_together(provider: Callable[[Decide], Provider]):
    """Model by one, prompt by the other."""
    other = lk.ScriptedModel(STOLEN)
    provider(lambda key, default, context: FlagResolutionDetails(value={"m": "new", "p": "short"}[key]))
    flags = {"m": {"old": {}, "new": {"model": other}}, "p": {"long": {}, "short": {"prompt": lk.Prompt(user="hm")}}}

    support_desk(flags=flags)(text="hello")

    assert [m.content for m in other.requests[0].messages] == ["hm"]


def test_without_a_provider_defaults_hold_and_say_so():
    """Nobody who looks can think that somebody decided."""
    api.clear_providers()

    result = support_desk(flags={"triage.enabled": True, "v": {"control": {}, "b": {}}})(text="a")

    assert result.source == "model"
    assert [(r.value, r.reason) for r in result.flags] == [(True, "DEFAULT"), ("control", "DEFAULT")]
    assert "no provider decides it" in result.notes[0].message


def test_a_default_of_false_holds_too():
    """A feature that is born switched off."""
    api.clear_providers()

    assert support_desk(flags={"beta": False})(text="a").reason.outcome == "disabled"  # type: ignore[union-attr]


def test_an_unknown_flag_has_its_default_and_the_error(provider: Callable[[Decide], Provider]):
    """FLAG_NOT_FOUND is no reason to fail a call, and none to hide it."""
    provider(
        lambda key, default, context: FlagResolutionDetails(
            value=default, reason=Reason.ERROR, error_code=ErrorCode.FLAG_NOT_FOUND, error_message="who?"
        )
    )

    result = support_desk(flags={"triage.enabled": True})(text="a")

    assert (result.source, result.flags[0].error) == ("model", "FLAG_NOT_FOUND: who?")
    assert "its default True holds: FLAG_NOT_FOUND" in result.notes[0].message


def test_a_variant_that_the_call_does_not_have_is_its_default(provider: Callable[[Decide], Provider]):
    """A typo in the flag service cannot take the feature down."""
    provider(always("shrot"))

    result = support_desk(flags={"v": {"control": {}, "short": {}}})(text="a")

    assert (result.source, result.flags[0].value) == ("model", "control")
    assert result.flags[0].error == "'shrot' is no variant of it; there are control, short"


class Awaited(Provider):
    """One whose own async reading is awaited, as that of a service over the network is."""

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: Any = None
    ) -> Any:
        return self._say(flag_key, default_value, evaluation_context)

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: Any = None
    ) -> Any:
        return self._say(flag_key, default_value, evaluation_context)


@pytest.fixture(params=[Provider, Awaited])
def either(request: pytest.FixtureRequest) -> Iterator[Callable[[Decide], None]]:
    """Installs a provider that is asked in the one way or in the other."""
    yield lambda decide: api.set_provider(request.param(decide))
    api.clear_providers()


@pytest.mark.parametrize("value", ["false", "true", "on", "", 0, 1, 0.0, None, [], ["off"], {}, {"on": False}, b"x"])
@pytest.mark.parametrize("default", [True, False])
def test_a_kill_switch_of_the_wrong_type_keeps_its_default(either: Callable[[Decide], None], value: Any, default: bool):
    """Neither is the feature lost by it, nor is what is switched off switched on."""
    either(always(value, variant="v"))

    result = support_desk(GOOD, flags={"t.enabled": default})(text="a")

    (reading,) = result.flags
    assert (reading.value, reading.reason, reading.variant) == (default, "ERROR", None)
    assert (reading.error or "").startswith("TYPE_MISMATCH: ")
    assert f"flag t.enabled: its default {default} holds: TYPE_MISMATCH" in result.notes[0].message
    assert (result.source, result.reason and result.reason.outcome) == (
        ("model", None) if default else ("error", "disabled")
    )


@pytest.mark.parametrize("value", [False, True, 0, None, ["short"], {"short": 1}, "", "Short", "short "])
def test_a_variant_of_the_wrong_type_or_name_is_its_default(either: Callable[[Decide], None], value: Any):
    """The call stays what it is."""
    either(always(value))
    other = lk.ScriptedModel(STOLEN)

    result = support_desk(GOOD, flags={"v": {"control": {}, "short": {"model": other}}})(text="a")

    assert (result.source, result.flags[0].value, result.flags[0].reason) == ("model", "control", "ERROR")
    assert result.unwrap().intent == "card_arrival" and other.requests == []


def test_a_value_that_comes_with_an_error_does_not_count(either: Callable[[Decide], None]):
    """Whoever says both does not know."""
    either(
        lambda key, default, context: FlagResolutionDetails(
            value=False, reason=Reason.ERROR, error_code=ErrorCode.GENERAL, error_message="half down"
        )
    )

    result = support_desk(GOOD, flags={"t.enabled": True})(text="a")

    assert (result.source, result.flags[0].value, result.flags[0].error) == ("model", True, "GENERAL: half down")


def test_a_switch_of_the_wrong_type_leaves_variants_where_they_are(either: Callable[[Decide], None]):
    """Variants are chosen by their keys: a text from a kill switch is no variant of another flag."""
    other = lk.ScriptedModel(STOLEN)
    either(lambda key, default, context: FlagResolutionDetails(value="short"))
    flags: dict[str, Any] = {
        "on": True,
        "p": {"long": {}, "short": {"prompt": lk.Prompt(user="hm")}},
        "m": {"old": {}, "short": {"model": other}},
    }

    result = support_desk(GOOD, flags=flags)(text="a")

    assert [(reading.key, reading.value) for reading in result.flags] == [("on", True), ("p", "short"), ("m", "short")]
    assert [message.content for message in other.requests[0].messages] == ["hm"]


def test_a_flag_service_that_hangs_costs_the_call_little():
    """Its default holds, and the reading says why."""

    class Hanging(Provider):
        async def resolve_boolean_details_async(
            self, flag_key: str, default_value: bool, evaluation_context: Any = None
        ) -> Any:
            await asyncio.get_running_loop().create_future()

    api.set_provider(Hanging(always(False)))
    try:
        result = support_desk(flags={"triage.enabled": True})(text="a")
    finally:
        api.clear_providers()

    assert (result.source, result.flags[0].error) == ("model", "no answer in 0.25 s")


def test_flags_are_part_of_the_fingerprint():
    """A call that may be switched is another call."""
    assert support_desk(flags={"a": True}).fingerprint != support_desk().fingerprint
    assert support_desk(flags={"a": True}).versions.keys() - support_desk().versions.keys() == {"flags"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"flags": {"a": "yes"}}, "flag 'a' is 'yes': give True or False"),
        ({"flags": {"a": {}}}, "give True or False"),
        ({"flags": {"a": {"b": {"modle": "x/y"}}}}, "variant 'b' of flag 'a' changes 'modle'"),
        ({"flags": {"a": {"b": {}, "c": {"model": "nothing"}}}}, "model 'nothing' has no provider"),
        ({"flags": {"a": True}, "sticky": "customer"}, "sticky='customer' is no field of Ticket"),
    ],
)
def test_flags_that_could_not_work_are_refused(given: dict[str, Any], says: str):
    """When the call is made, every variant is."""
    with pytest.raises(lk.CallInvalid, match=says):
        support_desk(**given)


def test_flags_without_openfeature_name_the_extra(monkeypatch: pytest.MonkeyPatch):
    """A kill switch that would not switch is not left to the day it is needed."""
    monkeypatch.setitem(sys.modules, "openfeature.api", None)

    with pytest.raises(ImportError, match=r"labkit-llm\[flags\]"):
        support_desk(flags={"a": True})
