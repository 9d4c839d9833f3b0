"""Text as its reader sees it, with the way back to the characters the model sent.

Guards stand before the parser, so an @ may still be ``\\u0040``; and a model that was told to may write a digit in
full width or put a zero-width space into a word. All that is undone here, once, for every guard.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.call.guards.patterns import Pattern

__all__ = ["Fold", "Reading", "plain", "read", "skeleton", "without_marks"]

Fold = Callable[[str], str]
"""What one character is read as: usually itself, sometimes nothing."""

_ESCAPE = (
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair is one character
    r'|u[0-9a-fA-F]{4}|["\\/bfnrt])'
)
_ESCAPES = Pattern(_ESCAPE)
_TOKENS = Pattern(f"(?s:{_ESCAPE}|.)")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

# They show nothing and are not format characters: joiner, Hangul fillers, Braille blank.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

# Letters that are drawn like a Latin one and do not decompose into it: from Unicode's confusables, by hand, the small
# letters and those whose capital looks alike; and the apostrophes that word processors write.
_LOOKALIKES = str.maketrans(
    "авезікмнорстухѕјһԁԛԝьѵ" + "αβεζηικμνορτυχγω" + "øłđħıɡɑ" + "\u2018\u2019\u02bc",
    "abe3ikmhopctyxsjhdqwbv" + "abeznikmvoptuxyw" + "oldhiga" + "'''",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """*raw* as *text*, which patterns are looked for in."""

    raw: str
    text: str
    fold: Fold

    def raw_spans(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Where spans of *text* stand in *raw*, as [start, end)."""
        if self.text == self.raw or not spans:
            return list(spans)
        starts, ends = array("q"), array("q")
        for token in _TOKENS.finditer(self.raw):
            for _ in _unescaped(token.group()).translate(_table(_unescaped(token.group()), self.fold)):
                starts.append(token.start())
                ends.append(token.end())
        return [(starts[start], ends[end - 1]) for start, end in spans]


def read(raw: str, fold: Fold | None = None) -> Reading:
    """Undo JSON's escapes and fold every character; a text that is not JSON keeps what looks like no escape."""
    fold = fold or plain
    text = raw
    if "\\" in raw:
        pieces, end = [], 0
        for escape in _ESCAPES.finditer(raw):
            pieces += [raw[end : escape.start()], _unescaped(escape.group())]
            end = escape.end()
        text = "".join([*pieces, raw[end:]])
    return Reading(raw, text.translate(_table(text, fold)), fold)


def plain(char: str) -> str:
    """Full width, styled letters, foreign digits, dashes and blanks as ASCII; nothing for what shows nothing."""
    if char.isascii():
        return char
    category = unicodedata.category(char)
    if category == "Cf" or char in _INVISIBLE or "\ufe00" <= char <= "\ufe0f":
        return ""
    if category == "Zs":
        return " "
    if category == "Pd" or char == "\u2212":
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    return unicodedata.normalize("NFKC", char)


def skeleton(char: str) -> str:
    """Like ``plain``, and without case, accents and look-alikes: what people take the character for."""
    letters = unicodedata.normalize("NFKD", plain(char).casefold()).translate(_LOOKALIKES)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def without_marks(text: str) -> str:
    """Drop vowel signs and other marks that stand on a letter: to a regular expression they end the word."""
    composed = unicodedata.normalize("NFC", text)
    return composed.translate({ord(char): None for char in set(composed) if unicodedata.category(char)[0] == "M"})


def _table(text: str, fold: Fold) -> dict[int, str]:
    """Only the distinct characters are folded: a text has few."""
    return {ord(char): folded for char in set(text) if (folded := fold(char)) != char}


def _unescaped(token: str) -> str:
    if len(token) == 1:
        return token
    if token[1] != "u":
        return _CONTROLS.get(token[1], token[1])
    if len(token) == 6:
        return chr(int(token[2:], 16))
    high, low = int(token[2:6], 16), int(token[8:], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
