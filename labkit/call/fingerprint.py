"""One hash for equal data, whatever the order of its keys, the process or the version of Python."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["canonical_json", "digest"]


def canonical_json(data: Any) -> str:
    """JSON with sorted keys and no blanks: equal data gives equal text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(data: Any) -> str:
    """SHA-256 of *data*'s canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode("utf-8", "surrogatepass")).hexdigest()
