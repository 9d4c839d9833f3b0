"""Options are checked where they are given: every mistake says where it is, what was given, and what to write."""

from __future__ import annotations

import functools
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from desk import GOOD, Ticket, Triage, support_desk
from pydantic import BaseModel

import labkit as lk
from labkit import evals
from labkit.errors import LabkitError, OptionInvalid

Made = Callable[[], Any]


def said(make: Made) -> str:
    """What the error says."""
    with pytest.raises(LabkitError) as caught:
        make()
    assert isinstance(caught.value, (lk.CallInvalid, OptionInvalid))
    return str(caught.value)


def three(value: Any, input: Any, more: Any) -> Any:
    return value


def one(value: Any) -> Any:
    return value


async def later(text: str) -> str:
    return text


def yields(value: Any, input: Any) -> Any:
    yield value


class Guarding:
    """A guard that is an object."""

    def __call__(self, text: str) -> str:
        return text

    def check(self, text: str) -> str:
        return text


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: lk.Policy(deadline=3), "Policy has no 'deadline': write deadline_s="),
        (lambda: lk.Policy(timeout=3), "Policy has no 'timeout': write deadline_s="),
        (lambda: lk.Policy(retries=3), "Policy has no 'retries': write retry="),
        (lambda: lk.Policy(max_attempts=3), "Retry has: write Policy(retry=Retry(max_attempts=3))"),
        (lambda: lk.Policy(ttl_s=3), "Cache has: write Policy(cache=Cache(ttl_s=3))"),
        (lambda: lk.Attempt(timeout=3), "Attempt has no 'timeout': write total_s="),
        (lambda: lk.Retry(attempts=3), "Retry has no 'attempts': write max_attempts="),
        (lambda: lk.Breaker(window=3), "Breaker has no 'window': write window_s="),
        (lambda: lk.Hedge(after=3), "Hedge has no 'after': write after_s="),
        (lambda: lk.Spend(cost=3), "Spend has no 'cost': it has usd, tokens"),
        (lambda: lk.Cache(ttl=3), "Cache has no 'ttl': write ttl_s="),
        (lambda: lk.RetryBudget(bursts=3), "RetryBudget has no 'bursts': write burst="),
        (lambda: lk.Normalization(max_char=3), "Normalization has no 'max_char': write max_chars="),
        (lambda: lk.Model("openai/x", temprature=0), "Model has no 'temprature': write temperature="),
        (lambda: lk.Model("openai/x", api_base="http://h"), "Model has no 'api_base': write base_url="),
        (lambda: lk.Price(prompt=1, completion_usd=2), "Price has no 'prompt': write prompt_usd="),
        (lambda: lk.Source(len, timeout=1), "Source has no 'timeout': write timeout_s="),
        (lambda: lk.Confidence(threshold=0.5), "Confidence has no 'threshold': it has at_least"),
        (lambda: lk.Prompt(usr="x"), "Prompt has no 'usr': write user="),
        (lambda: lk.RulesBased(len, mesage=""), "RulesBased has no 'mesage': write message="),
        (lambda: support_desk(rule=[]), "GuardedCall has no 'rule': write rules="),
        (lambda: support_desk(deadline_s=3), "Policy has: write GuardedCall(policy=Policy(deadline_s=3))"),
        (lambda: support_desk(response_model=Triage), "GuardedCall has no 'response_model': write output="),
        (lambda: support_desk().replace(modle="x"), "GuardedCall has no 'modle': write model="),
        (lambda: evals.Gate(margins=0.1), "Gate has no 'margins': write margin="),
        (lambda: evals.SetF1("tags", threshold=0.5), "SetF1 has no 'threshold': it has field, at_least"),
        (lambda: evals.evaluate(None, None, scorer=[]), "evaluate has no 'scorer': write scorers="),
        (lambda: evals.evaluate(None, None, metrics=[]), "evaluate has no 'metrics': write scorers="),
    ],
)
def test_an_option_that_is_not_there_names_the_one_that_was_meant(make: Made, wanted: str):
    """A misspelt name is answered with the right one, or with those there are."""
    assert wanted in said(make)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: lk.Policy(3), "options are given by name: Policy(deadline_s=3)"),
        (lambda: lk.Prompt("hello"), "Prompt(user='hello')"),
        (lambda: lk.Price(1, 2), "Price(prompt_usd=1, ...)"),
        (lambda: lk.Confidence(0.6), "Confidence(at_least=0.6)"),
        (lambda: lk.Model("openai/x", 0.5), "Model(temperature=0.5)"),
        (lambda: lk.GuardedCall("x", Ticket), "GuardedCall(input=Ticket)"),
        (lambda: lk.Model(), "Model(): missing a required argument: 'name'; it takes name, base_url"),
        (lambda: lk.GuardedCall("x", input=Ticket), "missing a required argument: 'output'"),
    ],
)
def test_options_by_place_are_told_by_name(make: Made, wanted: str):
    """What was given is put where it probably belongs."""
    assert wanted in said(make)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: lk.Policy(retry=3), "Policy(retry=3): give a Retry: write Retry(max_attempts=3)"),
        (lambda: lk.Policy(retry={"max_attempts": 3}), "write Retry(max_attempts=3)"),
        (lambda: lk.Policy(retry=lk.Retry), "Retry is a class: write Retry()"),
        (lambda: lk.Policy(cache=3600), "write Cache(ttl_s=3600)"),
        (lambda: lk.Policy(cache="answers.db"), "write Cache(path='answers.db')"),
        (lambda: lk.Policy(cache=True), "give a Cache, or None"),
        (lambda: lk.Policy(hedge=0.5), "write Hedge(after_s=0.5)"),
        (lambda: lk.Policy(spend=0.02), "write Spend(usd=0.02)"),
        (lambda: lk.Policy(attempt=3), "write Attempt(total_s=3)"),
        (lambda: lk.Policy(breaker=False), "give a Breaker, or None"),
        (lambda: lk.Policy(normalize=False), "give a Normalization"),
        (lambda: lk.Policy(repair="lenient"), "give 'strict', 'safe' or 'aligned'"),
        (lambda: lk.Policy(record_content="yes"), "give True or False, or None"),
        (lambda: lk.Retry(budget=100), "RetryBudget"),
        (lambda: lk.Model("openai/x", price=0.5), "write Price(prompt_usd=0.5, completion_usd=...)"),
        (lambda: lk.Model("openai/x", client="http"), "give 'auto', 'offline', 'direct' or 'litellm'"),
        (lambda: lk.Model("openai/x", stop=[1]), "Model(stop[0]=1): give a text"),
        (lambda: lk.Model(3), "Model(name=3): give a text"),
        (lambda: lk.Cache(mode="record"), "give 'normal' or 'replay'"),
        (lambda: lk.Cache(store="redis://cache"), "CacheStore"),
        (lambda: lk.Source(len, required="no"), "give True or False"),
        (lambda: lk.Prompt(user=3), "Prompt(user=3): give a text"),
        (lambda: lk.Prompt(user="x", values=["a"]), "give a dict"),
        (lambda: lk.Apology(3), "Apology(message=3): give a text"),
        (lambda: support_desk(policy=3), "triage: policy=3: give a Policy, or None: write Policy(deadline_s=3)"),
        (lambda: support_desk(confidence=0.6), "write Confidence(at_least=0.6)"),
        (lambda: support_desk(prompt="hello"), "write Prompt(user='hello')"),
        (lambda: support_desk(flags=["kill"]), "triage: flags=['kill']: give a dict"),
        (lambda: support_desk(sticky=3), "give a text, or None"),
        (lambda: support_desk(sink=3), "give a function of (record)"),
        (lambda: evals.Gate(floors={"pass_rate": "high"}), "Gate(floors['pass_rate']='high'): give a number"),
        (lambda: evals.Rate(requests_per_min=0), "give a positive number"),
        (lambda: evals.Judge("good?", model="offline/nearest", scale=True), "give a whole number, 2 or more, or None"),
        (lambda: evals.ExactMatch(["intent"]), "ExactMatch(field=['intent']): give a text"),
        (lambda: evals.FieldMatch("intent"), "give a list, also of one: fields=['intent']"),
        (lambda: evals.NumericMatch("total", abs_tol=-1), "give a number, 0 or more"),
    ],
)
def test_a_value_of_another_kind_is_answered_with_what_to_write(make: Made, wanted: str):
    """Where it was, what was given, what is wanted, and the mend where it can be guessed."""
    assert wanted in said(make)


