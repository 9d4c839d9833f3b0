"""Personal data: how it is rejected, blacked out, or allowed. What is found at all stands in tests/data/guards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from guard_tables import Row, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.call.guards import Pii, no_pii
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

EVERYTHING = ("email", "phone", "card", "iban", "ssn", "passport", "ip")
CARD = "4532 0711 " + "9930 1649"


def test_the_reason_names_kind_and_place_and_says_what_to_do():
    """The model can mend it, and whoever reads the log learns nothing about the person."""
    verdict = no_pii('{"reply": "Ask ann@mail.example or +44 20 7946 0018."}')

    assert verdict == Reject("personal data: email at character 16, phone at character 36; write the answer without it")


@pytest.mark.parametrize("row", [row for row in rows("pii") if row.hit], ids=lambda row: row.why)
def test_no_reason_repeats_what_was_found(row: Row):
    """Reasons go into logs and back to the model."""
    verdict = no_pii(row.text)
    if verdict is None:
        return  # a known miss: test_guards_measured.py

    told = verdict.reason.removeprefix("personal data: ")
    assert "@" not in told
    assert all(len(word) <= 2 for word in told.replace(",", " ").replace(";", " ").split() if word.isdigit())


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Ask ann@mail.example, please.", "Ask [email], please."),
        ("b\u200bob\uff20example.org!", "[email]!"),
        ('{"reply": "m\\u0040x.example"}', '{"reply": "[email]"}'),
        ('{"phone": 442079460018, "n": 1}', '{"phone": "[phone]", "n": 1}'),
        ('[{"ssn": "' + "512-44" + '-9083"}]', '[{"ssn": "[ssn]"}]'),
        (f"card {CARD}, then {CARD}", "card [card], then [card]"),
        ("(see: 442079460018, by phone: 442079460018)", "(see: 442079460018, by phone: [phone])"),
        ("nothing here", None),
    ],
)
def test_redaction_puts_the_kind_in_its_place(text: str, redacted: str | None):
    """Around it, nothing changes; a bare JSON number becomes a string, so that JSON stays JSON."""
    assert Pii(action="redact")(text) == redacted


@pytest.mark.parametrize("row", rows("pii"), ids=lambda row: row.why)
def test_what_was_redacted_passes(row: Row):
    """A redacted text has nothing left to find, and is JSON if it was."""
    redacted = Pii(action="redact")(row.text)
    left = row.text if redacted is None else redacted

    assert no_pii(left) is None
    if row.text.startswith('{"'):
        assert json.loads(left).keys() == json.loads(row.text).keys()


@given(text=st.text(st.sampled_from('0123456789 +-()./@a."{}[],:p\\'), max_size=60))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_any_text_is_rejected_or_left_with_nothing_to_find(text: str):
    """Redaction and rejection agree about every text, also about one that nobody thought of."""
    redacted = Pii(kinds=EVERYTHING, action="redact")(text)

    assert (redacted is None) == (Pii(kinds=EVERYTHING)(text) is None)
    assert redacted is None or Pii(kinds=EVERYTHING)(redacted) is None


def test_only_the_kinds_asked_for_are_looked_for():
    """A shop that prints phone numbers can still keep cards out."""
    text = f"+44 20 7946 0018, {CARD}"

    assert Pii(kinds=["card"], action="redact")(text) == "+44 20 7946 0018, [card]"


@pytest.mark.parametrize("address", ["8.8.4.4", "2606:4700::1111"])
def test_public_ip_addresses_are_found_when_asked_for(address: str):
    """Not by default: configurations and versions are full of them."""
    assert no_pii(f"from {address} at noon") is None
    assert Pii(kinds=["ip"], action="redact")(f"from {address} at noon") == "from [ip] at noon"


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "127.0.0.1", "192.0.2.7", "::1", "version 8.8.4.4", "10:30:45", "1.2.3.4.5"]
)
def test_what_only_looks_like_a_public_address_passes(text: str):
    """Private and documentation addresses, versions, times."""
    assert Pii(kinds=["ip"])(text) is None


@pytest.mark.parametrize(
    ("allow", "text"),
    [
        ("help@bank.example", "Write to Help@Bank.example"),
        ("@bank.example", "Write to anna@bank.example"),
        ("+44 800 555 0100", "Call +44 (800) 555-0100"),
        (CARD.replace(" ", ""), f"The test card is {CARD}"),
    ],
)
def test_what_is_allowed_may_be_said(allow: str, text: str):
    """A company's own addresses and numbers, in any case and grouping."""
    assert isinstance(no_pii(text), Reject)
    assert Pii(allow=[allow])(text) is None


def test_an_allowed_domain_allows_no_lookalike():
    """ "@bank.example" is neither a subdomain nor a longer name."""
    guard = Pii(allow=["@bank.example"])

    assert isinstance(guard("anna@notbank.example"), Reject)
    assert isinstance(guard("anna@bank.example.evil.example"), Reject)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"kinds": ["e-mail"]}, "choose from"),
        ({"kinds": []}, "choose from"),
        ({"kinds": "email"}, "give a list"),
        ({"allow": "help@bank.example"}, "give a list"),
        ({"action": "mask"}, "give 'reject' or 'redact'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], mend: str):
    """When the guard is made, not when it is needed."""
    with pytest.raises(CallInvalid, match=mend):
        Pii(**options)
