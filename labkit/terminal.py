"""Texts of others on their way to a terminal or a log: shown, never obeyed.

A run's name, a tag, a case's id or a provider's message may hold escape sequences, which move the cursor, rewrite what
stands above, and in some terminals run commands; and controls that turn the direction of what follows.
"""

from __future__ import annotations

import logging
import re

from labkit.addresses import masked

__all__ = ["Shown", "in_a_line", "printable", "visible"]

# Control characters but tab and newline, C1 ones too; what cannot be seen or turns the direction; line separators that
# are none to Python; half a surrogate pair, which no encoding takes. The joiners U+200C and U+200D stay: Persian and
# emoji need them.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Give *text* with what a terminal would obey as JSON would write it: ``\u001b``, ``\u202e``."""
    return text if text.isascii() and text.isprintable() else _OBEYED.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """Give *text* as it may be shown to anybody, anywhere: ``visible``, and addresses without their passwords."""
    return visible(masked(text))


def in_a_line(text: str) -> str:
    """Give *text*, ``printable``, in one line: a second one could be taken for something else that is said."""
    return printable(text).replace("\n", "\\u000a").replace("\t", "\\u0009")


class Shown(logging.Filter):
    """Makes of what a logger says what may be shown, its tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            # as text, once and for all: whoever formats it from the exception would say it as it was
            record.exc_text = printable(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True
