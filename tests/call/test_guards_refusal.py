"""Refusals: where in an answer one counts. Which wordings do stands in tests/data/guards/refusal.jsonl."""

from __future__ import annotations

import pytest

from labkit.call.guards import no_refusal
from labkit.call.rules import Reject

REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    "text",
    [
        REFUSAL,
        f'{{"a": 1, "b": ["x", "{REFUSAL}"]}}',
        f'```json\n{{"reply": "{REFUSAL}"}}\n```',
        f'{REFUSAL} {{"a": "b"}}',
    ],
)
def test_a_refusal_counts_at_the_beginning_of_the_text_or_of_a_value(text: str):
    """A model that refuses inside the schema has refused."""
    verdict = no_refusal(text)

    assert isinstance(verdict, Reject)
    assert "a refusal" in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        f'The bot said "{REFUSAL}"',
        f'{{"summary": "The bot said \\"{REFUSAL}\\" twice."}}',
        f'"{REFUSAL}" is what it said.',
        f'{{"{REFUSAL}": 1}}',
        "",
    ],
)
def test_a_quoted_refusal_is_somebody_elses(text: str):
    """A summary of a bad conversation is a good answer; a key is no speech."""
    assert no_refusal(text) is None
