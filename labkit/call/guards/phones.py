"""Telephone numbers in text: by their + or 00, by the way people group them, or by a word that announces one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["find_phones"]

# +44 (0)20 7946 0018: at most 15 digits (ITU-T E.164), up to two separators between them.
_INTERNATIONAL = Pattern(r"(?<![\w+.])\+[1-9](?:[ ().\-/]{0,2}\d){7,14}(?!\d)", re.ASCII)
_DIALLED_00 = Pattern(r"(?<![\w.,+\-])(?<!\d )00[1-9]\d{0,2}(?:[ \-/.]\(?\d{1,8}\)?){2,6}(?!\w)", re.ASCII)
# (212) 555-0147, 212.555.0147: ten digits in the groups of North America; a bare run of ten is as likely an id.
_NORTH_AMERICA = Pattern(
    r"(?<![\w.\-/])(?<!\d )(?:1[ .\-])?(?:\([2-9]\d{2}\)[ .\-]?|[2-9]\d{2}[ .\-])\d{3}[ .\-]\d{4}(?![\w\-]|\.\d)",
    re.ASCII,
)
# 020 7946 0018, 0171/5550123, (02) 5550 1234: a trunk 0, an area, a number; or 01 99 00 12 34, French pairs.
_TRUNK_ZERO = Pattern(
    r"(?<![\w.,:/+\-])(?<!\d )(?:\(?0[1-9]\d{0,4}\)?(?: ?[/\-] ?| )\d{2,8}(?:[ \-]\d{2,8}){0,3}"
    r"|0[1-9]([ .\-])\d{2}(?:\1\d{2}){3})(?![\w\-/:]|[.,]\d)",
    re.ASCII,
)
_ANNOUNCED = Pattern(
    r"(?<![a-z])(?:tele?(?:phone|fon)?|t[eé]l[eé](?:phone|fono)|phone|mobile|cell(?:phone)?|handy|fax|whatsapp|sms"
    r"|call)(?:[_ \-]?(?:number|no|nr))?(?![a-z_])(?!\W{0,3}id\b)[^\d\n+(]{0,24}"
    r"([+(]{0,2}\d(?:[ ().\-/]{0,2}\d){6,14})(?!\w|[.,\-:]\d)",
    re.ASCII | re.IGNORECASE,
)
_DATE = Pattern(r"(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d")


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Places of numbers as [start, end)."""
    for pattern in (_INTERNATIONAL, _NORTH_AMERICA):
        yield from (match.span() for match in pattern.finditer(text))
    for pattern, least, most in ((_DIALLED_00, 10, 17), (_TRUNK_ZERO, 9, 12)):
        for match in pattern.finditer(text):
            if least <= sum(map(str.isdigit, match.group())) <= most and not _DATE.match(match.group()):
                yield match.span()
    for match in _ANNOUNCED.finditer(text):
        if not _DATE.match(match.group(1)):
            yield match.span(1)
