"""A short text that a regular expression matches, for a string field with a ``pattern`` and no evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["shortest_match"]

_CATEGORY = {
    codes.CATEGORY_DIGIT: "0", codes.CATEGORY_WORD: "a", codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_DIGIT: "a", codes.CATEGORY_NOT_WORD: "-", codes.CATEGORY_NOT_SPACE: "a",
}  # fmt: skip
_TRIED = "aA0-_. " + "".join(map(chr, range(33, 127)))


def shortest_match(pattern: str, *, min_length: int = 0) -> str | None:
    """Write a text that *pattern* finds, at least *min_length* long where a repeat allows it.

    Returns:
        None for what cannot be written this way: a syntax error, a look-around that contradicts the rest.
    """
    try:
        tree = parser.parse(pattern)
    except (re.error, OverflowError):
        return None
    for any_char in "a 0-":  # the first may stand where the pattern wants the border of a word
        text = _write(tree, 0, {}, any_char)
        if len(text) < min_length:
            text = _write(tree, min_length - len(text), {}, any_char)
        if re.search(pattern, text):
            return text
    return None


def _write(tree: Iterable[Any], extra: int, groups: dict[int, str], any_char: str) -> str:
    """Write every node of *tree*; the first repeat that can grow takes *extra* more rounds."""
    text = ""
    for code, argument in tree:
        match code:
            case codes.LITERAL:
                text += chr(argument)
            case codes.NOT_LITERAL:
                text += next(char for char in _TRIED if ord(char) != argument)
            case codes.ANY:
                text += any_char
            case codes.IN:
                text += _member(argument)
            case codes.BRANCH:
                text += _write(argument[1][0], 0, groups, any_char)
            case codes.SUBPATTERN:
                groups[argument[0]] = _write(argument[-1], extra, groups, any_char)
                text += groups[argument[0]]
            case codes.ATOMIC_GROUP:
                text += _write(argument, 0, groups, any_char)
            case codes.GROUPREF:
                text += groups.get(argument, "")
            case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
                least, most, inner = argument
                rounds = min(int(most), least + extra)
                extra -= rounds - least
                text += _write(inner, 0, groups, any_char) * rounds
    return text


def _member(options: list[Any]) -> str:
    """One character of a class such as ``[A-Z_]`` or ``[^0-9]``."""
    if options[0][0] is not codes.NEGATE:
        code, argument = options[0]
        if code is codes.LITERAL:
            return chr(argument)
        return chr(argument[0]) if code is codes.RANGE else _CATEGORY.get(argument, "a")
    return next((char for char in _TRIED if not any(_holds(option, char) for option in options[1:])), "é")


def _holds(option: tuple[Any, Any], char: str) -> bool:
    code, argument = option
    if code is codes.LITERAL:
        return bool(ord(char) == argument)
    if code is codes.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    holds: bool = {
        codes.CATEGORY_DIGIT: char.isdigit(), codes.CATEGORY_WORD: char.isalnum() or char == "_",
        codes.CATEGORY_SPACE: char.isspace(), codes.CATEGORY_NOT_DIGIT: not char.isdigit(),
        codes.CATEGORY_NOT_WORD: not (char.isalnum() or char == "_"), codes.CATEGORY_NOT_SPACE: not char.isspace(),
    }.get(argument, False)  # fmt: skip
    return holds
