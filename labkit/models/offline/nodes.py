"""The places of a schema: each fills itself for a query from what was worked out when the prompt was read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.models.offline import scalars
from labkit.models.offline.choice import Asked, Labels
from labkit.models.offline.schema import Schema, accepts, same
from labkit.models.offline.similarity import words
from labkit.models.offline.slots import Path, numbers

__all__ = [
    "ABSENT",
    "MOST_ITEMS",
    "Choice",
    "Constant",
    "Copy",
    "Flag",
    "List",
    "Node",
    "Object",
    "Place",
    "Present",
    "Scalar",
    "Union",
]

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()
"""Stands where a property is left out: null is a value, this is none."""

MOST_ITEMS = 1_000
"""A list with a larger ``minItems`` is not filled to the end."""

_NEIGHBOURS = 5


class Node(Protocol):
    """A place of the schema."""

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        """Give a value for item *ordinal* of the list this place is in, and whether anything spoke for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A value that may be absent: what stands there when nothing speaks for one."""

    inner: Node
    instead: Any  # the default, None or ABSENT, whichever the schema allows first

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        noted = len(asked.chooser.logprobs)
        value, is_sure = self.inner.fill(asked, ordinal)
        if value is not ABSENT and is_sure:
            return value, True
        if value is not ABSENT:
            del asked.chooser.logprobs[noted:]  # of labels that are not in the answer
        return self.instead, value is ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    value: Any

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        return self.value, False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    labels: Labels

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        return self.labels.choose(asked, ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A boolean without examples: true when the query has every word of its name."""

    named: frozenset[str]

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        is_named = bool(self.named) and self.named <= set(words(asked.query))
        return is_named != (asked.vary and ordinal % 2 == 1), is_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A string or a number.

    Args:
        is_spoken: The examples' values stand in their texts, so the query's is looked for in the query.
        copied: The examples' values as labels, where they do not stand in the texts.
        content: The value that the text holds as JSON, for ``contentSchema``.
    """

    schema: Schema
    root: Schema
    path: Path
    is_text: bool
    is_spoken: bool
    copied: Labels | None
    content: Node | None = None

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        if self.is_spoken:
            value = self._spoken(asked, ordinal)
            return (value, True) if value is not None else (self._last_resort(asked, ordinal), False)
        if self.copied is not None and not ordinal:
            return self.copied.nearest(asked), True
        search = scalars.find_text if self.is_text else scalars.stated_number
        value = search(asked.query, self.schema, self.root) if not ordinal else None
        return (value, True) if value is not None else (self._last_resort(asked, ordinal), False)

    def _spoken(self, asked: Asked, ordinal: int) -> Any:
        pieces = asked.spans.get(self.path, ())
        if ordinal >= len(pieces):
            return None
        value = pieces[ordinal] if self.is_text else next(numbers(pieces[ordinal]), None)
        return value if value is not None and accepts(self.schema, value, self.root) else None

    def _last_resort(self, asked: Asked, ordinal: int) -> Any:
        if self.content is not None:
            return json.dumps(self.content.fill(asked, ordinal)[0], ensure_ascii=False)
        if self.is_text:
            return scalars.plain_text(asked.query, self.schema, self.root, ordinal)
        return scalars.lowest_number(self.schema, self.root, ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    fields: Mapping[str, Node]
    extra: tuple[Sequence[str], Node] | None = None  # names and value of entries that minProperties asks for

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        filled = {name: node.fill(asked, ordinal) for name, node in self.fields.items()}
        if self.extra is not None:
            names, node = self.extra
            filled |= {name: node.fill(asked, number) for number, name in enumerate(names)}
        present = {name: value for name, (value, _) in filled.items() if value is not ABSENT}
        return present, any(is_sure for _, is_sure in filled.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """A list.

    Args:
        first: The nodes of a tuple's items.
        item: The node of the others, None when there may be none.
        several: For items that are labels: which examples have which, when examples show several at once.
        copied: The examples' whole lists, where their items cannot be found in the query.
    """

    schema: Schema
    root: Schema
    path: Path
    first: tuple[Node, ...]
    item: Node | None
    is_labels: bool
    several: tuple[tuple[Any, frozenset[int]], ...]
    samples: tuple[int, ...]
    copied: Labels | None

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        least = min(self.schema.get("minItems", 0), MOST_ITEMS)
        most = min(self.schema.get("maxItems", math.inf), MOST_ITEMS)
        spoken = [
            len(pieces) for path, pieces in asked.spans.items() if path[: len(self.path) + 1] == (*self.path, "*")
        ]
        if self.copied is not None and not spoken:
            return list(self.copied.nearest(asked)), True
        filled = [node.fill(asked, ordinal) for node in self.first]
        items = [value for value, _ in filled]
        is_sure = any(sure for _, sure in filled) or bool(spoken)
        if self.item is not None:
            if self.several:
                items += self._voted(asked)
                is_sure = True
            elif self.is_labels:
                noted = len(asked.chooser.logprobs)
                label, is_sure = self.item.fill(asked, 0)
                if is_sure:
                    items.append(label)
                else:
                    del asked.chooser.logprobs[noted:]
            items = items[: int(most)]
            self._add(items, asked, int(min(most, max(least, max(spoken, default=0)))))
        return items, is_sure

    def _voted(self, asked: Asked) -> list[Any]:
        """The labels that at least half of the nearest examples have, weighted by how near they are."""
        nearest = sorted(self.samples, key=lambda number: -asked.near[number])[:_NEIGHBOURS]
        total = sum(asked.near[number] for number in nearest) or 1.0
        labels = []
        for label, holders in self.several:
            share = sum(asked.near[number] for number in nearest if number in holders) / total
            if share >= 0.5:
                labels.append(label)
                asked.chooser.logprobs.append(math.log(min(share, 1.0)))
        return labels

    def _add(self, items: list[Any], asked: Asked, wanted: int) -> None:
        assert self.item is not None
        is_set = bool(self.schema.get("uniqueItems"))
        noted, varied = len(asked.chooser.logprobs), asked.vary
        tried = -1
        while len(items) < wanted and tried < 4 * wanted + 20:
            tried += 1
            asked.vary = varied or (is_set and tried > 0)
            value, _ = self.item.fill(asked, tried)
            if not (is_set and any(same(value, other) for other in items)):
                items.append(value)
        asked.vary = varied
        if self.is_labels:
            del asked.chooser.logprobs[noted:]  # labels that only make up the number were not chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    labels: Labels  # of the numbers of the options
    options: tuple[Node, ...]
    is_told_apart: bool  # by a constant in each option: then the choice is one of labels

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        if self.is_told_apart:
            number, is_sure = self.labels.choose(asked)
        else:
            number, is_sure = self.labels.nearest(asked), any(self.labels.scores(asked))
        value, is_filled = self.options[number].fill(asked, ordinal)
        return value, is_sure or is_filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An object that some examples have and others do not."""

    presence: Labels
    inner: Node

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        return self.inner.fill(asked, ordinal) if self.presence.nearest(asked) else (ABSENT, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    labels: Labels

    def fill(self, asked: Asked, ordinal: int) -> tuple[Any, bool]:
        return self.labels.nearest(asked), True
