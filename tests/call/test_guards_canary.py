"""Canaries: how they are made, and what of the prompt's word is found in an answer."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.call.guards import PromptLeak, make_canary
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

CANARY = make_canary("desk")


def test_a_seed_gives_one_canary_everywhere_and_another_seed_another():
    """The notebook and production hold the same prompt."""
    assert make_canary(1) == "XKMS-DYOZ-PQUL-RDVS"
    assert len({make_canary(seed) for seed in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (CANARY.lower(), "canary)"),
        (CANARY[::-1], "reversed"),
        (CANARY.encode().hex(" "), "hexadecimal"),
        (base64.b64encode(CANARY.encode()).decode(), "Base64"),
    ],
)
def test_the_reason_names_the_form_and_never_the_canary(text: str, form: str):
    """A canary in the log, or in the next answer, would sing for no reason."""
    verdict = PromptLeak(CANARY)(text)

    assert isinstance(verdict, Reject)
    assert form in verdict.reason
    assert not any(group in verdict.reason for group in CANARY.split("-"))


@given(before=st.binary(max_size=8), after=st.binary(max_size=8), url=st.booleans(), width=st.integers(5, 80))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_base64_is_found_at_any_offset_and_in_any_lines(before: bytes, after: bytes, url: bool, width: int):
    """Whatever else was encoded with it."""
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    code = encode(before + CANARY.encode() + after).decode()
    lines = "\n".join(code[at : at + width] for at in range(0, len(code), width))

    assert isinstance(PromptLeak(CANARY)(lines), Reject)


def test_a_canary_is_not_shown():
    """A guard may be printed and logged."""
    assert CANARY not in repr(PromptLeak(CANARY))


@pytest.mark.parametrize("canary", ["", "secret", "-- -- -- --"])
def test_a_canary_that_would_turn_up_by_chance_is_refused(canary: str):
    """Eight letters and digits at least; the message does not repeat it."""
    with pytest.raises(CallInvalid, match=r"use make_canary\(seed\)"):
        PromptLeak(canary)
