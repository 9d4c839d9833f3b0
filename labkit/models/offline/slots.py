"""Which words of the query belong to which field? Learnt from where the values stand in the examples' texts."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labkit.models.offline.similarity import MOST_CHARS

__all__ = ["Located", "Path", "SlotTagger", "locate", "numbers"]

Path = tuple[str, ...]

_TOKEN = re.compile(r"\w+(?:[.,:/@+-]\w+)*|[^\w\s]")
_ROUNDS = 8
_NOTHING: Path = ()
_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_NUMBER_WORDS = {word: number for number, word in enumerate(_UNITS)}
_NUMBER_OR_WORD = re.compile(r"(?<![\w.,])[-+]?\d{1,15}(?:[.,]\d{1,15})*(?!\d)|[^\W\d_]+")
_THOUSANDS = re.compile(r",(?=\d{3}(?:\D|$))")


@dataclass(frozen=True, slots=True)
class Located:
    """Where the value of the field at *path* stands in an example's text."""

    path: Path
    start: int
    end: int


def locate(text: str, path: Path, value: str | float, taken: Sequence[Located] = ()) -> Located | None:
    """Find *value* as whole words in *text*, where no other field's value stands; numbers also as words."""
    for written in _spellings(value):
        for found in re.finditer(rf"(?<!\w){re.escape(written)}(?!\w)", text, re.I):
            if all(found.end() <= other.start or other.end <= found.start() for other in taken):
                return Located(path, found.start(), found.end())
    return None


def numbers(text: str) -> Iterator[float | int]:
    """The numbers in *text* in order, in figures or as words up to twenty."""
    for token in _NUMBER_OR_WORD.findall(text[:MOST_CHARS]):
        if token.casefold() in _NUMBER_WORDS:
            yield _NUMBER_WORDS[token.casefold()]
        elif token.lstrip("+-")[0].isdecimal():
            plain = _THOUSANDS.sub("", token).replace(",", ".")
            if plain.count(".") < 2:
                yield float(plain) if "." in plain else int(plain)


class SlotTagger:
    """A tag for each word of a text: the field it belongs to, or none.

    An averaged perceptron over the word, its shape, its neighbours and the tag before it (Collins, 2002), trained once
    a prompt in a fixed order.

    Args:
        examples: Texts with the values located in them; texts without any teach what to leave alone.
    """

    def __init__(self, examples: Sequence[tuple[str, Sequence[Located]]]) -> None:
        lessons = []
        for text, located in examples:
            tokens = list(_TOKEN.finditer(text[:MOST_CHARS]))
            tags = [
                next((slot.path for slot in located if slot.start <= token.start() < slot.end), _NOTHING)
                for token in tokens
            ]
            lessons.append((_observations([token[0] for token in tokens]), tags))
        self._weights = _train(lessons)

    def spans(self, text: str) -> Mapping[Path, list[str]]:
        """The pieces of *text* that belong to each field, in order."""
        tokens = list(_TOKEN.finditer(text[:MOST_CHARS]))
        found: dict[Path, list[str]] = defaultdict(list)
        start, before = 0, _NOTHING
        for number, observed in enumerate(_observations([token[0] for token in tokens])):
            tag = _best(self._weights, observed, before)
            if tag != before:
                if before:
                    found[before].append(text[start : tokens[number - 1].end()])
                start = tokens[number].start()
            before = tag
        if before:
            found[before].append(text[start : tokens[-1].end()])
        return found


Weights = dict[str, dict[Path, float]]


def _train(lessons: list[tuple[list[list[str]], list[Path]]]) -> Weights:
    weights: Weights = defaultdict(lambda: defaultdict(float))
    weighted_by_time: Weights = defaultdict(lambda: defaultdict(float))
    order = list(range(len(lessons)))
    shuffle = random.Random(0).shuffle
    now = 1
    for _ in range(_ROUNDS):
        shuffle(order)
        for number in order:
            before = _NOTHING
            for observed, truth in zip(*lessons[number], strict=True):
                guess = _best(weights, observed, before)
                if guess != truth:
                    for name in (*observed, f"t={before}", f"t,w={before} {observed[0]}"):
                        for tag, change in ((truth, 1.0), (guess, -1.0)):
                            weights[name][tag] += change
                            weighted_by_time[name][tag] += now * change
                before = truth
                now += 1
    return {
        name: {tag: weight - weighted_by_time[name][tag] / now for tag, weight in by_tag.items()}
        for name, by_tag in weights.items()
    }


def _best(weights: Weights, observed: list[str], before: Path) -> Path:
    scores: dict[Path, float] = {_NOTHING: 0.0}
    for name in (*observed, f"t={before}", f"t,w={before} {observed[0]}"):
        if name in weights:
            for tag, weight in weights[name].items():
                scores[tag] = scores.get(tag, 0.0) + weight
    return max(scores, key=lambda tag: (scores[tag], tag))


def _observations(tokens: Sequence[str]) -> list[list[str]]:
    """What is seen at each token; the first entry is the word itself."""
    folded = ["<<", "<", *(token.casefold() for token in tokens), ">", ">>"]
    shapes = [".", *map(_shape, tokens), "."]
    seen = []
    for at in range(len(tokens)):
        before2, before, word, after, after2 = folded[at : at + 5]
        shape_before, shape, shape_after = shapes[at : at + 3]
        seen.append([
            f"w={word}", f"s={shape}", f"x={word[-3:]}", f"b={before}", f"a={after}", f"bb={before2} {before}",
            f"aa={after} {after2}", f"bw={before} {word}", f"wa={word} {after}", f"bs={before} {shape}",
            f"ss={shape_before} {shape} {shape_after}",
        ])  # fmt: skip
    return seen


def _shape(token: str) -> str:
    if token[0].isdigit():
        return f"9{len(token)}"
    if not token[0].isalnum():
        return "."
    return "A" if len(token) > 1 and token.isupper() else "Aa" if token[0].isupper() else "a"


def _spellings(value: str | float) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    whole = int(value) if float(value).is_integer() else None
    written = [str(value)] if whole is None else [str(whole), f"{whole:,}", str(value)]
    return written + ([_UNITS[whole]] if whole is not None and 0 <= whole < len(_UNITS) else [])
