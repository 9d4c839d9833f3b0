"""JSON as models write it. What cannot be read honestly is refused; nothing is made up but the missing ends."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Unreadable", "read_lenient"]

_MOST_DEPTH = 100
# Every quote within a string asks whether it ends it, with a look at what follows: bounded, so that time is.
_MOST_QUOTES = 20_000
_LOOK_AHEAD = 120

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?(?:\*/|\Z)|\#[^\n]*)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[-+]?[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?(?=\s*(?:[,\]}\n]|\Z))")
_KEY_AHEAD = re.compile(r"\s*(?:[\"'`]?[\w .$/-]{1,80}[\"'`]?\s*:|\})")
_ITEM_AHEAD = re.compile(r"\s*(?:[\"'`\[{\]\-\d]|true\b|false\b|null\b|None\b|True\b|False\b|\Z)")
_WORDS: dict[str, Any] = {
    "true": True, "false": False, "null": None, "True": True, "False": False, "None": None, "undefined": None,
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "`": "`"}
_MISSING: Any = object()


class Unreadable(Exception):
    """There is no value, or one that is too deep or too tangled."""


def read_lenient(text: str, start: int, within: int) -> tuple[Any, int, bool]:
    """Read the value that begins at *start* with a brace or bracket and takes *within* characters at most.

    Returns:
        The value, where it ends, and whether it had its end.

    Raises:
        Unreadable: There is none, or a longer one.
    """
    reader = _Reader(text, start, start + within)
    value = reader.value(0, "")
    return value, reader.at, reader.is_whole


class _Reader:
    def __init__(self, text: str, start: int, limit: int) -> None:
        self._text = text
        self._limit = limit
        self._quotes = 0
        self.at = start
        self.is_whole = True

    def value(self, depth: int, inside: str) -> Any:
        """Read one value; *inside* is the bracket that would end what it stands in, "" at the top."""
        self._skip()
        if depth > _MOST_DEPTH or self.at > self._limit:
            raise Unreadable
        opening = self._text[self.at : self.at + 1]
        if opening == "{":
            return self._object(depth)
        if opening == "[":
            return self._array(depth)
        if opening in ('"', "'", "`") and opening:
            return self._string(opening, inside, is_key=False)
        return self._bare(inside)

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        members: dict[str, Any] = {}
        while True:
            self._skip(",")
            if self._ends("}"):
                return members
            if self._peek() == "]":  # the bracket of what stands around: the brace was forgotten
                self.is_whole = False
                return members
            key = self._key()
            if key is None:
                return members
            value = self.value(depth + 1, "}")
            if value is not _MISSING:
                members[key] = value

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        while True:
            self._skip(",")
            if self._ends("]"):
                return items
            if self._peek() == "}":
                self.is_whole = False
                return items
            before = self.at
            value = self.value(depth + 1, "]")
            if value is not _MISSING:
                items.append(value)
            elif self.at == before:
                raise Unreadable

    def _key(self) -> str | None:
        """Read a member's name and its colon; None at the end of the text."""
        quote = self._peek()
        if quote in ('"', "'", "`") and quote:
            key = self._string(quote, "}", is_key=True)
            self._skip()
            if self._peek() == ":":
                self.at += 1
                return key
            if self.at >= len(self._text):
                self.is_whole = False
                return None
            raise Unreadable
        colon = self._text.find(":", self.at, self.at + 200)
        if colon < 0:
            if not self._text[self.at :].strip():
                self.at, self.is_whole = len(self._text), False
                return None
            raise Unreadable
        key = self._text[self.at : colon].strip()
        if not key or any(mark in key for mark in '{}[],"\n'):
            raise Unreadable
        self.at = colon + 1
        return key

    def _string(self, quote: str, inside: str, *, is_key: bool) -> str:
        text = self._text
        triple = quote * 3
        if text.startswith(triple, self.at) and not is_key:
            end = text.find(triple, self.at + 3)
            if end >= 0:
                said = text[self.at + 3 : end]
                self.at = end + 3
                return said
        self.at += 1
        parts: list[str] = []
        plain = re.compile(rf"[^{quote}\\]*")
        while True:
            run = plain.match(text, self.at)
            assert run is not None
            parts.append(run[0])
            self.at = run.end()
            if self.at >= len(text):
                self.is_whole = False
                return "".join(parts)
            if text[self.at] == "\\":
                parts.append(self._escape())
                continue
            self.at += 1
            self._quotes += 1
            if self._quotes > _MOST_QUOTES:
                raise Unreadable
            if self._closes(inside, is_key):
                return "".join(parts)
            parts.append(quote)

    def _escape(self) -> str:
        mark = self._text[self.at + 1 : self.at + 2]
        if mark == "u":
            digits = self._text[self.at + 2 : self.at + 6]
            try:
                code = int(digits, 16) if len(digits) == 4 else -1
            except ValueError:
                code = -1
            if code >= 0:
                self.at += 6
                if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self.at):
                    low = self._text[self.at + 2 : self.at + 6]
                    if re.fullmatch(r"[dD][c-fC-F][0-9a-fA-F]{2}", low):
                        self.at += 6
                        return chr(0x10000 + ((code - 0xD800) << 10) + int(low, 16) - 0xDC00)
                return chr(code)
        self.at += 2
        return _ESCAPES.get(mark, "\\" + mark)

    def _closes(self, inside: str, is_key: bool) -> bool:
        """Whether the quote that was just passed ends its string, by what follows it."""
        ahead = self._text[self.at : self.at + _LOOK_AHEAD]
        stripped = ahead.lstrip()
        if not stripped:
            return True
        mark = stripped[0]
        if is_key:
            return mark == ":"
        if inside == "":
            return True
        if mark in "}]":
            return True
        if stripped.startswith(("//", "/*")):
            return True
        after = ahead[len(ahead) - len(stripped) + 1 :]
        if mark == ",":
            pattern = _KEY_AHEAD if inside == "}" else _ITEM_AHEAD
            return not after.strip() or pattern.match(after) is not None or after.lstrip().startswith(("//", "/*"))
        # a comma that was forgotten at the end of a line
        line_ended = "\n" in ahead[: len(ahead) - len(stripped)]
        return line_ended and inside == "}" and _KEY_AHEAD.match(stripped) is not None and mark in "\"'`"

    def _bare(self, inside: str) -> Any:
        text = self._text
        if self.at >= len(text):
            self.is_whole = False
            return _MISSING
        if grouped := _GROUPED.match(text, self.at):
            self.at = grouped.end()
            return grouped[0]
        stops = ",\n" + (inside or "")
        end = self.at
        while end < len(text) and text[end] not in stops and not text.startswith(("//", "/*"), end):
            end += 1
        said = text[self.at : end].strip()
        if end >= len(text):
            self.is_whole = False
        self.at = end
        if not said:
            return _MISSING
        if said in _WORDS:
            return _WORDS[said]
        if _NUMBER.fullmatch(said):
            return float(said) if set(said) & set(".eE") else int(said[:4_000])
        return said

    def _ends(self, closing: str) -> bool:
        if self.at >= len(self._text):
            self.is_whole = False
            return True
        if self._text[self.at] == closing:
            self.at += 1
            return True
        return False

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]

    def _skip(self, also: str = "") -> None:
        while True:
            blank = _BLANK.match(self._text, self.at)
            assert blank is not None
            self.at = blank.end()
            if not also or self._peek() != also:
                return
            self.at += 1
