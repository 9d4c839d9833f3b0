"""When two JSON values are equal, and how one is shown in a reason."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from labkit.call.fingerprint import canonical_json

__all__ = ["json_key", "same", "shown"]

_SHOWN_CHARS = 200


def json_key(value: Any) -> str:
    """Give a text that is equal for equal JSON values: 1 and 1.0 are one number, 1 and true are two values."""
    return canonical_json(_plain(to_jsonable_python(value, fallback=str)))


def same(a: Any, b: Any) -> bool:
    """Say whether two JSON values are equal; Python's own ``==`` takes true for 1."""
    return json_key(a) == json_key(b)


def shown(value: Any) -> str:
    """Write a value into a reason, cut where it is long: what a model says has no bound."""
    said = repr(value)
    return said if len(said) <= _SHOWN_CHARS else f"{said[: _SHOWN_CHARS - 1]}…"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
