"""Each scorer tells right from wrong by its own measure; what cannot be told is no score, and no value is a 0."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from desk import GOOD, STOLEN, support_desk
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_runs import answered

import labkit as lk
from labkit.call.result import Reason
from labkit.evals import Case, Dataset, ExactMatch, Score, Scorer, evaluate
from labkit.evals.scorers.field_match import FieldMatch
from labkit.evals.scorers.json_values import json_key, same, shown
from labkit.evals.scorers.number_match import NumericMatch
from labkit.evals.scorers.path_match import JsonPathMatch
from labkit.evals.scorers.patterns import TEXT_MAX_CHARS as SEARCHED_CHARS
from labkit.evals.scorers.score import ascore_case, scorer_hash
from labkit.evals.scorers.set_match import SetF1
from labkit.evals.scorers.text_match import TEXT_MAX_CHARS, RegexMatch, TextSimilarity

ALL: list[Any] = [
    FieldMatch(), FieldMatch(["total"]), NumericMatch("total"), RegexMatch("x"), JsonPathMatch("$.total"),
    SetF1("tags"), TextSimilarity("reply"),
]  # fmt: skip
NEED_EXPECTATION = [scorer for scorer in ALL if not isinstance(scorer, RegexMatch)]
LATE = Reason(step="model", outcome="deadline", message="")
EVERYTHING = {"total": 1, "tags": ["a"], "reply": "hello"}


def scored(scorer: Any, value: Any, expected: Any = None) -> Score:
    score: Score = scorer.score(Case(id="a", input={}, expected=expected), answered(value))
    return score


def could_not_tell(scorer: Any, value: Any, expected: Any = None) -> str:
    """Why there is no score."""
    case = Case(id="a", input={}, expected=expected)
    score = asyncio.run(ascore_case(scorer, case, answered(value)))
    assert (score.value, score.passed) == (None, None)
    return score.reason


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scorer", ALL, ids=lambda scorer: scorer.name)
def test_a_call_without_a_value_scores_0(scorer: Any):
    """Nobody could answer: that is a failure, and not a gap in the figures."""
    case = Case(id="a", input={}, expected=EVERYTHING)

    score = scorer.score(case, answered(None, source="error", reason=LATE))

    passed = None if getattr(scorer, "is_graded", False) else False  # a grade of 0, by who only gives grades
    assert (score.value, score.passed, score.reason) == (0.0, passed, "no value")


@pytest.mark.parametrize("scorer", NEED_EXPECTATION, ids=lambda scorer: scorer.name)
def test_a_case_that_expects_nothing_is_not_scored(scorer: Any):
    """A missing expectation is neither right nor wrong, whether or not there is an answer."""
    assert "case 'a' expects no" in could_not_tell(scorer, EVERYTHING)
    with pytest.raises(LookupError, match="case 'a'"):
        scorer.score(Case(id="a", input={}), answered(None, source="error", reason=LATE))


@pytest.mark.parametrize("scorer", ALL, ids=lambda scorer: scorer.name)
def test_a_scorer_travels_and_keeps_its_hash(scorer: Any):
    """A worker in another process scores the same, and the run knows which scorer it was."""
    there = pickle.loads(pickle.dumps(scorer))

    assert isinstance(scorer, Scorer)
    assert there == scorer and scorer_hash(there) == scorer_hash(scorer)
    assert scored(there, EVERYTHING, EVERYTHING) == scored(scorer, EVERYTHING, EVERYTHING)


def test_names_and_hashes_tell_scorers_apart():
    """Two settings of one scorer never write into the same column unseen."""
    pairs = [
        (FieldMatch(["a"]), FieldMatch(["b"])),
        (NumericMatch("a"), NumericMatch("a", abs_tol=1)),
        (RegexMatch("a"), RegexMatch("b")),
        (JsonPathMatch("$.a"), JsonPathMatch("$.a", expected=None)),
        (SetF1("a"), SetF1("a", at_least=0.5)),
        (TextSimilarity("a"), TextSimilarity("a", at_least=0.5)),
    ]

    assert all(scorer_hash(one) != scorer_hash(other) for one, other in pairs)
    assert len({scorer.name for scorer in ALL}) == len(ALL)


def test_scorers_judge_a_run(tmp_path: Any):
    """They go into an evaluation together, and each leaves its own score."""
    cases = Dataset(
        [Case(id=name, input={"text": name}, expected={"intent": "card_arrival", "urgency": 2}) for name in ("a", "b")]
    )
    scorers = [FieldMatch(), NumericMatch("urgency"), RegexMatch("card_arrival"), JsonPathMatch("$", expected={})]

    run = evaluate(
        support_desk(lk.ScriptedModel([GOOD, STOLEN])), cases, scorers=scorers, concurrency=1,
        store=f"sqlite:///{tmp_path}/x.db",
    )  # fmt: skip

    assert [run.row("a").scores[scorer.name].value for scorer in scorers] == [1.0, 1.0, 1.0, 0.0]
    assert [run.row("b").scores[scorer.name].value for scorer in scorers] == [0.5, 1.0, 0.0, 0.0]


# --- equality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True), (1, True, False), (0, False, False), ("1", 1, False), (None, False, False),
        ({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]}, True), ([1, 2], [2, 1], False), ((1, 2), [1, 2], True),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, True), (10**400, 10**400 + 1, False), (1e300, 10**300, False),
    ],
)  # fmt: skip
def test_json_values_are_equal_as_json_means_it(a: Any, b: Any, equal: bool):
    """true is not 1, but 1.0 is; the order of keys is none."""
    assert same(a, b) is equal
    assert scored(ExactMatch("x"), {"x": a}, {"x": b}).passed is equal


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(json_values, json_values)
def test_values_with_one_key_are_equal_in_python_too(a: Any, b: Any):
    """The key never takes two values for one that Python's == tells apart."""
    assert json_key(a) == json_key(a)
    assert a == b or not same(a, b)


