"""A streamed call: provisional partials that only grow, a retraction when they do not stand, one final result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import pytest
from desk import GOOD, STOLEN, Ticket, Triage, support_desk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import labkit as lk
from labkit.call.output_type import OutputType
from labkit.call.partial import NOTHING, PartialReader, extends
from labkit.errors import ModelError
from labkit.models.faults import Faults
from labkit.models.server import ModelServer

DEFAULT = lk.SafeDefault(Triage(intent="card_arrival", urgency=1))


class Reply(BaseModel):
    intent: Literal["card_arrival", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)
    reply: str


SAID = json.dumps(
    {"intent": "card_arrival", "urgency": 2, "reply": "Your card is on its way and should be with you by Friday."}
)


def replying(model: Any = SAID, **changes: Any) -> lk.GuardedCall[Reply]:
    return support_desk(model, output=Reply, **changes)  # type: ignore[return-value]


def kinds(events: Sequence[Any]) -> str:
    """P for Partial, R for Retract, F for Final; runs are folded."""
    letters = [type(event).__name__[0] if not isinstance(event, lk.Retract) else "R" for event in events]
    return "".join(letter for n, letter in enumerate(letters) if n == 0 or letters[n - 1] != letter)


def test_partials_grow_into_the_final_value():
    """Each one extends the one before, and the result is the call's own."""
    events = list(replying().stream(text="hello"))

    *partials, final = events
    assert kinds(events) == "PF"
    assert isinstance(final, lk.Final)
    assert final.result.unwrap().reply.endswith("Friday.")
    values = [event.value for event in partials] + [final.result.unwrap().model_dump()]
    assert all(extends(later, earlier) for earlier, later in pairwise(values))
    assert any(0 < len(value.get("reply", "")) < 40 for value in values)


def test_a_streamed_call_ends_like_any_other():
    """Same source, attempts, repairs and versions."""
    desk = replying()

    plain, streamed = desk(text="hello"), list(desk.stream(text="hello"))[-1].result

    assert (plain.value, plain.source, plain.versions) == (streamed.value, streamed.source, streamed.versions)
    assert [a.outcome for a in streamed.attempts] == ["ok"]


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"shortcuts": [lk.RulesBased(lambda ticket: Triage(intent="card_arrival", urgency=1))]}, "shortcut"),
        ({"policy": lk.Policy(cache=lk.Cache())}, "cache"),
    ],
)
def test_what_needs_no_model_has_no_partials(changes: dict[str, Any], source: str):
    """A shortcut or a kept answer is final at once."""
    desk = support_desk(prompt=lk.Prompt(user=f"{source}: {{{{ input.text }}}}"), **changes)
    desk(text="hello")

    (event,) = desk.stream(text="hello")

    assert isinstance(event, lk.Final)
    assert event.result.source == source


def test_an_answer_that_is_rejected_is_taken_back_and_asked_for_again():
    """Urgency 9 breaks the schema; what was shown of that answer does not stay."""
    bad = SAID.replace('"urgency": 2', '"urgency": 9')
    events = list(replying([bad, SAID], policy=lk.Policy(reask=1)).stream(text="hello"))

    assert kinds(events) == "PRPF"
    (retract,) = [event for event in events if isinstance(event, lk.Retract)]
    assert retract.reason.outcome == "schema"
    assert all("urgency" not in e.value for e in events[: events.index(retract)])
    assert events[-1].result.source == "model"


def test_a_guard_that_rejects_the_whole_takes_back_what_was_shown():
    """Guards see the end of the text; until then everything is provisional."""
    events = list(
        replying(guards=[lambda text: lk.Reject("no Fridays")], fallbacks=[lk.Apology("sorry")]).stream(text="a")
    )

    assert kinds(events) == "PRF"
    assert (events[-1].result.source, events[-1].result.reason.outcome) == ("error", "guard")


def test_a_rule_that_changes_what_was_shown_takes_it_back_first():
    """Nobody is left with a sentence that the result does not have."""

    def shorter(value: Reply, ticket: Ticket) -> Reply:
        return value.model_copy(update={"reply": "Soon."})

    events = list(replying(rules=[shorter]).stream(text="hello"))

    assert kinds(events) == "PRF"
    assert events[-1].result.unwrap().reply == "Soon."


def test_text_streams_as_text():
    """A call whose output is str."""
    words = "one two three four five six seven eight nine ten eleven twelve"
    events = list(support_desk(words, output=str).stream(text="hello"))

    values = [event.value for event in events[:-1]]
    assert values[-1] != "" and all(words.startswith(value) for value in values)
    assert events[-1].result.unwrap() == words


def test_invalid_input_is_final_at_once_and_costs_no_model_call():
    """One event, an error with its fields."""
    model = lk.ScriptedModel(GOOD)

    (event,) = support_desk(model).stream(text="")

    assert (event.result.source, model.requests) == ("error", [])


