"""Fallbacks that fire are seen: in the result, in the record, and in the counts an alert is set on."""

from __future__ import annotations

from desk import GOOD, Triage, support_desk

import labkit as lk
from labkit.errors import ModelError

DOWN = ModelError("no", outcome="transport")
DEFAULT = lk.SafeDefault(Triage(intent="card_arrival", urgency=1))


def test_each_firing_is_counted_with_its_reason():
    """How often which source answered, and why it had to."""
    desk = support_desk(lk.ScriptedModel([GOOD, DOWN, "nonsense", DOWN]), fallbacks=[DEFAULT])

    for _ in range(4):
        desk(text="hello")
    desk(text="")

    assert desk.counts == {
        ("model", ""): 1,
        ("default", "model: transport"): 2,
        ("default", "output: parse"): 1,
        ("error", "validate: schema"): 1,
    }


def test_counts_are_the_calls_own():
    """A changed copy begins at nothing."""
    desk = support_desk()
    desk(text="hello")

    assert (sum(desk.counts.values()), desk.replace(name="copy").counts) == (1, {})


def test_the_primarys_failures_stay_in_the_record_of_a_call_that_a_fallback_answered():
    """What failed is the news, not what saved the day."""
    records: list[lk.CallRecord] = []
    second = lk.ScriptedModel(GOOD, name="scripted/second")

    result = support_desk(lk.ScriptedModel(DOWN), fallbacks=[second], sink=records.append)(text="hello")

    assert lk.flush()
    (record,) = records
    assert (record.source, record.degraded, record.outcome) == ("fallback_model", True, "transport")
    assert [(a.kind, a.model, a.outcome) for a in record.attempts] == [
        ("first", "scripted/model", "transport"), ("fallback", "scripted/second", "ok"),
    ]  # fmt: skip
    assert result.degraded


def test_an_apology_ends_in_a_readable_error():
    """No value is better than a wrong one; the person who waits is told so in the feature's own words."""
    desk = support_desk(lk.ScriptedModel(DOWN), fallbacks=[lk.Apology("Please call us: our lines are open.")])

    result = desk(text="hello")

    assert (result.ok, result.value, result.source, result.degraded) == (False, None, "error", True)
    assert result.user_message == "Please call us: our lines are open."


def test_rungs_after_an_apology_are_not_reached():
    """It is an end."""
    result = support_desk(lk.ScriptedModel(DOWN), fallbacks=[lk.Apology("sorry"), DEFAULT])(text="hello")

    assert result.source == "error"
