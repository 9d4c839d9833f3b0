"""Any value of any pydantic model survives the noise that models make around it, or is an honest error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from labkit.call.output_type import OutputType
from labkit.call.outputs import read
from labkit.errors import OutputRejected


class Inner(BaseModel):
    label: Literal["red", "dark_blue"]
    size: int


WORDS = st.text(alphabet="abcdefghij klmnopé", min_size=1, max_size=12).map(str.strip).filter(bool)
INNER = st.builds(Inner, label=st.sampled_from(["red", "dark_blue"]), size=st.integers(-99, 99))

TYPES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(10**9), 10**9),
    float: st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3)),
    bool: st.booleans(),
    str: WORDS,
    str | None: st.none() | WORDS,
    int | None: st.none() | st.integers(-9, 9),
    Literal["red", "dark_blue"]: st.sampled_from(["red", "dark_blue"]),
    Inner: INNER,
    list[int]: st.lists(st.integers(-9, 9), max_size=4),
    list[str]: st.lists(WORDS, max_size=3),
    list[Inner]: st.lists(INNER, max_size=3),
    dict[str, int]: st.dictionaries(st.sampled_from(["one", "two", "three"]), st.integers(0, 9), max_size=3),
}
NAMES = ("alpha", "beta_two", "gamma", "delta", "is_open", "unit_price")

NOISE: dict[str, Callable[[str], str]] = {
    "fence": lambda text: f"Here it is:\n```json\n{text}\n```\nAnything else?",
    "prose": lambda text: f"The result is {text} as far as I can see.",
    "trailing commas": lambda text: text.replace("}", ",}").replace("{,}", "{}"),
    "comments": lambda text: text.replace("{", "{ // an object\n", 1),
    "python": lambda text: text.replace(": true", ": True").replace(": false", ": False").replace(": null", ": None"),
    "single quotes": lambda text: text.replace('"', "'"),
    "case of labels": lambda text: text.replace('"dark_blue"', '"Dark Blue"').replace('"red"', '"RED"'),
    "case of names": lambda text: text.replace('"beta_two"', '"Beta Two"').replace('"gamma"', '"Gamma"'),
}


@st.composite
def valued_models(draw: st.DrawFn) -> BaseModel:
    """A model of one to six fields of random types, with a value for each."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=len(NAMES), unique=True))
    kinds = {name: draw(st.sampled_from(list(TYPES))) for name in names}
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in kinds.items()}
    model: type[BaseModel] = create_model("Random", **fields)
    return model(**{name: draw(TYPES[kind]) for name, kind in kinds.items()})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=valued_models(), noises=st.lists(st.sampled_from(sorted(NOISE)), unique=True, max_size=3))
def test_any_value_of_any_model_is_read_again_or_is_an_honest_error(value: BaseModel, noises: list[str]):
    """Never another value; and one kind of noise alone is always read."""
    text = value.model_dump_json()
    text = json.dumps(json.loads(text))  # with the blanks that models write
    for noise in sorted(noises, key=lambda each: (each in ("fence", "prose"), each == "single quotes")):
        text = NOISE[noise](text)

    try:
        reading = read(text, OutputType(type(value)).schema, "aligned")
    except OutputRejected:
        reading = None

    assert reading is not None or len(noises) > 1, (noises, text)
    if reading is not None:
        assert type(value).model_validate(reading.value) == value, (text, reading.repairs)
