"""What a reference in a JSON Schema refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["NOWHERE", "Root", "merged"]

NOWHERE: Mapping[str, Any] = {}
"""What a reference names that leads out of the document: anything is allowed there, and nothing is known of it."""

_MOST_STEPS = 20


class Root:
    """A whole schema, and what its references name: by a path, an anchor, or itself."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self._anchors: dict[str, Any] | None = None

    def target(self, reference: str) -> Any:
        """Give the schema that *reference* names, NOWHERE where it is not in this document."""
        place, _, fragment = reference.partition("#")
        if place and place != self._id:
            return NOWHERE
        if not fragment:
            return self.schema
        if not fragment.startswith("/"):
            return self._named(fragment)
        target: Any = self.schema
        for part in unquote(fragment).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isascii() and name.isdigit() and int(name) < len(target):
                target = target[int(name)]
            else:
                return NOWHERE
        return target if isinstance(target, (Mapping, bool)) else NOWHERE

    def resolved(self, schema: Any, inside: frozenset[int] = frozenset()) -> Any:
        """Give *schema* with the references and ``allOf`` at its top written out."""
        for _ in range(_MOST_STEPS):
            if not isinstance(schema, Mapping):
                return schema
            reference = next((key for key in ("$ref", "$dynamicRef", "$recursiveRef") if key in schema), None)
            if reference is not None:
                rest = {key: rule for key, rule in schema.items() if key != reference}
                target = self.target(schema[reference]) if isinstance(schema[reference], str) else True
                schema = merged(target, rest)
            elif isinstance(schema.get("allOf"), list):
                whole: Any = {key: rule for key, rule in schema.items() if key != "allOf"}
                for part in reversed(schema["allOf"]):
                    if id(part) not in inside:  # else it leads back to itself
                        whole = merged(self.resolved(part, inside | {id(part)}), whole)
                schema = whole
            else:
                return schema
        return True

    @property
    def _id(self) -> str | None:
        said = self.schema.get("$id") if isinstance(self.schema, Mapping) else None
        return said.removesuffix("#") if isinstance(said, str) else None

    def _named(self, anchor: str) -> Any:
        if self._anchors is None:
            self._anchors = {}
            waiting: list[Any] = [self.schema]
            while waiting:
                part = waiting.pop()
                if isinstance(part, Mapping):
                    for key in ("$anchor", "$dynamicAnchor"):
                        if isinstance(part.get(key), str):
                            self._anchors.setdefault(part[key], part)
                    waiting += reversed(list(part.values()))
                elif isinstance(part, list):
                    waiting += reversed(part)
        return self._anchors.get(anchor, NOWHERE)


def merged(one: Any, other: Any) -> Any:
    """Give a schema that says what both say, as far as a reader needs it; the second has the last word."""
    if one is False or other is False:
        return False
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other if isinstance(other, Mapping) else one
    both = {**one, **other}
    for key in ("properties", "patternProperties", "$defs"):
        if isinstance(one.get(key), Mapping) and isinstance(other.get(key), Mapping):
            shared = {
                name: {"allOf": [one[key][name], other[key][name]]} for name in one[key].keys() & other[key].keys()
            }
            both[key] = {**one[key], **other[key], **shared}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        both["required"] = [*one["required"], *other["required"]]
    return both
