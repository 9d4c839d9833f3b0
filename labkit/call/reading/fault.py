"""What is wrong with a value, and where."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Fault", "excerpt", "shown"]


class Fault(Exception):
    """A value that its schema cannot mean.

    Args:
        path: Dotted, "" for the whole.
        said: What was wanted and what was seen.
    """

    def __init__(self, path: str, said: str) -> None:
        super().__init__(f"{path or 'value'}: {said}")
        self.path = path
        self.said = said


def shown(value: Any) -> str:
    """Give *value* as a message shows it."""
    return excerpt(json.dumps(value, ensure_ascii=False, default=repr) if not isinstance(value, str) else repr(value))


def excerpt(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "…"