@pytest.mark.parametrize("wrong", ["3", -1, 0, math.nan, True, None, b"3", [3], Decimal("NaN")], ids=repr)
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (lk.Policy, "deadline_s"),
        (lk.Policy, "rule_timeout_s"),
        (functools.partial(lk.Source, len), "timeout_s"),
        (lk.Breaker, "window_s"),
        (lk.Breaker, "ratio"),
        (lk.RetryBudget, "burst"),
        (lk.Retry, "max_attempts"),
        (lk.Breaker, "min_calls"),
        (lk.Normalization, "max_chars"),
        (evals.Rate, "requests_per_min"),
    ],
)
def test_a_number_is_a_number_within_its_range(cls: Any, name: str, wrong: Any):
    """Texts, truth values, NaN and what is out of range never reach a call; None only where it means something."""
    if wrong is None and cls is evals.Rate:
        assert evals.Rate().requests_per_min is None
        return
    assert f"{name}=" in said(lambda: cls(**{name: wrong}))


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda: lk.Policy(deadline_s=Fraction(3, 2)).deadline_s, 1.5),
        (lambda: lk.Policy(deadline_s=np.float32(2)).deadline_s, 2.0),
        (lambda: lk.Policy(reask=np.int64(2)).reask, 2),
        (lambda: lk.Price(prompt_usd=Decimal("0.15"), completion_usd=0).prompt_usd, 0.15),
        (lambda: lk.Policy(deadline_s=math.inf).deadline_s, math.inf),
        (lambda: lk.Cache(ttl_s=math.inf).ttl_s, math.inf),
        (lambda: lk.Cache(ttl_s=0).ttl_s, 0),
    ],
)
def test_numbers_of_other_libraries_become_pythons_own(make: Made, kept: Any):
    """What is kept can be fingerprinted, stored and pickled."""
    assert make() == kept and type(make()) in (int, float)


