"""Kept answers in Redis, shared by the processes of a service."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import weakref
from typing import TYPE_CHECKING

from labkit.call.cache_entry import CacheEntry
from labkit.errors import MissingDependency
from labkit.options import Seconds, checked

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisCacheStore"]

log = logging.getLogger("labkit.cache")


@checked()
class RedisCacheStore:
    """Answers as JSON in a Redis server: ``Cache(store=RedisCacheStore("redis://cache:6379/0"))``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py takes it.
        prefix: Of every key, so that the server can be shared.
        timeout_s: Longest wait for the server; past it the call goes on without the cache.

    Raises:
        MissingDependency: redis-py is not installed.
    """

    def __init__(self, url: str, *, prefix: str = "labkit:answer:", timeout_s: Seconds = 0.1) -> None:
        try:
            import redis.asyncio  # noqa: F401
        except ImportError as error:
            raise MissingDependency("redis", extra="redis", purpose="RedisCacheStore") from error
        self._url = url
        self._prefix = prefix
        self._timeout_s = timeout_s
        # redis-py's connections belong to a loop
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = weakref.WeakKeyDictionary()

    async def get(self, key: str) -> CacheEntry | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                raw = await self._client().get(self._prefix + key)
            if raw is None:
                return None
            kept = json.loads(raw)
            return CacheEntry(value=kept["value"], stored_at=float(kept["stored_at"]))
        except Exception as error:  # redis-py's errors, TimeoutError, OSError, and whatever else stands under the key
            log.warning("cache in Redis: reading failed, taken as a miss: %s: %s", type(error).__name__, error)
            return None

    async def put(self, key: str, entry: CacheEntry, keep_s: float) -> None:
        raw = json.dumps({"value": entry.value, "stored_at": entry.stored_at})
        keep_ms = None if math.isinf(keep_s) else max(1, round(keep_s * 1_000))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client().set(self._prefix + key, raw, px=keep_ms)
        except Exception as error:
            log.warning("cache in Redis: writing failed, not kept: %s: %s", type(error).__name__, error)

    async def close(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> Redis:
        from redis.asyncio import Redis

        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = Redis.from_url(self._url)
        return client
