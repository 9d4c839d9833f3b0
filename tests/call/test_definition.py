"""A definition that cannot work is refused when it is made, with the place and the mend."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from desk import Ticket, Triage, support_desk

import labkit as lk


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": lk.Prompt(user="{{ input.txet }}")}, "Ticket has no field 'txet'; it has text"),
        ({"prompt": lk.Prompt(user="{{ context.policy }}")}, "no source is named 'policy'"),
        ({"prompt": "hello"}, r"triage: prompt='hello': give a Prompt: write Prompt\(user='hello'\)"),
        ({"input": dict}, "must be a pydantic model"),
        ({"output": object()}, "output="),
        ({"context": [lk.Source(len), lk.Source(len)]}, "two sources are named 'len'"),
        ({"fallbacks": [lk.Stale()]}, "Policy\\(cache=Cache"),
        ({"fallbacks": [lk.SafeDefault({"intent": "nonsense", "urgency": 1})]}, "SafeDefault's value does not fit"),
        ({"fallbacks": [42]}, r"fallbacks\[0\]=42: give a text, a Model, a Stale"),
        ({"sink": "carrier-pigeon:coop"}, "records cannot go to"),
    ],
)
def test_a_part_that_cannot_work_is_named(changes: dict[str, Any], said: str):
    """The error comes while the author is looking, not at the first customer."""
    with pytest.raises(lk.CallInvalid, match=said):
        support_desk(**changes)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lk.Prompt(user="{% if %}"), "user template, line 1"),
        (lambda: lk.Prompt(user="{{ input.text }}", system="{{ rules }}"), "system template"),
        (lambda: lk.Prompt(user="{{ ticket }}"), "'ticket', which it is not given"),
        (lambda: lk.Prompt(user="x", values={"input": 1}), "may not hold 'input'"),
        (lambda: lk.Policy(deadline_s=1, reserve_s=1), "must leave time"),
        (lambda: lk.Policy(reask=-1), "0 or more"),
        (lambda: lk.Policy(retry=lk.Retry(max_attempts=0)), "1 or more"),
        (lambda: lk.Policy(attempt=lk.Attempt(total_s=0)), "positive"),
        (lambda: lk.Model("gpt-4o"), "provider/model"),
        (lambda: lk.Source(lambda ticket: 1), "needs a name"),
        (lambda: lk.Confidence(at_least=60), "from 0 to 1"),
        (lambda: lk.Cache(ttl_s=-1), "0 or more"),
        (lambda: support_desk().replace(modle="x"), "has no 'modle'"),
        (lambda: support_desk().replace(name="my call"), "my call"),
    ],
)
def test_a_value_that_cannot_work_is_refused(make: Any, said: str):
    """Each error says what to write instead."""
    with pytest.raises(lk.CallInvalid, match=said):
        make()


def test_a_template_cannot_reach_into_python():
    """The sandbox holds: the call answers with its reason, and nothing ran."""
    desk = support_desk(prompt=lk.Prompt(user="{{ input.text.__class__.__mro__ }}"))

    result = desk(text="hello")

    assert (result.reason.step, result.reason.outcome) == ("prompt", "bug")


def test_an_undefined_name_inside_data_is_an_error_not_an_empty_string():
    """A prompt with a hole in it is not sent."""
    desk = support_desk(
        prompt=lk.Prompt(user="{{ context.account.owner }} {{ input.text }}"),
        context=[lk.Source(lambda ticket: {"id": 1}, name="account")],
    )

    result = desk(text="hello")

    assert (result.reason.step, result.reason.outcome) == ("prompt", "bug")
    assert "owner" in result.reason.message


def test_values_are_data_for_the_template():
    """Examples go in as values; what they hold is never a template."""
    model = lk.ScriptedModel('{"intent": "card_arrival", "urgency": 1}')
    prompt = lk.Prompt(
        system="{% for e in examples %}{{ e }}\n{% endfor %}",
        user="{{ input.text }}",
        values={"examples": ["{{ 7*7 }}", "b"]},
    )

    support_desk(model, prompt=prompt)(text="hello")

    assert model.requests[0].messages[0].content == "{{ 7*7 }}\nb\n"


def test_replace_changes_what_it_is_given_and_nothing_else():
    """A variant differs in one part, and the versions say which."""
    desk = support_desk()

    shorter = desk.replace(name="triage-short", prompt=lk.Prompt(user="{{ input.text }}"))

    assert shorter.name == "triage-short"
    assert [part for part in desk.versions if desk.versions[part] != shorter.versions[part]] == ["prompt"]
    assert desk.fingerprint != shorter.fingerprint


def _fingerprint_with(threshold: int) -> str:
    limit = threshold

    def at_most(value: Triage, ticket: Ticket) -> Triage | lk.Reject:
        return value if value.urgency <= limit else lk.Reject("too urgent")

    return support_desk(rules=[at_most]).fingerprint


def test_the_fingerprint_follows_what_a_rule_would_do():
    """Equal rules give equal fingerprints, and a constant that a rule closes over counts."""
    assert _fingerprint_with(4) == _fingerprint_with(4)
    assert _fingerprint_with(4) != _fingerprint_with(3)


@pytest.mark.parametrize(
    "change",
    [
        {"policy": lk.Policy(deadline_s=9)},
        {"guards": [lambda text: text.strip()]},
        {"fallbacks": [lk.SafeDefault({"intent": "card_arrival", "urgency": 1})]},
        {"context": [lk.Source(len, name="size", required=False)]},
        {"model": lk.ScriptedModel("x", name="scripted/other")},
    ],
)
def test_every_part_counts_in_the_fingerprint(change: dict[str, Any]):
    """Nothing that changes behaviour is left out."""
    desk = support_desk()

    assert desk.replace(**change).fingerprint != desk.fingerprint


def test_where_a_call_keeps_things_does_not_count(tmp_path: Any):
    """The same feature on another machine has the same fingerprint."""
    here = support_desk(policy=lk.Policy(cache=lk.Cache(path=str(tmp_path / "a.db"))), sink=f"jsonl:{tmp_path}/a")
    there = support_desk(policy=lk.Policy(cache=lk.Cache(path=str(tmp_path / "b.db"))), sink=f"jsonl:{tmp_path}/b")

    assert here.fingerprint == there.fingerprint


def test_a_call_travels_to_another_process():
    """Pickled and made anew it has the fingerprint it had; breakers, budgets and connections stay behind."""
    call = support_desk().replace(
        model="offline/nearest",
        prompt=lk.Prompt(system="{{ n }}", user="{{ input.text }}", values={"n": 1}),
        fallbacks=[lk.SafeDefault(Triage(intent="card_arrival", urgency=1))],
        guards=[lk.no_pii],
        policy=lk.Policy(cache=lk.Cache(ttl_s=5.0), retry=lk.Retry(budget=lk.RetryBudget(burst=7.0))),
    )

    again = pickle.loads(pickle.dumps(call))

    assert (again.name, again.fingerprint) == (call.name, call.fingerprint)
    assert again.policy.retry.budget.burst == 7.0 and again.policy.cache.ttl_s == 5.0
    assert pickle.loads(pickle.dumps(lk.Retry())).budget is lk.Retry().budget
