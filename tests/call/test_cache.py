"""Kept answers: single-flight, replay, and a cache that is broken."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from desk import GOOD, STOLEN, Triage, support_desk

import labkit as lk
from labkit.call.cache_entry import CacheEntry
from labkit.call.cache_sqlite import SqliteCacheStore
from labkit.errors import ModelError, StoreError
from labkit.models.protocol import Chunk, Completion, CompletionRequest
from labkit.store.runs import RunStore


class Waiting:
    """A model that answers, or fails, when it is told to."""

    name = "scripted/waiting"

    def __init__(self, reply: str | ModelError = GOOD) -> None:
        self.reply = reply
        self.asked = 0
        self.started = threading.Event()
        self.may_answer = asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked += 1
        self.started.set()
        await self.may_answer.wait()
        if isinstance(self.reply, ModelError):
            raise self.reply
        return Completion(text=self.reply, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(completion=await self.complete(request))


def caching(model: object, tmp_path: Path, **cache: object) -> lk.GuardedCall[Triage]:
    policy = lk.Policy(
        cache=lk.Cache(path=str(tmp_path / "answers.db"), **cache),  # type: ignore[arg-type]
        retry=lk.Retry(max_attempts=1),
    )
    return support_desk(model, policy=policy)


async def _until_asked(model: Waiting) -> None:
    while not model.asked:
        await asyncio.sleep(0)
    for _ in range(20):  # the others have reached the cache by then
        await asyncio.sleep(0)


def test_identical_calls_at_once_ask_the_model_once(tmp_path: Path):
    """Fifty people ask the same; one request is paid for, and the others say whose answer they share."""

    async def scenario() -> tuple[int, list[lk.Result[Triage]]]:
        model = Waiting()
        desk = caching(model, tmp_path)
        calls = [asyncio.create_task(desk.acall(text="same")) for _ in range(50)]
        await _until_asked(model)
        model.may_answer.set()
        return model.asked, await asyncio.gather(*calls)

    asked, results = asyncio.run(scenario())

    assert asked == 1
    assert sorted(r.source for r in results) == ["cache"] * 49 + ["model"]
    assert all("shared the answer" in r.notes[-1].message for r in results if r.source == "cache")
    assert len({id(r.value) for r in results}) == 50


def test_a_failure_is_shared_too(tmp_path: Path):
    """Of a provider that is down, one of fifty finds out; nothing is cached."""

    async def scenario() -> tuple[int, list[lk.Result[Triage]]]:
        model = Waiting(ModelError("no", outcome="transport"))
        desk = caching(model, tmp_path)
        calls = [asyncio.create_task(desk.acall(text="same")) for _ in range(50)]
        await _until_asked(model)
        model.may_answer.set()
        return model.asked, await asyncio.gather(*calls)

    asked, results = asyncio.run(scenario())

    assert (asked, {r.source for r in results}) == (1, {"error"})
    assert {r.reason.outcome for r in results if r.reason} == {"transport"}


def test_when_the_one_that_asks_is_cancelled_another_asks(tmp_path: Path):
    """Somebody closed their browser; the others still get an answer."""

    async def scenario() -> tuple[int, list[str]]:
        model = Waiting()
        desk = caching(model, tmp_path)
        calls = [asyncio.create_task(desk.acall(text="same")) for _ in range(5)]
        await _until_asked(model)
        calls[0].cancel()
        while model.asked < 2:
            await asyncio.sleep(0)
        model.may_answer.set()
        return model.asked, [r.source for r in await asyncio.gather(*calls[1:])]

    asked, sources = asyncio.run(scenario())

    assert (asked, sorted(sources)) == (2, ["cache", "cache", "cache", "model"])


def test_different_questions_do_not_wait_for_each_other(tmp_path: Path):
    """Single-flight is by question."""

    async def scenario() -> int:
        model = Waiting()
        desk = caching(model, tmp_path)
        calls = [asyncio.create_task(desk.acall(text=f"{n}")) for n in range(5)]
        while model.asked < 5:
            await asyncio.sleep(0)
        model.may_answer.set()
        await asyncio.gather(*calls)
        return model.asked

    assert asyncio.run(scenario()) == 5


def test_a_replay_answers_what_was_recorded_and_asks_nobody(tmp_path: Path):
    """Evaluations run in CI without a key, however old the recording."""
    caching(lk.ScriptedModel(GOOD), tmp_path, ttl_s=0)(text="hello")
    silent = lk.ScriptedModel(ModelError("no key", outcome="auth"))

    result = caching(silent, tmp_path, mode="replay")(text="hello")

    assert (result.source, result.unwrap().intent, silent.requests) == ("cache", "card_arrival", [])


def test_a_replay_of_something_new_fails_loudly(tmp_path: Path):
    """Past every fallback: a test run on safe defaults would have tested nothing."""
    records: list[lk.CallRecord] = []
    desk = caching(lk.ScriptedModel(GOOD), tmp_path, mode="replay").replace(
        fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))], sink=records.append
    )

    with pytest.raises(lk.ReplayMissed, match=r"answers\.db holds no answer to this question"):
        desk(text="never asked")

    assert lk.flush()
    assert [r.source for r in records] == ["error"]


def test_a_changed_prompt_is_a_replay_missed(tmp_path: Path):
    """What was recorded for another prompt is not this one's answer."""
    caching(lk.ScriptedModel(GOOD), tmp_path)(text="hello")
    changed = caching(lk.ScriptedModel(GOOD), tmp_path, mode="replay").replace(
        prompt=lk.Prompt(user="Now differently: {{ input.text }}")
    )

    with pytest.raises(lk.ReplayMissed):
        changed(text="hello")


