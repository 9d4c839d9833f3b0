"""What this process knows of a model: its circuit, how fast it answers, how many requests it may have at a time.

Shared by every call that asks the same model at the same address: when it is down, it is down for all of them.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from labkit.call.breaker import Breaker, Circuit
from labkit.call.hedge import Latencies
from labkit.call.limiter import Limiter
from labkit.models.model import Model
from labkit.models.protocol import Client

__all__ = ["Health", "circuits", "health_of"]


class Health:
    """One model's; circuits and limiters are kept apart by their limits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._circuits: dict[Breaker, Circuit] = {}
        self._limiters: dict[int, Limiter] = {}
        self.latencies = Latencies()

    def circuit(self, breaker: Breaker) -> Circuit:
        found = self._circuits.get(breaker)
        return found if found is not None else self._circuits.setdefault(breaker, Circuit(breaker, self._name))

    def circuits(self) -> list[Circuit]:
        return list(self._circuits.values())

    def limiter(self, most: int) -> Limiter:
        found = self._limiters.get(most)
        return found if found is not None else self._limiters.setdefault(most, Limiter(most))


_by_address: dict[tuple[str, str | None], Health] = {}
_by_client: weakref.WeakKeyDictionary[Any, Health] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def health_of(model: Model | Client) -> Health:
    """Give the health of the model at its address; of a client given as an object, that object's."""
    with _lock:
        if isinstance(model, Model):
            return _by_address.setdefault((model.name, model.base_url), Health(model.name))
        try:
            return _by_client.setdefault(model, Health(model.name))
        except TypeError:
            return Health(model.name)  # it cannot be hashed or referred to weakly: what is known of it ends with a call


def circuits() -> list[Circuit]:
    """Give every circuit of this process."""
    with _lock:
        known = [*_by_address.values(), *_by_client.values()]
    return [circuit for health in known for circuit in health.circuits()]
