"""What a text is when it reaches the model: seen as it was written, without what cannot be seen."""

from __future__ import annotations

import pytest
from desk import GOOD, support_desk
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit as lk
from labkit.call.inputs import normalize_text

CODE = "def f(x):\n    if x:\n        return 1\n\treturn 2\n\n\n\n# end  "
MARKDOWN = "| a   | b |\n|-----|---|\nline one  \nline two\n- x\n    - y"
TABLE = "name\tage\tcity\nAnn\t\t\n  Bob\t5\t"
ALIGNED = "item     price\ntea       3.50\ncoffee   12.00"
DIFF = "--- a\n+++ b\n@@ -1,3 +1,3 @@\n x\n \n-y\n+z"


def seen(text: str, **normalize: bool) -> str:
    """Give what the model is asked, without the words around it."""
    model = lk.ScriptedModel(GOOD)
    policy = lk.Policy(normalize=lk.Normalization(**normalize))  # type: ignore[arg-type]
    support_desk(model, policy=policy)(text=text).unwrap()
    return model.requests[0].messages[-1].content.removeprefix("Ticket: ")


@pytest.mark.parametrize("text", [CODE, MARKDOWN, TABLE, ALIGNED, DIFF, "    indented\n  less", "a\tb", "a  b   c"])
def test_layout_reaches_the_model_as_it_was_written(text: str):
    """Indentation, tables and columns mean something."""
    assert seen(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc\n", "a\nb\nc"),
        ("page one\x0cpage two\x0bend", "page one\npage two\nend"),
        ("  hello \t", "hello"),
        ("\n \n  hello\n\t\n", "hello"),
        ("\n\n    if x:\n        y\n\n", "    if x:\n        y"),
        ("\ta\n\tb\t\n \n", "\ta\n\tb\t"),
        ("\u200bWh\u200bere is\u202e it?\x00", "Where is it?"),
        ("cafe\u0301", "caf\xe9"),
    ],
)
def test_what_cannot_be_seen_is_taken_off(text: str, clean: str):
    """Line ends of every kind, empty lines at the ends, characters that hide text."""
    assert seen(text) == clean


def test_a_text_of_blanks_alone_is_no_text():
    """The input model decides, before anything is spent."""
    model = lk.ScriptedModel(GOOD)

    result = support_desk(model)(text=" \n\t\n ")

    assert (result.source, model.requests) == ("error", [])
    assert "text" in result.reason.errors[0].path  # type: ignore[union-attr]


def test_blanks_are_folded_on_request():
    """For prose, where they mean nothing."""
    assert seen("one  two\tthree\n\n\n\nfour", fold_blanks=True) == "one two three\n\nfour"


def test_nothing_is_touched_on_request():
    """For whoever normalizes already."""
    text = "  a\r\n\u200bb \n\n"

    assert seen(text, unicode=False, invisible=False, whitespace=False) == text


def test_folding_is_part_of_the_fingerprint():
    """A model that sees another text is another call."""
    folding = lk.Policy(normalize=lk.Normalization(fold_blanks=True))

    assert support_desk(policy=folding).versions["policy"] != support_desk().versions["policy"]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab \t\n\r\x0c\u200b\u00a0|"), max_size=40), st.booleans())
def test_what_is_normalized_stays_as_it_is(text: str, fold: bool):
    """A second time changes nothing, so an input read back from a record is the same input."""
    options = lk.Normalization(fold_blanks=fold)
    once = normalize_text(text, options)

    assert normalize_text(once, options) == once
