"""How good each built-in guard is: what its docstring says is what its table gives."""

from __future__ import annotations

import inspect
import re

import pytest
from desk import support_desk
from guard_tables import GUARDS, precision_and_recall, rows
from pydantic import BaseModel

from labkit.call.guards.language import Language, detect_language
from labkit.call.guards.pii import Pii


class Named(BaseModel):
    name: str


def docstring(table: str) -> str:
    guard = GUARDS[table]
    return " ".join(str((guard if inspect.isfunction(guard) else type(guard)).__doc__).split())


@pytest.mark.parametrize("table", GUARDS)
def test_the_docstring_says_what_the_table_gives(table: str):
    """Whoever reads how good a guard is reads what was measured, and where."""
    precision, recall = precision_and_recall(GUARDS[table], rows(table))

    assert f"tests/data/guards/{table}.jsonl" in docstring(table)
    assert f"precision {precision:.2f}, recall {recall:.2f}" in docstring(table)


@pytest.mark.parametrize("table", GUARDS)
def test_the_table_names_what_the_guard_gets_wrong(table: str):
    """Every error is known by name, and none that is mended keeps its mark."""
    guard = GUARDS[table]

    for row in rows(table):
        stopped = guard(row.text) is not None
        mark = "" if stopped == row.hit else "(false alarm)" if stopped else "(missed)"
        assert re.findall(r"\((?:false alarm|missed)\)", row.why) == [mark] * bool(mark), row


@pytest.mark.parametrize("table", GUARDS)
def test_a_table_has_enough_on_both_sides(table: str):
    """Twenty each way for personal data and secrets, ten for the others, no text twice."""
    texts = rows(table)
    hits = sum(row.hit for row in texts)

    assert min(hits, len(texts) - hits) >= (20 if table in ("pii", "secrets") else 10)
    assert len({row.text for row in texts}) == len(texts)


def test_the_accuracy_of_languages_is_what_the_docstring_says():
    """How often any of the languages is told right, those that are not supported counted as errors."""
    told = [detect_language(row.text) == row.language for row in rows("language")]

    assert f"accuracy {sum(told) / len(told):.2f}" in " ".join(str(Language.__doc__).split())


def test_what_a_guard_blacks_out_is_not_kept_in_the_repair():
    """The fix is listed by its guard's name; what stood there is not passed on with it."""
    said = '{"name": "write to anna@bank.example"}'
    desk = support_desk(said, output=Named, guards=[Pii(action="redact")])

    result = desk(text="hello")

    assert result.unwrap().name == "write to [email]"
    assert [(repair.kind, repair.by) for repair in result.repairs] == [("guard", "Pii")]
    assert "anna" not in repr(result.repairs)
