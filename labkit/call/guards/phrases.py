"""Words that must not be said, however they are written."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.call.guards.findings import Finding, verdict
from labkit.call.guards.patterns import Pattern
from labkit.call.guards.reading import read, skeleton
from labkit.call.rules import Reject
from labkit.errors import CallInvalid

__all__ = ["ForbiddenPhrases"]

# Scripts that put no blank between words: there a phrase is found inside a longer run of letters.
_UNSPACED = Pattern("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTERS = Pattern(r"[^\W_]++")


@dataclass(frozen=True, slots=True)
class ForbiddenPhrases:
    """Reject text that contains one of *phrases* as whole words.

    Case, accents, width, zero-width characters and look-alike letters of other alphabets make no difference; between
    the words of a phrase any blanks, line breaks, hyphens and quotation marks may stand. A comma or a sentence's end
    may not: "No risk. Free delivery." does not say "risk free". Inflected forms are other words: list them. Spaced out
    and digit-for-letter spellings pass. The reason gives the place and the phrase's number in the list, from 1.

    Measured on tests/data/guards/phrases.jsonl, which is hard on purpose: precision 0.88, recall 0.82.

    Raises:
        CallInvalid: No phrases, or one without a letter or digit.
    """

    phrases: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.phrases, str):
            raise CallInvalid(f"ForbiddenPhrases({self.phrases!r}): give a list of phrases")
        object.__setattr__(self, "phrases", tuple(self.phrases))
        if not self.phrases or not all(map(_words, self.phrases)):
            raise CallInvalid(f"ForbiddenPhrases({list(self.phrases)!r}): give phrases, each with a letter or digit")

    def __call__(self, text: str) -> str | Reject | None:
        reading = read(text, skeleton)
        found = [
            (int(str(match.lastgroup)[1:]), match.span())
            for match in _pattern(tuple(self.phrases)).finditer(reading.text)
        ]
        places = reading.raw_spans([span for _, span in found])
        findings = [Finding(f"phrase {n}", *place) for (n, _), place in zip(found, places, strict=True)]
        return verdict(text, findings, action="reject", subject="forbidden", mend="write the answer without them")


def _words(phrase: str) -> list[str]:
    return [match.group() for match in _LETTERS.finditer(read(phrase, skeleton).text)]


@functools.lru_cache(maxsize=64)
def _pattern(phrases: tuple[str, ...]) -> Pattern:
    """One alternative a phrase, the longest first; each in a group that carries its number."""
    at_word_start: list[str] = []
    anywhere: list[str] = []
    for number, phrase in sorted(enumerate(phrases, start=1), key=lambda pair: -len(pair[1])):
        words = _words(phrase)
        # What stands between the phrase's own words may do so in the text: "e.g.", "100% safe".
        own = "".join(map(re.escape, sorted(set(read(phrase, skeleton).text) & set(".,;:!?"))))
        gap = rf"(?:[^\w.,;:!?]|[_{own}]){{1,20}}+"
        after = "" if _UNSPACED.match(words[-1][-1]) else r"(?![^\W_])"
        alternatives = anywhere if _UNSPACED.match(words[0]) else at_word_start
        alternatives.append(f"(?P<p{number}>{gap.join(map(re.escape, words))}{after})")
    # Most places are not a word's start: asked once for all phrases, that is ten times as quick.
    bound = [rf"(?<![^\W_])(?:{'|'.join(at_word_start)})"] if at_word_start else []
    return Pattern("|".join(bound + anywhere))
