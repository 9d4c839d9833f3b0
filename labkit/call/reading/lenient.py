"""JSON as models write it. What cannot be read honestly is refused; nothing is made up but the missing ends.

Every liberty is named. ``syntax`` is for what has one possible meaning: comments, bare names, other quotes, commas too
many or too few. The others say that somebody else might read it otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from labkit.call.reading.json_text import Exact, number_from

__all__ = ["UNSURE", "Lenient", "Unreadable", "read_lenient"]

UNSURE = frozenset({"unclosed", "quotes", "escapes", "structure", "words"})
"""Liberties that another reader might not have taken:

unclosed   an end is missing: of what has none nobody knows how it would have gone on
quotes     a quote within a string, or a missing one, so that the string might end elsewhere
escapes    backslashes some of which are escapes and some are not
structure  brackets, colons or items that had to be moved, dropped or put in
words      text without quotes that could be several things
"""

_MOST_DEPTH = 100
# Every quote within a string asks whether it ends it, with a look at what follows: bounded, so that time is.
_MOST_QUOTES = 20_000
_LOOK_AHEAD = 120

_BLANK = re.compile(
    r"(?:[\s\u200b\u2060\ufeff]+|//[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|\#(?![0-9A-Fa-f]{3,8}\s*[,}\]\n])[^\n]*)*",  # "#" begins a comment, or a colour
    re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_LISTED_NUMBER = re.compile(_JSON_NUMBER.pattern + r"(?=\s*,)", re.ASCII)
_GROUPED = re.compile(r"[-+]?[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?(?=\s*(?:[,\]}\n]|\Z))")
_KEY_AHEAD = re.compile(r"\s*(?:[\"'`“‘]?[\w .$/-]{1,80}[\"'`”’]?\s*:|\}|\.\.\.)")
_ITEM_AHEAD = re.compile(r"\s*(?:[\"'`“‘\[{\]\-\d(]|\.\.\.|true\b|false\b|null\b|None\b|True\b|False\b|\Z)")
_NEXT_KEY = re.compile(r"[\"'][^\"'\n:]{1,60}[\"']\s*:")
_NEXT_ITEM = re.compile(r"\"[^\"\n]{0,200}\"\s*[,\]]")
_LOST_OPENING = re.compile(r"([\w .$-]{1,60})[\"']\s*:")
_LOST_CLOSING = re.compile(r"[\"']([\w .$-]{1,60}):\s*(?=[\"'\[{\d])")
_CONSTRUCTED = re.compile(r"[A-Za-z_][\w.]{0,40}\(\s*(?:\"([^\"\\\n]*)\"|'([^'\\\n]*)')\s*\)")
_BARE_STOP = re.compile(r"[,\n{}\[\]\"#/(]")
_TAIL = re.compile(r"\s*((?:[}\]]\s*)+)(?:```\s*)?\Z")
# What without quotes is one thing only: words, addresses, times and dates, colours.
_SIMPLE = re.compile(
    r"[^\W_][\w .!?@$€£%&+*=~()/'’-]*"
    r"|[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s\"'`<>{}\[\]]+"
    r"|(?:\d{4}-\d\d-\d\d[T ])?\d\d?:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| ?[ap]m|[+-]\d\d:?\d\d)?"
    r"|\#[0-9A-Fa-f]{3,8}",
    re.IGNORECASE,
)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "‘": "’", "«": "»"}
_RUNS = {mark: re.compile(rf"[^{mark}\\]*(?:\\.[^{mark}\\]*)*", re.DOTALL) for mark in _QUOTES.values()}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "`": "`"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.)|\Z)", re.DOTALL)
_MISSING: Any = object()


class Unreadable(Exception):
    """There is no value, or one that is too deep or too tangled.

    Args:
        read: How much work it was to find that out, in characters.
    """

    def __init__(self, read: int = 0) -> None:
        super().__init__("unreadable")
        self.read = read


@dataclass(frozen=True, slots=True, kw_only=True)
class Lenient:
    """A value as read, with numbers as they were written.

    Args:
        end: Where it ends in the text.
        kinds: The liberties taken.
    """

    value: Any
    end: int
    kinds: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """It had its end."""
        return "unclosed" not in self.kinds

    @property
    def is_sure(self) -> bool:
        return not UNSURE.intersection(self.kinds)


def read_lenient(text: str, start: int, within: int) -> Lenient:
    """Read the value that begins at *start* and takes *within* characters at most.

    Raises:
        Unreadable: There is none, or a longer one.
    """
    reader = _Reader(text, start, start + within)
    try:
        value = reader.value(0)
    except Unreadable:
        raise Unreadable(reader.effort - start) from None
    if value is _MISSING:
        raise Unreadable(reader.at - start)
    return Lenient(value=value, end=reader.at, kinds=("syntax", *sorted(reader.kinds)))


class _Reader:
    def __init__(self, text: str, start: int, limit: int) -> None:
        self._text = text
        self._limit = limit
        self._quotes = 0
        self._open: list[str] = []  # the brackets that would end what is being read, innermost last
        self.at = start
        self.kinds: set[str] = set()

    @property
    def effort(self) -> int:
        """Where it has come to; a quote within a string is as much work as twenty characters."""
        return self.at + 20 * self._quotes

    def value(self, depth: int) -> Any:
        self._skip()
        if depth > _MOST_DEPTH or self.at > self._limit or self._text.startswith("```", self.at):
            raise Unreadable
        opening = self._peek()
        if opening == "{":
            return self._object(depth)
        if opening == "[":
            return self._array(depth, "]")
        if opening == "(":
            return self._parenthesized(depth)
        if opening and opening in _QUOTES:
            return self._string(opening, is_key=False)
        return self._bare()

    # --- containers ---------------------------------------------------------------------------------------------------

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        self._open.append("}")
        members: dict[str, Any] = {}
        while True:
            self._skip(",")
            if self._ends("}"):
                break
            if self._is_closed_by_outer() or (members and self._peek() == "{"):
                self.kinds.add("unclosed")  # the brace was forgotten
                break
            if self._ellipsis():
                continue
            key = self._key()
            if key is None:
                break
            value = self.value(depth + 1)
            if value is _MISSING:
                self.kinds.add("structure")
                continue
            if key in members and members[key] != value:
                self.kinds.add("structure")
            members[key] = value
        self._open.pop()
        return members

    def _array(self, depth: int, closing: str) -> list[Any]:
        self.at += 1
        self._open.append(closing)
        items: list[Any] = []
        while True:
            self._skip(",")
            if self._ends(closing):
                break
            if self._is_closed_by_outer():
                self.kinds.add("unclosed")
                break
            if self._ellipsis():
                continue
            if self._peek() == "}":  # one brace too many
                self.at += 1
                self.kinds.add("structure")
                continue
            before = self.at
            value = self.value(depth + 1)
            if value is not _MISSING:
                items.append(value)
            elif self.at == before:
                raise Unreadable
        self._open.pop()
        return items

    def _parenthesized(self, depth: int) -> Any:
        """A Python tuple, or one value in parentheses."""
        self.kinds.add("structure")
        start = self.at
        items = self._array(depth, ")")
        is_tuple = "," in self._text[start : self.at] or not items
        return items if is_tuple else items[0]

    def _is_closed_by_outer(self) -> bool:
        """Whether here stands the bracket of what stands around, so that the own one was forgotten."""
        mark = self._peek()
        return mark in ("}", "]", ")") and mark != self._open[-1] and mark in self._open

    def _ellipsis(self) -> bool:
        """Pass over "...", which stands for what was left out."""
        if not self._text.startswith("...", self.at):
            return False
        self.at += 3
        self.kinds.add("structure")
        return True

    def _key(self) -> str | None:
        """Read a member's name and its colon; None at the end of the text."""
        quote = self._peek()
        if quote and quote in _QUOTES:
            return self._quoted_key(quote)
        if lost := _LOST_OPENING.match(self._text, self.at):
            self.kinds.add("quotes")
            self.at = lost.end()
            return lost[1].strip()
        colon = self._text.find(":", self.at, self.at + 200)
        if colon < 0:
            if not self._text[self.at : self.at + 200].strip():
                self.at = len(self._text)
                self.kinds.add("unclosed")
                return None
            raise Unreadable
        key = self._text[self.at : colon].strip()
        if not key or any(mark in key for mark in '{}[],"\n'):
            raise Unreadable
        self.at = colon + 1
        return key

    def _quoted_key(self, quote: str) -> str | None:
        if (lost := _LOST_CLOSING.match(self._text, self.at)) and not _NEXT_KEY.match(self._text, self.at):
            self.kinds.add("quotes")
            self.at = lost.end()
            return lost[1]
        key = self._string(quote, is_key=True)
        if len(key) > 2 and key[0] == key[-1] == quote:  # ""doubled"", as in CSV
            key = key[1:-1]
        self._skip()
        if self._peek() == ":":
            self.at += 1
            return key
        if self.at >= len(self._text):
            self.kinds.add("unclosed")
            return None
        raise Unreadable

    # --- strings ------------------------------------------------------------------------------------------------------

    def _string(self, quote: str, *, is_key: bool) -> str:
        text = self._text
        triple = quote * 3
        if text.startswith(triple, self.at) and not is_key:
            end = text.find(triple, self.at + 3)
            if end >= 0:
                said = text[self.at + 3 : end]
                self.at = end + 3
                return said
        closing = _QUOTES[quote]
        self.at += 1
        start = self.at
        run = _RUNS[closing]
        within = _Within(text, start, closing)
        while True:
            found = run.match(text, self.at)
            assert found is not None
            self.at = found.end()
            if self.at >= len(text) or text[self.at] == "\\":  # also a backslash that is the last character
                return self._endless(text[start:], closing)
            place = self.at
            self.at += 1
            self._quotes += 1
            if self._quotes > _MOST_QUOTES:
                raise Unreadable
            within.passes(place)
            if self._closes(closing, is_key, within):
                return self._closed(text[start:place], closing, within)
            if not is_key and (lost := self._lost_end(start, place)) is not None:
                self.kinds.add("quotes")
                self.at = lost
                return self._unescaped(text[start:lost].rstrip().rstrip("},"), closing)
            within.meets(place)

    def _closed(self, said: str, closing: str, within: _Within) -> str:
        if within.is_open or within.is_odd:
            self.kinds.add("quotes")
            if within.is_open and said.startswith(closing) and closing not in said[1:]:
                said = said[1:]  # one quote too many before the string
        return self._unescaped(said, closing)

    def _endless(self, said: str, closing: str) -> str:
        """A string that the text ends in; brackets at its very end are those of what stands around."""
        self.at = len(self._text)
        self.kinds.add("unclosed")
        tail = _TAIL.search(said[-40:])
        if tail is not None and len("".join(tail[1].split())) <= len(self._open):
            said = said[: len(said) - len(tail[0])]
        return self._unescaped(said, closing)

    def _lost_end(self, start: int, place: int) -> int | None:
        """Where a string ended whose own quote was forgotten: the quote at *place* begins the next name or item."""
        before = self._text[max(start, place - 20) : place].rstrip()
        if self._inside == "}":
            if before.endswith((",", "}")) and _NEXT_KEY.match(self._text, place):
                return start + len(self._text[start:place].rstrip()) - (1 if before.endswith(",") else 0)
        elif self._inside == "]" and before.endswith(",") and _NEXT_ITEM.match(self._text, place):
            return start + len(self._text[start:place].rstrip()) - 1
        return None

    def _unescaped(self, said: str, closing: str) -> str:
        """Resolve the escapes; where one backslash is none of them, all are meant as they stand."""
        if "\\" not in said:
            return said
        is_foreign = [_is_foreign(match) for match in _ESCAPE.finditer(said)]
        if any(is_foreign):
            if not all(is_foreign):
                self.kinds.add("escapes")
            return said.replace("\\" + closing, closing)
        parts: list[str] = []
        at = 0
        for match in _ESCAPE.finditer(said):
            parts += (said[at : match.start()], _resolved(match))
            at = match.end()
        parts.append(said[at:])
        return _with_pairs("".join(parts))

    def _closes(self, closing: str, is_key: bool, within: _Within) -> bool:
        """Whether the quote that was just passed ends its string, by what follows it."""
        ahead = self._text[self.at : self.at + _LOOK_AHEAD]
        stripped = ahead.lstrip()
        if not stripped:
            return True
        mark = stripped[0]
        if is_key:
            return mark == ":"
        inside = self._inside
        if mark == "}" and within.is_in_braces:
            return False  # an object that the string tells of
        if inside == "" or mark in "}]" or (mark == ")" == inside) or stripped.startswith(("//", "/*", "```")):
            return True
        after = ahead[len(ahead) - len(stripped) + 1 :]
        if mark == ",":
            pattern = _KEY_AHEAD if inside == "}" else _ITEM_AHEAD
            return not after.strip() or pattern.match(after) is not None or after.lstrip().startswith(("//", "/*"))
        has_blank = stripped != ahead
        if inside == "}":
            # a comma that was forgotten at the end of a line
            line_ended = "\n" in ahead[: len(ahead) - len(stripped)]
            return line_ended and _KEY_AHEAD.match(stripped) is not None and (mark in "\"'`“" or stripped[0].isalpha())
        if has_blank and mark == closing and self._text[self.at - 2 : self.at - 1].strip():
            self.kinds.add("structure")  # two strings in a row: a comma was forgotten, or it is one string after all
            return True
        return False

    # --- words and numbers --------------------------------------------------------------------------------------------

    def _bare(self) -> Any:
        text = self._text
        if self.at >= len(text):
            self.kinds.add("unclosed")
            return _MISSING
        if grouped := _GROUPED.match(text, self.at):
            self.at = grouped.end()
            return grouped[0]
        if listed := _LISTED_NUMBER.match(text, self.at):
            self.at = listed.end()
            return number_from(listed[0])
        if constructed := _CONSTRUCTED.match(text, self.at):
            self.kinds.add("structure")
            self.at = constructed.end()
            return constructed[1] if constructed[1] is not None else constructed[2]
        said, is_odd = self._word()
        if not said:
            return _MISSING
        folded = said.casefold()
        if folded in _WORDS:
            return _WORDS[folded]
        if _JSON_NUMBER.fullmatch(said):
            return number_from(said)
        if _NUMBER.fullmatch(said) and len(said) < 400:
            return Exact(said)
        if is_odd or said.count("(") != said.count(")") or not _SIMPLE.fullmatch(said):
            self.kinds.add("words")
        elif len(self._open) == 1 and self._open[0] != "}":
            self.kinds.add("words")  # "[see below]" in a sentence is no list
        return said

    def _word(self) -> tuple[str, bool]:
        """Read to where a word without quotes ends, and say whether it might end elsewhere."""
        text, start = self._text, self.at
        is_odd = False
        at = start
        while True:
            stop = _BARE_STOP.search(text, at, self._limit)
            if stop is None:
                if self._limit < len(text):
                    raise Unreadable
                self.at = len(text)
                self.kinds.add("unclosed")
                return text[start:].strip(), is_odd
            at, mark = stop.start(), stop[0]
            said = text[start:at].strip()
            if mark in ",\n" or (mark in "}]" and mark in self._open):
                break
            if mark == '"':
                is_odd = True
                if self._inside == "}" and _NEXT_KEY.match(text, at):
                    self.kinds.add("quotes")
                    break
                if text[at + 1 : at + 20].lstrip()[:1] in (",", "}", "]"):  # its opening quote was forgotten
                    self.kinds.add("quotes")
                    self.at = at + 1
                    return said, is_odd
            elif mark == "{" and self._inside == "}" and (_NUMBER.fullmatch(said) or said in _WORDS):
                self.kinds.add("structure")
                break
            elif mark == "/":
                if text.startswith("/*", at) or (text.startswith("//", at) and text[at - 1 : at] in (" ", "\t")):
                    is_odd = True  # a comment, or part of what was said
                    break
                is_odd = is_odd or (text.startswith("//", at) and text[at - 1 : at] != ":")
                at += text.startswith("//", at)
            elif mark == "#":
                is_odd = is_odd or (at > start and text[at - 1].isspace())
            elif mark != "(":
                is_odd = True
            at += 1
        self.at = at
        return said, is_odd

    # --- odds ---------------------------------------------------------------------------------------------------------

    @property
    def _inside(self) -> str:
        return self._open[-1] if self._open else ""

    def _ends(self, closing: str) -> bool:
        if self.at >= len(self._text):
            self.kinds.add("unclosed")
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