def test_a_stream_that_breaks_half_way_is_taken_back_and_the_fallback_answers():
    """Over a real socket: the connection resets in the middle of the answer."""
    with ModelServer(lk.ScriptedModel(SAID, chunk_chars=8), faults=Faults(reset=1.0)) as server:
        desk = replying(fallbacks=[lk.SafeDefault({"intent": "card_arrival", "urgency": 1, "reply": "Later."})])
        events = list(desk.replace(model=lk.Model("openai/m", base_url=server.base_url)).stream(text="hello"))

    assert kinds(events) == "PRF"
    assert (events[-1].result.source, events[-1].result.reason.outcome) == ("default", "transport")
    assert events[-1].result.unwrap().reply == "Later."


def test_a_stream_that_stalls_is_taken_back_within_the_deadline():
    """The provider hangs in the middle; the deadline ends the attempt and not the call."""
    with ModelServer(lk.ScriptedModel(SAID, chunk_chars=8), faults=Faults(hang_in_body=1.0)) as server:
        policy = lk.Policy(deadline_s=1.0, reserve_s=0.5)
        desk = replying(policy=policy, fallbacks=[lk.Apology("sorry")])
        events = list(desk.replace(model=lk.Model("openai/m", base_url=server.base_url)).stream(text="hello"))

    assert kinds(events) == "PRF"
    assert events[-1].result.reason.outcome in ("deadline", "timeout")


def test_a_fallback_model_streams_too():
    """After the retraction, its partials."""
    broken = lk.ScriptedModel(ModelError("no", outcome="transport"))
    events = list(replying(broken, fallbacks=[lk.ScriptedModel(SAID)]).stream(text="hello"))

    assert kinds(events) == "PF"
    assert events[-1].result.source == "fallback_model"


def test_closing_early_cancels_the_request_and_is_recorded():
    """Somebody stopped reading: the provider's connection is freed, and the record says cancelled."""
    records: list[lk.CallRecord] = []
    with ModelServer(lk.ScriptedModel(SAID, chunk_chars=8), faults=Faults(hang_in_body=1.0)) as server:
        model = lk.Model("openai/m", base_url=server.base_url)
        events = replying(sink=records.append).replace(model=model).stream(text="hello")
        first = next(events)
        events.close()

        assert server.wait_until(lambda counts: counts.aborted == 1)
    assert isinstance(first, lk.Partial)
    assert lk.flush()
    assert [(r.outcome, r.attempts[0].outcome) for r in records] == [("cancelled", "cancelled")]


def test_async_streams_are_the_same():
    """async for, and aclose."""

    async def scenario() -> list[Any]:
        return [event async for event in replying().astream(text="hello")]

    assert kinds(asyncio.run(scenario())) == "PF"


def test_a_replay_missed_is_raised_by_the_stream(tmp_path: Any):
    """What raises out of a call raises out of its stream."""
    policy = lk.Policy(cache=lk.Cache(path=str(tmp_path / "a.db"), mode="replay"))
    with pytest.raises(lk.ReplayMissed):
        list(replying(policy=policy).stream(text="never recorded"))


def test_a_sync_stream_works_inside_a_running_loop():
    """As in a notebook cell."""

    async def cell() -> str:
        return kinds(list(support_desk(STOLEN).stream(text="hello")))

    assert asyncio.run(cell()).endswith("F")


class Item(BaseModel):
    name: str
    amount: int | None
    kind: Literal["a", "b"]


class Order(BaseModel):
    title: str
    items: list[Item]
    note: str | None
    total: float
    paid: bool


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    order=st.builds(Order, total=st.floats(allow_nan=False, allow_infinity=False)),  # JSON has neither
    wrap=st.sampled_from(["{}", "Sure, here it is:\n```json\n{}\n```", "  {}\n\nAnything else?"]),
    cuts=st.lists(st.integers(1, 9), min_size=1),
    ascii_only=st.booleans(),
)
def test_partials_of_any_value_are_prefixes_of_it(order: Order, wrap: str, cuts: list[int], ascii_only: bool):
    """However the answer is cut into pieces, whatever stands around it."""
    text = wrap.replace("{}", json.dumps(order.model_dump(), ensure_ascii=ascii_only))
    reader = PartialReader(OutputType(Order).schema)
    shown, at, n = [], 0, 0
    while at < len(text):
        size = cuts[n % len(cuts)]
        if (value := reader.feed(text[at : at + size])) is not NOTHING:
            shown.append(value)
        at, n = at + size, n + 1

    values = [*shown, json.loads(json.dumps(order.model_dump()))]
    assert all(extends(later, earlier) for earlier, later in pairwise(values))
