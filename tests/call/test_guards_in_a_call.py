"""Built-in guards inside a guarded call: rejected, asked again, blacked out, fingerprinted."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from desk import Ticket
from guard_tables import GUARDS
from pydantic import BaseModel

import labkit as lk
from labkit.call.description import describe
from labkit.call.fingerprint import digest
from labkit.call.guards import ForbiddenPhrases, Language, Length, Pii, PromptLeak, Secrets, UrlAllowList, no_pii


class Answer(BaseModel):
    reply: str


LEAKING = '{"reply": "Ask ann@mail.example."}'


def desk(model: Any, guard: Any, reask: int = 0) -> lk.GuardedCall[Answer]:
    return lk.GuardedCall(
        "desk",
        input=Ticket,
        output=Answer,
        prompt=lk.Prompt(system="Answer.", user="{{ input.text }}"),
        model=model,
        guards=[guard],
        policy=lk.Policy(reask=reask),
    )


def test_an_answer_with_personal_data_is_rejected_and_the_reason_is_clean():
    """It reaches neither the caller nor the log."""
    result = desk(lk.ScriptedModel(LEAKING), no_pii)(text="hello")

    assert result.reason is not None
    assert (result.value, result.reason.step, result.reason.outcome) == (None, "rules", "guard")
    assert "no_pii: personal data: email at character 16" in result.reason.message
    assert "ann@" not in result.reason.message


def test_the_model_is_asked_again_and_may_mend_it():
    """What it is told is what the guard saw, not what it said."""
    result = desk(lk.ScriptedModel([LEAKING, '{"reply": "Ask our team."}']), no_pii, reask=1)(text="hello")

    assert result.ok
    assert result.value == Answer(reply="Ask our team.")


def test_a_redacted_answer_goes_on_with_a_fix_that_names_its_guard():
    """Nothing is changed unseen."""
    result = desk(lk.ScriptedModel(LEAKING), Pii(action="redact"))(text="hello")

    assert result.value == Answer(reply="Ask [email].")
    assert [(fix.kind, fix.by) for fix in result.repairs] == [("guard", "Pii")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Pii(), Pii(action="redact")),
        (Pii(), Pii(kinds=["card"])),
        (Pii(), Pii(allow=["@bank.example"])),
        (Secrets(), Secrets(action="redact")),
        (ForbiddenPhrases(["a"]), ForbiddenPhrases(["b"])),
        (Length(max_chars=1), Length(max_chars=2)),
        (Language("en"), Language("en", "de")),
        (UrlAllowList(["a.example"]), UrlAllowList(["b.example"])),
        (no_pii, GUARDS["secrets"]),
    ],
)
def test_another_option_is_another_fingerprint(one: Any, other: Any):
    """History says that the guards changed."""
    assert digest(describe(one)) != digest(describe(other))


def test_equal_options_are_one_fingerprint_however_they_were_given():
    """A list in the notebook and a tuple in the package are the same guard."""
    assert digest(describe(Pii(kinds=["card"]))) == digest(describe(Pii(kinds=("card",))))
    assert Pii(kinds=["card"]) == Pii(kinds=("card",))


def test_a_canary_is_not_in_the_fingerprint():
    """Fingerprints are described in records; the prompt that holds the canary counts already."""
    assert "XKMS" not in str(describe(PromptLeak("XKMS-DYOZ-PQUL-RDVS")))


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_says_the_same_twice_and_keeps_nothing(name: str):
    """Calls run side by side and share their guards."""
    guard = GUARDS[name]
    before = describe(guard)

    assert guard(LEAKING) == guard(LEAKING)
    assert describe(guard) == before


def test_importing_the_guards_compiles_none_of_their_patterns():
    """A service that uses one pays for one."""
    script = "import labkit.call.guards, labkit.call.guards.patterns as p; print(p._compiled.cache_info().currsize)"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "0\n"