def test_a_reason_does_not_grow_with_the_answer():
    """What a model says has no bound; what a table shows of it has."""
    assert len(shown("x" * 1_000_000)) == 200
    assert len(scored(FieldMatch(), {"total": "x" * 10_000}, {"total": "y" * 10_000}).reason) < 500


# --- fields -----------------------------------------------------------------------------------------------------------


def test_fields_are_counted_and_the_wrong_ones_named():
    """Two of three are right, and one reads which is not."""
    expected = {"intent": "card", "urgency": 2, "tags": ["a"]}

    score = scored(FieldMatch(), {"intent": "card", "urgency": 3, "tags": ["a"], "more": 1}, expected)

    assert score.value == pytest.approx(2 / 3)
    assert (score.passed, score.reason) == (False, "urgency: 3, expected 2")
    assert scored(FieldMatch(), expected, expected) == Score(value=1.0, passed=True)


def test_only_the_named_fields_count():
    """A path leads into nested fields; a field that the answer lacks is wrong, and not a crash."""
    expected = {"order": {"id": 7, "note": "x"}, "total": 1}
    scorer = FieldMatch(["order.id", "total"])

    assert scored(scorer, {"order": {"id": 7, "note": "y"}, "total": 1}, expected).passed is True
    missing = scored(scorer, {"order": {}, "total": 1}, expected)
    assert (missing.value, missing.reason) == (0.5, "order.id: not there")
    assert scored(scorer, "just text", expected).value == 0.0
    assert "nothing of 'order.id'" in could_not_tell(scorer, expected, {"total": 1})


def test_the_nearest_of_several_right_answers_counts():
    """Alternatives may stand for the whole answer or for one field."""
    whole = {"any_of": [{"a": 1, "b": 1}, {"a": 2, "b": 2, "c": 2}]}
    one_field = {"a": {"any_of": [1, 2]}, "b": 2}

    assert scored(FieldMatch(), {"a": 2, "b": 2, "c": 3}, whole).value == pytest.approx(2 / 3)
    assert scored(FieldMatch(), {"a": 1, "b": 1}, whole).passed is True
    assert scored(FieldMatch(), {"a": 2, "b": 2}, one_field).passed is True
    assert scored(FieldMatch(), {"a": 3, "b": 2}, one_field).reason == "a: 3, expected 1 or 2"
    assert "expects one of no answers" in could_not_tell(FieldMatch(), {"a": 1}, {"any_of": []})


def test_a_name_with_a_dot_is_found_as_it_is_written():
    """A field called "a.b" is not looked for inside "a"."""
    assert scored(FieldMatch(), {"a.b": 1}, {"a.b": 1}).passed is True


@pytest.mark.parametrize("fields", ["intent", [], ()])
def test_fields_are_a_list_of_names(fields: Any):
    """A single text would be read letter by letter."""
    with pytest.raises(ValueError, match="give a list"):
        FieldMatch(fields)


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "passed"),
    [
        (10, 10.0, {}, True), (10.01, 10, {}, False),
        (1.1, 1.0, {"abs_tol": 0.1}, True), (1.1000001, 1.0, {"abs_tol": 0.1}, False),
        (0.3, 0.1, {"abs_tol": 0.2}, True),
        (110, 100, {"rel_tol": 0.1}, True), (100, 110, {"rel_tol": 0.09}, False), (-90, -100, {"rel_tol": 0.1}, True),
        (0.5, 0, {"rel_tol": 0.5}, False), (0.5, 0, {"rel_tol": 0.5, "abs_tol": 0.5}, True),
        (10**400 + 1, 10**400, {}, False), (10**400 + 1, 10**400, {"abs_tol": 1}, True),
        (True, 1, {"abs_tol": 5}, False), ("10", 10, {"abs_tol": 5}, False), (None, 0, {"abs_tol": 5}, False),
        (float("nan"), 1, {"abs_tol": 1e300}, False), (float("inf"), 1, {"abs_tol": 1e300}, False),
    ],
)  # fmt: skip
def test_a_number_passes_within_its_tolerance(found: Any, expected: Any, tolerance: Any, passed: bool):
    """Both ends included, as the decimals are written; what is no number never passes."""
    score = scored(NumericMatch("x", **tolerance), {"x": found}, {"x": expected})

    assert (score.value, score.passed) == (float(passed), passed)
    assert bool(score.reason) is not passed


