"""Looking for a pattern that somebody else wrote, in a text that a model wrote: bounded in length and in time."""

from __future__ import annotations

from labkit.errors import Unscorable
from labkit.extras import needs

__all__ = ["PATTERN_TIMEOUT_S", "TEXT_MAX_CHARS", "holds"]

TEXT_MAX_CHARS = 20_000
"""The longest text that patterns and JSON are looked for in: their cost grows with its square or worse."""

PATTERN_TIMEOUT_S = 1.0


def holds(pattern: str, text: str) -> bool:
    """Say whether *pattern* occurs in *text*.

    Raises:
        Unscorable: The text is over ``TEXT_MAX_CHARS``, or the search took longer than ``PATTERN_TIMEOUT_S``, as a
            pattern such as ``(a+)+$`` may: Python's own ``re`` cannot be stopped, so ``regex`` searches.
        MissingDependency: regex is not installed.
    """
    with needs("regex", "a pattern in a scorer"):
        import regex
    bounded(text)
    try:
        return regex.search(pattern, text, timeout=PATTERN_TIMEOUT_S) is not None
    except TimeoutError as error:
        raise Unscorable(f"the pattern {pattern!r} took longer than {PATTERN_TIMEOUT_S:g} s: simplify it") from error


def bounded(text: str) -> str:
    """Give *text* back.

    Raises:
        Unscorable: It is over ``TEXT_MAX_CHARS``.
    """
    if len(text) > TEXT_MAX_CHARS:
        raise Unscorable(f"a text of {len(text):,} characters, at most {TEXT_MAX_CHARS:,} are searched")
    return text
