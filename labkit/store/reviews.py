"""What people said of answers, append-only: a changed mind is a new review that names the one it supersedes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from labkit.call.record import now

__all__ = ["Review", "standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One person's verdict on one answer.

    Args:
        reviewer: Who; a name or an address.
        verdict: Whether the answer is as wanted, or cannot be told.
        expected: What the answer should have been, JSON data; None where it is not said.
        supersedes: The review this one takes the place of.
        at: UTC, ISO 8601.
    """

    run_id: str
    case_id: str
    reviewer: str
    verdict: Literal["pass", "fail", "unclear"]
    repeat: int = 0
    note: str = ""
    expected: Any = None
    supersedes: str | None = None
    review_id: str = field(default_factory=lambda: secrets.token_hex(8))
    at: str = field(default_factory=now)


def standing(reviews: Sequence[Review]) -> list[Review]:
    """Give those that no other supersedes."""
    superseded = {review.supersedes for review in reviews}
    return [review for review in reviews if review.review_id not in superseded]
