"""From a schema and the examples' values to the nodes that fill it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.models.offline import scalars
from labkit.models.offline.choice import Labels
from labkit.models.offline.nodes import (
    ABSENT,
    Choice,
    Constant,
    Copy,
    Flag,
    List,
    Node,
    Object,
    Place,
    Present,
    Scalar,
    Union,
)
from labkit.models.offline.notation import Notes, Vocabulary, fold, read_notes
from labkit.models.offline.options import enumerated, is_label, options_of, tag_of
from labkit.models.offline.patterns import shortest_match
from labkit.models.offline.schema import FROM, Schema, accepts, resolve, same, types_of
from labkit.models.offline.similarity import words
from labkit.models.offline.slots import Located, Path, locate

__all__ = ["Builder", "Sample"]

Sample = tuple[int, Any]
"""The number of an example, and the value it has at some place of the schema."""

_RECURSIONS = 2
_SMALL_WORDS = frozenset(["is", "has", "was", "are", "can", "should", "needs", "need", "be", "the", "a", "to", "of"])


class Endless(Exception):
    """A schema that refers to itself and has no way out at this place."""


@dataclass(slots=True, kw_only=True)
class Builder:
    """Builds the nodes of one schema and gathers where the examples' values stand in their texts."""

    root: Schema
    notes: Notes
    located: dict[int, list[Located]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def place(self, schema: Any, path: Path, samples: Sequence[Sample], *, is_optional: bool = False) -> Node:
        """Build the node for *schema* with what may stand there instead of a value.

        Raises:
            Endless: The schema can only be met by a value that never ends.
        """
        rules = resolve(schema, self.root)
        options, is_nullable = options_of(rules, self.root)
        instead = None if is_nullable or not is_optional else ABSENT
        if "default" in rules and accepts(rules, rules["default"], self.root):
            instead = rules["default"]
        if not (is_optional or is_nullable or instead is not None):
            valued = [(number, value) for number, value in samples if value is not None and value is not ABSENT]
            return self._inner(rules, options, path, valued)
        samples = [(number, ABSENT if value is None else value) for number, value in samples]
        try:
            return Place(inner=self._inner(rules, options, path, samples), instead=instead)
        except Endless:
            return Constant(value=instead)

    def _inner(self, rules: Schema, options: list[Schema], path: Path, samples: Sequence[Sample]) -> Node:
        labels = enumerated(options)
        if labels is not None:
            return self._choice(labels, rules, samples)
        if len(options) > 1:
            return self._union(options, path, samples)
        if not options:
            return Constant(value=None)
        reference = options[0].get(FROM, "")
        if reference and self._open.count(reference) >= _RECURSIONS:
            raise Endless
        self._open.append(reference)
        try:
            return self._one(options[0], path, samples)
        finally:
            self._open.pop()

    def _one(self, option: Schema, path: Path, samples: Sequence[Sample]) -> Node:
        kinds = types_of(option)
        match kinds[0] if kinds else "":
            case "boolean":
                return self._flag(path, samples)
            case "string" | "number" | "integer":
                return self._scalar(option, path, samples, is_text=kinds[0] == "string")
            case "object":
                return self._object(option, path, samples)
            case "array":
                return self._list(option, path, samples)
        return self._scalar(option, path, samples, is_text=True)

    def _choice(self, labels: list[tuple[Any, str]], rules: Schema, samples: Sequence[Sample]) -> Node:
        if len(labels) == 1 and not samples:
            return Constant(value=labels[0][0])
        vocabulary = Vocabulary(labels=frozenset(fold(str(value)) for value, _ in labels))
        told = read_notes(str(rules.get("description", "")).replace("; ", "\n"), vocabulary).definitions
        values = [value for value, _ in labels] + [ABSENT] * any(value is ABSENT for _, value in samples)
        named = [(fold(str(value)), said) for value, said in labels]
        definitions = [
            " ".join(filter(None, (said, told.get(name), self.notes.definitions.get(name)))) for name, said in named
        ]
        missing = [""] * (len(values) - len(labels))
        return Choice(
            labels=Labels(
                values,
                names=[name for name, _ in named] + missing,
                definitions=definitions + missing,
                holders=[[number for number, held in samples if is_label(held, value)] for value in values],
            )
        )

    def _flag(self, path: Path, samples: Sequence[Sample]) -> Node:
        if any(isinstance(value, bool) for _, value in samples):
            is_left_out = any(value is ABSENT for _, value in samples)
            return Choice(labels=_seen([False, True] + [ABSENT] * is_left_out, samples))
        return Flag(named=frozenset(words(path[-1] if path else "")) - _SMALL_WORDS)

    def _scalar(self, rules: Schema, path: Path, samples: Sequence[Sample], *, is_text: bool) -> Node:
        kind = (str,) if is_text and types_of(rules) else (int, float) if not is_text else (object,)
        fitting = [
            (number, value)
            for number, value in samples
            if value is ABSENT or (isinstance(value, kind) and accepts(rules, value, self.root))
        ]
        valued = [(number, value) for number, value in fitting if value is not ABSENT]
        spoken = [slot for number, value in valued if (slot := self._locate(number, path, value))]
        is_spoken = bool(valued) and len(spoken) * 2 >= len(valued)
        if is_spoken:
            for number, place in spoken:
                self.located.setdefault(number, []).append(place)
        distinct: list[Any] = []
        for _, value in () if is_spoken else fitting:
            if not any(value is other or (value is not ABSENT and same(value, other)) for other in distinct):
                distinct.append(value)
        content = rules.get("contentSchema") if is_text else None
        return Scalar(
            schema=rules, root=self.root, path=path, is_text=is_text, is_spoken=is_spoken,
            copied=_seen(distinct, fitting) if distinct else None,
            content=None if content is None else self.place(content, path, []),
        )  # fmt: skip

    def _locate(self, number: int, path: Path, value: Any) -> tuple[int, Located] | None:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return None
        slot = locate(self.notes.examples[number].text, path, value, self.located.get(number, ()))
        return None if slot is None else (number, slot)

    def _object(self, rules: Schema, path: Path, samples: Sequence[Sample]) -> Node:
        held = [(number, value) for number, value in samples if isinstance(value, dict)]
        required = set(rules.get("required", ()))
        fields: dict[str, Node] = {}
        for name, part in rules.get("properties", {}).items():
            inner = [(number, value.get(name, ABSENT)) for number, value in held]
            try:
                fields[name] = self.place(part, (*path, name), inner, is_optional=name not in required)
            except Endless:
                if name in required:
                    raise
        lacking = [name for name in required if name not in fields]
        fields |= {name: self.place(rules.get("additionalProperties", {}), (*path, name), []) for name in lacking}
        if not rules.get("properties"):
            return self._map(rules, path, held, fields)
        node = Object(fields=fields)
        if not any(value is ABSENT for _, value in samples):
            return node
        return Present(presence=_seen([True, False], [(n, value is not ABSENT) for n, value in samples]), inner=node)

    def _map(self, rules: Schema, path: Path, held: Sequence[Sample], fields: dict[str, Node]) -> Node:
        """An object without fixed names: the nearest example's, else as few entries as it needs."""
        fitting = [(number, value) for number, value in held if accepts(rules, value, self.root)]
        if fitting:
            return Copy(labels=_seen([value for _, value in fitting], fitting))
        patterns = rules.get("patternProperties", {})
        pattern, part = next(iter(patterns.items()), (None, rules.get("additionalProperties", {})))
        wanted = rules.get("minProperties", 0) - len(fields)
        if wanted <= 0:
            return Object(fields=fields)
        names = _names(resolve(rules.get("propertyNames", {}), self.root), pattern, self.root, wanted)
        return Object(fields=fields, extra=(names, self.place(part, (*path, "*"), [])))

    def _list(self, rules: Schema, path: Path, samples: Sequence[Sample]) -> Node:
        held = [(number, value) for number, value in samples if isinstance(value, list)]
        first = tuple(
            self.place(part, (*path, str(at)), [(number, value[at]) for number, value in held if at < len(value)])
            for at, part in enumerate(rules.get("prefixItems", ()))
        )
        part = rules.get("items", {})
        inner = [(number, item) for number, value in held for item in value[len(first) :]]
        item: Node | None = None
        if part is not False and not (first and "items" not in rules):
            try:
                item = self.place(part, (*path, "*"), inner)
            except Endless:
                if rules.get("minItems", 0) > len(first):
                    raise
        options, _ = options_of(resolve(part, self.root), self.root)
        labels = enumerated(options)
        several = [(value, frozenset(n for n, held in inner if is_label(held, value))) for value, _ in labels or ()]
        has_spoken = any(
            slot.path[: len(path) + 1] == (*path, "*") for slots in self.located.values() for slot in slots
        )
        fitting = [(number, value) for number, value in held if accepts(rules, value, self.root)]
        is_copied = bool(fitting) and not has_spoken and labels is None
        return List(
            schema=rules, root=self.root, path=path, first=first, item=item, is_labels=labels is not None,
            several=tuple(several) if held else (), samples=tuple(number for number, _ in held),
            copied=_seen([value for _, value in fitting], fitting) if is_copied else None,
        )  # fmt: skip

    def _union(self, options: list[Schema], path: Path, samples: Sequence[Sample]) -> Node:
        nodes, kept = [], []
        for option in options:
            mine = [(n, value) for n, value in samples if value is not ABSENT and accepts(option, value, self.root)]
            try:
                nodes.append(self.place(option, path, mine))
            except Endless:
                continue
            kept.append((option, [number for number, _ in mine]))
        if not kept:
            raise Endless
        tags = [tag_of(option, self.root) for option, _ in kept]
        labels = Labels(
            range(len(kept)),
            names=[
                " ".join(filter(None, (fold(str(option.get("title", ""))), tag)))
                for (option, _), tag in zip(kept, tags, strict=True)
            ],
            definitions=[
                " ".join(filter(None, (str(option.get("description", "")), self.notes.definitions.get(tag, ""))))
                for (option, _), tag in zip(kept, tags, strict=True)
            ],
            holders=[numbers for _, numbers in kept],
        )
        return Union(labels=labels, options=tuple(nodes), is_told_apart=all(tags))


def _seen(values: Sequence[Any], samples: Sequence[Sample]) -> Labels:
    """Labels that only examples speak for."""
    blank = [""] * len(values)
    return Labels(
        values,
        names=blank,
        definitions=blank,
        holders=[
            [
                number
                for number, held in samples
                if held is value or (value is not ABSENT and held is not ABSENT and same(held, value))
            ]
            for value in values
        ],
    )


def _names(rules: Schema, pattern: str | None, root: Schema, wanted: int) -> list[str]:
    """As many different property names as are *wanted*, by ``propertyNames`` or a pattern."""
    if "enum" in rules:
        return [str(value) for value in rules["enum"][:wanted]]
    if pattern is not None:
        written = (shortest_match(pattern, min_length=length) for length in range(1, 2 * wanted + 20))
        return list(dict.fromkeys(name for name in written if name))[:wanted]
    return [scalars.plain_text("name", {**rules, "type": "string"}, root, number) for number in range(wanted)]
