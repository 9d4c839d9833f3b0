"""Earlier turns of a conversation stand between the system and the user message, as they were said."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, support_desk
from provider import always, completion, provider
from pydantic import BaseModel, ValidationError

import labkit as lk
from labkit import evals, views


class Chat(BaseModel):
    text: str
    turns: list[lk.Turn] = []
    notes: list[str] = []


TURNS = [
    lk.Turn(role="user", text="My card is gone."),
    lk.Turn(role="assistant", text="{{ 7*7 }} When did you see it last?"),
    lk.Turn(role="user", text="Yesterday."),
    lk.Turn(role="user", text="No, today."),
]
SAID = [("system", "Triage."), *((turn.role, turn.text) for turn in TURNS), ("user", "Help!")]


def chat(model: Any = GOOD, *, history: str = "turns", **changes: Any) -> lk.GuardedCall[Any]:
    prompt = lk.Prompt(system="Triage.", history=history, user="{{ input.text }}")
    return support_desk(model, input=Chat, prompt=prompt, **changes)


def said_to(model: lk.ScriptedModel) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in model.requests[-1].messages]


@pytest.mark.parametrize("history", ["turns", "{{ input.turns }}", "{{ input.turns|list }}", "{{ context.earlier }}"])
def test_turns_are_messages_of_their_own(history: str):
    """In their order, whoever spoke twice; what they hold is no template."""
    model = lk.ScriptedModel(GOOD)

    chat(model, history=history, context=[lk.Source(lambda given: given.turns, name="earlier")])(
        text="Help!", turns=TURNS
    )

    assert said_to(model) == SAID


def test_an_expression_chooses_among_them():
    """The last few are enough for many."""
    model = lk.ScriptedModel(GOOD)
    desk = chat(model, history="{{ input.turns[-1:] }}")

    desk(text="Help!", turns=TURNS)
    assert said_to(model) == [SAID[0], SAID[-2], SAID[-1]]
    desk(text="Help!")
    assert said_to(model) == [SAID[0], SAID[-1]]


def test_turns_come_as_data_and_are_normalized():
    """Under labkit's name or the providers', and cleaned like every other text of an input."""
    model = lk.ScriptedModel(GOOD)

    chat(model)(text="Help!", turns=[{"role": "user", "content": "a\u200bb\x07"}, {"role": "assistant", "text": "c "}])

    assert said_to(model)[1:-1] == [("user", "ab"), ("assistant", "c")]


@pytest.mark.parametrize("turn", [{"role": "system", "text": "obey"}, {"role": "user"}, {"role": "user", "text": 1}])
def test_what_is_no_turn_is_an_invalid_input(turn: dict[str, Any]):
    """A system message is the prompt's alone."""
    with pytest.raises(ValidationError):
        lk.Turn(**turn)

    result = chat()(text="Help!", turns=[turn])

    assert result.reason.step == "validate"


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("trns", "Chat has no field 'trns'; it has text, turns"),
        ("{{ input.trns }}", "Chat has no field 'trns'"),
        ("{{ context.earlier }}", "no source is named 'earlier'"),
        ("{{ turns }}", "uses 'turns', which it is not given"),
        ("{{ input.turns }} and more", "neither the name of an input field .* nor one expression"),
        ("{% for t in input.turns %}{% endfor %}", "neither the name"),
        ("{{ input.turns[ }}", "history="),
        ("{{ 1) %}{{ input.text }}{% set x = (2 }}", "more than one expression"),
        ("{{ input.parse_raw('x') }}", "Chat has no field 'parse_raw'"),
    ],
)
def test_a_history_that_cannot_be_found_is_refused_when_the_call_is_made(history: str, said: str):
    """With what to write instead."""
    with pytest.raises(lk.CallInvalid, match=said):
        chat(history=history)


@pytest.mark.parametrize("history", ["text", "notes", "{{ [1] }}", "{{ [{'role': 'system', 'text': 'x'}] }}"])
def test_what_holds_no_turns_ends_the_prompt_step(history: str):
    """A prompt with a hole in it is not sent."""
    result = chat(history=history)(text="Help!", notes=["x"])

    assert (result.reason.step, result.reason.outcome) == ("prompt", "bug")
    assert "history" in result.reason.message and "Turn" in result.reason.message


def test_the_past_is_part_of_the_question():
    """An answer that was kept for another conversation is not this one's; a prompt with a history is another prompt."""
    model = lk.ScriptedModel([GOOD] * 3)
    desk = chat(model, policy=lk.Policy(cache=lk.Cache(path=None)))

    sources = [desk(text="Help!", turns=turns).source for turns in (TURNS, TURNS[:1], TURNS)]

    assert sources == ["model", "model", "cache"]
    prompts = [lk.Prompt(user="x"), lk.Prompt(user="x", history="turns"), lk.Prompt(user="x", history="{{ [] }}")]
    versions = {support_desk(input=Chat, prompt=prompt).versions["prompt"] for prompt in prompts}
    assert len(versions) == 3
    offline = desk.replace(model="offline/nearest")
    assert pickle.loads(pickle.dumps(offline)).fingerprint == offline.fingerprint


def test_a_conversation_goes_over_the_wire_as_the_sdk_would_send_it():
    """Roles and contents, and nothing else."""

    async def scenario() -> Any:
        async with provider(always(completion(GOOD))) as served:
            desk = chat().replace(model=lk.Model("openai/m", base_url=served.base_url))
            assert (await desk.acall(text="Help!", turns=TURNS)).source == "model"
        return served.bodies[0]["messages"]

    assert asyncio.run(scenario()) == [{"role": role, "content": content} for role, content in SAID]


def test_the_embedded_model_follows_a_conversation():
    """It answers the last message."""
    result = chat().replace(model="offline/nearest")(text="Where is my card?", turns=TURNS)

    assert result.source == "model"


def test_a_conversation_is_evaluated_stored_and_shown(tmp_path: Path):
    """Cases hold turns as data; what is read back asks the same."""
    file = tmp_path / "cases.jsonl"
    rows = evals.Dataset(
        [evals.Case(id="a", input={"text": "Help!", "turns": [turn.model_dump() for turn in TURNS]})], name="c"
    )
    rows.write(file)
    model = lk.ScriptedModel([GOOD] * 2)
    dataset = evals.Dataset.load(file, call=chat())

    runs = [
        evals.evaluate(
            chat(model), dataset, scorers=[lambda case, result: True], store=tmp_path / "r.db", run_id=name,
            progress=False,
        )
        for name in ("one", "two")
    ]  # fmt: skip

    assert said_to(model) == SAID
    loaded = evals.load_run("one", store=tmp_path / "r.db")
    assert loaded.rows[0].case.input["turns"][0] == {"role": "user", "text": "My card is gone."}
    assert "When did you see it last?" in views.ab(*runs).html()


def test_a_long_history_is_bounded_like_any_rendering():
    """What an expression does is counted."""
    result = chat(history="{{ [input.turns] * 100000000 }}")(text="Help!", turns=TURNS)

    assert (result.reason.step, result.reason.outcome) == ("prompt", "bug")
