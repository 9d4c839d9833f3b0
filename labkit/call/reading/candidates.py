"""Where in a text a value may stand. All places count: none is better than another for being in a fence."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import Any

from labkit.call.reading.json_text import EXACT
from labkit.call.reading.lenient import Lenient, Unreadable, read_lenient

__all__ = ["Candidate", "Found", "candidates_in"]

_FENCE = re.compile(
    r"```[ \t]*[A-Za-z0-9_+-]*[ \t]*(?:\n|(?=[{\[(]))(.*?)(?:\n?[ \t]*```|\Z)", re.DOTALL
)  # its closing marks are looked for once
_START = re.compile(r"[{\[]")
# Check boxes and references to notes, which stand in prose and look like lists.
_ASIDE = re.compile(r"\[(?:[ xX]|\^?\d{1,3})\]")

# What stands around a value that fell out of another one: a name before it, members after it.
_NAME_BEFORE = re.compile(r"(?:[\"']|\{\s*\w{1,40})\s*:\s*[\"']?\s*\Z")
_MEMBER_AFTER = re.compile(r"\s*,\s*[\"'][^\"'\n]{0,60}[\"']\s*(?:[:\"'}]|\Z)")

_MOST_TRIES = 500
_MOST_FENCES = 100
# What a look may cost in all: a text that is tangled is read a few times over, not once for every brace.
_LENIENT_CHARS = 400_000
_FAILED_CHARS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A value that stands in the text, and what had to be done to take it out.

    Args:
        value: With numbers as they were written.
        kinds: "fence", "prose", "syntax", ...; none for a text that is JSON as it came.
        start, end: Where it stands.
    """

    value: Any
    kinds: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """The values of a text in the order they stand in; *is_all* unless the text was too tangled to see its end."""

    candidates: list[Candidate]
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class _Fence:
    start: int
    body: int
    body_end: int


def candidates_in(text: str) -> Found:
    """Give the objects and lists in *text*; where the whole is JSON, of whatever kind, only that."""
    try:
        return Found([Candidate(value=EXACT.decode(text), kinds=(), start=0, end=len(text))])
    except (ValueError, RecursionError):
        return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        fences = zip(range(_MOST_FENCES), _FENCE.finditer(text), strict=False) if "```" in text else ()
        self._fences = [_Fence(found.start(), found.start(1), found.end(1)) for _, found in fences]
        self._bodies = [fence.body_end for fence in self._fences]
        self._lenient_chars = _LENIENT_CHARS
        self._failed_chars = _FAILED_CHARS

    def run(self) -> Found:
        text = self._text
        found: list[Candidate] = []
        at = 0
        for _ in range(_MOST_TRIES):
            start = _START.search(text, at)
            if start is None:
                return Found(found)
            if self._failed_chars <= 0:
                break
            at = self._take(start.start(), found)
        return Found(found, is_all=False)

    def _take(self, begin: int, found: list[Candidate]) -> int:
        """Read what begins at *begin*, and say where to go on."""
        text = self._text
        fence = self._fence_at(begin)
        is_fenced = fence is not None and fence.body <= begin
        try:
            value, end = EXACT.raw_decode(text, begin)
        except ValueError as error:
            self._failed_chars -= getattr(error, "pos", begin) - begin
        except RecursionError:
            self._failed_chars -= 20_000
        else:
            if text[end : end + 1] != "(":  # else a link
                self._add(found, value, begin, end, (), is_fenced=is_fenced)
            return end
        if fence is None:
            return self._leniently(begin, len(text), found, is_fenced=False)
        if is_fenced:
            return self._leniently(begin, fence.body_end, found, is_fenced=True)
        # Before a fence: what ends before it, or a value with the fence in one of its strings.
        if (read := self._read(begin, fence.start)) is not None and read.is_whole:
            return self._keep(read, begin, found, is_fenced=False)
        around = self._read(begin, len(text))
        if around is not None and around.is_whole:
            self._keep(around, begin, found, is_fenced=False)
        elif read is not None:
            self._keep(read, begin, found, is_fenced=False)
        return max(begin + 1, fence.body) if read is not None or around is not None else begin + 1

    def _leniently(self, begin: int, stop: int, found: list[Candidate], *, is_fenced: bool) -> int:
        read = self._read(begin, stop)
        return begin + 1 if read is None else self._keep(read, begin, found, is_fenced=is_fenced)

    def _read(self, begin: int, stop: int) -> Lenient | None:
        """Read what stands between *begin* and *stop*, with places counted from *begin*."""
        if self._lenient_chars <= 0:
            self._failed_chars -= 1_000
            return None
        end = min(stop, begin + self._lenient_chars + 1)
        try:
            read = read_lenient(self._text[begin:end], 0, self._lenient_chars)
        except Unreadable as unreadable:
            self._lenient_chars -= max(5_000, unreadable.read)
            return None
        except RecursionError:
            self._lenient_chars -= 50_000
            return None
        self._lenient_chars -= read.end
        if read.is_whole:
            return read
        # A bracket and nothing more is no value, and what was cut off here did not end here.
        return read if read.value and end == stop else None

    def _keep(self, read: Lenient, begin: int, found: list[Candidate], *, is_fenced: bool) -> int:
        self._add(found, read.value, begin, begin + read.end, read.kinds, is_fenced=is_fenced)
        return begin + read.end

    def _add(
        self, found: list[Candidate], value: Any, begin: int, end: int, kinds: tuple[str, ...], *, is_fenced: bool
    ) -> None:
        text = self._text
        where: tuple[str, ...] = ("fence",) if is_fenced else ()
        if not is_fenced and (text[max(0, begin - 200) : begin].strip() or text[end : end + 200].strip()):
            where = ("prose",)
            if _ASIDE.fullmatch(text, begin, end):
                where = ("prose", "aside")
        if _NAME_BEFORE.search(text[max(0, begin - 60) : begin]) or _MEMBER_AFTER.match(text, end):
            kinds = tuple(dict.fromkeys((*kinds, "structure")))
        found.append(Candidate(value=value, kinds=(*where, *kinds), start=begin, end=end))

    def _fence_at(self, place: int) -> _Fence | None:
        """Give the fence that *place* is in, or the next one."""
        n = bisect.bisect_right(self._bodies, place)
        return self._fences[n] if n < len(self._fences) else None
