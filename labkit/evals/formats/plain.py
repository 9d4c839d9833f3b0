"""Values of YAML, Parquet and frames as JSON data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from labkit.evals.formats.entry import NotACase

__all__ = ["is_missing", "plain", "tags_of"]

# A longer text is something to read, not a group to slice by.
_TAG_MAX_CHARS = 80


def is_missing(value: Any) -> bool:
    """Say whether a cell of a table is empty: None, NaN, NaT or pandas' NA."""
    # NaN and NaT are not even equal to themselves; NA refuses to say whether it is.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (_is_number(value) and value != value)


def plain(value: Any) -> Any:
    """Give *value* as JSON data: NumPy's scalars and arrays as Python's, dates as ISO 8601, decimals as text.

    Raises:
        NotACase: JSON has no such value.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist())
    if is_missing(value) and not isinstance(value, float):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotACase(f"{value} is no JSON value: write null, or a text")
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotACase(f"the key {key!r} is a {type(key).__name__}, not text: put it in quotes")
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    raise NotACase(f"a {type(value).__name__} is no JSON value: write it as text, number, list or mapping")


def tags_of(metadata: Any) -> tuple[str, ...]:
    """Give what *metadata* says as tags, ``topic=card`` each; the items of its ``tags`` as they are.

    Only short texts, numbers and truth values can be tags, and lists of them; other parts are left out.

    Raises:
        NotACase: Not a mapping.
    """
    if not isinstance(metadata, Mapping):
        raise NotACase(f"metadata is a {type(metadata).__name__}: write a mapping")
    found = []
    for key, value in metadata.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, (str, int, float)) and 0 < len(said := _as_tag(part)) <= _TAG_MAX_CHARS:
                found.append(said if key == "tags" else f"{key}={said}")
    return tuple(dict.fromkeys(found))


def _as_tag(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0)
