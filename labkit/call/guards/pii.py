"""Personal data must not leave in an answer: found by pattern, keyword and check digit, rejected or blacked out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from labkit.call.guards.bank_numbers import find_cards, find_ibans
from labkit.call.guards.emails import find_emails
from labkit.call.guards.findings import Action, Finding, check_action, verdict
from labkit.call.guards.identity_numbers import find_passports, find_ssns
from labkit.call.guards.ip_addresses import find_ips
from labkit.call.guards.phones import find_phones
from labkit.call.guards.reading import read
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

__all__ = ["Pii", "PiiKind", "no_pii"]

PiiKind = Literal["email", "phone", "card", "iban", "ssn", "passport", "ip"]

_FINDERS: Mapping[PiiKind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "iban": find_ibans,
    "card": find_cards,
    "email": find_emails,
    "ssn": find_ssns,
    "passport": find_passports,
    "phone": find_phones,
    "ip": find_ips,
}
_MEND = "write the answer without it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pii:
    """Reject or redact personal data; ``no_pii`` is this with everything left as it is, and says how good it is.

    Args:
        kinds: What to look for. "ip" (public addresses) is not among the usual ones: logs and configurations are full
            of them.
        action: "reject" ends the answer, which is asked for again; "redact" puts "[email]" and the like in its place
            and goes on, recorded as a fix.
        allow: What may be said: "help@bank.example", a whole domain as "@bank.example", a number in any grouping.

    Raises:
        CallInvalid: An unknown kind or action, or no kind at all.
    """

    kinds: Sequence[PiiKind] = ("email", "phone", "card", "iban", "ssn", "passport")
    action: Action = "reject"
    allow: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("kinds", "allow"):
            if isinstance(getattr(self, name), str):
                raise CallInvalid(f"Pii({name}={getattr(self, name)!r}): give a list of them")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unknown = [kind for kind in self.kinds if kind not in _FINDERS]
        if unknown or not self.kinds:
            raise CallInvalid(f"Pii(kinds={self.kinds!r}): choose from {', '.join(map(repr, _FINDERS))}")
        check_action("Pii", self.action)

    def __call__(self, text: str) -> str | Reject | None:
        reading = read(text)
        found = [
            (kind, span)
            for kind, find in _FINDERS.items()
            if kind in self.kinds
            for span in find(reading.text)
            if not _is_allowed(reading.text[slice(*span)], tuple(self.allow))
        ]
        places = reading.raw_spans([span for _, span in found])
        findings = [Finding(kind, *place) for (kind, _), place in zip(found, places, strict=True)]
        return verdict(text, findings, action=self.action, subject="personal data", mend=_MEND)


_USUAL = Pii()


def no_pii(text: str) -> str | Reject | None:
    """Reject text with an e-mail address, phone, card, IBAN, US social security or passport number in it.

    Patterns know no people: names, postal addresses, and anything spelled out pass, and a company's own hotline does
    not (allow it with ``Pii(allow=...)``).

    Measured on tests/data/guards/pii.jsonl, which is hard on purpose: precision 0.87, recall 0.85.
    """
    return _USUAL(text)


def _is_allowed(found: str, allow: tuple[str, ...]) -> bool:
    if not allow:
        return False
    exact, domains = _allowed(allow)
    return _bare(found) in exact or found.casefold().endswith(domains)


@functools.lru_cache(maxsize=64)
def _allowed(allow: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    domains = tuple(value.casefold() for value in allow if value.startswith("@"))
    return frozenset(_bare(value) for value in allow), domains


def _bare(value: str) -> str:
    """An address in one case, a number without its grouping."""
    return value.casefold() if "@" in value else "".join(filter(str.isalnum, value)).casefold()
