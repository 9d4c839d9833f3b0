"""What can go wrong with a provider, drawn from a seed and counted, so that a drill can be repeated."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["FaultKind", "Faults", "Injector"]

FaultKind = Literal["error_500", "rate_limited", "hang", "malformed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Share of requests, in [0, 1], that each fault befalls; together at most 1.

    Args:
        seed: Same seed, same faults in the same order.
        error_500: Answers status 500.
        rate_limited: Answers status 429 with ``Retry-After``.
        hang: Takes the request and never answers.
        malformed: Answers with text that is not the JSON it was asked for.
        retry_after_s: What a 429 asks for.

    Raises:
        ValueError: A share outside [0, 1], or shares of more than 1 together.
    """

    seed: int = 0
    error_500: float = 0.0
    rate_limited: float = 0.0
    hang: float = 0.0
    malformed: float = 0.0
    retry_after_s: float = 0.05

    def __post_init__(self) -> None:
        shares = self.shares()
        for kind, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"Faults({kind}={share}): a share of requests is from 0 to 1")
        if sum(shares.values()) > 1.0 + 1e-9:
            raise ValueError(
                f"Faults: the shares come to {sum(shares.values()):g} of all requests; make them 1 or less"
            )

    def shares(self) -> dict[FaultKind, float]:
        """The share of each kind, in the order they are drawn."""
        names = [field.name for field in fields(self) if field.name not in ("seed", "retry_after_s")]
        return {name: getattr(self, name) for name in names}  # type: ignore[misc]


class Injector:
    """Draws the fault of each request in turn and counts what it drew."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.counts: Counter[FaultKind] = Counter()
        self._random = random.Random(faults.seed)
        self._lock = threading.Lock()

    def draw(self) -> FaultKind | None:
        """Give the next request's fault, None for most."""
        with self._lock:
            at = self._random.random()
            for kind, share in self.faults.shares().items():
                if at < share:
                    self.counts[kind] += 1
                    return kind
                at -= share
        return None
