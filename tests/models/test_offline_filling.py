"""Whatever the schema, the embedded model's answer fits it; and what it fills in follows the rules it documents."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, create_model

from labkit.models.offline.filling import Filler
from labkit.models.offline.notation import Example, Notes
from labkit.models.protocol import Sampling

GREEDY = Sampling(temperature=0.0)


def fill(wanted: Any, query: str, examples: list[tuple[str, Any]] | None = None) -> Any:
    """Fill the JSON Schema of *wanted* and give the JSON data."""
    notes = Notes(examples=tuple(Example(text, output) for text, output in examples or ()))
    return Filler(TypeAdapter(wanted).json_schema(), notes).fill(query, GREEDY)[0]


class Colour(enum.Enum):
    """red: the colour of blood. blue: the colour of the sky."""

    red = "red"
    blue = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: set[str] = Field(min_length=2)


class Tree(BaseModel):
    name: str
    children: list[Tree] = []
    parent: Tree | None


SCALARS: list[Any] = [
    str, int, float, bool, None, decimal.Decimal, datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    uuid.UUID, bytes, Any, Colour, Cat, Dog, Tree, Literal["a", "b", 3, True], Literal["only"],
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")], Annotated[str, Field(pattern=r"(yes|no)\b.")],
    Annotated[str, Field(pattern="^[^a-z]+x{2,}$", min_length=9)],
]  # fmt: skip


@st.composite
def bounded_ints(draw: st.DrawFn) -> Any:
    low = draw(st.integers(-1_000, 1_000))
    high = low + draw(st.integers(2, 50))
    step = draw(st.sampled_from([None, 2, 3]))
    side: dict[str, Any] = draw(
        st.sampled_from([{"ge": low, "le": high}, {"gt": low, "lt": high + 2}, {"lt": low}, {"ge": low}])
    )
    if step and "lt" in side and "gt" in side:
        side = {"gt": low}
    return Annotated[int, Field(multiple_of=step, **side)]


@st.composite
def bounded_floats(draw: st.DrawFn) -> Any:
    low = draw(st.floats(-1e6, 1e6))
    side: dict[str, Any] = draw(
        st.sampled_from([{"gt": low, "lt": low + 0.5}, {"ge": low, "le": low}, {"lt": low}, {"gt": low}])
    )
    return Annotated[float, Field(**side)]


@st.composite
def bounded_strings(draw: st.DrawFn) -> Any:
    least = draw(st.integers(0, 60))
    return Annotated[str, Field(min_length=least, max_length=least + draw(st.integers(0, 40)))]


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["intent", "is_urgent", "due", "total", "items", "note"])
    sized = st.tuples(inner, st.integers(0, 3))
    return st.one_of(
        st.dictionaries(names, st.tuples(inner, st.booleans()), max_size=4).map(_model),
        sized.map(lambda pair: Annotated[list.__class_getitem__(pair[0]), Field(min_length=pair[1])]),
        sized.map(lambda pair: Annotated[dict.__class_getitem__((str, pair[0])), Field(min_length=pair[1])]),
        st.tuples(inner, inner).map(tuple.__class_getitem__),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        inner.map(lambda kind: kind | None),
    )


def _model(fields: dict[str, tuple[Any, bool]]) -> type[BaseModel]:
    given_fields: dict[str, Any] = {
        name: (kind | None, None) if is_optional else (kind, ...) for name, (kind, is_optional) in fields.items()
    }
    return create_model("Made", **given_fields)


TYPES = st.recursive(
    st.one_of(st.sampled_from(SCALARS).map(lambda kind: type(None) if kind is None else kind), bounded_ints(),
              bounded_floats(), bounded_strings(), st.just(set[Literal["x", "y", "z"]])),
    larger,
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=250, deadline=None, derandomize=True)
@given(TYPES, st.text(max_size=80) | st.just("Ship 12 boxes to bob@example.org by 2024-05-17, cat!"))
def test_every_answer_fits_the_schema(wanted: Any, query: str) -> None:
    """A pydantic model of any shape is filled so that pydantic accepts it, also when the answers become examples."""
    adapter = TypeAdapter(wanted)

    first = fill(wanted, query)
    adapter.validate_json(json.dumps(first))
    again = fill(wanted, query[::-1], [(query, first), ("12 red dogs, please", first)])
    adapter.validate_json(json.dumps(again))


def test_a_schema_by_hand_is_filled_too() -> None:
    """Keywords that pydantic does not write are understood: type lists, allOf, exclusive bounds, maps by pattern."""
    schema = {
        "type": "object",
        "allOf": [{"properties": {"n": {"minimum": 3}}}, {"$ref": "#/definitions/more"}],
        "properties": {"n": {"type": ["integer", "null"], "exclusiveMaximum": 5}},
        "required": ["n", "codes", "flag"],
        "definitions": {
            "more": {
                "properties": {
                    "codes": {
                        "type": "object",
                        "patternProperties": {"^k[0-9]+$": {"type": "number", "multipleOf": 0.5, "minimum": 1.2}},
                        "additionalProperties": False,
                        "minProperties": 2,
                    },
                    "flag": {"const": True},
                }
            }
        },
    }

    value, _ = Filler(schema, Notes()).fill("I want 17, or 4", GREEDY)

    assert value["n"] == 4
    assert value["flag"] is True
    assert value["codes"] == {"k0": 17, "k00": 2.0}


def test_a_number_is_the_one_the_query_states_within_the_bounds() -> None:
    """Five people in words or figures, never the 2,000 that the schema does not allow, and else the lowest."""
    size = Annotated[int, Field(ge=1, le=12)]

    assert fill(size, "a table for five people") == 5
    assert fill(size, "not 2,000 but 7 of us") == 7
    assert fill(size, "a table please") == 1
    assert fill(size | None, "a table please") is None


def test_a_text_is_found_by_its_format_or_its_pattern() -> None:
    """What the schema describes is taken out of the query, and nothing is invented where null will do."""
    order = Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")]

    assert fill(order, "where is order ABC-1234?") == "ABC-1234"
    assert fill(order | None, "where is my order?") is None
    assert fill(datetime.date, "due 2024-05-17, not 2024-13-45") == "2024-05-17"
    assert fill(uuid.UUID, "no id here") == "00000000-0000-0000-0000-000000000000"


def test_a_text_without_evidence_is_an_excerpt_within_its_length() -> None:
    """Cut between words, and padded where the schema asks for more."""
    assert fill(Annotated[str, Field(max_length=12)], "Where is my card?") == "Where is my"
    assert fill(Annotated[str, Field(min_length=6)], "card") == "card.."


def test_examples_teach_every_kind_of_field() -> None:
    """Number, flag, list of labels and reply follow the nearest examples; the slot is copied from the query."""

    class Triage(BaseModel):
        urgency: int = Field(ge=1, le=5)
        is_fraud: bool
        topics: list[Literal["card", "cash", "fee"]]
        city: str | None
        reply: str

    def row(urgency: int, is_fraud: bool, topics: list[str], city: str | None, reply: str) -> dict[str, Any]:
        return {"urgency": urgency, "is_fraud": is_fraud, "topics": topics, "city": city, "reply": reply}

    blocked, fees = "We blocked your card.", "Cash costs 2%."
    examples = [
        ("my card was stolen in Lyon yesterday", row(5, True, ["card"], "Lyon", blocked)),
        ("somebody stole the card in Bonn today", row(5, True, ["card"], "Bonn", blocked)),
        ("thief took my card", row(5, True, ["card"], None, blocked)),
        ("what fee do you take for cash from machines in Rome now", row(1, False, ["cash", "fee"], "Rome", fees)),
        ("is there a fee for cash", row(1, False, ["cash", "fee"], None, fees)),
        ("cash machine fee in Oslo now", row(1, False, ["cash", "fee"], "Oslo", fees)),
    ]

    assert fill(Triage, "card stolen in Turin yesterday", examples) == row(5, True, ["card"], "Turin", blocked)
    assert fill(Triage, "the fee for taking cash", examples) == row(1, False, ["cash", "fee"], None, fees)


def test_each_item_of_a_list_is_copied_from_its_own_words() -> None:
    """A list of objects has as many items as the query names, in order."""

    class Item(BaseModel):
        what: str
        count: int

    class Order(BaseModel):
        items: list[Item]

    def order(*pairs: tuple[int, str]) -> dict[str, Any]:
        return {"items": [{"what": what, "count": count} for count, what in pairs]}

    examples = [
        ("send 3 lamps and 4 chairs", order((3, "lamps"), (4, "chairs"))),
        ("send 12 tables", order((12, "tables"))),
        ("please send 7 forks and 9 spoons", order((7, "forks"), (9, "spoons"))),
        ("send two beds", order((2, "beds"))),
    ]

    assert fill(Order, "send 5 sofas and 6 rugs", examples) == order((5, "sofas"), (6, "rugs"))
    assert fill(Order, "send 8 sofas", examples) == order((8, "sofas"))


def test_the_option_of_a_union_is_the_nearest_one() -> None:
    """A discriminated union is told apart by the names of its tags, and better by examples."""
    pets = Annotated[Cat | Dog, Field(discriminator="kind")]

    assert fill(pets, "my dog does tricks")["kind"] == "dog"
    assert fill(pets, "she purrs a lot", [("purring all day", {"kind": "cat", "lives": 9})])["kind"] == "cat"


def test_labels_are_told_apart_by_what_the_schema_says_of_them() -> None:
    """Definitions in an enum's docstring and in the description of each constant count."""
    described = {
        "anyOf": [
            {"const": "a1", "description": "A parcel that has not come."},
            {"const": "a2", "description": "An invoice that is wrong."},
        ]
    }
    value, _ = Filler(described, Notes()).fill("my invoice shows the wrong sum", GREEDY)

    assert value == "a2"
    documented = {"enum": ["x", "y"], "description": "x: late parcels\ny: wrong invoices"}
    assert Filler(documented, Notes()).fill("the invoice is wrong", GREEDY)[0] == "y"


def test_a_field_that_examples_leave_null_stays_null() -> None:
    """Examples also say when there is nothing to say."""
    schema = {
        "type": "object",
        "properties": {"kind": {"anyOf": [{"enum": ["refund", "repair"]}, {"type": "null"}]}},
        "required": ["kind"],
    }
    notes = Notes(
        examples=(
            Example("hello there", {"kind": None}),
            Example("good morning to you", {"kind": None}),
            Example("I want my money back", {"kind": "refund"}),
        )
    )

    assert Filler(schema, notes).fill("hello, good morning", GREEDY)[0] == {"kind": None}
    assert Filler(schema, notes).fill("give me my money", GREEDY)[0] == {"kind": "refund"}


@pytest.mark.parametrize(("wanted", "value"), [(bool | None, True), (Literal["only"] | None, "only"), (int | None, 7)])
def test_a_field_that_may_be_null_is_filled_where_the_near_examples_fill_it(wanted: Any, value: Any) -> None:
    """Null is one answer among others, whatever the type of the rest."""
    examples = [("refund the money", value), ("refund it", value), ("good morning", None)]

    assert fill(wanted, "please refund", examples) == value
    assert fill(wanted, "morning", examples) is None
