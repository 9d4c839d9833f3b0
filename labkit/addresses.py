"""Addresses as they may be shown: without the passwords and keys in them. Whatever writes an address asks here.

Stores, sinks, caches, gateways and proxies are named by addresses, and these hold passwords.
"""

from __future__ import annotations

import os
import re
from typing import Any

__all__ = ["MASK", "FromEnvironment", "from_environment", "harmless", "held_here", "masked"]

MASK = "***"

# Up to the last "@" of the word: a password may hold any of ":/?#@", encoded or not. A port and a path before an "@",
# as in http://host:8000/@me, is taken for a password too: better a host less than a password more. Each part has a
# longest length, so that reading takes time in proportion to the text.
_USER_AND_PASSWORD = re.compile(
    r"""((?<![\w+.\-])[A-Za-z][\w+.\-]{0,40}:/{0,3}|//)([^\s:/?#@"'<>]{0,256}):([^\s"'<>]{1,1024})@"""
    r"""|(?<![^\s"'(<=,])()([^\s:/?#@"'<>=(,]{1,256}):([^\s"'<>/][^\s"'<>]{0,1024})@"""
)
# A text that is an address and nothing else, as it seems: its password may hold blanks and quotes too.
_ADDRESS = re.compile(r"""\A(\s*[\w+.\-]{1,40}:/{1,3})([^\s:/?#@"'<>]{0,256}):(.{1,1024})@""", re.DOTALL)
# A token without a user: https://TOKEN@host
_TOKEN = re.compile(r"""(https?:/{1,3})([^\s:/?#@"'<>]{12,1024})@""", re.IGNORECASE)

_NAMES = (
    r"(?:[\w.\-]{0,40}(?:api[-_.]?key|access[-_]?key|secret|token|passw(?:or)?d|pwd|passphrase|signature|credentials?)"
    r"|key|pass|auth|authorization|sig|sas|code|subscription-key|x-functions-key|odbc_connect)"
)
_PARAMETER = re.compile(rf"""((?:[?&;#]|&amp;){_NAMES})=([^\s&;#"'<>]+)""", re.IGNORECASE)
# host=h user=u password=PW, as libpq takes it; quoted ones may hold blanks
_ASSIGNED = re.compile(
    r"""(?<![\w.\-?&;#])((?:ssl)?passw(?:or)?d|pwd|passphrase)(\s{0,4}=\s{0,4})('[^']*'|"[^"]*"|[^\s,;&"']+)""",
    re.IGNORECASE,
)
# {"api_key": "..."}; a "code" or "key" there is how providers name their errors
_MEMBER = re.compile(
    r"""(["'][\w.\-]{0,40}(?:api[-_.]?key|secret|access[-_]?token|passw(?:or)?d|passphrase|authorization|bearer)"""
    r"""["']\s{0,4}:\s{0,4})("[^"]*"|'[^']*')""",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """Give *text*, an address or a message that quotes some, with passwords, keys and tokens as ``***``."""
    if "@" in text:
        text = _ADDRESS.sub(rf"\1\2:{MASK}@", text)
        text = _USER_AND_PASSWORD.sub(_without_password, text)
        text = _TOKEN.sub(rf"\1{MASK}@", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1={MASK}", text)
        text = _ASSIGNED.sub(rf"\1\2{MASK}", text)
    if ":" in text and ('"' in text or "'" in text):
        text = _MEMBER.sub(rf"\1'{MASK}'", text)
    return text


def _without_password(found: re.Match[str]) -> str:
    scheme, user, _, _, bare_user, _ = found.groups(default="")
    return f"{scheme}{user or bare_user}:{MASK}@"


def harmless(error: BaseException) -> BaseException | None:
    """Give *error* as the cause of another: None where its own text shows what ``masked`` hides."""
    said = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
    return error if masked(said) == said else None


# --- in pickles -------------------------------------------------------------------------------------------------------


class FromEnvironment(str):
    """The name of the environment variable that holds a value: what a pickle has in the value's place."""

    __slots__ = ()


def from_environment(value: str | None) -> str | None:
    """Give the name of the variable that *value* came from, as ``FromEnvironment``; else *value* itself."""
    if not value or len(value) < 8:
        return value
    return next((FromEnvironment(name) for name, held in os.environ.items() if held == value), value)


def held_here(value: Any) -> Any:
    """Give what ``from_environment`` named, as this process's environment has it; None where it has none."""
    return os.environ.get(value) if isinstance(value, FromEnvironment) else value
