"""Public IP addresses in text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["find_ips"]

_V4 = Pattern(r"(?<![\w.\-])(?<!version )(?<!release )(?:\d{1,3}\.){3}\d{1,3}(?![\w\-]|\.\d)", re.ASCII | re.IGNORECASE)
_V6 = Pattern(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.ASCII | re.IGNORECASE)


def find_ips(text: str) -> Iterator[tuple[int, int]]:
    """Places as [start, end). Private, loopback and documentation addresses say nothing about a person."""
    for pattern in (_V4, _V6):
        yield from (match.span() for match in pattern.finditer(text) if _is_public(match.group()))


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
