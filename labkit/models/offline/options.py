"""What alternatives does a schema leave: options, null, labels?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labkit.models.offline.notation import fold
from labkit.models.offline.schema import Schema, merge, resolve, same, types_of

__all__ = ["enumerated", "is_label", "options_of", "tag_of"]


def options_of(rules: Schema, root: Schema) -> tuple[list[Schema], bool]:
    """The alternatives of *rules* but null, each resolved, and whether null is one."""
    branch = next((key for key in ("anyOf", "oneOf") if key in rules), None)
    if branch is not None:
        shared = {key: value for key, value in rules.items() if key not in (branch, "discriminator", "default")}
        options: list[Schema] = []
        is_nullable = False
        for part in rules[branch]:
            inner, has_null = options_of(merge(resolve(part, root), _without_notes(shared)), root)
            options += inner
            is_nullable |= has_null
        return options, is_nullable
    kinds = types_of(rules)
    values = rules.get("enum")
    has_null = (
        "null" in kinds or (values is not None and None in values) or ("const" in rules and rules["const"] is None)
    )
    if values is not None or "const" in rules:
        return [rules], has_null and (values is None or len(values) > 1)
    others = [kind for kind in kinds if kind != "null"]
    if not kinds:
        return [rules], False
    return [{**rules, "type": kind} for kind in others], has_null


def _without_notes(shared: Mapping[str, Any]) -> Schema:
    return {key: value for key, value in shared.items() if key not in ("title", "description")}


def enumerated(options: Iterable[Schema]) -> list[tuple[Any, str]] | None:
    """Every label of *options* but null with its own description, None unless labels are all there is."""
    labels: list[tuple[Any, str]] = []
    for option in options:
        if "enum" in option:
            labels += ((value, "") for value in option["enum"] if value is not None)
        elif "const" in option:
            labels.append((option["const"], str(option.get("description", option.get("title", "")))))
        else:
            return None
    return [(value, said) for value, said in labels if value is not None] or None


def is_label(held: Any, value: Any) -> bool:
    if isinstance(held, str) and isinstance(value, str):
        return fold(held) == fold(value)
    return same(held, value) or (isinstance(held, str) and not isinstance(value, bool) and held == str(value))


def tag_of(option: Schema, root: Schema) -> str:
    """The folded constants that tell *option* from its siblings, "" when it has none."""
    parts = (resolve(part, root) for part in option.get("properties", {}).values())
    return " ".join(fold(str(part["const"])) for part in parts if "const" in part)