def test_a_key_is_not_shown_where_a_slip_was_made_with_it():
    """An error is logged, and pasted into tickets."""
    assert "sk-live" not in said(lambda: lk.Model("openai/x", api_key=b"sk-live-123"))
    assert "hunter2" not in said(lambda: lk.Policy(cache={"url": "redis://user:hunter2@cache:6379"}))


def test_options_still_copy_compare_and_travel():
    """Checking them changes nothing else about them."""
    policy = lk.Policy(deadline_s=3, retry=lk.Retry(max_attempts=1))

    assert pickle.loads(pickle.dumps(policy)) == policy == lk.Policy(deadline_s=3, retry=lk.Retry(max_attempts=1))


# --- functions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: support_desk(rules=one), "triage: rules=one: give a list, also of one: rules=[one]"),
        (lambda: support_desk(rules=[one]), "one takes (value) and is called with (value, input): write def one(value"),
        (lambda: support_desk(rules=[three]), "three takes (value, input, more)"),
        (lambda: support_desk(rules=[lambda value: value]), "write lambda value, input: ..."),
        (lambda: support_desk(rules=[yields]), "yields yields, and is to give one answer"),
        (lambda: support_desk(rules=["one"]), "a str cannot be called: give a function of (value, input)"),
        (lambda: support_desk(rules={one}), "has no order that lasts: write rules=[...]"),
        (lambda: support_desk(rules=None), "rules=[] for none"),
        (lambda: support_desk(rules=[Guarding().check]), "takes (text)"),
        (lambda: support_desk(guards=[lk.guards.Pii]), "Pii is a class: give what is made of it, Pii()"),
        (lambda: support_desk(guards=[Guarding]), "Guarding is a class: give what is made of it, Guarding()"),
        (lambda: support_desk(guards=[lk.guards.Length]), "Length is a class"),
        (lambda: support_desk(guards=lk.no_pii), "guards=[no_pii]"),
        (lambda: support_desk(guards=[lk.no_pii("text")]), "None cannot be called: give a function of (text)"),
        (lambda: support_desk(guards=[later("text")]), "later was called already"),
        (lambda: support_desk(guards=[lambda: "x"]), "<lambda> takes () and is called with (text)"),
        (lambda: support_desk(context=[one]), "triage: context[0]=one: give a Source: write Source(one)"),
        (lambda: support_desk(context=lk.Source(one)), "context=[Source(...)]"),
        (lambda: lk.Source(lambda: 1, name="x"), "is called with (input)"),
        (lambda: lk.Source("policy.txt"), "a str cannot be called: give a function of (input)"),
        (lambda: lk.Source(Guarding), "Guarding is a class"),
        (lambda: support_desk(shortcuts=[one]), "write RulesBased(one)"),
        (lambda: lk.RulesBased(three), "three takes (value, input, more) and is called with (input)"),
        (lambda: support_desk(fallbacks=[one]), "write RulesBased(one)"),
        (lambda: support_desk(fallbacks=[lk.Stale]), "Stale is a class: write Stale()"),
        (lambda: support_desk(fallbacks="openai/x"), "fallbacks=['openai/x']"),
        (lambda: support_desk(fallbacks=["Sorry, try again later"]), "for a sentence write Apology(...)"),
        (lambda: support_desk(fallbacks=[{"intent": "card_arrival"}]), "write SafeDefault({'intent': 'card_arrival'})"),
        (lambda: lk.Confidence(at_least=0.5, score=one), "called with (value, completion)"),
        (lambda: lk.Confidence(at_least=0.5, score="logprobs"), "give 'logprob' or 'consistency' or a function"),
        (lambda: support_desk(sink=lambda: None), "called with (record)"),
        (lambda: support_desk(sink=later), "is async, and is called on a thread of its own"),
        (lambda: lk.Breaker(clock=one), "one takes (value) and is called with ()"),
    ],
)
def test_a_function_that_could_not_be_called_is_refused(make: Made, wanted: str):
    """With the parameters it has and those it is called with; not at the first customer."""
    assert wanted in said(make)


