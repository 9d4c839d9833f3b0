"""What one call may cost."""

from __future__ import annotations

from typing import Any

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit.errors import ModelError
from labkit.models.protocol import Completion, Usage


def answer(text: str, tokens: int) -> Completion:
    usage = Usage(prompt_tokens=tokens, completion_tokens=0)
    return Completion(text=text, finish_reason="stop", latency_s=0.0, model="m", wire="json_schema", usage=usage)


def limited(model: Any, **changes: Any) -> lk.GuardedCall[Any]:
    policy = {"spend": lk.Spend(tokens=100), "reask": 5, "retry": lk.Retry(max_attempts=5, backoff_s=0.0)}
    return support_desk(model, policy=lk.Policy(**policy | changes.pop("policy", {})), **changes)


def test_a_request_that_would_pass_the_limit_is_not_sent():
    """Re-asks end where the purse ends, and the outcome says budget."""
    model = lk.ScriptedModel([answer("nonsense", 60), answer("nonsense", 60), answer(GOOD, 60)])

    result = limited(model)(text="hello")

    assert result.reason is not None
    assert (result.reason.outcome, len(model.requests), len(result.attempts)) == ("budget", 2, 2)
    assert "120 tokens were spent" in result.reason.message


def test_attempts_that_failed_count_with_their_prompt():
    """A provider bills for the prompt of a request it gave up on."""
    model = lk.ScriptedModel([*[ModelError("no", outcome="timeout")] * 4, GOOD])

    result = limited(model, policy={"spend": lk.Spend(tokens=30)})(text="hello")

    assert result.reason is not None
    assert result.reason.outcome == "budget"
    assert 1 <= len(model.requests) < 5


def test_fallback_models_spend_from_the_same_purse():
    """The limit is the call's, not the model's."""
    second = lk.ScriptedModel(GOOD)

    result = limited(lk.ScriptedModel([answer("nonsense", 99)]), fallbacks=[second], policy={"reask": 0})(text="hello")

    assert (result.source, len(second.requests)) == ("error", 0)
    assert any("budget" in note.message for note in result.notes)


def test_dollars_are_counted_where_prices_are_known():
    """A prompt at a dollar a token is more than half a dollar."""
    price = lk.Price(prompt_usd=1e6, completion_usd=1e6)
    model = lk.Model("offline/nearest", price=price)

    result = limited(GOOD).replace(model=model, policy=lk.Policy(spend=lk.Spend(usd=0.5)))(text="hello")

    assert result.reason is not None
    assert result.reason.outcome == "budget"


def test_dollars_without_a_price_are_refused_when_the_call_is_made():
    """A limit that cannot be kept would be a promise."""
    with pytest.raises(lk.CallInvalid, match=r"price of 'scripted/model' is not known: give Model\(price"):
        limited(lk.ScriptedModel(GOOD), policy={"spend": lk.Spend(usd=1.0)})


@pytest.mark.parametrize("given", [{}, {"usd": 0.0}, {"tokens": -1}])
def test_a_limit_that_limits_nothing_is_refused(given: dict[str, Any]):
    """Spend() and Spend(usd=0) are slips."""
    with pytest.raises(lk.CallInvalid, match="Spend"):
        lk.Spend(**given)
