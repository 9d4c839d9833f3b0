"""A case's checks are looked for in the text that was served, and each is worth its weight."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from desk import GOOD, STOLEN, support_desk
from scripted_runs import answered, attempt

import labkit as lk
from labkit.call.repairs import Repair
from labkit.call.result import Reason
from labkit.evals import Case, evaluate
from labkit.evals.case import CHECKS, Check
from labkit.evals.cases import Dataset
from labkit.evals.scorers.checks import CheckScorer, answer_text
from labkit.evals.scorers.patterns import TEXT_MAX_CHARS
from labkit.evals.scorers.score import Scorer, ascore_case


def scored(text: Any, *checks: Check) -> Any:
    return CheckScorer().score(Case(id="a", input={}, checks=checks), answered(text))


@pytest.mark.parametrize(
    ("kind", "value", "right", "wrong"),
    [
        ("equals", "Hello", "Hello", "hello"),
        ("equals", {"a": [1, None]}, '{ "a": [1, null] }', '{"a": [1]}'),
        ("equals", True, "true", "1"),
        ("contains", "ell", "Hello", "HELLO"),
        ("contains", 42, "it is 42", "it is 24"),
        ("icontains", "STRASSE", "die Straße", "der Weg"),
        ("contains-all", ["a", "b"], "a, b", "a"),
        ("contains-any", ["a", "b"], "b", "c"),
        ("contains-all", "a, b", "b a", "b"),
        ("icontains-all", ["A", "b"], "a B", "a"),
        ("icontains-any", ["A", "B"], "b", "c"),
        ("starts-with", "He", "Hello", "The"),
        ("regex", r"^\d+ days$", "12 days", "12 day"),
        ("is-json", None, " [1] ", "[1] and more"),
        ("contains-json", None, 'here: {"a": [1]}, done', "here: {a}, [done"),
    ],
)
def test_each_check_tells_right_from_wrong(kind: str, value: Any, right: str, wrong: str):
    """And the other way round with "not-" before it."""
    check, opposite = Check(type=kind, value=value), Check(type=f"not-{kind}", value=value)

    assert (scored(right, check).passed, scored(wrong, check).passed) == (True, False)
    assert (scored(right, opposite).passed, scored(wrong, opposite).passed) == (False, True)


def test_every_kind_of_check_is_tested_above():
    """A new one cannot be forgotten."""
    (mark,) = [m for m in test_each_check_tells_right_from_wrong.pytestmark if m.name == "parametrize"]

    assert {row[0] for row in mark.args[1]} == set(CHECKS)


def test_the_share_is_weighted_and_passes_when_all_pass():
    """The reason names what did not hold; a check of weight 0 does not count."""
    held, missed = Check(type="contains", value="a", weight=3), Check(type="contains", value="z")
    unweighted = Check(type="contains", value="q", weight=0)

    score = scored("abc", held, missed, unweighted)

    assert (score.value, score.passed, score.reason) == (0.75, False, "not so: contains 'z'")
    assert (scored("abc", held, unweighted).value, scored("abc", held, unweighted).passed) == (1.0, True)


@pytest.mark.parametrize(
    ("threshold", "passed"), [(None, False), (0.3, True), (2 / 3, True), (0.7, False), (0.0, True)]
)
def test_a_set_passes_from_its_threshold_on(threshold: float | None, passed: bool):
    """Two of three hold; its share counts either way."""
    checks = tuple(Check(type="contains", value=value) for value in "abz")

    score = scored("abc", Check(type="assert-set", threshold=threshold, checks=checks))

    assert score.value == pytest.approx(2 / 3)
    assert score.passed is passed
    assert ("contains 'z'" in score.reason) is not passed


def test_the_text_is_what_was_served():
    """The model's own words, unless a rule changed them or something else answered."""
    value, said = {"intent": "x"}, attempt(1, 'Sure! {"intent": "x"}', 0.1)
    broken = attempt(1, "no idea", 0.1, outcome="parse")
    why = Reason(step="output", outcome="parse", message="")
    fixed = (Repair(kind="rule", path="intent", by="rule"),)

    assert answer_text(answered(value, attempts=(broken, said))) == 'Sure! {"intent": "x"}'
    assert answer_text(answered(value, attempts=(said,), repairs=fixed)) == '{"intent": "x"}'
    assert answer_text(answered(value, attempts=(broken,), source="rules", reason=why)) == '{"intent": "x"}'
    assert answer_text(answered(value, attempts=(), source="cache")) == '{"intent": "x"}'
    assert answer_text(answered("plain", attempts=(said,))) == "plain"


def test_what_cannot_be_told_is_no_score():
    """No check, or a text too long to search, is neither passed nor failed; no value at all has failed."""
    late = Reason(step="model", outcome="deadline", message="")
    one = Case(id="a", input={}, checks=(Check(type="regex", value="a"),))
    results = {
        "no check that counts": (Case(id="a", input={}), answered("x")),
        "20,001 characters": (one, answered("x" * (TEXT_MAX_CHARS + 1))),
    }

    for said, (case, result) in results.items():
        score = asyncio.run(ascore_case(CheckScorer(), case, result))
        assert (score.value, score.passed) == (None, None)
        assert said in score.reason
    lost = CheckScorer().score(one, answered(None, source="error", reason=late))
    assert (lost.value, lost.passed, lost.reason) == (0.0, False, "no value")


@pytest.mark.parametrize("text", ["[" * TEXT_MAX_CHARS, '{"a":' * 4_000, '["' * 10_000])
def test_hostile_texts_hold_no_json(text: str):
    """They neither crash the scorer nor pass."""
    assert scored(text, Check(type="contains-json"), Check(type="is-json")).value == 0.0


def test_checks_judge_a_run(tmp_path: Any):
    """The scorer goes into an evaluation like any other."""
    cases = Dataset(
        [
            Case(id="a", input={"text": "hi"}, checks=(Check(type="contains", value="card_arrival"),)),
            Case(id="b", input={"text": "ho"}, checks=(Check(type="equals", value=json.loads(GOOD)),)),
        ]
    )
    desk = support_desk(lk.ScriptedModel([GOOD, STOLEN]))

    run = evaluate(desk, cases, scorers=[CheckScorer()], concurrency=1, store=f"sqlite:///{tmp_path}/x.db")

    assert isinstance(CheckScorer(), Scorer)
    assert {row.case_id: row.scores["checks"].passed for row in run.rows} == {"a": True, "b": False}


def test_a_pattern_that_never_ends_is_given_up():
    """Catastrophic backtracking costs a second and the score says so; it is no zero."""
    case = Case(id="a", input={}, checks=(Check(type="regex", value=r"(\w+\s?)+$"),))

    score = asyncio.run(ascore_case(CheckScorer(), case, answered("word " * 2_000 + "!")))

    assert score.passed is None and "took longer than 1 s: simplify it" in score.reason
