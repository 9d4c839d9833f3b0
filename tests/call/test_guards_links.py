"""Links: which host one leads to. More of them stand in tests/data/guards/links.jsonl."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.call.guards import UrlAllowList
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

BANK = UrlAllowList(["bank.example"])


def test_the_reason_names_the_place_and_the_hosts_that_may_be():
    """Never the link: what it carries in its path may be what must not go out."""
    verdict = BANK("See https://evil.example/?q=the-secret")

    assert verdict == Reject("a host that is not allowed: link at character 5; link only to bank.example")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("See https://evil.example/a?b=c#d.", "See [link]"),
        ("[x](https://evil.example/a) ok", "[x]([link]) ok"),
        ("[x](javascript:steal) ok", "[x]([link]) ok"),
        ("https://bank.example and evil.com, bye", "https://bank.example and [link], bye"),
        ('{"url": "https:\\/\\/evil.example"}', '{"url": "[link]"}'),
        ("https://help.bank.example/a", None),
    ],
)
def test_redaction_takes_the_whole_link(text: str, redacted: str | None):
    """Its path and query go with it."""
    assert UrlAllowList(["bank.example"], action="redact")(text) == redacted


@pytest.mark.parametrize(
    "link",
    [
        "https://bank.example@evil.example",
        "https://bank.example:pw@evil.example",
        "https://bank.example%40evil.example",
        "https://bank.example%2f.evil.example",
        "https://bank.example\\.evil.example",
        "https://bank.example.evil.example",
        "https://notbank.example",
        "https://b\u0430nk.example",
        "https://bank\u3002example.evil\uff0eexample",
        "https://bank.example\u200b.evil.example",
        "//bank.example@evil.example/a)",
        "https://bank.example:443@evil.example",
        "https://ba\u00dfnk.example",
    ],
)
def test_a_link_that_looks_like_the_banks_is_not_the_banks(link: str):
    """Where a browser would go is what counts; where two readers would differ, it is not allowed."""
    assert isinstance(BANK(f"[log in]({link})"), Reject)


@given(
    host=st.lists(st.text("abc01", min_size=1, max_size=5), min_size=1, max_size=3).map(".".join),
    lead=st.sampled_from(["https://", "http://", "https://u:p@", "HTTPS://", "ftp://"]),
    tail=st.sampled_from(["", "/", ":8443/x", "?bank.example", "#bank.example", "/@bank.example"]),
)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_only_the_host_decides(host: str, lead: str, tail: str):
    """Whatever stands before and behind it; a subdomain of an allowed host is allowed, and nothing else."""
    assert isinstance(BANK(f"{lead}{host}.evil.example{tail}"), Reject)
    assert BANK(f"{lead}{host}.bank.example{tail}") is None


def test_hosts_are_compared_as_punycode():
    """An international host may be given and written either way."""
    guard = UrlAllowList(["b\u00fccher.example"])

    assert guard("https://xn--bcher-kva.example and https://B\u00dcCHER.example") is None
    assert isinstance(guard("https://bucher.example"), Reject)


def test_without_hosts_no_link_may_be():
    """The reason then asks for none."""
    verdict = UrlAllowList([])("https://bank.example")

    assert isinstance(verdict, Reject)
    assert verdict.reason.endswith("write the answer without links")


@pytest.mark.parametrize(
    "hosts", ["bank.example", ["https://bank.example"], ["*.bank.example"], ["bank.example/a"], [""]]
)
def test_what_is_no_host_is_refused(hosts: Any):
    """It would allow nothing, quietly."""
    with pytest.raises(CallInvalid):
        UrlAllowList(hosts)
