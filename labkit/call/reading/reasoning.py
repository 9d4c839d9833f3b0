"""What a model thought aloud before it answered: where it ends, and what is left without it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.call.reading.json_text import EXACT
from labkit.call.reading.lenient import Unreadable, read_lenient
from labkit.call.reading.tags import TAG, ends

__all__ = ["Thoughts", "UnclosedReasoning", "without_reasoning"]

_MARKS = ("<", "[", "◁")
_VALUE = re.compile(r"[{\[\"]")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)

_TRIED_VALUES = 50
_LENIENT_CHARS = 100_000


class UnclosedReasoning(Exception):
    """The text ends within a thought: there is no answer in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thoughts:
    """A text without its reasoning.

    Args:
        answer: What is left.
        taken: What was taken off, in the order it stood in.
    """

    answer: str
    taken: str


def without_reasoning(text: str, *, is_text: bool) -> Thoughts | None:
    """Take the reasoning off *text*: closed blocks, and everything before a closing tag that nothing opened.

    Args:
        is_text: The text itself is the answer, so that a tag in code is something it speaks of. Otherwise JSON is
            looked for, and a tag within a string of a value is part of that.

    Returns:
        None where there is none.

    Raises:
        UnclosedReasoning: A block has no end.
    """
    tags = [tag for tag in TAG.finditer(text) if tag] if any(mark in text for mark in _MARKS) else []
    if not tags:
        return None
    is_spoken_of = _in_code if is_text else _Values(text).hold
    kept: list[str] = []
    taken: list[str] = []
    at = before = 0  # all before the second one is reasoning
    opened: int | None = None
    is_leading = True
    for tag in tags:
        if opened is not None:
            if ends(tag):
                taken.append(text[opened : tag.end()])
                at, opened = tag.end(), None
            continue
        is_leading = is_leading and not text[at : tag.start()].strip()
        if not is_leading and is_spoken_of(text, tag.start()):
            continue
        kept.append(text[at : tag.start()])
        if ends(tag):  # nothing opened it: the chat template did, and all of it was thought
            kept, taken = [], []
            at = before = tag.end()
            is_leading = True
        elif tag["empty"]:
            taken.append(tag[0])
            at = tag.end()
        else:
            opened = tag.start()
            at = opened
    if opened is not None:
        raise UnclosedReasoning
    if not taken and not before:
        return None
    kept.append(text[at:])
    return Thoughts(answer="".join(kept).strip(), taken=text[:before] + "".join(taken))


def _in_code(text: str, at: int) -> bool:
    """Whether what stands at *at* is in a fence or between backticks."""
    if len(_FENCE.findall(text, 0, at)) % 2:
        return True
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line.count("`") % 2 == 1


class _Values:
    """The JSON values of a text, found as far as somebody asks."""

    def __init__(self, text: str) -> None:
        self._at = 0
        self._tries = 0
        self._text = text

    def hold(self, text: str, place: int) -> bool:
        """Whether *place* is within a value; asked in rising order."""
        while self._at <= place and self._tries < _TRIED_VALUES:
            found = _VALUE.search(text, self._at, place + 1)
            if found is None:
                return False
            self._tries += 1
            end = self._end(text, found.start())
            if end > place:
                return True
            self._at = end
        return self._at > place

    def _end(self, text: str, start: int) -> int:
        try:
            return EXACT.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            pass
        if text[start] == '"':
            return start + 1
        try:
            read = read_lenient(text, start, _LENIENT_CHARS)
        except (Unreadable, RecursionError):
            return start + 1
        return read.end if read.is_sure else start + 1
