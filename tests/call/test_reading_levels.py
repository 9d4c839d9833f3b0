"""How far each level of reading goes, what it lists, and what none of them does."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from desk import support_desk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import labkit as lk
from labkit.call.output_type import OutputType
from labkit.call.outputs import read
from labkit.errors import OutputRejected


def field(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"f": schema}, "required": ["f"]}


INTENT = {"enum": ["card_arrival", "exchange_rate", "lost_card"]}
NUMBER, WHOLE, BOOLEAN, TEXT = {"type": "number"}, {"type": "integer"}, {"type": "boolean"}, {"type": "string"}
LIST = {"type": "array", "items": WHOLE}

# text of the field, its schema, its value, the kind of the repair, and whether that has one possible meaning
COERCED: list[tuple[Any, dict[str, Any], Any, str, bool]] = [
    ("Card Arrival", INTENT, "card_arrival", "enum", True),
    ("CARD_ARRIVAL.", INTENT, "card_arrival", "enum", True),
    ("it is card_arrival", INTENT, "card_arrival", "words", False),
    (["lost_card"], INTENT, "lost_card", "single", True),
    (["lost_card", "exchange_rate"], INTENT, "lost_card", "ambiguous", False),
    ("4", WHOLE, 4, "number", True),
    (4.0, WHOLE, 4, "", True),
    ("$12.50", NUMBER, 12.5, "currency", True),
    ("1,200,300", WHOLE, 1_200_300, "separators", False),
    ("12 %", NUMBER, 12.0, "percent", False),
    ("1/4", NUMBER, 0.25, "fraction", False),
    ("about 40 euros", NUMBER, 40, "words", False),
    ("True", BOOLEAN, True, "boolean", True),
    ("yes", BOOLEAN, True, "words", False),
    (7, TEXT, "7", "text", True),
    (5, LIST, [5], "list", True),
    ("[1, 2]", LIST, [1, 2], "nested", True),
    (["1", 2], LIST, [1, 2], "number", True),
]


@pytest.mark.parametrize(("said", "schema", "value", "kind", "is_sure"), COERCED, ids=lambda part: str(part)[:30])
def test_what_is_coerced_is_listed_and_only_what_is_sure_is_safe(
    said: Any, schema: dict[str, Any], value: Any, kind: str, is_sure: bool
):
    """Kind and place of each; where another reader might see something else, only ``aligned`` does it."""
    text = json.dumps({"f": said})

    reading = read(text, field(**schema), "aligned")

    assert reading.value == {"f": value}
    assert kind == "" or kind in {repair.kind for repair in reading.repairs}
    assert all(repair.path.startswith("f") for repair in reading.repairs)
    if is_sure:
        assert read(text, field(**schema), "safe").value == {"f": value}
    else:
        with pytest.raises(OutputRejected, match="aligned"):
            read(text, field(**schema), "safe")


@pytest.mark.parametrize(
    ("said", "schema"),
    [
        ("card_arrival or exchange_rate", INTENT),
        ("refund", INTENT),
        ("3.6", WHOLE),
        (3.6, WHOLE),
        ("between 3 and 5", WHOLE),
        ("1/0", NUMBER),
        ("not true", BOOLEAN),
        (None, TEXT),
        (None, LIST),
        ({"g": 1}, WHOLE),
    ],
    ids=str,
)
def test_what_is_not_said_is_not_made_up(said: Any, schema: dict[str, Any]):
    """Rounding, choosing and filling in are inventions."""
    with pytest.raises(OutputRejected) as rejected:
        read(json.dumps({"f": said}), field(**schema), "aligned")

    assert rejected.value.errors[0][0] == "f"


@pytest.mark.parametrize("level", ["safe", "aligned"])
@pytest.mark.parametrize("text", ["{}", '{"g": 1}', '{"f": 1, "g"', "{'other': 2}", "[]"])
def test_no_level_makes_up_a_required_field(level: Any, text: str):
    """Also not a null, an empty text or an empty list."""
    schema = {"type": "object", "properties": {"f": WHOLE, "g": LIST}, "required": ["f", "g"]}
    with pytest.raises(OutputRejected):
        read(text, schema, level)


def test_an_answer_that_was_cut_off_is_not_safe():
    """1 may have been the beginning of 15."""
    with pytest.raises(OutputRejected):
        read('{"f": 1', field(**WHOLE), "safe")
    assert [r.kind for r in read('{"f": 1', field(**WHOLE), "aligned").repairs] == ["syntax", "unclosed"]


def test_of_several_objects_the_one_that_fits_is_taken_and_of_equals_the_last():
    """What else it could have been is listed; at ``safe`` nothing is picked."""
    one_fits = 'Not {"x": 1} but {"f": 2}.'
    both_fit = 'Either {"f": 1} or {"f": 2}.'

    assert read(one_fits, field(**WHOLE), "safe").value == {"f": 2}
    picked = read(both_fit, field(**WHOLE), "aligned")
    assert (picked.value, picked.repairs[-1].kind, picked.repairs[-1].alternatives) == (
        {"f": 2}, "ambiguous", ({"f": 1},),
    )  # fmt: skip
    with pytest.raises(OutputRejected, match="2 different values"):
        read(both_fit, field(**WHOLE), "safe")
    # given side by side, with no word that takes the first one back
    assert read('{"f": 1} {"f": 2}', field(**WHOLE), "aligned").value == {"f": 1}


def test_of_a_union_the_best_fit_is_taken():
    """Not the first that could somehow be made to fit."""
    cat = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": WHOLE}, "required": ["kind", "lives"]}
    dog = {"type": "object", "properties": {"kind": {"const": "dog"}, "tricks": LIST}, "required": ["kind", "tricks"]}

    reading = read("{kind: Dog, tricks: ['1', 2]}", {"anyOf": [cat, dog]}, "aligned")

    assert reading.value == {"kind": "dog", "tricks": [1, 2]}


def test_unions_within_unions_are_not_tried_in_every_combination():
    """Twenty levels of two choices would be a million readings."""
    choices: list[dict[str, Any]] = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]
    defs = {
        key: {"type": "object", "properties": {"next": {"anyOf": choices}, key: WHOLE}, "required": ["next", key]}
        for key in ("a", "b")
    }
    value: Any = {"neither": 1}
    for _ in range(20):
        value = {"next": value, "a": "1", "b": "2"}

    with pytest.raises(OutputRejected):
        read(json.dumps(value), {"anyOf": choices, "$defs": defs}, "aligned")


HOSTILE = {
    "brackets": "[" * 1_000_000,
    "braces": "{" * 5_000_000,
    "deep": '{"f":' * 100_000,
    "text": "word " * 1_000_000,
    "quotes": '{"f": "' + '"' * 300_000,
    "fences": "```json\n{\n```\n" * 20_000,
    "commas": '{"f": 1' + "," * 300_000,
    "comments": "{" + "/*" * 200_000,
    "backslashes": '{"f": "' + "\\" * 300_000,
    "digits": '{"f": ' + "1" * 300_000,
    "thoughts": "<think>" * 100_000,
    "ends of thoughts": "</think>" * 100_000,
    "thoughts in a string": '{"f": "' + "</think>" * 50_000,
    "names in a string": '{"f": "' + 'x "k": ' * 50_000,
    "lost quotes": '{"a": "b,"' * 50_000,
    "braces in a string": '{"f": "' + '{"}' * 100_000,
    "objects": " ".join(f'{{"f": {n}}}' for n in range(30_000)),
    "links": "[a](b) " * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("schema", [field(**WHOLE), LIST, INTENT, None], ids=["object", "list", "label", "any"])
def test_hostile_texts_end_in_an_error_or_an_honest_value(text: str, schema: Any):
    """Never a crash and never a hang; benchmarks/reading_speed.py has the times."""
    try:
        reading = read(text, schema, "aligned")
    except OutputRejected:
        return
    assert reading.repairs


class Item(BaseModel):
    name: str
    amount: int
    kind: Literal["small", "very_large"]


class Order(BaseModel):
    title: str
    items: list[Item]
    note: str | None
    total: float
    paid: bool


WORDS = st.text(alphabet="abcdefghij klmno", min_size=1, max_size=12).map(str.strip).filter(bool)
ITEMS = st.builds(
    Item, name=WORDS, amount=st.integers(-999, 999), kind=st.sampled_from(["small", "very_large"])
)  # fmt: skip
ORDERS = st.builds(
    Order,
    title=WORDS,
    items=st.lists(ITEMS, max_size=3),
    note=st.none() | WORDS,
    total=st.floats(0, 1000, allow_nan=False).map(lambda x: round(x, 2)),
    paid=st.booleans(),
)

NOISE = {
    "fence": lambda text: f"Sure, here you are:\n```json\n{text}\n```\nAnything else?",
    "prose": lambda text: f"The order is {text} as far as I can see.",
    "trailing commas": lambda text: text.replace("}", ",}").replace("[,", "["),
    "comments": lambda text: text.replace("{", "{ // an object\n", 1),
    "python": lambda text: text.replace("true", "True").replace("false", "False").replace("null", "None"),
    "single quotes": lambda text: text.replace('"', "'"),
    "case of labels": lambda text: text.replace('"very_large"', '"Very Large"').replace('"small"', '"SMALL"'),
    "numbers in quotes": lambda text: text.replace('"total": ', '"total": "$').replace(', "paid"', '", "paid"'),
}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(order=ORDERS, noises=st.lists(st.sampled_from(sorted(NOISE)), unique=True, max_size=3))
def test_any_value_survives_noise_or_is_an_honest_error(order: Order, noises: list[str]):
    """Dumped, made noisy in up to three ways, read again: the same value, or an error, never another value."""
    text = json.dumps(order.model_dump())
    for noise in sorted(noises, key=lambda each: each in ("fence", "prose")):  # what stands around it comes last
        text = NOISE[noise](text)

    try:
        reading = read(text, OutputType(Order).schema, "aligned")
    except OutputRejected:
        reading = None

    # one kind of noise alone is always read
    assert reading is not None or len(noises) > 1, (noises, text)
    if reading is not None:
        assert Order.model_validate(reading.value) == order
        assert bool(reading.repairs) >= bool(set(noises) & {"fence", "prose", "single quotes"})


def test_repairs_are_in_the_result_with_kind_path_and_cost():
    """Nothing that was done to an answer is hidden from whoever gets it."""
    said = "Sure: {intent: 'Card Arrival', urgency: '2'}"

    result = support_desk(said)(text="hello")

    assert result.source == "model"
    assert [(r.kind, r.path, r.cost > 0) for r in result.repairs] == [
        ("prose", "", False), ("syntax", "", True), ("enum", "intent", True), ("number", "urgency", True),
    ]  # fmt: skip


def test_the_policy_says_how_far_reading_may_go():
    """Picking a label out of words is for those who ask for it."""
    said = '{"intent": "I think it is card_arrival", "urgency": 2}'

    safe = support_desk(said)(text="hello")
    aligned = support_desk(said, policy=lk.Policy(repair="aligned"))(text="hello")

    assert (safe.source, aligned.source) == ("error", "model")
    assert aligned.unwrap().intent == "card_arrival"


def test_a_fence_within_a_string_is_not_mistaken_for_the_answer():
    """Code that a model quotes has braces and fences of its own."""
    code = {"type": "object", "properties": {"lang": TEXT, "code": TEXT}, "required": ["lang", "code"]}
    said = 'Here:\n{"lang": "js", "code": "```js\nfunction f() { return {a: 1} }\n```"}'

    reading = read(said, code, "aligned")

    assert reading.value == {"lang": "js", "code": "```js\nfunction f() { return {a: 1} }\n```"}
