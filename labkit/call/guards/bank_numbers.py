"""Payment card numbers and IBANs in text: shape first, then the check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["find_cards", "find_ibans"]

# The groups cards are printed in, or none. The number is inside a lookahead: a wrong group in front of a card must not
# use it up.
_CARD = Pattern(
    r"(?<![\w.])(?=((?:\d{4}([ -]?)\d{4}\2\d{4}\2\d{1,7}|3\d{3}([ -]?)\d{6}\3\d{4,5}))(?!\w|[.,]\d))", re.ASCII
)
# Issuer by first digits, with the lengths it gives out (ISO/IEC 7812).
_ISSUERS = (
    (("4",), (13, 16, 19)),
    (tuple(map(str, range(51, 56))), (16,)),
    (tuple(map(str, range(2221, 2721))), (16,)),
    (("34", "37"), (15,)),
    (("36", "38", "39", "300", "301", "302", "303", "304", "305"), (14,)),
    (("6011", "644", "645", "646", "647", "648", "649", "65"), (16, 19)),
    (tuple(map(str, range(3528, 3590))), (16,)),
    (("62",), (16, 17, 18, 19)),
)

_IBAN = Pattern(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}))")
# Length by country, from the SWIFT IBAN registry.
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24,
    "TR": 26, "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Places of numbers that an issuer could have given out and whose Luhn digit is right, as [start, end)."""
    for match in _CARD.finditer(text):
        digits = match.group(1).replace(" ", "").replace("-", "")
        if _has_issuer(digits) and _passes_luhn(digits):
            yield match.span(1)


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Places of IBANs of their country's length and with the right check digits (ISO 13616), as [start, end)."""
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match.group(1)[:2].upper())
        end = _end_after(match.group(1), length) if length else None
        if end is None or text[match.start(1) + end : match.start(1) + end + 1].isalnum():
            continue
        if _passes_mod_97("".join(filter(str.isalnum, match.group(1)[:end])).upper()):
            yield match.start(1), match.start(1) + end


def _has_issuer(digits: str) -> bool:
    return any(digits.startswith(prefixes) and len(digits) in lengths for prefixes, lengths in _ISSUERS)


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _passes_mod_97(iban: str) -> bool:
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def _end_after(printed: str, length: int) -> int | None:
    """Where the *length*-th letter or digit ends; None when there are fewer."""
    for place, char in enumerate(printed, start=1):
        length -= char.isalnum()
        if length == 0:
            return place
    return None
