"""What a model thinks aloud is no answer: not a candidate, not part of a text, not shown while it streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Literal

import pytest
from desk import Ticket
from pydantic import BaseModel

import labkit as lk
from labkit.models.protocol import Chunk, Completion, CompletionRequest


class Intent(BaseModel):
    intent: Literal["card", "cash", "other"]


class Code(BaseModel):
    code: str


def thinking(said: Any, output: Any = Intent, **changes: Any) -> lk.GuardedCall[Any]:
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), **changes.pop("policy", {}))
    return lk.GuardedCall(
        "think",
        input=Ticket,
        output=output,
        prompt=lk.Prompt(user="{{ input.text }}"),
        model=said if hasattr(said, "complete") else lk.ScriptedModel(said),
        policy=policy,
        **changes,
    )


class Spelling:
    """A model that streams one character at a time."""

    name = "scripted/spelling"

    def __init__(self, said: str) -> None:
        self.said = said

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion(text=self.said, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        for char in self.said:
            yield Chunk(text=char)
        yield Chunk(completion=await self.complete(request))


DRAFT, FENCED, CARD = '{"intent": "cash"}', '```json\n{"intent": "cash"}\n```', '{"intent": "card"}'

THOUGHTS = {
    "think": f"<think>Perhaps {DRAFT}, no.</think>\n\n",
    "thinking": f"<thinking>Perhaps {DRAFT}</thinking>",
    "reasoning": f"<reasoning>\n{FENCED}\n</reasoning>\n",
    "in capitals": f"<THINK>{DRAFT}</THINK>",
    "attributes and blanks": f'\n <think  effort="high" >{DRAFT}</ think >\n',
    "two blocks": f"<think>{DRAFT}</think>\n<think>{FENCED}</think>\n",
    "an empty one": "<think>\n\n</think>\n\n",
    "only its end": f"Perhaps {DRAFT}.\n</think>\n",
    "a block and a second end": f"<think>{DRAFT}</think> {DRAFT} </think>",
    "a tag within": f"<think>They wrote <think> and {DRAFT}</think>",
    "Mistral": f"[THINK]{DRAFT}[/THINK]",
    "Kimi": f"◁think▷{DRAFT}◁/think▷",
    "after a word": f"Sure.\n<think>{DRAFT}</think>\n",
}


@pytest.mark.parametrize("repair", ["safe", "aligned"])
@pytest.mark.parametrize("answer", [CARD, f"```json\n{CARD}\n```", "{intent: card}"])
@pytest.mark.parametrize("thoughts", THOUGHTS.values(), ids=THOUGHTS.keys())
def test_a_draft_in_the_thoughts_is_not_served_and_costs_no_answer(thoughts: str, answer: str, repair: Any):
    """The answer after them is, as sure as without them; that something was taken off is listed."""
    result = thinking(thoughts + answer, policy={"repair": repair})(text="hello")

    assert result.unwrap() == Intent(intent="card")
    assert result.repairs[0].kind == "reasoning"
    assert "ambiguous" not in {repair.kind for repair in result.repairs}


@pytest.mark.parametrize("thoughts", THOUGHTS.values(), ids=THOUGHTS.keys())
def test_thoughts_are_never_part_of_a_text(thoughts: str):
    """A customer reads the answer and not how it came about."""
    result = thinking(thoughts + "Your card is on its way.\n", output=str)(text="hello")

    assert result.value in (
        "Your card is on its way.",
        "Sure.\nYour card is on its way.",
        "Sure.\n\nYour card is on its way.",
    )
    assert [repair.kind for repair in result.repairs] == ["reasoning"]


@pytest.mark.parametrize("output", [Intent, str, str | None, list[str]], ids=str)
@pytest.mark.parametrize(
    "said", [f"<think>hm, {DRAFT} perhaps", f"<Reasoning>\n{FENCED}", f"<think>{DRAFT}</think>", f"{DRAFT}</think>\n"]
)
def test_thoughts_without_an_answer_are_no_answer(said: str, output: Any):
    """Cut off in the middle of a thought, or nothing after it: outcome ``parse``, so that it is asked again."""
    result = thinking(said, output=output)(text="hello")

    assert (result.source, result.reason and result.reason.outcome) == ("error", "parse")
    assert thinking([said, f"<think>.</think>{CARD}"], policy={"reask": 1})(text="hello").unwrap().intent == "card"


@pytest.mark.parametrize(
    "said",
    [
        '{"code": "<think>x</think>"}',
        '{"code": "a </think> b",}',
        "```json\n{\"code\": \"<reasoning>\"}\n```",
        'Here: {"code": "</think>"}',
    ],
)  # fmt: skip
def test_a_tag_within_a_value_is_part_of_it(said: str):
    """A model may well write code about thoughts."""
    result = thinking(said, output=Code)(text="hello")

    assert "think" in result.unwrap().code or "reasoning" in result.unwrap().code
    assert "reasoning" not in {repair.kind for repair in result.repairs}


@pytest.mark.parametrize(
    "said", ["Use the `</think>` tag.", "```\nx <think>y</think>\n```\nis how.", "I think <b>so</b>.", "a < b"]
)
def test_a_text_that_speaks_of_tags_is_left_alone(said: str):
    """In code they are what it is about."""
    result = thinking(said, output=str)(text="hello")

    assert (result.value, result.repairs) == (said, ())


def test_guards_judge_the_answer_and_not_the_thoughts():
    """A thought that would have to be rejected is never served, and costs no answer."""
    said = f"<think>I cannot help with that... or can I?</think>{CARD}"

    result = thinking(said, guards=[lk.no_refusal])(text="hello")

    assert (result.source, result.unwrap().intent) == ("model", "card")


@pytest.mark.parametrize("thoughts", [THOUGHTS["think"], THOUGHTS["attributes and blanks"], THOUGHTS["two blocks"]])
@pytest.mark.parametrize("output", [str, Code])
def test_no_partial_shows_a_thought(thoughts: str, output: Any):
    """While it streams, character by character: the first thing that is shown is the answer's."""
    text = "Your card is on its way, and it should be with you by Friday, as far as we can tell from here."
    said = text if output is str else f'{{"code": "{text}"}}'

    *partials, final = thinking(Spelling(thoughts + said), output=output).stream(text="hello")

    assert isinstance(final, lk.Final) and final.result.ok
    shown = [event.value if output is str else event.value.get("code", "") for event in partials]
    assert all(isinstance(event, lk.Partial) for event in partials)
    assert all(text.startswith(part) for part in shown) and len(shown) > 1


def test_thoughts_that_only_end_are_taken_back():
    """Nobody can know beforehand; what was shown is retracted before the answer comes."""
    said = (
        "I wonder what to say to that, and for how long I should think about it." + "</think>Your card is on its way."
    )

    events = list(thinking(said, output=str).stream(text="hello"))

    assert isinstance(events[-2], lk.Retract)
    assert events[-1].result.value == "Your card is on its way."
    assert not any("</think>" in event.value for event in events if isinstance(event, lk.Partial))


def test_answers_that_are_compared_for_consistency_are_compared_without_thoughts():
    """Samples that thought differently and say the same agree."""
    said = [f"<think>{n}</think>{CARD}" for n in range(3)]

    result = thinking(said, confidence=lk.Confidence(at_least=0.9, score="consistency", samples=3))(text="hello")

    assert (result.unwrap().intent, result.confidence) == ("card", 1.0)
