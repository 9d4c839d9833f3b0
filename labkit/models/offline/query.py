"""Where in a user message is the text that is asked about?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from labkit.models.offline.notation import INPUT_NAMES, SECTION_NAMES, Vocabulary, fold, marker, unquote

__all__ = ["Split", "split_query"]

_OPENING = re.compile(r"^[ \t]*<([a-zA-Z][\w-]*)(?:\s[^<>]*)?>", re.M)
_WHOLE_TAG = re.compile(r"\s*<([a-zA-Z][\w-]*)>(.*)</\1>\s*$", re.S)
_NAMED_LINE = re.compile(r"^[^\n:]{1,40}:.*$", re.M)
_OPEN_END = re.compile(r"\n[ \t]*[*_`]{0,2}([^\W\d_][\w ]{0,30}?)[*_`]{0,2}[ \t]*:[*_`]{0,2}\s*$")
_OPEN_ARROWS = ("->", "=>", "→", "⇒")
_MOST_TAGS = 20


@dataclass(frozen=True, slots=True)
class Split:
    """The *query*, and what the template says *before* it, where examples and definitions may stand."""

    before: str
    query: str


def split_query(message: str, vocabulary: Vocabulary) -> Split:
    """Find the query in *message*.

    In this order: what stands between ``<ticket>`` and the last ``</ticket>`` of a line-initial tag; after a name of
    its own such as ``Ticket:``, up to an open ``Output:`` at the end; the last line, if it ends in an open arrow; else
    all of it. The *first* tag or name wins (but for pairs of input and output), since the template's stand before the
    data's: from there to the end, nothing that the data holds is taken for a part of the prompt.
    """
    message = message.strip()
    tag = _tagged(message)
    named = _named(message, vocabulary, message[: tag[0]] if tag else message)
    if named is not None:
        return named
    if tag is not None:
        return Split(message[: tag[0]], tag[1])
    arrow = next((arrow for arrow in _OPEN_ARROWS if message.endswith(arrow)), None)
    if arrow is not None:
        before, _, line = message.removesuffix(arrow).rpartition("\n")
        return Split(before, unquote(line))
    return Split("", unquote(message))


def _tagged(message: str) -> tuple[int, str] | None:
    for opening in islice(_OPENING.finditer(message), _MOST_TAGS):
        if fold(opening[1]) in SECTION_NAMES:
            continue
        closing = message.rfind(f"</{opening[1]}>")
        line_end = message[closing:].partition("\n")[0].rstrip()
        # Markup in the data, <b>where</b> is it, is not a wrapping.
        is_wrapping = fold(opening[1]) in INPUT_NAMES or line_end == f"</{opening[1]}>"
        if closing >= opening.end() and is_wrapping:
            return opening.start(), unquote(message[opening.end() : closing])
    return None


def _named(message: str, vocabulary: Vocabulary, template: str) -> Split | None:
    """Find the first line-initial name that begins the query and not the input of an example."""
    message, name_at_end = _without_open_end(message, vocabulary)
    places = []
    for found in _NAMED_LINE.finditer(message, 0, len(template)):
        named = marker(found[0])
        if named is not None:
            places.append((found.start(), *named))
    for number, (start, name, _) in enumerate(places):
        following = places[number + 1] if number + 1 < len(places) else None
        is_pair = (
            name_at_end is not None
            and following is not None
            and (vocabulary.is_output(following[1]) or following[1] == name_at_end)
        )
        if is_pair or name in vocabulary.labels or name == name_at_end:
            continue
        is_ours = name not in SECTION_NAMES and not vocabulary.is_output(name)
        if name in INPUT_NAMES or (is_ours and (start == 0 or name_at_end is not None)):
            return Split(message[:start], _bare(message[start:].partition(":")[2].lstrip("*_` ")))
    return None


def _bare(text: str) -> str:
    tag = _WHOLE_TAG.match(text)
    return unquote(tag[2] if tag else text)


def _without_open_end(message: str, vocabulary: Vocabulary) -> tuple[str, str | None]:
    found = _OPEN_END.search(message)
    if found is None or not vocabulary.is_output(fold(found[1])):
        return message, None
    return message[: found.start()], fold(found[1])
