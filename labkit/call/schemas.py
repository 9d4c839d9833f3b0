"""JSON Schemas as providers want them: with the definitions put in where they are referred to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["inline_refs"]

_DATA = frozenset({"const", "enum", "default", "examples"})
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})


def inline_refs(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give *schema* with every reference to its ``$defs`` replaced by what it refers to.

    A definition that refers to itself cannot be written out: its references stay, and so does its ``$defs`` entry.
    """
    definitions = schema.get("$defs", {})
    kept: set[str] = set()

    def write(node: Any, inside: frozenset[str]) -> Any:
        if isinstance(node, list):
            return [write(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            name = reference.removeprefix("#/$defs/")
            if name in inside or not isinstance(definitions.get(name), dict):
                kept.add(name)
                return dict(node)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return {**write(definitions[name], inside | {name}), **write(beside, inside)}
        return {key: part(key, value, inside) for key, value in node.items() if key != "$defs"}

    def part(key: str, value: Any, inside: frozenset[str]) -> Any:
        if key in _DATA:
            return value
        if key in _BY_NAME and isinstance(value, dict):  # its keys are names, and a member may be called "$defs"
            return {name: write(each, inside) for name, each in value.items()}
        return write(value, inside)

    written: dict[str, Any] = write(dict(schema), frozenset())
    if kept:
        written["$defs"] = {
            name: write(definitions[name], frozenset({name})) for name in sorted(kept & definitions.keys())
        }
    return written
