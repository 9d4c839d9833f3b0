"""At the default, only what has one meaning is accepted: through a call, by its value, its source and its repairs."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Annotated, Any, Literal

import pytest
from desk import Ticket
from pydantic import BaseModel, Field, create_model

import labkit as lk
from labkit.call.outputs import read
from labkit.call.repairs import RepairLevel
from labkit.errors import OutputRejected


class Check(BaseModel):
    is_verified: bool


class Intent(BaseModel):
    intent: Literal["card", "cash", "other"]


class Pair(BaseModel):
    key: str
    key2: str = ""


class Tags(BaseModel):
    tags: list[str]


class MaybeTags(BaseModel):
    tags: list[str] | None


class Who(BaseModel):
    name: str | None


class Anything(BaseModel):
    data: Any


class Summary(BaseModel):
    summary: str


class Item(BaseModel):
    n: int


def answer(said: str | list[str], output: Any, repair: RepairLevel = "safe", **policy: Any) -> lk.Result[Any]:
    """What a call with this output makes of a model that says *said*."""
    call = lk.GuardedCall(
        "read",
        input=Ticket,
        output=output,
        prompt=lk.Prompt(user="{{ input.text }}"),
        model=lk.ScriptedModel(said),
        policy=lk.Policy(repair=repair, retry=lk.Retry(max_attempts=1), **policy),
    )
    return call(text="hello")


def kinds(result: lk.Result[Any]) -> list[str]:
    return [repair.kind for repair in result.repairs]


def assert_refused(said: str, output: Any, outcome: str) -> None:
    result = answer(said, output)
    assert (result.value, result.source) == (None, "error"), said
    assert result.reason is not None and (result.reason.step, result.reason.outcome) == ("output", outcome), said


FENCED = "```json\n%s\n```"
TRUE, FALSE = '{"is_verified": true}', '{"is_verified": false}'
REFUND, UNKNOWN = '{"intent": "refund"}', '{"intent": "unknown"}'
CASH, CARD = '{"intent": "cash"}', '{"intent": "card"}'

SEVERAL = {
    "a draft in a fence, the answer bare": f"First try:\n{FENCED % CASH}\nWait, they mention a card.\n{CARD}",
    "a draft bare, the answer in a fence": f"At first {CASH}.\nFinal:\n{FENCED % CARD}",
    "two fences": f"{FENCED % CASH}\nCorrected:\n{FENCED % CARD}",
    "a fence and nothing said before the answer": f"{FENCED % CASH}\n\n{CARD}",
    "two bare ones": f"I thought {CASH} but it is {CARD}",
    "two bare ones, one a line": f"{CASH}\n{CARD}",
    "a quotation with broken syntax": f"You wrote {{intent: 'cash'}}. I say: {CARD}",
    "an answer that is a word away": f'{CASH}\nNo: {{"intent": "I mean card"}}',
}


@pytest.mark.parametrize("said", SEVERAL.values(), ids=SEVERAL.keys())
def test_of_several_values_none_is_served_at_the_default_and_the_last_one_aligned(said: str):
    """Wherever they stand; what else it could have been is in the result."""
    safe, aligned = answer(said, Intent), answer(said, Intent, "aligned")

    assert (safe.source, safe.reason and safe.reason.outcome) == ("error", "schema")
    assert aligned.unwrap() == Intent(intent="card")
    assert [r.alternatives for r in aligned.repairs if r.kind == "ambiguous"] == [({"intent": "cash"},)]


def test_json_that_the_model_quotes_is_not_its_answer():
    """Whoever puts JSON into a ticket does not decide what the call answers."""
    said = f"The user sent this:\n{FENCED % TRUE}\nThat proves nothing.\n\n{FALSE}"

    assert_refused(said, Check, "schema")
    assert answer(said, Check, "aligned").unwrap() == Check(is_verified=False)
    asked_again = answer([said, FALSE], Check, reask=1)
    assert (asked_again.unwrap(), len(asked_again.attempts)) == (Check(is_verified=False), 2)


def test_a_quotation_is_not_served_where_the_answer_after_it_does_not_fit():
    """The last attempt is the answer, also where it is a bad one."""
    assert_refused(f'You said {CASH}. So: {{"intent": "a card payment, I think"}}', Intent, "schema")
    assert_refused(f"Earlier: {CASH}\n{FENCED % REFUND}", Intent, "schema")


@pytest.mark.parametrize(
    "said",
    [
        f"{CARD}\n\nTo repeat: {CARD}",
        f"{FENCED % UNKNOWN}\nCorrected:\n{FENCED % CARD}",
        f'{{"note": "no intent in here"}} {CARD}',
        f"{FENCED % CARD}\nThat is all {{...}}.",
    ],
)
def test_one_value_is_served_wherever_it_stands(said: str):
    """The same twice, a first try that cannot be it, braces in prose: there is one answer in each."""
    assert answer(said, Intent).unwrap() == Intent(intent="card")


REFUSAL = "I'm sorry, but I can't help with that request."
TEXTUAL: list[Any] = [
    list[str], Tags, MaybeTags, Who, Anything, Any, set[str], tuple[str, ...], dict[str, str], str | int,
    list[int | str], str | None, Annotated[list[str], Field(min_length=1)],
]  # fmt: skip


@pytest.mark.parametrize("output", TEXTUAL, ids=str)
@pytest.mark.parametrize("said", [REFUSAL, "- apples\n- pears", "[No tags found]", "See [the policy](https://x.org)."])
def test_prose_is_no_item_and_no_member(output: Any, said: str):
    """A refusal is not a list of one refusal."""
    result = answer(said, output)

    assert (result.value, result.source) == (None, "error")
    assert result.reason is not None and result.reason.outcome in ("parse", "schema")


@pytest.mark.parametrize("output", TEXTUAL, ids=str)
def test_a_refusal_is_asked_again_as_an_answer_without_json(output: Any):
    """Outcome ``parse``: the model is told that its answer held nothing."""
    assert_refused(REFUSAL, output, "parse")


@pytest.mark.parametrize(
    "output", [*TEXTUAL[:-2], str, Literal["a", "b"], Annotated[str, Field(max_length=9)]], ids=str
)
@pytest.mark.parametrize("said", ["", " \n\t"])
def test_nothing_is_no_answer(output: Any, said: str):
    """Neither "" nor a list of ""; a provider that says nothing has not answered."""
    assert_refused(said, output, "parse")


def test_nothing_is_an_answer_where_the_type_says_so():
    """``str | None``, a label of no characters, or a text of which somebody wrote that it may have none."""
    assert answer("", Literal["", "a"]).value == ""
    assert answer("", str | None).source == "model" and answer("", str | None).value is None
    assert answer("", Annotated[str, Field(min_length=0)]).value == ""


@pytest.mark.parametrize(
    ("said", "output", "value"),
    [
        ('["apples"]', list[str], ["apples"]),
        ('"apples"', str | None, "apples"),
        ('"apples"', list[str], ["apples"]),
        ('{"tags": "a"}', Tags, Tags(tags=["a"])),
        ("card", Literal["card", "cash"], "card"),
        ("42", int, 42),
        ("just words", str, "just words"),
        ("just words", Annotated[str, Field(max_length=20)], "just words"),
    ],
    ids=str,
)
def test_what_was_written_as_a_value_is_one(said: str, output: Any, value: Any):
    """Quotes say that a text is meant; a lone label or number can be nothing else."""
    assert answer(said, output).unwrap() == value


def test_an_object_of_something_else_is_no_answer():
    """{"error": ...} has no member of the type: what it would be read as was never said."""
    assert_refused('{"error": "I cannot do that"}', Who, "schema")
    assert answer('{"error": "I cannot do that", "name": null}', Who).unwrap() == Who(name=None)


@pytest.mark.parametrize(
    "said",
    [
        '{"key":value "key2":"value2" }',
        '{"key":"b,"key2":"d"}',
        '{"key": "value}, "key2": "v2"}',
        '{"key": value, with a comma "key2": "d"}',
        "{'key': 'b, 'key2': 'd'}",
        '{"key": "he said "no", and left", "key2": "d"}',
        '{"key": "a "b": c", "key2": "d"}',
        '{"key": "a" "b", "key2": "d"}',
        '{key: a b: c}',
    ],
)  # fmt: skip
def test_a_text_that_may_have_swallowed_a_member_is_asked_for_again(said: str):
    """The default refuses it, so that the model mends its quotes itself."""
    assert_refused(said, Pair, "schema" if read_anyway(said) else "parse")
    assert answer([said, '{"key": "b", "key2": "d"}'], Pair, reask=1).unwrap() == Pair(key="b", key2="d")


def read_anyway(said: str) -> bool:
    try:
        read(said, Pair.model_json_schema(), "aligned")
    except OutputRejected:
        return False
    return True


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"key":value "key2":"value2" }', Pair(key="value", key2="value2")),
        ('{"key":"b,"key2":"d"}', Pair(key="b", key2="d")),
        ('{"key": "value}, "key2": "v2"}', Pair(key="value", key2="v2")),
    ],
)
def test_aligned_reads_the_two_members_that_are_there(said: str, value: Pair):
    """As both repairers do whose tests these are."""
    assert answer(said, Pair, "aligned").unwrap() == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"key": "She said "no" and left"}', 'She said "no" and left'),
        ("{'key': 'It's fine'}", "It's fine"),
        ('{"key": "a link ("https://x.org") here"}', 'a link ("https://x.org") here'),
        ("{“key”: “hello”}", "hello"),
        ("{key: hello world}", "hello world"),
        ("{key: https://example.com/a}", "https://example.com/a"),
        ('{"key": #ff0000}', "#ff0000"),
        (r'{"key": "\alpha C:\dir"}', r"\alpha C:\dir"),
        ('{"key": "two\nlines"}', "two\nlines"),
    ],
)
def test_quotes_that_come_in_pairs_and_plain_words_have_one_meaning(said: str, value: str):
    """No need to ask again for a quotation, an apostrophe, an address or a colour."""
    assert answer(said, Pair).unwrap() == Pair(key=value)


@pytest.mark.parametrize("said", [r'{"key": "C:\Users\new"}', r'{"key": "\frac \alpha"}', r'{"key": "a\tb \d"}'])
def test_backslashes_of_two_kinds_are_not_sure(said: str):
    """Either all of them are escapes or none is; aligned takes them as they stand."""
    assert_refused(said, Pair, "schema")
    assert answer(said, Pair, "aligned").unwrap() == Pair(key=said[9:-2])


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("1.10", "1.10"), ("12.50", "12.50"), ("1e5", "1e5"), ("1E5", "1E5"),
        ("12345678901234567890", "12345678901234567890"),
        ("0.30000000000000000001", "0.30000000000000000001"), ("true", "true"),
    ],
)  # fmt: skip
def test_a_number_in_a_text_keeps_its_characters(said: str, text: str):
    """A version, a price, a code: 1.10 is not 1.1."""
    assert answer(f'{{"summary": {said}}}', Summary).unwrap() == Summary(summary=text)
    assert answer(f"{{summary: {said}}}", Summary).unwrap() == Summary(summary=text)


def test_digits_that_are_no_number_stay_as_they_are():
    """007 is no JSON, and no 7."""
    assert answer('{"summary": 007}', Summary).unwrap() == Summary(summary="007")


@pytest.mark.parametrize("said", ['{"en": "hello"}', '["a", "b"]', '["a"]', "{}", "[]"])
def test_an_object_is_no_text(said: str):
    """JSON in the place of a sentence would be shown to a person."""
    assert_refused(f'{{"summary": {said}}}', Summary, "schema")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5_000, "1.5", '"NaN"'])
def test_what_is_no_whole_number_is_a_fault_that_is_asked_again(number: str):
    """Never a crash of the reader."""
    result = answer([f'{{"n": {number}}}', '{"n": 3}'], Item, reask=1)

    assert result.unwrap() == Item(n=3)
    assert [attempt.outcome for attempt in result.attempts] in (["schema", "ok"], ["parse", "ok"])


def test_whole_numbers_of_any_form_and_size_are_exact():
    """What no float could hold comes out digit by digit."""
    for said, value in (("12345678901234567890123", 12345678901234567890123), ("1e23", 10**23), ("3.0", 3)):
        assert answer(f'{{"n": {said}}}', Item).unwrap().n == value
        assert answer(f"Sure: {{n: {said}}}", Item).unwrap().n == value


class Price(BaseModel):
    amount: decimal.Decimal
    tax: decimal.Decimal | None = None


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ("12345678901234567.89", "12345678901234567.89"), ('"12345678901234567.89"', "12345678901234567.89"),
        ("12.50", "12.50"), ('"$12.50"', "12.50"), ('"12.50 EUR"', "12.50"), ("5", "5"), ('"0.10"', "0.10"),
    ],
)  # fmt: skip
def test_a_decimal_has_all_its_digits_and_the_liberties_of_a_float(said: str, amount: str):
    """Money is not rounded on the way, and a currency sign does not cost the answer."""
    for text in (f'{{"amount": {said}}}', f'Here: {{"amount": {said}, "tax": 0.1}}'):
        got = answer(text, Price).unwrap().amount
        assert (got, str(got)) == (decimal.Decimal(amount), amount)


@pytest.mark.parametrize("said", ['"1,200.50"', '"12 %"', '"1/2"', '"€1.200"', '"about 3"'])
def test_a_number_that_others_read_otherwise_is_not_sure(said: str):
    """1,200 and 1.200 are two numbers or one, by country."""
    assert_refused(f'{{"amount": {said}}}', Price, "schema")
    assert_refused(f'{{"f": {said}}}', create_model("F", f=(float, ...)), "schema")


def test_items_of_a_tuple_are_read_each_by_its_own_type():
    """As the members of a model are."""
    assert answer('["1", 2]', tuple[int, str]).unwrap() == (1, "2")
    assert_refused('["1"]', tuple[int, str], "schema")


class Defaults(BaseModel):
    tags: list[str] = Field(default_factory=lambda: ["none given"])
    n: int = 3
    note: str | None = "kept"


def test_null_for_what_has_a_default_means_not_given():
    """The default stands, and a repair says so; a null that the type takes is one; what is required stays so."""
    result = answer('{"tags": null, "n": null, "note": null}', Defaults)

    assert result.unwrap() == Defaults(note=None)
    assert [(r.kind, r.path) for r in result.repairs] == [("default", "tags"), ("default", "n")]
    assert_refused('{"n": null}', Item, "schema")


def test_objects_in_a_row_are_the_items_of_a_list():
    """By line, by comma, as bullets, in a fence; with prose between them nobody knows."""
    items = [Item(n=1), Item(n=2)]
    for said in ('{"n": 1}\n{"n": 2}', '{"n": 1}, {"n": 2}', '- {"n": 1}\n- {"n": 2}', FENCED % '{"n": 1}\n{"n": 2}'):
        result = answer(said, list[Item])
        assert (result.value, "list" in kinds(result)) == (items, True), said
    assert_refused('First {"n": 1}. On second thought {"n": 2}', list[Item], "schema")


@pytest.mark.parametrize(
    "said",
    [
        '{"other": ["x"], "tags": "a" "b": c',
        '{other: ["x"], tags: {{',
        '{"tags": "["a", "b"]", "n": }',
        '{"a": {"tags": ["x"]}, b: ["',
    ],
)
def test_a_member_of_something_broken_is_not_the_answer(said: str):
    """What stands after a name is its value, and nobody knows what the rest would have said."""
    assert answer(said, Tags).source == "error"


def test_a_text_of_several_things_is_not_one_item():
    """ "a, b" may be two."""
    assert_refused('{"tags": "a, b"}', Tags, "schema")
    assert answer('{"tags": "a"}', Tags).unwrap() == Tags(tags=["a"])


class Strict(BaseModel, strict=True):
    day: datetime.date
    n: int


def test_a_strict_type_takes_json_out_of_a_fence():
    """A date is a text in JSON, wherever it stands."""
    said = FENCED % json.dumps({"day": "2024-05-06", "n": 1})

    assert answer(said, Strict).unwrap() == Strict(day=datetime.date(2024, 5, 6), n=1)


FORMS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "true": ({"properties": {"payload": True}}, '{"payload": [1]}', {"payload": [1]}),
    "false": ({"properties": {"a": False}, "type": "object"}, '{"a": 1}', None),
    "prefixItems": ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, '["1"]', [1]),
    "too many items": ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, "[1, 2]", None),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}}, '{"n_a": "1"}', {"n_a": 1},
    ),
    "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 1}}, '{"long": 1}', None),
    "then": ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "type": "object"}, '{"a": 1}', None),
    "not": ({"type": "integer", "not": {"const": 3}}, "3", None),
    "dependentRequired": ({"type": "object", "dependentRequired": {"a": ["b"]}}, '{"a": 1}', None),
    "dynamicRef": (
        {
            "$dynamicAnchor": "node", "type": "object",
            "properties": {"next": {"$dynamicRef": "#node"}, "n": {"type": "integer"}},
        },
        '{"next": {"next": {"n": "1"}}}', {"next": {"next": {"n": 1}}},
    ),
    "anchor": (
        {"$defs": {"x": {"$anchor": "n", "type": "integer"}}, "type": "object", "properties": {"a": {"$ref": "#n"}}},
        '{"a": "1"}', {"a": 1},
    ),
    "leads to itself": ({"$ref": "#"}, "1", 1),
    "leads nowhere": ({"properties": {"a": {"$ref": "https://example.org/x"}}}, '{"a": 1}', {"a": 1}),
    "mixed enum": ({"enum": [1, "a", None, [1], {"b": 2}]}, '{"b": 2.0}', {"b": 2}),
    "list of types": ({"type": ["integer", "null"]}, '"3"', 3),
    "allOf": (
        {
            "allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "integer"}}}],
            "type": "object",
        },
        '{"a": "1", "b": "2"}', {"a": 1, "b": 2},
    ),
    "bounds": ({"type": "integer", "maximum": 3}, "4", None),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "said", "value"), FORMS.values(), ids=FORMS.keys())
def test_json_schema_in_every_form_gives_a_value_or_a_fault(schema: dict[str, Any], said: str, value: Any):
    """Booleans, tuples, conditions, references of each kind."""
    for level in ("safe", "aligned"):
        if value is None:
            with pytest.raises(OutputRejected):
                read(said, schema, level)
        else:
            assert read(said, schema, level).value == value