class _Within:
    """The unescaped quotes within one string: do they come in pairs around words, as a quotation does?"""

    def __init__(self, text: str, start: int, quote: str) -> None:
        self._text = text
        self._start = self._at = start
        self._quote = quote
        self._braces = 0
        self._seen = False
        self.is_open = False
        self.is_odd = False

    @property
    def is_in_braces(self) -> bool:
        """Quotes were met before, and a brace that the string itself has opened is open still."""
        return self._seen and self._braces > 0

    def passes(self, place: int) -> None:
        """Take in what stands before the quote at *place*."""
        self._braces += self._text.count("{", self._at, place) - self._text.count("}", self._at, place)
        self._at = place

    def meets(self, place: int) -> None:
        """Take in a quote at *place* that does not end the string."""
        self._seen = True
        before = self._text[place - 1] if place > self._start else " "
        after = self._text[place + 1 : place + 2]
        follows = self._text[place + 1 : place + 40].lstrip()[:1]
        if before.isalnum() and after.isalnum():
            self.is_odd = self.is_odd or self._quote == '"'  # "it's" is one word, 24"x is nobody knows what
        elif follows in (",", ":"):
            self.is_odd = True
        elif (before.isspace() or before in "([{-–—/=") and not after.isspace():
            self.is_odd = self.is_odd or self.is_open or after == self._quote
            self.is_open = True
        elif (after.isspace() or not after.isalnum()) and self.is_open:
            self.is_open = False
        else:
            self.is_odd = True


def _is_foreign(escape: re.Match[str]) -> bool:
    return escape[1] is None and escape[2] != "\n" and escape[2] not in _ESCAPES


def _resolved(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 16))
    return "" if escape[2] == "\n" else _ESCAPES[escape[2]]


def _with_pairs(text: str) -> str:
    """Join the halves of characters that JSON writes as two escapes."""
    if not any("\ud800" <= char < "\udc00" for char in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
