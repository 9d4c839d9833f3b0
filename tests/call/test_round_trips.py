"""A value that was accepted stays what it is: past rules, as a default, from a cache, shared, and in a stream."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import typing_extensions as te
from desk import Ticket
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainValidator,
    RootModel,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    computed_field,
    field_serializer,
    model_validator,
)  # fmt: skip

import labkit as lk


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int

    @computed_field  # type: ignore[prop-decorator]
    @functools.cached_property
    def double(self) -> int:
        return 2 * self.n


class Served(BaseModel):
    n: int = Field(serialization_alias="N_out")


class Named(BaseModel):
    n: int = Field(validation_alias="Number")


class Both(BaseModel):
    n: int = Field(alias="the-number")


class Excluded(BaseModel):
    thinking: str = Field(exclude=True)
    n: int


class ExcludedDefault(BaseModel):
    thinking: str = Field("(none)", exclude=True)
    n: int


class Secret(BaseModel):
    password: SecretStr
    n: int


class Written(BaseModel):
    n: int
    day: datetime.date

    @field_serializer("day")
    def _day(self, day: datetime.date) -> str:
        return day.strftime("%d.%m.%Y")


class Rounded(BaseModel):
    n: int
    share: float

    @field_serializer("share")
    def _share(self, share: float) -> float:
        return round(share, 2)


class Embedded(BaseModel):
    n: int
    data: Json[list[int]]


class Parsed(BaseModel):
    n: int
    day: Annotated[datetime.date, BeforeValidator(lambda said: datetime.datetime.strptime(said, "%d.%m.%Y").date())]


class Turned(BaseModel):
    n: int
    day: Annotated[str, AfterValidator(datetime.date.fromisoformat)]


class Cents(BaseModel):
    n: int
    price: Annotated[int, AfterValidator(lambda euros: euros * 100)]


class Colour:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colour) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def _colour(said: Any) -> Colour:
    if not isinstance(said, str):
        raise ValueError("a colour is a text")
    return Colour(said)


class Custom(BaseModel):
    n: int
    colour: Annotated[Colour, PlainValidator(_colour), WithJsonSchema({"type": "string"})]


class Inner(BaseModel):
    secret: SecretStr = Field(alias="geheim")


class Nested(BaseModel):
    n: int
    inner: Inner | None
    more: list[Inner | Named] = []


@dataclasses.dataclass
class Data:
    n: int
    secret: SecretStr


# type, what a model says, whether a cache can keep it, and the field that it cannot
KINDS: dict[type[Any], tuple[dict[str, Any], str | None]] = {
    Computed: ({"n": 1}, None),
    Served: ({"n": 1}, None),
    Named: ({"Number": 1}, None),
    Both: ({"the-number": 1}, None),
    Excluded: ({"thinking": "because", "n": 1}, "thinking"),
    ExcludedDefault: ({"thinking": "because", "n": 1}, "thinking"),
    Secret: ({"password": "hunter2", "n": 1}, "password"),
    Written: ({"n": 1, "day": "2024-05-06"}, "day"),
    Rounded: ({"n": 1, "share": 0.123}, "share"),
    Embedded: ({"n": 1, "data": "[1, 2]"}, None),
    Parsed: ({"n": 1, "day": "06.05.2024"}, "at run time"),
    Turned: ({"n": 1, "day": "2024-05-06"}, None),
    Cents: ({"n": 1, "price": 3}, "price"),
    Custom: ({"n": 1, "colour": "red"}, "Custom"),
    Nested: ({"n": 1, "inner": {"geheim": "a"}, "more": [{"geheim": "b"}, {"Number": 3}]}, "inner.secret"),
    Data: ({"n": 1, "secret": "a"}, "secret"),
}
CASES = [pytest.param(kind, json.dumps(said), field, id=kind.__name__) for kind, (said, field) in KINDS.items()]


def call(said: Any, output: Any, **changes: Any) -> lk.GuardedCall[Any]:
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), **changes.pop("policy", {}))
    return lk.GuardedCall(
        "trip",
        input=Ticket,
        output=output,
        prompt=lk.Prompt(user="{{ input.text }}"),
        model=lk.ScriptedModel(said),
        policy=policy,
        **changes,
    )


def changed(value: Any, n: int) -> Any:
    return dataclasses.replace(value, n=n) if isinstance(value, Data) else value.model_copy(update={"n": n})


@pytest.mark.parametrize(("output", "said", "field"), CASES)
def test_a_rule_that_changes_one_field_changes_no_other(output: Any, said: str, field: str | None):
    """A secret stays the secret, what is excluded stays there, and the fix is recorded."""
    before = call(said, output)(text="hello").unwrap()

    result = call(said, output, rules=[lambda value, ticket: changed(value, 2)])(text="hello")

    assert result.unwrap() == changed(before, 2)
    assert {repair.path for repair in result.repairs if repair.by == "<lambda>"} - {"double"} <= {
        "n",
        "N_out",
        "the-number",
    }
    assert any(repair.by == "<lambda>" for repair in result.repairs)


@pytest.mark.parametrize(("output", "said", "field"), CASES)
def test_a_rule_that_breaks_a_field_is_found(output: Any, said: str, field: str | None):
    """However its type is read or dumped: a bug of the rule, and not a value."""
    result = call(said, output, rules=[lambda value, ticket: changed(value, "many")])(text="hello")

    assert (result.value, result.reason and result.reason.outcome) == (None, "bug")
    assert "schema rejects" in result.reason.message  # type: ignore[union-attr]


@pytest.mark.parametrize(("output", "said", "field"), CASES)
def test_a_valid_instance_is_a_safe_default_and_is_served_as_it_is(output: Any, said: str, field: str | None):
    """Checked when the call is defined, and the very value when it is needed."""
    good = call(said, output)(text="hello").unwrap()

    result = call("nothing", output, fallbacks=[lk.SafeDefault(good)])(text="hello")

    assert (result.value, result.source) == (good, "default")
    assert result.value.__dict__ == good.__dict__


@pytest.mark.parametrize(("output", "said", "field"), CASES)
def test_an_answer_by_rules_is_served_as_it_is(output: Any, said: str, field: str | None):
    """As a fallback and as a shortcut."""
    good = call(said, output)(text="hello").unwrap()

    assert call("nothing", output, fallbacks=[lk.RulesBased(lambda ticket: good)])(text="hello").value == good
    assert call("nothing", output, shortcuts=[lk.RulesBased(lambda ticket: good)])(text="hello").value == good


@pytest.mark.parametrize(("output", "said", "field"), CASES)
def test_a_cache_gives_back_the_value_or_is_refused_when_the_call_is_defined(
    output: Any, said: str, field: str | None, tmp_path: Path
):
    """With the name of the field and the mend; a value of which only running tells is not kept, and a note says so."""
    policy = {"cache": lk.Cache(path=str(tmp_path / "kept.db"))}
    if field is not None and field != "at run time":
        with pytest.raises(
            lk.CallInvalid, match=rf"trip: Policy\(cache=\.\.\.\) cannot keep .*{field}.* give no cache"
        ):
            call(said, output, policy=policy)
        return
    caching = call([said, said], output, policy=policy)

    first, second = caching(text="hello"), caching(text="hello")

    assert (first.source, second.source) == ("model", "cache" if field is None else "model")
    assert first.value == second.value
    assert any("was not kept" in note.message for note in second.notes) == (field is not None)


def test_a_cache_is_refused_also_where_no_example_of_the_type_can_be_made(tmp_path: Path):
    """A validator that takes only what nobody could guess hides no secret."""

    def guessed(said: str) -> str:
        if said != "sesame":
            raise ValueError("not the word")
        return said

    class Guarded(BaseModel):
        word: Annotated[str, AfterValidator(guessed)]
        parts: list[Inner]

    with pytest.raises(lk.CallInvalid, match=r"secret.* is left out"):
        call("{}", Guarded, policy={"cache": lk.Cache(path=str(tmp_path / "kept.db"))})


def test_what_is_stale_is_the_value_that_was_kept(tmp_path: Path):
    """By field name, whatever the model calls it."""
    policy = {"cache": lk.Cache(path=str(tmp_path / "kept.db"), ttl_s=0.0)}
    call('{"the-number": 7}', Both, policy=policy)(text="hello")

    result = call("nothing", Both, policy=policy, fallbacks=[lk.Stale()])(text="hello")

    assert (result.value, result.source) == (Both.model_validate({"the-number": 7}), "stale")


def test_calls_that_share_an_answer_get_equal_ones(tmp_path: Path):
    """Identical calls at the same time: one request, and nobody's value is another's."""
    caching = call('{"Number": 7}', Named, policy={"cache": lk.Cache(path=str(tmp_path / "kept.db"))})

    async def together() -> list[lk.Result[Any]]:
        return await asyncio.gather(*(caching.acall(text="hello") for _ in range(5)))

    results = asyncio.run(together())

    assert [result.value for result in results] == [Named.model_validate({"Number": 7})] * 5
    assert sorted(result.source for result in results) == ["cache"] * 4 + ["model"]


def test_calls_at_once_whose_answer_cannot_be_shared_ask_each(tmp_path: Path):
    """Better paid twice than another value."""
    said = '{"n": 1, "day": "06.05.2024"}'
    caching = call([said] * 3, Parsed, policy={"cache": lk.Cache(path=str(tmp_path / "kept.db"))})

    async def together() -> list[lk.Result[Any]]:
        return await asyncio.gather(*(caching.acall(text="hello") for _ in range(3)))

    results = asyncio.run(together())

    assert {result.value.day for result in results} == {datetime.date(2024, 5, 6)}
    assert {result.source for result in results} == {"model"}


class Checked(BaseModel):
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=5)]
    n: int = Field(1, le=5)

    @model_validator(mode="after")
    def _agree(self) -> te.Self:
        if self.n == len(self.name):
            raise ValueError("n may not be the length of the name")
        return self


class Roots(RootModel[list[Checked]]):
    pass


class Typed(te.TypedDict):
    checked: Checked
    secret: SecretStr


GOOD = Checked(name="card")


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (Checked, Checked.model_construct(name="card", n=9)),
        (Checked, Checked.model_construct(name="a long name", n=1)),
        (Checked, Checked.model_construct(name="card", n=4)),
        (list[Checked], [GOOD, Checked.model_construct(name="card", n=9)]),
        (dict[str, Checked], {"a": Checked.model_construct(name="card", n=9)}),
        (Roots, Roots.model_construct([Checked.model_construct(name="card", n=9)])),
        (Checked | Data, Checked.model_construct(name="card", n=9)),
        (tuple[Checked, int], (GOOD, "many")),
        (Typed, {"checked": Checked.model_construct(name="card", n=9), "secret": SecretStr("a")}),
        (Typed, {"checked": GOOD}),
        (Checked, {"name": "card", "n": 9}),
    ],
    ids=str,
)
def test_a_default_that_is_not_valid_is_refused_wherever_the_fault_lies(output: Any, value: Any):
    """Bounds, validators of the whole, nested in lists, unions, typed dicts: looked into, field by field."""
    with pytest.raises(lk.CallInvalid, match="does not fit the output"):
        call("nothing", output, fallbacks=[lk.SafeDefault(value)])


@pytest.mark.parametrize(
    ("output", "value", "served"),
    [
        (Checked, {"name": " card ", "n": "2"}, Checked(name="card", n=2)),
        (Checked, GOOD.model_copy(update={"name": " abc "}), Checked(name="abc")),
        (Both, {"the-number": 3}, Both.model_validate({"the-number": 3})),
        (Both, {"n": 3}, Both.model_validate({"the-number": 3})),
        (list[Checked], [GOOD, {"name": "cash"}], [GOOD, Checked(name="cash")]),
        (Typed, {"checked": GOOD, "secret": "a"}, {"checked": GOOD, "secret": SecretStr("a")}),
        (int, "5", 5),
        (datetime.date, "2024-05-06", datetime.date(2024, 5, 6)),
    ],
    ids=str,
)
def test_data_becomes_an_instance_and_what_a_type_makes_of_it(output: Any, value: Any, served: Any):
    """A default may be written as data, and an instance that was copied is normalized again."""
    assert call("nothing", output, fallbacks=[lk.SafeDefault(value)])(text="hello").value == served


def test_a_fix_of_what_is_never_shown_is_recorded_without_it():
    """That a secret was changed is said; what it was and is now is not."""
    result = call(
        '{"password": "hunter2", "n": 1}',
        Secret,
        rules=[lambda value, ticket: value.model_copy(update={"password": SecretStr("other")})],
    )(text="hello")

    assert result.unwrap().password.get_secret_value() == "other"
    assert [(r.kind, r.path, r.before, r.after) for r in result.repairs] == [("rule", "password", None, None)]


@pytest.mark.parametrize("output", [Computed, Served, Named, Both, Excluded, Secret, Written, Rounded])
def test_a_stream_takes_back_nothing_for_how_its_type_is_dumped(output: Any):
    """What was shown under the names that the model was asked for stands in the value."""
    *partials, final = call(json.dumps(KINDS[output][0]), output).stream(text="hello")

    assert final.result.ok
    assert all(isinstance(event, lk.Partial) for event in partials)
