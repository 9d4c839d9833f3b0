"""One monotonic instant by which a call must have answered, handed down and never made anew."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When the call must have answered, on the running loop's clock.

    Args:
        at: The last instant, in seconds of ``loop.time()``.
        main_until: When the main path and the model rungs must stop, ``at`` less the policy's reserve, so that
            a local rung still has time to answer.
    """

    at: float
    main_until: float

    @classmethod
    def start(cls, deadline_s: float, reserve_s: float) -> Deadline:
        now = asyncio.get_running_loop().time()
        return cls(at=now + deadline_s, main_until=now + deadline_s - reserve_s)

    def main_left_s(self) -> float:
        """Seconds the main path still has; negative when it is over."""
        return self.main_until - asyncio.get_running_loop().time()
