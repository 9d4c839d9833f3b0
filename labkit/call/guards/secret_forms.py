"""What a credential looks like: known by its issuer's format, or by what it is called.

The guard ``no_secrets`` looks for them in answers, the export in code and data that it is about to publish: one list,
so that neither lets pass what the other knows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["credentials_in", "has_key_letters", "is_placeholder", "is_random"]

# Formats that nothing else has, from the issuers' documentation.
_FORMATS: dict[str, Pattern] = {
    "aws-key": Pattern(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    "github-token": Pattern(r"(?<![A-Za-z0-9_])(?:gh[oprsu]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"),
    "gitlab-token": Pattern(r"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20,100}"),
    "slack-token": Pattern(
        r"(?<![A-Za-z0-9-])xox[abeoprs]-[A-Za-z0-9-]{10,250}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,100}"
    ),
    "stripe-key": Pattern(r"(?<![A-Za-z0-9_])(?:[rs]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{24,100})"),
    "google-key": Pattern(
        r"(?<![A-Za-z0-9_-])(?:AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,300})"
    ),
    "huggingface-token": Pattern(r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    "npm-token": Pattern(r"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    "pypi-token": Pattern(r"(?<![A-Za-z0-9_])pypi-AgE[A-Za-z0-9_-]{50,300}"),
    "sendgrid-key": Pattern(r"(?<![A-Za-z0-9_])SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    "telegram-token": Pattern(r"(?<![A-Za-z0-9])\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    "jwt": Pattern(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{10,}+"),
    "private-key": Pattern(
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s\\:,.]|-(?!-)){32,}+"
        r"(?:-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----)?"
    ),
}

# Shapes that other things have too: the value must look as if a machine had drawn it.
_API_KEY = Pattern(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,300}")
_BEARER = Pattern(r"(?<![A-Za-z])(?:bearer|basic) {1,3}(?P<value>[A-Za-z0-9._~+/\-]{16,2000}={0,2})", re.IGNORECASE)
_URL_PASSWORD = Pattern(
    r"(?<![a-z0-9+.\-])[a-z][a-z0-9+.\-]{1,20}://[^\s/:@\"'<>]{0,100}:(?P<value>[^\s/@\"'<>\[\]]{3,100})@",
    re.IGNORECASE,
)
_ASSIGNED = Pattern(
    r"(?:(?<![a-z])(?:pass|pwd)|password|passwd|passphrase|passwort|secret(?:[_\- ]?key)?|token"
    r"|(?:api|access|auth|client|private|signing|encryption|account)[_\- ]?key)(?![a-z])"
    r"[\"'\])]{0,2}(?:\s{0,4}(?:=>|:=|==?|:)\s{0,4}| is:? )"
    r"(?:[\"'`](?P<quoted>[^\"'`\s]{8,200})[\"'`]|(?P<bare>[^\s\"'`,;<>(){}\[\]]{8,200}+(?![(\[])))",
    re.IGNORECASE,
)

# What documentation writes where a secret would stand.
_PLACEHOLDER = Pattern(
    r"example|your|placeholder|change.?me|dummy|redacted|\*{3}|\.{3}|x{4}|\$\{?[a-z]|%\(|\{\{|<|1234567|environ|getenv",
    re.IGNORECASE,
)
_PASSWORDS_OF_DOCUMENTATION = {"password", "passwd", "pass", "pwd", "secret", "token", "pw"}


def credentials_in(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each one's kind, "github-token", and where it stands as [start, end).

    Args:
        text: As its reader sees it: ``reading.read`` undoes escapes and the like.
    """
    for kind, pattern in _FORMATS.items():
        for match in pattern.finditer(text):
            if kind == "private-key" or not is_placeholder(match.group()):
                yield kind, match.span()
    for match in _API_KEY.finditer(text):
        if is_random(match.group()[3:], bits=3.0) and has_key_letters(match.group()[3:]):
            yield "api-key", match.span()
    for match in _BEARER.finditer(text):
        if is_random(match["value"], bits=3.0):
            yield "bearer-token", match.span("value")
    for match in _URL_PASSWORD.finditer(text):
        if not is_placeholder(match["value"]):
            yield "url-password", match.span("value")
    for match in _ASSIGNED.finditer(text):
        group = "quoted" if match["quoted"] else "bare"
        if is_random(match[group], bits=2.5):
            yield "password", match.span(group)


def is_placeholder(value: str) -> bool:
    """Whether documentation would write *value* where a secret would stand."""
    return _PLACEHOLDER.search(value) is not None or value.casefold() in _PASSWORDS_OF_DOCUMENTATION


def is_random(value: str, *, bits: float) -> bool:
    """Letters and digits, at least *bits* of entropy a character, and nothing that documentation writes instead."""
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and not is_placeholder(value) and _entropy_bits(value) >= bits


def has_key_letters(value: str) -> bool:
    """Both cases or plain hexadecimal: ``sk-cube-grid-2-columns-wide`` is a CSS class."""
    return (not value.islower() and not value.isupper()) or all(char in "0123456789abcdef" for char in value)


def _entropy_bits(value: str) -> float:
    """Shannon entropy per character, in bits."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
