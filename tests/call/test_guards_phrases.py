"""Forbidden phrases: which writings of a phrase are one. More of them stand in tests/data/guards/phrases.jsonl."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.call.guards import ForbiddenPhrases
from labkit.call.rules import Reject
from labkit.errors import CallInvalid


def test_the_reason_gives_the_phrases_number_and_the_place_in_the_models_text():
    """A phrase may be a name that must not be said at all: it is not said in the log either."""
    guard = ForbiddenPhrases(["money back", "risk free"])

    assert guard('{"reply": "\\u00c9 RISK-free"}') == Reject(
        "forbidden: phrase 2 at character 19; write the answer without them"
    )


def test_the_longest_of_two_phrases_is_named():
    """Whoever lists both wants to know which it was."""
    verdict = ForbiddenPhrases(["risk", "risk free"])("risk free")

    assert isinstance(verdict, Reject)
    assert "phrase 2 " in verdict.reason


@pytest.mark.parametrize("text", ["100% safe", "100 % safe", "100%safe", "It is 100%\\nsafe!"])
def test_punctuation_of_the_phrase_itself_may_stand_in_the_text(text: str):
    """A percent sign between two words does not hide them, nor does its absence."""
    assert isinstance(ForbiddenPhrases(["100% safe"])(text), Reject)


@pytest.mark.parametrize("text", ["e.g. Acme", "E. G. Acme"])
def test_points_inside_a_phrase_are_no_sentence_ends(text: str):
    """What ends a sentence elsewhere belongs to the phrase here."""
    assert isinstance(ForbiddenPhrases(["e.g. Acme"])(text), Reject)


def test_a_phrase_is_text_and_no_pattern():
    """A point is a point."""
    guard = ForbiddenPhrases(["a.c", "x|y"])

    assert guard("abc, or x") is None


@pytest.mark.parametrize("phrases", [[], ["ok", ""], ["?!"], "risk free"])
def test_phrases_that_would_match_nothing_or_everything_are_refused(phrases: Any):
    """A string in place of a list would forbid its letters."""
    with pytest.raises(CallInvalid, match="give"):
        ForbiddenPhrases(phrases)
