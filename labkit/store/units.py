"""What a store of runs keeps: a run's heading, its plan, and the answers to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PlannedUnit", "RequestStart", "StoredAnswer", "StoredRow", "StoredRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUnit:
    """One case and repeat that a run will answer.

    Args:
        digest: Of *content*; runs with equal content share it in the store.
        content: The case as JSON text.
    """

    case_id: str
    repeat: int
    digest: str
    content: str
    case_hash: str
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStart:
    """A request of a unit that is about to be sent; *n* counts within a session of the run."""

    position: int
    session: str
    n: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A unit's whole answer; *result* and *scores* are JSON text."""

    finished_at: str
    worker: str
    result: str
    scores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """One finished unit: its place in the plan, what comparisons need of it, and the whole answer.

    Args:
        requests: Sent for it in the session that finished it, also those whose answers were not kept.
        scores: What ``Fact`` has of them, as JSON text.
    """

    position: int
    status: str
    source: str
    passed: bool | None
    degraded: bool
    schema_valid: bool
    elapsed_s: float
    cost_usd: float | None
    requests: int
    answer: StoredAnswer
    scores: str = "[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run's heading.

    Args:
        about: JSON data, the writer's own.
        finished_at: None while it is not finished.
        elapsed_s: Over its sessions that ended in order.
        summary: See ``labkit.store.facts.summary_of``; None while it is not finished.
    """

    run_id: str
    call: str
    started_at: str
    about: Mapping[str, Any]
    finished_at: str | None = None
    elapsed_s: float | None = None
    summary: Mapping[str, Any] | None = None
