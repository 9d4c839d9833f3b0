"""How near is a text to each of some documents? TF-IDF over words, word pairs and character 4-grams."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

__all__ = ["MOST_CHARS", "Features", "Index", "features", "weighted_mean", "words"]

Features = Mapping[str, int]

MOST_CHARS = 8_000
"""What is read of a text; the rest adds time and no evidence."""

_WORD = re.compile(r"[^\W_]+")
_GRAM = 4

# Weight of the next nearest example relative to the one before. Chosen on training rows: 1-nearest is noisy, the plain
# mean punishes labels whose examples differ among themselves.
_FADE = 0.9
_FADING = tuple(_FADE**rank for rank in range(10))


def words(text: str) -> list[str]:
    """The words of *text*, case-folded; an underscore separates like a blank."""
    return _WORD.findall(text[:MOST_CHARS].casefold())


def features(text: str) -> Features:
    """Count the words, word pairs and character 4-grams of *text*."""
    found = words(text)
    counts = Counter(found)
    counts.update(f"{first} {second}" for first, second in pairwise(found))
    for word in found:
        padded = f"_{word}_"
        counts.update([padded[at : at + _GRAM] for at in range(max(1, len(padded) - _GRAM + 1))])
    return counts


class Index:
    """Documents in an inverted index.

    Args:
        documents: Texts in the order of the scores.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        counted = [features(document) for document in documents]
        spread = Counter(term for document in counted for term in document)
        self._idf = {term: math.log1p(len(counted) / held_by) for term, held_by in spread.items()}
        self._unseen = math.log1p(len(counted) / 0.5)
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, document in enumerate(counted):
            for term, weight in self._unit(document).items():
                self._postings[term].append((number, weight))
        self._size = len(counted)

    def scores(self, query: Features) -> list[float]:
        """Cosine of *query* with each document, in [0, 1]; 0 when they share nothing."""
        scores = [0.0] * self._size
        for term, weight in self._unit(query).items():
            for number, other in self._postings.get(term, ()):
                scores[number] += weight * other
        return scores

    def _unit(self, counts: Features) -> dict[str, float]:
        weights = {
            term: (1.0 + math.log(count) if count > 1 else 1.0) * self._idf.get(term, self._unseen)
            for term, count in counts.items()
        }
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {term: weight / length for term, weight in weights.items()}


def weighted_mean(similarities: Sequence[float]) -> float:
    """One figure for a label with several examples: the mean of the ten nearest, the nearest counting most."""
    nearest = sorted(similarities, reverse=True)[: len(_FADING)]
    return sum(map(float.__mul__, nearest, _FADING)) / sum(_FADING[: len(nearest)])
