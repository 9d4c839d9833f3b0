"""Retries: how many, how long between them, and the budget that all calls share."""

from __future__ import annotations

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit.errors import ModelError

DOWN = ModelError("no", outcome="transport")


def test_waits_are_drawn_below_a_bound_that_doubles():
    """Full jitter: callers that failed together do not come back together."""
    retry = lk.Retry(backoff_s=1.0, max_backoff_s=3.0)

    drawn = {n: [retry.wait_s(n, None) for _ in range(300)] for n in (1, 2, 3)}

    assert [max(waits) <= bound for waits, bound in zip(drawn.values(), (1.0, 2.0, 3.0), strict=True)] == [True] * 3
    assert max(drawn[2]) > 1.0 and max(drawn[3]) > 2.0 and min(drawn[3]) < 1.0


def test_retry_after_is_never_undercut():
    """Coming back earlier than asked only makes it worse."""
    assert lk.Retry(backoff_s=0.0).wait_s(1, 7.5) == 7.5


def test_the_budget_pays_one_retry_for_five_calls_once_its_burst_is_spent():
    """However many attempts a call may make, requests grow by a fifth."""
    budget = lk.RetryBudget(burst=2, refill=0.2)
    down = lk.ScriptedModel(DOWN)
    retry = lk.Retry(max_attempts=3, backoff_s=0.0, budget=budget)
    desk = support_desk(down, policy=lk.Policy(retry=retry, breaker=None))

    for _ in range(50):
        desk(text="a")

    assert 50 + 2 + 9 <= len(down.requests) <= 50 + 2 + 10


def test_a_retry_that_the_budget_does_not_pay_for_is_said_so():
    """The reason names what held the call back."""
    budget = lk.RetryBudget(burst=1, refill=0.0)
    desk = support_desk(
        lk.ScriptedModel(DOWN),
        policy=lk.Policy(retry=lk.Retry(max_attempts=3, backoff_s=0.0, budget=budget)),
    )

    reason = desk(text="a").reason

    assert reason is not None
    assert "the retry budget is spent" in reason.message


def test_calls_share_one_budget_unless_they_are_given_their_own():
    """It is the process that storms a provider, not a call."""
    assert lk.Retry().budget is lk.Retry(max_attempts=5).budget
    assert lk.Retry(budget=lk.RetryBudget()).budget is not lk.Retry().budget
    budget = lk.Retry().budget
    assert budget is not None
    assert (budget.burst, budget.refill) == (100, 0.2)


def test_no_budget_is_no_limit():
    """Retry(budget=None) is bounded by its attempts and the deadline."""
    down = lk.ScriptedModel([DOWN] * 150 + [GOOD])
    retry = lk.Retry(max_attempts=151, backoff_s=0.0, budget=None)

    result = support_desk(down, policy=lk.Policy(retry=retry, breaker=None))(text="a")

    assert (result.source, len(result.attempts)) == ("model", 151)


def test_reasks_are_counted_apart_from_retries():
    """A bad answer takes no token, and a broken connection no re-ask."""
    budget = lk.RetryBudget(burst=10, refill=0.0)
    model = lk.ScriptedModel([DOWN, "nonsense", DOWN, GOOD])
    policy = lk.Policy(reask=1, retry=lk.Retry(max_attempts=2, backoff_s=0.0, budget=budget))

    result = support_desk(model, policy=policy)(text="a")

    assert [(a.kind, a.outcome) for a in result.attempts] == [
        ("first", "transport"), ("retry", "parse"), ("reask", "transport"), ("retry", "ok"),
    ]  # fmt: skip
    assert budget.tokens == 8


@pytest.mark.parametrize("given", [{"max_attempts": 0}, {"backoff_s": -1}, {"max_backoff_s": -1}])
def test_impossible_retries_are_refused(given: dict[str, float]):
    """Where they are written."""
    with pytest.raises(lk.CallInvalid, match="Retry"):
        lk.Retry(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"burst": 0}, {"refill": -0.1}])
def test_impossible_budgets_are_refused(given: dict[str, float]):
    """Where they are written."""
    with pytest.raises(lk.CallInvalid, match="RetryBudget"):
        lk.RetryBudget(**given)
