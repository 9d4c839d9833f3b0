"""A name, a tag or a provider's message is shown in a terminal and a log, and obeyed by neither."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import GOOD, support_desk

import labkit as lk
from labkit import evals, views
from labkit.cli import main
from labkit.errors import LabkitError, ModelError
from labkit.terminal import in_a_line, visible

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp\u2066\r\x08\x7f"
OBEYED = [c for c in set(EVIL) if not c.isprintable()]


def obeyed(text: str) -> list[str]:
    return [repr(c) for c in OBEYED if c in text]


def test_what_a_terminal_would_obey_is_written_out():
    """And everything else stays: letters of any script, emoji, lines and tabs."""
    assert visible("\x1b[31m\u202ex\ud800") == "\\u001b[31m\\u202ex\\ud800"
    assert visible("\U000e0041") == "\\U000e0041"
    for text in ("plain", "Grüße\n\tمی‌خواهم 👩‍👩‍👧 日本", "a\u00a0b"):
        assert visible(text) == text
    assert in_a_line("a\nb\tc") == "a\\u000ab\\u0009c"
    assert not obeyed(visible(EVIL))


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("labkit")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_providers_message_reaches_no_terminal_as_it_is(logged: io.StringIO, capsys: pytest.CaptureFixture[str]):
    """Not through the log with its traceback, nor through explain, nor through the error of unwrap."""
    for wrong in (ModelError(f"said {EVIL}", outcome="transport"), RuntimeError(f"said {EVIL}")):
        result = support_desk(lk.ScriptedModel(wrong))(text="hello")
        result.explain()
        print(result)
        with pytest.raises(lk.CallFailed) as caught:
            result.unwrap()
        print(caught.value)

    assert "u001b[2J" in logged.getvalue() and not obeyed(logged.getvalue())
    said = capsys.readouterr().out
    assert "u001b[2J" in said and not obeyed(said)


def test_the_passwords_of_addresses_are_in_no_log(logged: io.StringIO):
    """An exception may quote the address it could not reach."""

    def ask(_: object) -> str:
        raise OSError("cannot reach redis://:pa55w0rd@cache:6379")

    def fail(_: object) -> str:
        raise KeyError("postgres://bob:pa55w0rd@h/x")

    for source in (ask, fail):
        support_desk(context=[lk.Source(source, name="bank", required=False)])(text="hello")
        support_desk(context=[lk.Source(source, name="bank")])(text="hello")

    assert "***@" in logged.getvalue()
    assert "pa55w0rd" not in logged.getvalue()


def test_names_and_tags_are_shown_and_not_obeyed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Comparisons, runs, histories, arms, views and every command of labkit."""
    store = f"sqlite:///{tmp_path}/runs.db"
    cases = evals.Dataset(
        [evals.Case(id=f"{n}{EVIL}", input={"text": f"t{n}"}, expected={"intent": "card_arrival"}, tags=(f"t{EVIL}",))
         for n in range(3)],
        name=f"d{EVIL}",
    )  # fmt: skip
    scorers = [evals.ExactMatch("intent")]
    runs = [
        evals.evaluate(
            support_desk(GOOD, **change), cases, scorers=scorers, store=store, run_id=f"r{n}", progress=False
        )
        for n, change in enumerate([{}, {"rules": [], "guards": [lambda text: text]}])
    ]
    runs.append(evals.evaluate(support_desk(), cases, scorers=scorers, store=store, run_id="r2", progress=True))
    compared = evals.compare(*runs[:2])
    arms = evals.compare_arms(runs)
    texts = [
        compared.text(), repr(compared), arms.text(), repr(arms), *map(repr, runs), repr(cases),
        repr(views.ab(*runs[:2])), repr(views.validation(runs[0])), repr(views.latency(*runs[:2])),
        evals.history("triage", store=store).text(), repr(runs[0].rows[0]),
    ]  # fmt: skip

    for command in (
        ["runs", "--store", store], ["compare", "r0", "r1", "--store", store], ["history", "triage", "--store", store],
        ["bless", f"x{EVIL}", "--store", store], ["history", f"x{EVIL}", "--store", store], [f"x{EVIL}"],
        ["runs", "--store", f"nosuch://bob:pa55w0rd@{EVIL}"], ["runs", "--limit", EVIL],
    ):  # fmt: skip
        try:
            main(command)
        except SystemExit:
            print("ended", file=sys.stderr)
    said = "".join(capfd.readouterr())

    assert "x1b" in said and "pa55w0rd" not in said
    for text in (*texts, said):
        assert not obeyed(text)


def test_an_error_of_labkit_is_safe_to_print():
    """Whoever prints it: a notebook, a service, a test."""
    error = LabkitError(f"no {EVIL} at postgres://bob:pa55w0rd@h")

    assert not obeyed(str(error)) and "pa55w0rd" not in str(error) + repr(error)
