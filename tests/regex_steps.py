"""A regular expression matcher that counts its steps: what a clock would say about a pattern, without a clock.

It backtracks like CPython's and takes the same tree, so a pattern that costs it n squared steps costs CPython as much.
It knows none of CPython's shortcuts (literal prefixes), so it counts rather too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["Steps"]

_SINGLE = {op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN}


class Steps:
    """One pattern. After ``finditer`` or ``match``, *count* says how many single characters were looked at.

    Args:
        source: The pattern.
        flags: Those of ``re``.
    """

    def __init__(self, source: str, flags: int = 0) -> None:
        self._tree = list(_parser.parse(source, flags))
        self._ignore_case = bool(flags & re.IGNORECASE)
        self._ascii = re.ASCII if flags & re.ASCII else 0
        self._dot_all = bool(flags & re.DOTALL) or "(?s:" in source
        self._text = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self.count = 0

    def finditer(self, text: str) -> list[tuple[int, int]]:
        """Spans of all matches, like ``re.finditer``."""
        self._text, self.count, spans, place = text, 0, [], 0
        while place <= len(text):
            end = self._first(place)
            if end is None:
                place += 1
                continue
            spans.append((place, end))
            place = end + (end == place)
        return spans

    def match(self, text: str) -> int | None:
        """Where a match at the beginning ends, like ``re.match``."""
        self._text, self.count = text, 0
        return self._first(0)

    def _first(self, place: int) -> int | None:
        self._groups = {}
        return next(self._sequence(self._tree, 0, place), None)

    def _sequence(self, nodes: list[Any], index: int, place: int) -> Iterator[int]:
        if index == len(nodes):
            yield place
            return
        for end in self._node(nodes[index], place):
            yield from self._sequence(nodes, index + 1, end)

    def _node(self, node: Any, place: int) -> Iterator[int]:
        kind, argument = node
        if kind in _SINGLE:
            if self._is_one(node, place):
                yield place + 1
        elif kind is op.BRANCH:
            for branch in argument[1]:
                yield from self._sequence(list(branch), 0, place)
        elif kind is op.SUBPATTERN:
            before = dict(self._groups)
            for end in self._sequence(list(argument[3]), 0, place):
                if argument[0] is not None:
                    self._groups[argument[0]] = (place, end)
                yield end
                self._groups = dict(before)
        elif kind is op.ATOMIC_GROUP:
            yield from self._once(list(argument), place)
        elif kind is op.MAX_REPEAT:
            yield from self._greedy(argument, place)
        elif kind is op.POSSESSIVE_REPEAT:
            yield from list(self._possessive(argument, place))
        elif kind is op.MIN_REPEAT:
            yield from self._lazy(argument, place)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            direction, body = argument
            start = place if direction > 0 else place - body.getwidth()[0]
            found = start >= 0 and next(self._sequence(list(body), 0, start), None) is not None
            if found == (kind is op.ASSERT):
                yield place
        elif kind is op.AT:
            if self._is_at(argument, place):
                yield place
        elif kind is op.GROUPREF:
            start, end = self._groups[argument]
            self.count += end - start + 1
            if self._text.startswith(self._text[start:end], place):
                yield place + end - start
        else:
            raise NotImplementedError(f"{kind}: teach it to tests/regex_steps.py")

    def _once(self, nodes: list[Any], place: int) -> Iterator[int]:
        end = next(self._sequence(nodes, 0, place), None)
        if end is not None:
            yield end

    def _greedy(self, repeat: tuple[int, int, Any], place: int) -> Iterator[int]:
        least, most, body = repeat
        nodes = list(body)
        pending = [(place, self._sequence(nodes, 0, place))]
        while pending:
            end = next(pending[-1][1], None) if len(pending) <= most else None
            if end is not None and end > pending[-1][0]:
                pending.append((end, self._sequence(nodes, 0, end)))
                continue
            here, _ = pending.pop()
            if len(pending) >= least:
                yield here

    def _lazy(self, repeat: tuple[int, int, Any], place: int) -> Iterator[int]:
        least, most, body = repeat
        if least == 0:
            yield place
        if most > 0:
            for end in self._sequence(list(body), 0, place):
                yield from self._lazy((max(least - 1, 0), most - 1, body), end)

    def _possessive(self, repeat: tuple[int, int, Any], place: int) -> Iterator[int]:
        least, most, body = repeat
        nodes, times = list(body), 0
        while times < most:
            end = next(self._sequence(nodes, 0, place), None)
            if end is None or end == place:
                break
            place, times = end, times + 1
        if times >= least:
            yield place

    def _is_at(self, where: Any, place: int) -> bool:
        self.count += 1
        if where is op.AT_END_STRING:
            return place == len(self._text)
        if where is op.AT_BOUNDARY:
            sides = [
                0 <= at < len(self._text) and self._in_category("WORD", self._text[at]) for at in (place - 1, place)
            ]
            return sides[0] != sides[1]
        raise NotImplementedError(f"{where}: teach it to tests/regex_steps.py")

    def _is_one(self, node: Any, place: int) -> bool:
        self.count += 1
        if place >= len(self._text):
            return False
        kind, argument = node
        char = self._text[place]
        if kind is op.ANY:
            return self._dot_all or char != "\n"
        if kind is op.IN:
            return self._in_set(argument, char)
        return self._same(char, argument) == (kind is op.LITERAL)

    def _in_set(self, items: list[Any], char: str) -> bool:
        negated = items[0][0] is op.NEGATE
        return any(self._in_item(item, char) for item in items[negated:]) != negated

    def _in_item(self, item: Any, char: str) -> bool:
        kind, argument = item
        if kind is op.LITERAL:
            return self._same(char, argument)
        if kind is op.RANGE:
            forms = {char, char.lower(), char.upper()} if self._ignore_case else {char}
            return any(len(form) == 1 and argument[0] <= ord(form) <= argument[1] for form in forms)
        name = str(argument).removeprefix("CATEGORY_")
        return self._in_category(name.removeprefix("NOT_"), char) != name.startswith("NOT_")

    def _in_category(self, name: str, char: str) -> bool:
        if self._ascii and not char.isascii():
            return False
        return {"DIGIT": char.isdecimal(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}[name]

    def _same(self, char: str, code: int) -> bool:
        return char == chr(code) or (self._ignore_case and char.lower() == chr(code).lower())