@pytest.mark.parametrize("expected", ["10", True, None, float("nan"), {"any_of": [1, "2"]}])
def test_an_expectation_that_is_no_number_is_the_fault_of_the_case(expected: Any):
    """It does not count against the answer."""
    assert "no finite number" in could_not_tell(NumericMatch("x"), {"x": 10}, {"x": expected})


def test_one_of_several_numbers_is_enough():
    """As for any other scorer."""
    assert scored(NumericMatch("x", abs_tol=1), {"x": 21}, {"x": {"any_of": [10, 20]}}).passed is True
    assert scored(NumericMatch("x"), {"x": 15}, {"x": {"any_of": [10, 20]}}).reason == "15, expected 10 or 20"
    assert scored(NumericMatch(""), 15, 15).passed is True


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf"), "1", True])
def test_a_tolerance_is_a_finite_number(tolerance: Any):
    """A negative one would fail every case, an infinite one pass it."""
    with pytest.raises(ValueError, match="abs_tol"):
        NumericMatch("x", abs_tol=tolerance)
    with pytest.raises(ValueError, match="rel_tol"):
        NumericMatch("x", rel_tol=tolerance)


# --- texts ------------------------------------------------------------------------------------------------------------


def test_a_pattern_is_searched_for_in_the_text_or_a_field():
    """Without a field it is the text that was served."""
    assert scored(RegexMatch(r"\bcard\b"), "Your card is on its way").passed is True
    assert scored(RegexMatch(r"^card"), "Your card").reason == "'^card' is not in the text"
    assert scored(RegexMatch(r"^\d+ days$", "reply"), {"reply": "12 days"}).passed is True
    assert scored(RegexMatch(r"1", "reply"), {"reply": 12}).reason == "12 is no text"
    assert "no field 'reply'" in could_not_tell(RegexMatch("1", "reply"), {"intent": "x"})


def test_a_pattern_that_does_not_compile_is_refused_when_it_is_made():
    """Not in the middle of a night's run."""
    with pytest.raises(ValueError, match=r"RegexMatch\('\('\).*position 0"):
        RegexMatch("(")


def test_a_text_too_long_to_search_is_not_judged():
    """A verdict on part of it could be wrong."""
    searched, compared = "x" * SEARCHED_CHARS, "x" * TEXT_MAX_CHARS

    assert scored(RegexMatch("x$"), searched).passed is True
    assert "20,001 characters" in could_not_tell(RegexMatch("x"), searched + "x")
    assert scored(TextSimilarity(), compared, compared).value == 1.0
    assert "100,001 characters" in could_not_tell(TextSimilarity(), compared + "x", "x")


def test_a_pattern_that_backtracks_without_end_is_not_judged():
    """A hostile answer costs a second, and not the night."""
    assert "took longer than 1 s" in could_not_tell(RegexMatch(r"^(\w|\w\w)+$"), "x" * 5_000 + "!")


@pytest.mark.parametrize(
    ("found", "expected", "value"),
    [
        ("Your card", "your  CARD\n", 1.0), ("Straße", "STRASSE", 1.0), ("Cafe\u0301", "café", 1.0),
        ("abcd", "abcx", 0.75), ("abc", "xyz", 0.0), ("", "", 1.0), ("", "abc", 0.0),
    ],
)  # fmt: skip
def test_similarity_looks_past_case_blanks_and_composition(found: str, expected: str, value: float):
    """1 for the same words, 0 for no character in common."""
    assert scored(TextSimilarity(), found, expected).value == pytest.approx(value)
    assert scored(TextSimilarity("reply"), {"reply": found}, {"reply": expected}).value == pytest.approx(value)


def test_similarity_takes_the_best_alternative_and_its_own_threshold():
    """The reason says how near it came."""
    expected = {"any_of": ["xyz", "abcx"]}

    assert scored(TextSimilarity(at_least=0.75), "abcd", expected).passed is True
    far = scored(TextSimilarity(at_least=0.8), "abcd", expected)
    assert scored(TextSimilarity(), "abcd", expected).passed is None
    assert (far.passed, far.reason) == (False, "0.75 similar, at least 0.8 is wanted")
    assert scored(TextSimilarity("reply"), {"reply": None}, {"reply": "x"}).reason == "None is no text"
    assert "expects no text of 'reply'" in could_not_tell(TextSimilarity("reply"), {"reply": "x"}, {"reply": 3})


