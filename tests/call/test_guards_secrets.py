"""Credentials: how they are rejected and blacked out. What is found at all stands in tests/data/guards."""

from __future__ import annotations

import json
import re

import pytest
from guard_tables import Row, rows

from labkit.call.guards import Secrets, no_secrets
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

HITS = [row for row in rows("secrets") if row.hit and "(missed)" not in row.why]


@pytest.mark.parametrize("row", HITS, ids=lambda row: row.why)
def test_no_reason_repeats_a_secret(row: Row):
    """Reasons go into logs and back to the model: no piece of five characters of the secret stands there."""
    verdict = no_secrets(row.text)
    redacted = Secrets(action="redact")(row.text)
    kept = re.split(r"\[[a-z-]+\]", redacted)
    secret = row.text.removeprefix(kept[0]).removesuffix(kept[-1])

    told = re.sub("|".join(re.findall(r"\[([a-z-]+)\]", redacted)), "", verdict.reason)

    assert len(secret) >= 6
    assert not any(secret[at : at + 5] in told for at in range(len(secret) - 4))


@pytest.mark.parametrize("row", HITS, ids=lambda row: row.why)
def test_what_was_redacted_passes(row: Row):
    """A redacted text has nothing left to find, and is JSON if it was."""
    redacted = Secrets(action="redact")(row.text)

    assert no_secrets(redacted) is None
    if row.text.startswith('{"'):
        assert json.loads(redacted).keys() == json.loads(row.text).keys()


def test_the_reason_names_kind_and_place():
    """Enough to mend it, and no more."""
    key = "AK" + "IA" + "Q3EGRIJNX4ZLT7WB"

    assert no_secrets(f"key {key}") == Reject("credentials: aws-key at character 5; write the answer without them")


def test_a_password_is_blacked_out_without_its_name():
    """The sentence stays readable."""
    given = 'DB_PASSWORD = "' + "kl" + 'Wv93-xRt"; url = postgres://app:' + "q7Lw" + "2zzT@db/x"

    assert Secrets(action="redact")(given) == 'DB_PASSWORD = "[password]"; url = postgres://app:[url-password]@db/x'


def test_many_findings_make_a_short_reason():
    """Three places are named, the others counted."""
    verdict = no_secrets(" ".join("gh" + "p_" + f"{n:036d}" for n in range(10, 20)))

    assert verdict.reason.count("character") == 3
    assert "7 more" in verdict.reason


def test_an_unknown_action_is_refused():
    """When the guard is made."""
    with pytest.raises(CallInvalid, match="'reject' or 'redact'"):
        Secrets(action="hide")
