"""Validated answers kept for the next identical call, and for the day the model is down."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from labkit.call.cache_entry import CacheEntry, CacheStore
from labkit.call.cache_sqlite import SqliteCacheStore
from labkit.errors import CallInvalid
from labkit.options import Bound, checked

__all__ = ["Cache"]

_Age = Annotated[float, Bound(0.0, endless=True)]


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keep answers that passed every check.

    Identical calls at the same time ask the model once. An answer is found again by its rendered messages, the model
    with its parameters, the schemas, guards and rules: a change of any of them asks anew.

    Args:
        ttl_s: How long an answer serves as if it were new; ``math.inf`` for ever.
        stale_for_s: How long after that it may still serve as the ``Stale`` fallback.
        path: A file that outlives the process, as a path or as its URL (``sqlite:///answers.db``, four slashes before
            an absolute path); None keeps answers in memory, shared by all calls of the process.
        store: Something else to keep answers in, such as ``RedisCacheStore(url)``, instead of *path*.
        mode: "replay" answers from what was kept, however old, and raises ``ReplayMissed`` for anything else: tests
            and evaluations then run without a provider.

    Raises:
        CallInvalid: A negative time, two places, a file that holds something else, or a replay of nothing.
    """

    ttl_s: _Age = 3600.0
    stale_for_s: _Age = 86_400.0
    path: str | os.PathLike[str] | None = None
    store: CacheStore | None = None
    mode: Literal["normal", "replay"] = "normal"
    _store: CacheStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.path is not None and self.store is not None:
            raise CallInvalid("Cache(path=..., store=...): answers are kept in one place; give one of them")
        if self.mode == "replay" and self.path is None and self.store is None:
            raise CallInvalid("Cache(mode='replay') has nothing to replay: give the path or store that was recorded to")
        if self.path is not None:
            object.__setattr__(self, "path", os.fspath(self.path))
        object.__setattr__(self, "_store", self.store or _store_at(self.path or ":memory:"))

    def __reduce__(self) -> tuple[Any, ...]:
        # the place goes to another process, what is open does not
        given = {name: getattr(self, name) for name in ("ttl_s", "stale_for_s", "path", "store", "mode")}
        return _made, (given,)

    @property
    def replays(self) -> bool:
        return self.mode == "replay"

    @property
    def place(self) -> str:
        """Where answers are kept, for messages."""
        return str(self.path or "") or (type(self.store).__name__ if self.store is not None else "memory")

    async def fresh(self, key: str) -> CacheEntry | None:
        """Give the answer under *key* if it is younger than ``ttl_s``; in a replay however old it is."""
        if self.replays:
            return await self._store.get(key)
        return await self._younger_than(key, self.ttl_s)

    async def stale(self, key: str) -> CacheEntry | None:
        """Give the answer under *key* if it is younger than ``ttl_s + stale_for_s``."""
        return await self._younger_than(key, self.ttl_s + self.stale_for_s)

    async def keep(self, key: str, value: Any) -> None:
        """Keep *value*, JSON data, under *key* from now on."""
        entry = CacheEntry(value=value, stored_at=time.time())
        await self._store.put(key, entry, self.ttl_s + self.stale_for_s)

    async def _younger_than(self, key: str, age_s: float) -> CacheEntry | None:
        entry = await self._store.get(key)
        return entry if entry is not None and time.time() - entry.stored_at < age_s else None


def _made(given: dict[str, Any]) -> Cache:
    return Cache(**given)


_stores: dict[str, CacheStore] = {}
_stores_lock = threading.Lock()


def _store_at(path: str | os.PathLike[str]) -> CacheStore:
    made = SqliteCacheStore(path)
    with _stores_lock:
        return _stores.setdefault(made.place, made)
