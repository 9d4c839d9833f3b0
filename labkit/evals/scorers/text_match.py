"""A text that holds a pattern, or is near enough to another."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.checks import answer_text
from labkit.evals.scorers.json_values import shown
from labkit.evals.scorers.match import alternatives, at
from labkit.evals.scorers.patterns import holds
from labkit.evals.scorers.score import Score
from labkit.extras import needs
from labkit.options import Share, checked

__all__ = ["TEXT_MAX_CHARS", "RegexMatch", "TextSimilarity"]

TEXT_MAX_CHARS = 100_000
"""The longest text that is compared; of a longer one it is not told how like it is."""


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class RegexMatch:
    """A pattern is found in the answer's text, or in one field of it.

    Args:
        pattern: A regular expression of Python, searched for anywhere; anchor it with ``^`` and ``$``, and begin it
            with ``(?i)`` to ignore case.
        field: Dotted name of a field of the answer; "" searches the text that was served.

    Raises:
        OptionInvalid: The pattern does not compile; the message says where.
    """

    pattern: str
    field: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise OptionInvalid(
                f"RegexMatch({self.pattern!r}) is not a regular expression of Python: {error}"
            ) from error

    @property
    def name(self) -> str:
        return f"{self.field}: regex {self.pattern}" if self.field else f"regex {self.pattern}"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """1 when the pattern is found, else 0; a call without a value, or a field that is no text, scores 0.

        Raises:
            Unscorable: The output has no such field.
            Unscorable: The text is too long or the search took too long, see ``labkit.evals.scorers.patterns.holds``.
        """
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        text = _text_of(result, self.field)
        if not isinstance(text, str):
            return Score(value=0.0, passed=False, reason=f"{shown(text)} is no text")
        found = holds(self.pattern, text)
        return Score(value=float(found), passed=found, reason="" if found else f"{self.pattern!r} is not in the text")


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class TextSimilarity:
    """A text is near enough to the expected one, whatever their case, blanks and Unicode composition.

    The similarity is 1 less the characters to insert and delete, as a share of both lengths: 1 for equal texts, 0 for
    texts without a character in common. It knows nothing of meaning: "paid" and "not paid" are near.

    Args:
        field: Dotted name of a field of both; "" compares the text that was served with the whole expectation.
        at_least: Passes from here on, in [0, 1]; None: its mean is what counts, and nothing passes.

    Raises:
        OptionInvalid: A threshold outside [0, 1].

    Source: normalized Indel similarity, which rests on the longest common subsequence; computed by rapidfuzz.
    """

    field: str = ""
    at_least: Share | None = None

    @property
    def name(self) -> str:
        return f"{self.field}: similarity" if self.field else "similarity"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """Give the similarity to the expected text, the best of ``{"any_of": [...]}``.

        A call without a value, or a field that is no text, scores 0.

        Raises:
            Unscorable: The case expects no text of this field, or the output has no such field.
            MissingDependency: rapidfuzz is not installed.
            Unscorable: A text of over ``TEXT_MAX_CHARS``.
        """
        wanted = alternatives(at(case.expected, self.field, f"case {case.id!r} expects nothing of"))
        if not wanted or not all(isinstance(each, str) for each in wanted):
            raise Unscorable(f"case {case.id!r} expects no text{f' of {self.field!r}' if self.field else ''}")
        if not result.ok:
            return self._graded(0.0, "no value")
        text = _text_of(result, self.field)
        if not isinstance(text, str):
            return self._graded(0.0, f"{shown(text)} is no text")
        value = max(_similarity(text, each) for each in wanted)
        return self._graded(value, "")

    @property
    def is_graded(self) -> bool:
        """It says how near a text is, and not whether near enough."""
        return self.at_least is None

    def _graded(self, value: float, reason: str) -> Score:
        if self.at_least is None:
            return Score(value=value, passed=None, reason=reason or f"{value:.2f} similar")
        passed = value >= self.at_least
        wanted = "" if passed else f"{value:.2f} similar, at least {self.at_least:g} is wanted"
        return Score(value=value, passed=passed, reason=reason or wanted)


def _text_of(result: Result[Any], path: str) -> Any:
    return at(result.data(), path, "the output has no field") if path else answer_text(result)


def _similarity(a: str, b: str) -> float:
    with needs("rapidfuzz", "TextSimilarity"):
        from rapidfuzz.distance import Indel
    return float(Indel.normalized_similarity(_folded(a), _folded(b)))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", _bounded(text)).casefold().split())


def _bounded(text: str) -> str:
    if len(text) > TEXT_MAX_CHARS:
        raise Unscorable(f"a text of {len(text):,} characters, at most {TEXT_MAX_CHARS:,} are read")
    return text
