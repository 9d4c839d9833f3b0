"""Faults are what was asked for, in the same order every time, and counted."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
from typing import Any, get_args

import pytest

from labkit.errors import ModelError
from labkit.models.faults import FaultKind, Faults, Faulty, Fixed, Injector, LogNormal, Uniform
from labkit.models.protocol import CompletionRequest, Message
from labkit.models.scripted import ScriptedModel
from labkit.models.spoiling import drifted

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}, "note": {"type": "string"}}}
ANSWER = '{"label": "a", "note": "as it is"}'
QUESTION = CompletionRequest(messages=(Message("user", "x"),), schema=SCHEMA)


def _faulty(**faults: Any) -> Faulty:
    return Faulty(ScriptedModel(ANSWER), Faults(**faults))


async def _streamed(client: Faulty) -> tuple[list[str], str]:
    pieces, whole = [], ""
    async for chunk in client.stream(QUESTION):
        if chunk.completion is None:
            pieces.append(chunk.text)
        else:
            whole = chunk.completion.text
    return pieces, whole


def test_the_same_seed_gives_the_same_faults():
    """A drill that found something can be run again."""
    faults = Faults(seed=7, error_500=0.3, hang=0.2)
    first, second, other = Injector(faults), Injector(faults), Injector(Faults(seed=8, error_500=0.3, hang=0.2))

    drawn = [[injector.draw() for _ in range(200)] for injector in (first, second, other)]

    assert drawn[0] == drawn[1] != drawn[2]
    assert first.counts == {kind: drawn[0].count(kind) for kind in ("error_500", "hang")}


def test_shares_are_shares_of_requests():
    """Of many requests, each fault befalls its share."""
    injector = Injector(Faults(seed=1, error_500=0.1, malformed=0.25))

    for _ in range(10_000):
        injector.draw()

    assert injector.counts["error_500"] / 10_000 == pytest.approx(0.1, abs=0.01)
    assert injector.counts["malformed"] / 10_000 == pytest.approx(0.25, abs=0.015)


def test_a_delay_does_not_change_which_requests_fail():
    """One thing at a time can be changed in a drill."""
    plain, slow = (
        Injector(Faults(seed=3, reset=0.5, latency=each)) for each in (Fixed(0.0), Uniform(low_s=1, high_s=2))
    )

    drawn = [(plain.draw(), slow.draw(), slow.delay_s()) for _ in range(50)]

    assert [a for a, _, _ in drawn] == [b for _, b, _ in drawn]
    assert all(1 <= delay <= 2 for _, _, delay in drawn)


def test_a_long_tail_has_the_median_and_percentile_it_was_given():
    """Latency is given by what dashboards show."""
    source = random.Random(5)
    delays = sorted(LogNormal(median_s=0.2, p95_s=1.0).draw(source) for _ in range(20_000))

    assert statistics.median(delays) == pytest.approx(0.2, rel=0.05)
    assert delays[int(0.95 * len(delays))] == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("faults", "said"), [({"hang": 1.5}, "from 0 to 1"), ({"hang": 0.6, "malformed": 0.6}, "come to 1.2 of all")]
)
def test_shares_that_cannot_be_are_refused(faults: dict[str, float], said: str):
    """A drill of more than all requests is a typo."""
    with pytest.raises(ValueError, match=said):
        Faults(**faults)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "outcome", "status"),
    [
        ("error_500", "transport", 500),
        ("error_502", "transport", 502),
        ("error_503", "transport", 503),
        ("error_529", "transport", 529),
        ("rate_limited", "rate_limited", 429),
        ("rate_limited_silently", "rate_limited", 429),
        ("reset", "transport", None),
        ("not_json", "transport", None),
        ("wrong_encoding", "transport", None),
        ("huge", "truncated", None),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_in_process_a_fault_is_the_error_a_client_would_make_of_it(
    kind: str, outcome: str, status: int | None, streamed: bool
):
    """What was seen over HTTP and in process can be compared."""
    client = _faulty(**{kind: 1.0}, retry_after_s=4.0)

    with pytest.raises(ModelError) as caught:
        asyncio.run(_streamed(client) if streamed else client.complete(QUESTION))  # type: ignore[arg-type]

    assert (caught.value.outcome, caught.value.status) == (outcome, status)
    assert caught.value.retry_after_s == (4.0 if kind == "rate_limited" else None)
    assert client.counts == {kind: 1}


@pytest.mark.parametrize(
    "kind", ["malformed", "truncated", "wrong_schema", "empty", "refusal", "content_filter", "drift"]
)
def test_in_process_a_spoilt_answer_is_the_same_whole_and_streamed(kind: str):
    """The pieces make up the text, and it is not the answer."""
    client = _faulty(**{kind: 1.0})

    whole = asyncio.run(client.complete(QUESTION))
    pieces, streamed = asyncio.run(_streamed(client))

    assert "".join(pieces) == streamed == whole.text != ANSWER
    assert whole.finish_reason == {"truncated": "length", "refusal": "filter", "content_filter": "filter"}.get(
        kind, "stop"
    )
    assert client.counts == {kind: 2}


def test_a_wrong_schema_has_the_right_names_and_no_right_value():
    """The hardest kind to see at a glance."""
    text = asyncio.run(_faulty(wrong_schema=1.0).complete(QUESTION)).text

    assert json.loads(text) == {"label": {"unexpected": [None]}, "note": {"unexpected": [None]}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["hang", "hang_in_body"])
def test_in_process_a_hang_lasts_until_it_is_cancelled(kind: str, streamed: bool):
    """The pipeline's deadline is what ends it."""
    client = _faulty(**{kind: 1.0})

    async def scenario() -> bool:
        task = asyncio.ensure_future(_streamed(client) if streamed else client.complete(QUESTION))  # type: ignore[arg-type]
        for _ in range(100):  # as many turns of the loop as it likes; nothing else has to happen
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return was_done

    assert asyncio.run(scenario()) is False


