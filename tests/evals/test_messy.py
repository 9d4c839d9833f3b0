"""Hostile variants of cases are made from a seed, stay within what the call takes, and expect what their case does."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from typing import Annotated, Any, Literal

import pytest
from desk import support_desk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from labkit import Prompt
from labkit.errors import DatasetInvalid
from labkit.evals import Case, Dataset
from labkit.evals.messy import INJECTIONS, KINDS

TEXT = "Where is my new card? I have been waiting for it since Monday."


class Person(BaseModel):
    name: str = "nobody"
    secret: SecretStr = SecretStr("none")


class Letter(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=80)]
    channel: Literal["mail", "chat"] = "mail"
    number: str = Field(default="0", pattern=r"^\d+$")
    subject: str = Field(default="", alias="Subject")
    pages: list[str] = []
    sender: Person | None = None


def one(**changes: Any) -> Dataset:
    about: dict[str, Any] = {
        "id": "c1",
        "input": {"text": TEXT},
        "expected": {"intent": "card_arrival"},
        "tags": ("card",),
    }
    return Dataset([Case(**(about | changes))], name="desk")


def letter_call() -> Any:
    return support_desk(input=Letter, prompt=Prompt(user="{{ input.text }}"))


def test_each_kind_is_a_variant_that_expects_the_same():
    """Id, tags and cluster tell what it is and where it comes from."""
    variants = one().messy(support_desk())

    assert [case.id for case in variants] == [f"c1~{kind}" for kind in KINDS if kind != "emptied"]
    for case in variants:
        kind = case.id.partition("~")[2]
        assert case.input["text"] != TEXT
        assert (case.expected, case.tags, case.cluster) == ({"intent": "card_arrival"}, ("card", "messy", kind), "c1")
        assert case.note.startswith(f"{kind} of case 'c1'")
    assert one(cluster="k").messy(support_desk()).cases[0].cluster == "k"


def test_each_kind_does_what_it_is_called_after():
    """Truncated at a word's end, look-alike letters that stay look-alikes, one of the known sentences, ..."""
    found = {case.id.partition("~")[2]: case.input["text"] for case in one().messy(support_desk())}

    assert found["whitespace"].split() == TEXT.split()
    assert found["case"].casefold() == TEXT.casefold()
    assert TEXT.startswith(found["truncation"] + " ") and len(TEXT) / 2 <= len(found["truncation"]) <= len(TEXT) * 2 / 3
    assert len(found["lookalikes"]) == len(TEXT)
    assert any(
        unicodedata.name(char).startswith("CYRILLIC") for char in unicodedata.normalize("NFKC", found["lookalikes"])
    )
    assert found["injection"].removeprefix(TEXT + "\n\n") in INJECTIONS
    assert sum(a != b for a, b in zip(found["typos"], TEXT, strict=False)) > 0
    assert abs(len(found["typos"]) - len(TEXT)) <= 5


def test_a_variant_depends_on_seed_case_and_kind_alone():
    """Adding a case or leaving out a kind changes no other variant; another seed does."""
    both = Dataset([Case(id="c0", input={"text": "Hello there, my friend"}), *one()])

    alone = one().messy(support_desk(), kinds=["typos"]).cases

    assert both.messy(support_desk())["c1~typos"] == alone[0]
    assert one().messy(support_desk(), seed=1, kinds=["typos"]).cases != alone


def test_variants_are_the_same_in_every_process():
    """Hash seeds of the interpreter have no say."""
    code = (
        "from desk import support_desk; from labkit.evals import Case, Dataset;"
        f"print(Dataset([Case(id='c1', input={{'text': {TEXT!r}}})]).messy(support_desk()).hash)"
    )

    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip

    assert said == {one(expected=None).messy(support_desk()).hash}


def test_only_texts_that_the_call_takes_are_altered():
    """Choices, patterns and secrets stay; nested texts, lists and aliased fields are texts like others."""
    given = {
        "text": "Hello my dear old friends", "channel": "chat", "number": "1234", "Subject": "About the old card",
        "pages": ["first page here"], "sender": {"name": "Ann Other", "secret": "do not touch this"},
    }  # fmt: skip

    variants = one(input=given).messy(letter_call())

    for case in variants:
        if not case.id.endswith("emptied"):
            assert (case.input["channel"], case.input["sender"]["secret"]) == ("chat", "do not touch this")
            assert case.input["number"].strip() in ("1234", "12")
    swapped = variants["c1~lookalikes"].input
    assert swapped["text"] != given["text"] and swapped["Subject"] != given["Subject"]
    assert swapped["pages"] != given["pages"] and swapped["sender"]["name"] != "Ann Other"
    assert one(input=given).messy(letter_call(), fields=["text"])["c1~typos"].input == (
        given | {"text": one(input=given).messy(letter_call(), fields=["text"])["c1~typos"].input["text"]}
    )
    assert given["pages"] == ["first page here"]


def test_optional_fields_are_emptied():
    """A form that nobody filled in: required fields stay."""
    given = {"text": "Hello", "Subject": "About", "pages": ["x"], "sender": {"name": "Ann"}, "number": "12"}

    (case,) = one(input=given).messy(letter_call(), kinds=["emptied"])

    assert case.input == {"text": "Hello", "Subject": "", "pages": [], "sender": {}, "number": "12"}


def test_what_the_call_would_refuse_is_no_variant():
    """A text that is too long with its injection, or an input that was refused as it is."""
    cases = Dataset([Case(id="long", input={"text": "word " * 15}), Case(id="bad", input={"text": ""})])

    assert {case.id for case in cases.messy(letter_call())} >= {"long~typos", "long~truncation"}
    assert "long~injection" not in {case.id for case in cases.messy(letter_call())}
    assert not any(case.id.startswith("bad") for case in cases.messy(letter_call()))
    with pytest.raises(DatasetInvalid, match="'desk~messy' holds no case"):
        one(input={"text": "12 34"}).messy(support_desk(), kinds=["typos"])
    with pytest.raises(DatasetInvalid, match="kind 'typo' of messy input is not known: use whitespace"):
        one().messy(support_desk(), kinds=["typo"])  # type: ignore[list-item]


def test_variants_join_their_cases():
    """One dataset of both, paired by cluster."""
    both = one().merge(one().messy(support_desk()))

    assert [case.id for case in both][:2] == ["c1", "c1~whitespace"]


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_every_variant_of_any_text_is_one_the_call_takes(text: str):
    """Whatever people write, a variant differs from it and is valid."""
    call = letter_call()
    try:
        variants = one(input={"text": text}).messy(call)
    except DatasetInvalid:
        return
    assert all(case.input != {"text": text} for case in variants)
    assert Dataset(variants).cases == variants.cases
    for case in variants:
        assert len(case.input["text"]) >= 1
