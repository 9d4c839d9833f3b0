"""What a result looks like: in a notebook, in a shell, in a log."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from desk import GOOD, support_desk
from pydantic import BaseModel

import labkit as lk
from labkit.call.durations import seconds
from labkit.call.result import Result


class Labels(BaseModel):
    labels: list[str]
    sure: bool
    note: str | None = None


def card(result: Result[Any]) -> str:
    """The text of the card that a notebook shows."""
    import html

    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", result._repr_html_())).split())


def test_explain_is_a_text_that_shows_itself():
    """It goes into a log or a ticket, and reads well at a prompt."""
    result = support_desk()(text="a")

    said = result.explain()

    assert isinstance(said, str) and repr(said) == str(said) == said
    assert said.splitlines()[0].startswith("triage: model, ok, ")
    assert [line.split()[1] for line in said.splitlines()[1:]] == [
        "input", "validate", "context", "prompt", "model", "output", "rules", "record", "fallback",
    ]  # fmt: skip


def test_explain_prints_where_it_is_told_to(capsys: pytest.CaptureFixture[str]):
    """And nowhere else."""
    there = io.StringIO()

    said = support_desk()(text="a").explain(there)

    assert there.getvalue() == f"{said}\n" and capsys.readouterr().out == ""


def test_a_notebook_shows_the_explanation_in_lines():
    """The last line of a cell is displayed, not quoted."""
    from IPython.core.formatters import DisplayFormatter

    said = support_desk()(text="a").explain()

    shown, _ = DisplayFormatter().format(said)

    assert shown["text/plain"] == said


@pytest.mark.parametrize(
    ("value", "shown"),
    [(24.822, "24.82 s"), (1.5, "1.5 s"), (0.2991, "299 ms"), (0.00034, "0.34 ms"), (1_200, "1,200 s")],
)
def test_times_are_written_in_the_unit_they_are_read_in(value: float, shown: str):
    """Nobody reads 24822 ms."""
    assert seconds(value) == shown


def test_the_card_writes_values_as_json():
    """Lists, truth values and nothing look as everywhere else; a text is itself."""
    result = support_desk('{"labels": ["a b"], "sure": true}', output=Labels)(text="a")

    shown = card(result)

    assert '["a b"]' in shown and "true" in shown and "null" in shown and "'" not in shown


def test_an_apology_is_shown_with_its_words():
    """What the customer reads, where the author looks."""
    result = support_desk("nonsense", fallbacks=[lk.Apology("Please call us.")])(text="a")

    assert "the user is told Please call us." in card(result)
    assert "None" not in card(result)
    assert "nothing could answer; the user is told: Please call us." in result.explain()


def test_a_cost_that_is_not_known_names_its_mend():
    """A model of one's own has no price on anybody's list."""
    assert "give Model(price=lk.Price(prompt_usd=..., completion_usd=...))" in support_desk(GOOD)(text="a").explain()


def test_dir_shows_all_that_the_package_has():
    """Tab offers the guards, which are loaded when they are first named."""
    assert set(lk.__all__) <= set(dir(lk))
    assert {"guards", "no_pii", "no_secrets"} <= set(dir(lk)) and all(hasattr(lk, name) for name in dir(lk))