def test_duplicated_chunks_spoil_the_text_of_a_stream_only():
    """An answer in one piece has no chunks."""
    client = _faulty(duplicate_chunks=1.0)

    whole = asyncio.run(client.complete(QUESTION))
    pieces, streamed = asyncio.run(_streamed(client))

    assert whole.text == ANSWER
    assert pieces[0] == pieces[1] and "".join(pieces) == streamed
    assert client.counts == {"duplicate_chunks": 1}


def test_what_cannot_happen_without_a_wire_is_not_counted():
    """Counts are true."""
    client = _faulty(missing_done=1.0)

    assert asyncio.run(_streamed(client))[1] == ANSWER
    assert client.counts == {}


def test_slow_and_delayed_answers_are_answers():
    """In pieces or whole, after a while."""
    client = _faulty(slow_drip=1.0, drip_s=0.0001, latency=Fixed(0.001))

    assert asyncio.run(client.complete(QUESTION)).text == ANSWER
    assert asyncio.run(_streamed(client))[1] == ANSWER


def test_it_goes_by_the_name_of_the_model_that_answers():
    """A record shows the model, not the drill."""
    assert Faulty("offline/nearest", Faults()).name == "offline/nearest"


@pytest.mark.parametrize(
    ("text", "worse"),
    [
        ('{"label": "b", "note": "n"}', '{"label": "a", "note": "n"}'),
        ('{"note": "n"}', '"n"} {"note":'),
        ("three plain words", "words plain three"),
    ],
)
def test_drift_keeps_the_form_and_loses_the_sense(text: str, worse: str):
    """Labels move on to the next one; text without labels is turned around."""
    assert drifted(text, SCHEMA) == worse


def test_every_kind_has_a_share_of_its_own():
    """No kind is left out of the definition."""
    assert all(Faults(**{kind: 1.0}).shares() == {kind: 1.0} for kind in get_args(FaultKind))
