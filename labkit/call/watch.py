"""Who wants to know of a request before it is sent: an evaluation accounts for those that a crash leaves in flight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

__all__ = ["before_request"]

before_request: ContextVar[Callable[[str], Awaitable[None]] | None] = ContextVar("before_request", default=None)
"""Awaited with the model's name before every request of the calls in this context; the request goes when it returns."""
