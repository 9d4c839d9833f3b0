"""A fingerprint changes when behaviour would, and stays when only the place or the layout does."""

from __future__ import annotations

import enum
import logging
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from labkit.call.fingerprint import describe, digest

log = logging.getLogger(__name__)
LIMIT = 3


class Colour(enum.Enum):
    RED = 1


class Other(enum.Enum):
    RED = 2


class Positive(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def above_zero(cls, n: int) -> int:
        if n <= 0:
            raise ValueError("must be above zero")
        return n


class Unchecked(BaseModel):
    n: int


Unchecked.__name__ = "Positive"


class Threshold:
    at = 1


class Higher:
    at = 2


Higher.__name__ = "Threshold"


def limited(n: int) -> bool:
    log.debug("asked about %s", n)
    return n < LIMIT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda a, b: a < b, lambda a, b: a > b),
        (lambda a, b: a + b, lambda a, b: a - b),
        (lambda t: t in {"a", "b"}, lambda t: t in {"a", "c"}),
        (Colour, Other),
        (Positive, Unchecked),
        (Threshold, Higher),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, [1, 2]),
        (True, 1.5),
    ],
)
def test_what_behaves_differently_is_described_differently(one: Any, other: Any):
    """History would miss a change that looks the same."""
    assert digest(describe(one)) != digest(describe(other))


def test_layout_and_comments_do_not_count():
    """Reformatting a rule is not a new version of it."""
    plain: dict[str, Any] = {}
    wordy: dict[str, Any] = {}
    exec("rule = lambda v: v + 1", plain)
    exec("# why\n\nrule = (\n    lambda v:\n        v + 1\n)", wordy)

    assert describe(plain["rule"]) == describe(wordy["rule"])


def test_a_constant_that_a_rule_reads_counts(monkeypatch: pytest.MonkeyPatch):
    """The rule's text is the same; what it does is not."""
    before = describe(limited)
    monkeypatch.setitem(limited.__globals__, "LIMIT", 4)

    assert describe(limited) != before


def test_a_loggers_name_does_not_count(monkeypatch: pytest.MonkeyPatch):
    """getLogger(__name__) has another name in the notebook than in the package."""
    before = describe(limited)
    monkeypatch.setitem(limited.__globals__, "log", logging.getLogger("elsewhere"))

    assert describe(limited) == before


def test_the_digest_is_the_same_in_every_process():
    """Sets and dictionaries have no order that could leak into it."""
    code = (
        "from labkit.call.fingerprint import describe, digest\n"
        "print(digest(describe([lambda t: t in {'a', 'b', 'c', 'd'}, {'x', 'y', 'z'}, {'k': 1, 'j': 2}])))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout
        for seed in (1, 2)
    }

    assert len(seen) == 1


def test_a_function_that_calls_itself_can_be_described():
    """Recursion in the code is not recursion in the description."""

    def down(n: int) -> int:
        return n and down(n - 1)

    assert digest(describe(down)) == digest(describe(down))
