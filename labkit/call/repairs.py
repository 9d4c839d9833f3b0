"""What was done to a model's output before it was accepted, kept so that nothing is changed unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Repair", "RepairLevel"]

RepairLevel = Literal["strict", "safe", "aligned"]
"""How far reading may go: JSON as it came; only what has one possible meaning; also the best of several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One change between the model's text and the accepted value.

    Args:
        kind: What was done, a short identifier: "reasoning", "fence", "prose", "syntax", "enum", "number", "list",
            "default" (null was given for it), "ambiguous", "rule", ...
        path: Dotted place in the value, "" for the whole of it: "items.0.price".
        before: What stood there: JSON data, or an excerpt of the text.
        after: What stands there now.
        cost: How bold it was, 0 (nothing but wrapping was removed) upward; comparable within one reading only.
        by: The rule or guard that did it, None for the reader's own repairs.
        alternatives: What else it could have been; non-empty only for an ambiguous reading.
    """

    kind: str
    path: str
    before: Any = None
    after: Any = None
    cost: float = 0.0
    by: str | None = None
    alternatives: tuple[Any, ...] = ()
