"""How a step that cannot go on says so: one exception that carries the reason to the fallbacks."""

from __future__ import annotations

from labkit.call.result import Reason

__all__ = ["StepFailed"]


class StepFailed(Exception):
    """A step ended the main path. It stays inside ``labkit.call``: a call turns it into ``Result.reason``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason.step}: {reason.outcome}: {reason.message}")
        self.reason = reason
