"""Length: what is counted, and what the reason tells the model."""

from __future__ import annotations

import pytest

from labkit.call.guards import Length
from labkit.call.rules import Reject
from labkit.errors import CallInvalid


@pytest.mark.parametrize(
    ("guard", "text", "reason"),
    [
        (Length(max_chars=3), "abcd", "4 characters, at most 3 are allowed: write less"),
        (Length(min_chars=3), " ab ", "2 characters, at least 3 are needed: write more"),
        (Length(max_words=2), "one two three", "3 words, at most 2 are allowed: write less"),
        (Length(min_words=2), "one", "1 words, at least 2 are needed: write more"),
    ],
)
def test_the_reason_says_how_long_it_is_and_may_be(guard: Length, text: str, reason: str):
    """The model can aim only at what it is told."""
    assert guard(text) == Reject(reason)


def test_bounds_are_inclusive():
    """As long as the bound is not too long."""
    assert Length(min_chars=3, max_chars=3, min_words=1, max_words=1)("abc") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's state-of-the-art, isn\u2019t it?", 4),
        ("1,299.00 dollars", 2),
        ("\u4f60\u597d world", 3),
        ("\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", 2),
        ("cafe\u0301 cre\u0300me", 2),
        ("one\\ntwo", 2),
        (" - ... - ", 0),
    ],
)
def test_words_are_counted_as_people_do(text: str, words: int):
    """Hyphens, marks and escapes split no word; Chinese characters count one each."""
    assert Length(min_words=words, max_words=words)(text) is None


@pytest.mark.parametrize("bounds", [{}, {"max_chars": -1}, {"min_words": 3, "max_words": 2}])
def test_bounds_that_no_text_or_every_text_keeps_are_refused(bounds: dict[str, int]):
    """When the guard is made."""
    with pytest.raises(CallInvalid):
        Length(**bounds)