def test_a_cache_that_cannot_be_is_refused():
    """Two places, no place to replay from, a mode that does not exist."""
    store = SqliteCacheStore(":memory:")
    with pytest.raises(lk.CallInvalid, match="one place"):
        lk.Cache(path="a.db", store=store)
    with pytest.raises(lk.CallInvalid, match="nothing to replay"):
        lk.Cache(mode="replay")
    with pytest.raises(lk.CallInvalid, match="mode='record'"):
        lk.Cache(mode="record")  # type: ignore[arg-type]


def test_a_stricter_reading_does_not_serve_what_a_lenient_one_accepted(tmp_path: Path):
    """How far an answer was repaired is part of what it is."""
    fenced = f"```json\n{GOOD}\n```"
    desk = caching(lk.ScriptedModel(fenced), tmp_path)
    desk(text="hello")

    strict = desk.replace(policy=lk.Policy(cache=desk.policy.cache, repair="strict"))(text="hello")

    assert strict.source == "error"


def test_a_locked_file_is_a_miss_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Somebody else's transaction costs an answer its cache, and nothing more."""
    desk = caching(lk.ScriptedModel([GOOD, STOLEN]), tmp_path)
    desk(text="hello")
    with sqlite3.connect(tmp_path / "answers.db") as other, caplog.at_level(logging.WARNING, logger="labkit.cache"):
        other.execute("BEGIN EXCLUSIVE")
        result = desk(text="other")
        other.execute("ROLLBACK")

    assert result.source == "model"
    assert "writing failed, the answer is not kept" in caplog.text


def test_what_is_too_old_for_anything_is_swept(tmp_path: Path):
    """A file does not grow with every question ever asked."""
    path = tmp_path / "answers.db"

    async def scenario() -> None:
        store = SqliteCacheStore(str(path))
        for n in range(300):
            await store.put(f"{n}", CacheEntry(value=n, stored_at=0.0), 60.0)
        await store.close()

    asyncio.run(scenario())

    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone()[0] < 300


def _others(path: Path, made: str) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(made)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE customers (id INTEGER)", "another program's tables \\(customers\\)"),
        ("CREATE TABLE answers (question TEXT, answer TEXT)", "another program's tables \\(answers\\)"),
        (
            "CREATE TABLE answers (key TEXT, value TEXT, stored_at REAL, keep_until REAL); CREATE TABLE notes (n)",
            "another program's tables \\(answers, notes\\)",
        ),
        ("PRAGMA journal_mode = WAL; CREATE TABLE customers (id INTEGER)", "another program's tables \\(customers\\)"),
    ],
    ids=["another", "same-name", "one-more", "wal"],
)
def test_another_programs_file_is_refused_and_untouched(tmp_path: Path, made: str, said: str):
    """No table and no log is added to what somebody else keeps; the definition says so."""
    path = tmp_path / "app.db"
    _others(path, made)
    before = path.read_bytes(), sorted(each.name for each in tmp_path.iterdir())

    with pytest.raises(lk.CallInvalid, match=said):
        lk.Cache(path=str(path))

    assert (path.read_bytes(), sorted(each.name for each in tmp_path.iterdir())) == before


def test_a_store_of_runs_is_no_cache_and_a_cache_no_store(tmp_path: Path):
    """Both have a table of answers."""
    RunStore(tmp_path / "runs.db").close()
    with pytest.raises(lk.CallInvalid, match="is a store of runs or call records: give the cache a file of its own"):
        lk.Cache(path=tmp_path / "runs.db")

    support_desk(policy=lk.Policy(cache=lk.Cache(path=tmp_path / "answers.db")))(text="hi")
    with pytest.raises(StoreError, match="another program's tables \\(answers\\)"):
        RunStore(tmp_path / "answers.db")


def test_a_file_of_text_is_no_cache(tmp_path: Path):
    """A typo in the path is found when the call is defined, not as a miss on every call."""
    (tmp_path / "notes.txt").write_text("precious" * 100)

    with pytest.raises(lk.CallInvalid, match="not a database"):
        lk.Cache(path=tmp_path / "notes.txt")
    with pytest.raises(lk.CallInvalid, match="is a folder"):
        lk.Cache(path=tmp_path)


def test_a_file_that_came_after_the_definition_is_untouched_too(tmp_path: Path):
    """The call goes on without a cache."""
    path = tmp_path / "app.db"
    desk = support_desk(policy=lk.Policy(cache=lk.Cache(path=path)))
    _others(path, "CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()

    assert desk(text="hi").source == desk(text="hi").source == "model"

    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["app.db"]


@pytest.mark.parametrize("place", ["answers.db", "sqlite:///answers.db", "sqlite:///{}/answers.db", "{}/answers.db"])
def test_a_cache_is_a_path_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str):
    """As for stores of runs; each is the same file."""
    monkeypatch.chdir(tmp_path)
    lk.Cache(path="answers.db")
    first = support_desk(policy=lk.Policy(cache=lk.Cache(path=tmp_path / "answers.db")))
    second = support_desk(policy=lk.Policy(cache=lk.Cache(path=place.format(tmp_path))))

    assert first(text="hi").source == "model"
    assert second(text="hi").source == "cache"
    assert {each.name.partition("-")[0] for each in tmp_path.iterdir()} == {"answers.db"}


def test_a_cache_whose_file_goes_away_begins_anew(tmp_path: Path):
    """Answers are not written into a file that nobody can find."""
    path = tmp_path / "answers.db"
    desk = support_desk(policy=lk.Policy(cache=lk.Cache(path=path)))
    desk(text="hi")
    for each in tmp_path.iterdir():
        each.unlink()

    assert [desk(text="hi").source for _ in range(2)] == ["model", "cache"]
    assert path.is_file()