def test_parameters_turned_round_are_seen_by_their_annotations():
    """A rule that takes the input first, and a guard that takes the value, would crash on every call."""

    def swapped(ticket: Ticket, value: Triage) -> Triage:
        return value

    def looks_at_value(value: Triage) -> None:
        return None

    assert "takes the Ticket first" in said(lambda: support_desk(rules=[swapped]))
    assert "a guard is called with the model's text" in said(lambda: support_desk(guards=[looks_at_value]))


def test_every_shape_of_function_is_taken():
    """Plain, async, bound, partial, with defaults, with any arguments, objects, and builtins that tell nothing."""

    class Rules:
        def bound(self, value: Triage, ticket: Ticket) -> Triage:
            return value

        async def __call__(self, value: Triage, ticket: Ticket) -> Triage:
            return value

    def with_default(value: Triage, ticket: Ticket, *, strict: bool = False) -> Triage:
        return value

    def any_arguments(*given: Any, **named: Any) -> Any:
        return given[0]

    rules = [Rules().bound, Rules(), with_default, any_arguments, functools.partial(three, more=1)]
    desk = support_desk(
        [GOOD] * 3,
        rules=rules,
        guards=[Guarding(), Guarding().check, later, str.strip, str, any_arguments],
        context=[lk.Source(dict, name="fields"), lk.Source(max, name="most", required=False)],
        shortcuts=[lk.RulesBased(lambda ticket: None)],
        confidence=lk.Confidence(at_least=0.1, score=lambda value, completion: 1.0),
        sink=any_arguments,
    )

    assert desk(text="hello").source == "model"


def test_a_source_that_only_looks_plain_is_awaited():
    """An object with an async ``__call__`` gives the template its answer, not a coroutine."""

    class Policy:
        async def __call__(self, ticket: Ticket) -> str:
            return "refunds take a week"

    model = lk.ScriptedModel(GOOD)
    desk = support_desk(
        model,
        prompt=lk.Prompt(user="{{ context.policy }}: {{ input.text }}"),
        context=[lk.Source(Policy(), name="policy")],
    )

    desk(text="hello")

    assert model.requests[0].messages[-1].content == "refunds take a week: hello"


# --- what a call takes and gives --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"output": "Triage"}, "output='Triage' is a text and no type: give the class itself, without quotes"),
        ({"output": Triage(intent="card_arrival", urgency=1)}, "give the class itself, output=Triage"),
        ({"output": {"type": "object"}}, "is a dict: give a pydantic model"),
        ({"output": [Triage]}, "write output=list[...]"),
        ({"output": BaseModel}, "output=BaseModel has no field"),
        ({"output": one}, "is a function: give the type of its answer"),
        ({"input": Ticket(text="x")}, "give the class itself, input=Ticket"),
        ({"input": BaseModel}, "input=BaseModel has no field"),
        ({"confidence": lk.Confidence(at_least=0.5, score="consistency", on="intnt")}, "Triage has no 'intnt'"),
    ],
)
def test_what_is_no_type_is_refused(changes: dict[str, Any], wanted: str):
    """An instance, a text or a schema where a class belongs."""
    assert wanted in said(lambda: support_desk(**changes))


def test_a_confidence_that_no_answer_could_have_is_refused():
    """Without log probabilities every answer would be too unsure."""
    desk = support_desk(confidence=lk.Confidence(at_least=0.5))

    assert "write Model('offline/nearest', logprobs=True)" in said(lambda: desk.replace(model="offline/nearest"))
    assert desk.replace(model=lk.Model("offline/nearest", logprobs=True)).model == "offline/nearest"


@pytest.mark.parametrize("name", ["opnai/gpt-4o", "Anthropic/claude", "google/gemini-pro"])
def test_a_provider_that_is_not_known_is_named_when_the_call_is_defined(name: str):
    """No request is made of which an HTTP status could tell."""
    found = said(lambda: support_desk(fallbacks=[name]))

    assert f"no provider is called {name.partition('/')[0]!r}: write '" in found and "HTTP" not in found
