"""A prompt that never holds the input is warned of while its author is looking."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from desk import GOOD, support_desk
from pydantic import BaseModel

import labkit as lk
from labkit.errors import LabkitWarning


def warned(user: str, system: str = "", **changes: Any) -> list[str]:
    """What is warned of when a call with that prompt is defined."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        support_desk(prompt=lk.Prompt(user=user, system=system), context=[lk.Source(len, name="size")], **changes)
    assert all(issubclass(each.category, LabkitWarning) for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    "slip",
    [
        "{ input.text }",
        "{input.text}",
        "{text}",
        "{text!r}",
        "${text}",
        "$text",
        "$input",
        "%(text)s",
        "%s",
        "<text>",
        "<input>",
        "[[text]]",
        "<<text>>",
    ],
)
def test_a_placeholder_of_another_kind_is_named_with_the_right_one(slip: str):
    """f-strings, shells, printf and tags: the model would read them as they stand."""
    (said,) = warned(f"Ticket: {slip}")

    assert said == f"the prompt never uses the input: `{slip}` is no placeholder: write {{{{ input.text }}}}"


def test_a_prompt_without_the_input_is_warned_of():
    """Every call would ask the same."""
    (said,) = warned("Which intent has the ticket?", system="You triage.")

    assert said.startswith("the prompt never uses the input, so that every call asks the same: write {{ input.text }}")


def test_one_brace_beside_two_is_seen():
    """The rest of the prompt is right, and this part of it is not filled."""
    (said,) = warned("{{ input.text }}", system="The customer wrote { input.text }.")

    assert "`{ input.text }` is no placeholder: write {{ input.text }}" in said


def test_a_field_that_is_only_in_braces_is_seen():
    """Two fields, of which one is filled."""

    class Letter(BaseModel):
        text: str
        language: str

    (said,) = warned("{{ input.text }} Answer in {language}.", input=Letter)

    assert "`{language}` is no placeholder: write {{ input.language }}" in said


@pytest.mark.parametrize(
    "user",
    [
        "{{ input.text }}",
        "{{ input }}",
        "{{ input['text'] }}",
        "{% for word in input.text.split() %}{{ word }} {% endfor %}",
        "<text>{{ input.text }}</text>",
        '{{ input.text }} Answer as {"intent": "..."}',
        "{{ input.text }} with {text} explained",
        "{{ input.text }} costs $5, 100 %s",
        "{{ context.size }}",
    ],
)
def test_a_prompt_that_is_right_is_not_warned_of(user: str):
    """JSON examples, tags around the input, prices: none of them is a slip for certain."""
    assert warned(user) == []


def test_the_warning_points_to_the_line_that_defines_the_call():
    """As a notebook shows it: at the author's own line."""
    with pytest.warns(LabkitWarning) as caught:
        lk.GuardedCall(
            "triage", input=Ticket, output=str, prompt=lk.Prompt(user="{ input.text }"), model=lk.ScriptedModel(GOOD)
        )

    assert caught[0].filename == __file__


class Ticket(BaseModel):
    text: str
