"""E-mail addresses in text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.call.guards.patterns import Pattern

__all__ = ["find_emails"]

# The domain is looked for first and the local part backwards from its @: forwards, every letter could begin one.
_DOMAIN = Pattern(
    r"@(?:[^\W_][\w\-]{0,62}+\.)+(?P<top>[a-z]{2,24}(?![a-z0-9])|xn--[a-z0-9\-]{2,59}+)",
    re.IGNORECASE,
)
_LOCAL_BACKWARDS = Pattern(r"[a-z0-9\u00c0-\u024f._%+'\-]{1,64}", re.IGNORECASE)

# image@2x.png, app@1.0.zip: the end of a file name where an address has its top-level domain.
_FILE_ENDINGS = {"css", "csv", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "pdf", "png", "svg", "txt", "webp"}


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Places of addresses as [start, end); ``git@host:path`` is a remote, no address."""
    for domain in _DOMAIN.finditer(text):
        at = domain.start()
        if domain["top"].lower() in _FILE_ENDINGS:
            continue
        backwards = _LOCAL_BACKWARDS.match(text[max(0, at - 64) : at][::-1])
        local = backwards.group()[::-1].lstrip(".%+'-") if backwards else ""
        if not local or (local == "git" and text[domain.end() : domain.end() + 1] == ":"):
            continue
        yield at - len(local), domain.end()