@pytest.mark.parametrize("made", [TextSimilarity, SetF1])
def test_a_threshold_is_a_share(made: Any):
    """80 for 80% would fail every case."""
    with pytest.raises(ValueError, match="share from 0 to 1"):
        made("x", at_least=80)


# --- sets -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected", "value", "reason"),
    [
        (["b", "a", "a"], ["a", "b"], 1.0, "precision 2/2, recall 2/2"),
        (["a", "c"], ["a", "b"], 0.5, "precision 1/2, recall 1/2"),
        (["a"], ["a", "b", "c"], 0.5, "precision 1/1, recall 1/3"),
        ([], [], 1.0, "both empty"),
        ([], ["a"], 0.0, "nothing found, recall 0/1"),
        (["a"], [], 0.0, "precision 0/1, nothing expected"),
        ([1, True], [1.0], 2 / 3, "precision 1/2, recall 1/1"),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], 1.0, "precision 1/1, recall 1/1"),
    ],
)
def test_lists_are_compared_as_sets(found: Any, expected: Any, value: float, reason: str):
    """Order and repetition do not count; precision and recall say on which side it failed."""
    score = scored(SetF1("x"), {"x": found}, {"x": expected})

    assert score.value == pytest.approx(value)
    assert (score.passed, score.reason) == (None, reason)
    assert scored(SetF1("x", at_least=1.0), {"x": found}, {"x": expected}).passed is (value == 1.0)


def test_a_set_may_pass_below_1():
    """From the threshold on; the best alternative counts."""
    assert scored(SetF1("x", at_least=0.5), {"x": ["a", "c"]}, {"x": ["a", "b"]}).passed is True
    assert scored(SetF1("x"), {"x": ["a"]}, {"x": {"any_of": [["b"], ["a"]]}}).value == 1.0
    assert scored(SetF1("x"), {"x": "abc"}, {"x": ["a"]}).reason == "'abc' is no list"
    assert "expects no list" in could_not_tell(SetF1("x"), {"x": ["a"]}, {"x": "a"})


# --- paths ------------------------------------------------------------------------------------------------------------

ORDER = {"items": [{"sku": "a", "price": 5}, {"sku": "b", "price": 20}], "total": 25}


@pytest.mark.parametrize(
    ("path", "expected", "passed"),
    [
        ("$.total", 25.0, True), ("$.total", [25], False), ("$.items[1].sku", "b", True), ("total", 25, True),
        ("$.items[*].sku", ["a", "b"], True), ("$.items[*].sku", ["b", "a"], False),
        ("$.items[?@.price > 10].sku", ["b"], True), ("$..price", [5, 20], True), ("$.none[*]", [], True),
        ("$.total | $.items[0].sku", [25, "a"], True), ("$.total", {"any_of": [24, 25]}, True), ("$", ORDER, True),
    ],
)  # fmt: skip
def test_a_path_to_one_value_gives_it_and_any_other_a_list(path: str, expected: Any, passed: bool):
    """What it should find stands in the scorer, in the case, or in a part of the case's expectation."""
    assert scored(JsonPathMatch(path, expected=expected), ORDER).passed is passed
    assert scored(JsonPathMatch(path), ORDER, expected).passed is passed
    assert scored(JsonPathMatch(path, expected_field="a.b"), ORDER, {"a": {"b": expected}}).passed is passed


def test_a_path_that_finds_nothing_says_so():
    """It is not the same as finding null."""
    assert scored(JsonPathMatch("$.none", expected=None), ORDER).reason == "the path finds nothing"
    assert scored(JsonPathMatch("$.none", expected=None), {"none": None}).passed is True
    assert scored(JsonPathMatch("$.total", expected=3), ORDER).reason == "25, expected 3"


@pytest.mark.parametrize("path", ["$.items[", "a b", "$[?@.x ==]"])
def test_a_path_that_cannot_be_read_is_refused_when_it_is_made(path: str):
    """With the path, in one line."""
    with pytest.raises(ValueError, match="the path cannot be read") as caught:
        JsonPathMatch(path)
    assert repr(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_path_has_one_expectation():
    """Two would leave open which counts."""
    with pytest.raises(ValueError, match="not both"):
        JsonPathMatch("$.a", expected=1, expected_field="a")


def test_an_answer_nested_without_end_is_not_judged():
    """Hostile data ends in a reason, not in a crash."""
    value: Any = 1
    for _ in range(200):
        value = {"a": value}

    assert "JSONPathRecursionError" in could_not_tell(JsonPathMatch("$..a", expected=[]), value)
