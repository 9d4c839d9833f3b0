"""What people said of answers, append-only: a changed mind is a new review that names the one it supersedes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from labkit.call.record import now
from labkit.store import schema

__all__ = ["Review", "add_review", "reviews_in", "standing"]


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


def add_review(connection: sa.Connection, review: Review) -> None:
    """Write *review*; nothing is ever changed or taken away."""
    values = {name: getattr(review, name) for name in Review.__dataclass_fields__}
    connection.execute(schema.reviews.insert().values(values))


def reviews_in(connection: sa.Connection, run_id: str) -> list[Review]:
    """Read the reviews of a run, in the order they were written."""
    query = sa.select(schema.reviews).where(schema.reviews.c.run_id == run_id)
    order = (schema.reviews.c.at, schema.reviews.c.review_id)
    return [Review(**found) for found in connection.execute(query.order_by(*order)).mappings()]


def standing(reviews: Sequence[Review]) -> list[Review]:
    """Give those that no other supersedes."""
    superseded = {review.supersedes for review in reviews}
    return [review for review in reviews if review.review_id not in superseded]
