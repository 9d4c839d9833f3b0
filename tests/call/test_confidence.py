"""How sure is sure enough, and rules that do not come to a verdict."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from desk import GOOD, STOLEN, Triage, support_desk

import labkit as lk
from labkit.errors import ModelError

DEFAULT = lk.SafeDefault(Triage(intent="card_arrival", urgency=1))
OTHER_URGENCY = '{"intent": "card_arrival", "urgency": 5}'


def sampled(replies: Any, **confidence: Any) -> lk.Result[Triage]:
    given = {"at_least": 0.6, "score": "consistency", "samples": 3} | confidence
    policy = lk.Policy(retry=lk.Retry(max_attempts=1))
    return support_desk(lk.ScriptedModel(replies), confidence=lk.Confidence(**given), policy=policy)(text="hello")


def test_answers_that_agree_are_sure():
    """Three the same are 1.0; every sample is an attempt in the record."""
    result = sampled([GOOD, GOOD, GOOD])

    assert (result.source, result.confidence) == ("model", 1.0)
    assert [(a.kind, a.outcome) for a in result.attempts] == [("first", "ok"), ("sample", "ok"), ("sample", "ok")]


def test_answers_that_disagree_are_not_served():
    """One of three is 0.33; the person who waits is told why in a sentence."""
    result = sampled([GOOD, STOLEN, STOLEN])

    assert (result.source, result.reason and result.reason.outcome) == ("error", "low_confidence")
    assert result.reason is not None
    assert "0.33 is below 0.6" in result.reason.message
    assert result.user_message is not None
    assert "not sure enough" in result.user_message


def test_agreement_can_be_about_one_field():
    """The intent decides where a ticket goes; the urgency may waver."""
    assert sampled([GOOD, OTHER_URGENCY, OTHER_URGENCY]).source == "error"
    assert sampled([GOOD, OTHER_URGENCY, OTHER_URGENCY], on="intent").confidence == 1.0


def test_a_sample_that_fails_does_not_agree():
    """Two of three are 0.67, and the note says what is missing."""
    result = sampled([GOOD, ModelError("no", outcome="transport"), GOOD])

    assert (result.source, round(result.confidence or 0, 2)) == ("model", 0.67)
    assert any("a sample is missing" in note.message for note in result.notes)


def test_a_sample_that_cannot_be_read_does_not_agree():
    """It is an attempt with its outcome."""
    result = sampled([GOOD, "nonsense", GOOD])

    assert round(result.confidence or 0, 2) == 0.67
    assert sorted(a.outcome for a in result.attempts) == ["ok", "ok", "parse"]


def test_samples_are_drawn_at_a_temperature():
    """At 0 they would all be the first."""
    model = lk.ScriptedModel(GOOD)
    support_desk(model, confidence=lk.Confidence(at_least=0.5, score="consistency", temperature=0.9))(text="hello")

    assert [request.sampling.temperature for request in model.requests] == [None, 0.9, 0.9]


def test_samples_spend_from_the_calls_purse():
    """What the limit does not pay for is missing."""
    model = lk.ScriptedModel(GOOD)
    policy = lk.Policy(spend=lk.Spend(tokens=22))

    result = support_desk(model, policy=policy, confidence=lk.Confidence(at_least=0.9, score="consistency"))(text="a")

    assert len(model.requests) < 3
    assert result.reason is not None
    assert result.reason.outcome == "low_confidence"


def test_the_embedded_models_margin_is_its_confidence():
    """Through the log probabilities it reports: a clear case is surer than a vague one."""
    desk = support_desk(confidence=lk.Confidence(at_least=0.0)).replace(
        model=lk.Model("offline/nearest", logprobs=True),
        prompt=lk.Prompt(user="Labels: card_arrival, lost_or_stolen_card, exchange_rate.\nTicket: {{ input.text }}"),
    )

    clear, vague = desk(text="my card was stolen, it is lost or stolen"), desk(text="hm")

    assert clear.confidence is not None and vague.confidence is not None
    assert clear.confidence > vague.confidence


@pytest.mark.parametrize("given", [{"at_least": 1.1}, {"score": "vibes"}, {"score": "consistency", "samples": 1}])
def test_a_confidence_that_means_nothing_is_refused(given: dict[str, Any]):
    """When it is made."""
    with pytest.raises(lk.CallInvalid, match="Confidence"):
        lk.Confidence(**{"at_least": 0.5} | given)


async def hangs(*_: Any) -> Any:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "part",
    [{"guards": [hangs]}, {"rules": [hangs]}, {"confidence": lk.Confidence(at_least=0.5, score=hangs)}],
    ids=["guard", "rule", "confidence"],
)
def test_a_rule_that_does_not_decide_is_a_timeout_of_its_step(part: dict[str, Any]):
    """Nothing unchecked is served, and the call still answers."""
    policy = lk.Policy(rule_timeout_s=0.05, reask=2)

    result = support_desk(policy=policy, fallbacks=[DEFAULT], **part)(text="hello")

    assert result.source == "default"
    assert result.reason is not None
    assert (result.reason.step, result.reason.outcome, len(result.attempts)) == ("rules", "timeout", 1)
    assert "hangs: no verdict in 0.05 s" in result.reason.message


def test_a_rule_that_raises_a_timeout_of_its_own_is_a_bug():
    """It was not ours that ended."""

    def broken(*_: Any) -> Any:
        raise TimeoutError("of a database")

    reason = support_desk(rules=[broken])(text="hello").reason

    assert reason is not None
    assert (reason.step, reason.outcome) == ("rules", "bug")
