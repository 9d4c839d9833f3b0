"""The tags that models put around their reasoning, in a whole text and in one that is still being written."""

from __future__ import annotations

import re

__all__ = ["TAG", "SoFar", "ends"]

# <think>, <thinking>, <reasoning> and what other families of models write instead; with attributes or blanks, in any
# case. "[THINK]" is Mistral's, "◁think▷" Kimi's, "<seed:think>" ByteDance's.
_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning")
TAG = re.compile(
    rf"<[ \t]{{0,4}}(?P<ends>/?)[ \t]{{0,4}}(?:\w{{1,20}}:)?(?:{'|'.join(_NAMES)})"
    r"(?:\s[^<>]{0,200}?)?[ \t]{0,4}(?P<empty>/?)>"
    r"|\[(?P<ends_square>/?)THINK\]"
    r"|◁(?P<ends_kimi>/?)think▷",
    re.IGNORECASE,
)
# The beginning of what may become one.
_BEGUN = re.compile(r"<[ \t]{0,4}/?[ \t]{0,4}(?:\w{1,20}:)?(\w{0,20})(\s[^<>]{0,200}|/)?\Z")
_OTHERS = ("[THINK]", "[/THINK]", "◁THINK▷", "◁/THINK▷")
_LONGEST = 260


def ends(tag: re.Match[str]) -> bool:
    """Whether *tag*, a match of TAG, is a closing one."""
    return bool(tag["ends"] or tag["ends_square"] or tag["ends_kimi"])


class SoFar:
    """Where the answer begins in a text that is still being written."""

    def __init__(self) -> None:
        self._begin = 0
        self._is_inside = False
        self._is_past = False
        self._looked = 0

    def answer_at(self, whole: str) -> int | None:
        """Say where the answer begins, after all reasoning that came first; None while that is not known."""
        while not self._is_past:
            if self._is_inside:
                tag = next((tag for tag in TAG.finditer(whole, max(self._begin, self._looked)) if ends(tag)), None)
                if tag is None:
                    self._looked = len(whole) - _LONGEST  # the rest is looked at when there is more of it
                    return None
                self._begin, self._is_inside = tag.end(), False
                continue
            self._begin += len(whole) - self._begin - len(whole[self._begin :].lstrip()) if self._begin else 0
            start = self._begin or len(whole) - len(whole.lstrip())
            if start >= len(whole) or begins(whole, start):
                return None
            tag = TAG.match(whole, start)
            if tag is None:
                self._is_past = True
            else:
                self._begin, self._is_inside = tag.end(), not (ends(tag) or tag["empty"])
        return self._begin

    def meets_tag(self, whole: str, since: int, until: int | None = None) -> bool:
        """Whether a tag stands after *since*: reasoning in the middle, or before an end that nothing opened."""
        return TAG.search(whole, max(self._begin, since - _LONGEST), len(whole) if until is None else until) is not None

    def sure_until(self, whole: str) -> int:
        """Say how far the text is no beginning of a tag."""
        for mark in ("<", "[", "◁"):
            at = whole.rfind(mark, max(0, len(whole) - _LONGEST))
            if at >= 0 and begins(whole, at):
                return at
        return len(whole)


def begins(whole: str, at: int) -> bool:
    """Whether what stands from *at* to the end may become a tag."""
    rest = whole[at : at + _LONGEST + 1]
    if len(rest) > _LONGEST:
        return False
    if rest[:1] in ("[", "◁"):
        return any(len(rest) < len(other) and other.startswith(rest.upper()) for other in _OTHERS)
    found = _BEGUN.match(rest)
    if found is None:
        return False
    word = found[1].casefold()
    return word in _NAMES if found[2] else any(name.startswith(word) for name in _NAMES)
