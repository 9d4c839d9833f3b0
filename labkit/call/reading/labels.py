"""Which label a text means: by itself, by another case or punctuation, or among other words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LabelRead", "label_in"]

_MOST_CHARS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRead:
    """A label, what had to be done to find it, and whether another reader might see another one there."""

    label: str
    kind: str
    cost: float
    is_sure: bool


def label_in(text: str, names: Mapping[str, Sequence[str]]) -> LabelRead | None:
    """Find the label that *text* means.

    Args:
        names: By label, what it may be called: itself, aliases, descriptions.

    Returns:
        None where there is none, or where two are as likely.
    """
    said = text.strip()
    for label, called in names.items():
        if said in called:
            return LabelRead(label=label, kind="alias" if said != label else "space", cost=0.5, is_sure=True)
    if len(said) > _MOST_CHARS:
        return None
    for fold, kind, cost in ((_plain, "punctuation", 1.0), (_folded, "case", 1.0)):
        wanted = fold(said)
        found = {label for label, called in names.items() if wanted and wanted in {fold(name) for name in called}}
        if len(found) == 1:
            return LabelRead(label=found.pop(), kind=kind, cost=cost, is_sure=True)
    for flags in (0, re.IGNORECASE):
        mentions = _mentions(said, names, flags)
        if mentions:
            (label, most), *others = mentions.most_common(2)
            if others and others[0][1] == most:
                return None
            return LabelRead(label=label, kind="words", cost=3.0, is_sure=False)
    return None


def _mentions(said: str, names: Mapping[str, Sequence[str]], flags: int) -> Counter[str]:
    """Count how often each label is named, a longer name before the shorter ones within it."""
    by_name = {name: label for label, called in names.items() for name in called if name}
    ordered = sorted(by_name, key=len, reverse=True)
    if not ordered:
        return Counter()
    anywhere = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in ordered) + r")(?!\w)", flags)
    folded = {name.casefold(): label for name, label in by_name.items()}
    return Counter(by_name.get(match[0]) or folded[match[0].casefold()] for match in anywhere.finditer(said))


def _plain(text: str) -> str:
    return re.sub(r"[^\w]|_", "", text)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _plain(text).casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))
