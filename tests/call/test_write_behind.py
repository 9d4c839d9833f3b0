"""Records are written behind the calls: a sink that waits or fails costs no call anything, and no loss is hidden."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from desk import support_desk

import labkit as lk
from labkit.call.sinks import JsonLines
from labkit.call.write_behind import WriteBehind

TESTS = Path(__file__).parents[1]


def a_record() -> lk.CallRecord:
    records: list[lk.CallRecord] = []
    support_desk(sink=records.append)(text="hello")
    assert lk.flush()
    return records[0]


def test_calls_do_not_wait_for_a_sink_that_blocks():
    """A thousand calls are answered while the first record is still being written."""
    may_go, written = threading.Event(), []

    def blocked(record: lk.CallRecord) -> None:
        may_go.wait(60)
        written.append(record)

    desk = support_desk(sink=blocked)
    sources = {desk(text=f"{n}").source for n in range(1_000)}
    before = len(written)
    may_go.set()

    assert (sources, before) == ({"model"}, 0)
    assert lk.flush()
    assert len(written) == 1_000


def test_what_finds_no_room_is_dropped_counted_and_said(caplog: pytest.LogCaptureFixture):
    """Memory is bounded, and nobody has to guess how much is missing."""
    may_go, begun = threading.Event(), threading.Event()

    def blocked(record: lk.CallRecord) -> None:
        begun.set()
        may_go.wait(60)

    writer, record = WriteBehind(blocked, most_waiting=10), a_record()
    writer.offer(record)
    assert begun.wait(10)
    with caplog.at_level(logging.WARNING, logger="labkit.records"):
        for _ in range(25):
            writer.offer(record)
    may_go.set()

    assert writer.flush(10)
    assert writer.dropped == 15
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        f"{n} call records were dropped so far" for n in (1, 2, 4, 8)
    ]


def test_a_full_disk_drops_records_and_no_call(caplog: pytest.LogCaptureFixture):
    """/dev/full is a disk without room."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    writer = WriteBehind(JsonLines("/dev/full"))
    with caplog.at_level(logging.WARNING, logger="labkit.records"):
        writer.offer(a_record())
        assert writer.flush(10)

    assert writer.dropped == 1
    assert "No space left on device" in caplog.text


def test_a_sink_that_cannot_prepare_a_record_breaks_no_call():
    """What runs within the call is guarded too."""

    class Broken:
        def prepare(self, record: lk.CallRecord) -> Any:
            raise ValueError("cannot")

        def write(self, prepared: Sequence[Any]) -> None:
            raise AssertionError("nothing was prepared")

    assert support_desk(sink=Broken())(text="hello").source == "model"


def test_one_bad_record_does_not_take_the_others_along():
    """A function that fails for one is asked for the next."""
    seen: list[str] = []

    def picky(record: lk.CallRecord) -> None:
        if len(seen) == 1:
            seen.append("failed")
            raise ValueError("not this one")
        seen.append("written")

    writer, record = WriteBehind(picky), a_record()
    for _ in range(3):
        writer.offer(record)

    assert writer.flush(10)
    assert (seen, writer.dropped) == (["written", "failed", "written"], 1)


def test_half_an_emoji_in_a_models_text_can_be_written(tmp_path: Path):
    """It has no UTF-8; escaped it is kept as it came."""
    desk = support_desk(
        '{"intent": "card_arrival", "urgency": 2} \ud83d',
        policy=lk.Policy(record_content=True),
        sink=f"jsonl:{tmp_path}/calls.jsonl",
    )
    desk(text="hello")
    assert lk.flush()

    (line,) = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert json.loads(line)["attempts"][0]["text"].endswith("\ud83d")


def test_a_record_keeps_what_was_answered_and_not_what_became_of_it():
    """Its owner may change a value after the call; the record is of the call."""
    records: list[lk.CallRecord] = []
    desk = support_desk(policy=lk.Policy(record_content=True), sink=records.append)

    result = desk(text="hello")
    result.value.urgency = 5  # type: ignore[union-attr]
    assert lk.flush()

    assert records[0].value == {"intent": "card_arrival", "urgency": 2}


PROGRAM = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[2])
from desk import support_desk
desk = support_desk(sink="jsonl:" + sys.argv[1])
for n in range(500):
    desk(text=str(n))
print("answered", flush=True)
if sys.argv[3] == "wait":
    threading.Event().wait()
"""


@pytest.mark.parametrize("how", ["exit", "wait"])
def test_every_record_of_a_finished_call_is_on_disk_when_the_process_ends(tmp_path: Path, how: str):
    """At its own end, and when it is told to end (SIGTERM)."""
    path = tmp_path / "calls.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(TESTS), how], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "answered"
    if how == "wait":
        process.send_signal(signal.SIGTERM)
    process.communicate()

    assert process.returncode == (-signal.SIGTERM if how == "wait" else 0)
    assert len(path.read_text().splitlines()) == 500


def test_a_file_that_is_rotated_away_is_made_anew(tmp_path: Path):
    """As logrotate does it."""
    path = tmp_path / "calls.jsonl"
    writer, record = WriteBehind(JsonLines(path)), a_record()
    writer.offer(record)
    assert writer.flush(10)
    path.rename(tmp_path / "calls.1.jsonl")
    writer.offer(record)
    assert writer.flush(10)

    assert [len(p.read_text().splitlines()) for p in (path, tmp_path / "calls.1.jsonl")] == [1, 1]
