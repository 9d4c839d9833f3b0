"""What an evaluation wants of the calls that it makes.

It is told of each request before it is sent, so that those that a crash leaves in flight are accounted for; and what is
asked several times, to see how steady the answers are, is answered anew each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

__all__ = ["before_request", "kept_apart"]

before_request: ContextVar[Callable[[str], Awaitable[None]] | None] = ContextVar("before_request", default=None)
"""Awaited with the model's name before every request of the calls in this context; the request goes when it returns."""

kept_apart: ContextVar[str] = ContextVar("kept_apart", default="")
"""Part of the key under which answers are kept and shared in this context; "" for everything that is asked once."""
