"""Scorers that compare an answer, or a field of it, with what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.json_values import same
from labkit.evals.scorers.score import Score
from labkit.options import checked

__all__ = ["ExactMatch", "at"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class ExactMatch:
    """The answer, or one field of it, equals what is expected.

    Args:
        field: Dotted name of a field of both; "" compares the whole value.
    """

    field: str = ""

    @property
    def name(self) -> str:
        return f"{self.field}: exact" if self.field else "exact"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """1 when equal, or equal to one of ``{"any_of": [...]}``, else 0; a call without a value scores 0.

        Raises:
            Unscorable: The case expects nothing of this field.
        """
        expected = at(case.expected, self.field, f"case {case.id!r} expects nothing of")
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        found = at(result.data(), self.field, "the output has no field")
        wanted = alternatives(expected)
        equal = any(same(found, each) for each in wanted)
        said = " or ".join(repr(each) for each in wanted)
        return Score(value=float(equal), passed=equal, reason="" if equal else f"expected {said}")


def at(data: Any, path: str, missing: str) -> Any:
    """Give the part of *data* at a dotted path; "" is the whole.

    Raises:
        Unscorable: It has no such part; the message begins with *missing*.
    """
    for part in path.split(".") if path else ():
        if not isinstance(data, dict):
            raise Unscorable(f"{missing} {path!r}")
        if part not in data:
            raise Unscorable(f"{missing} {path!r}; there is {', '.join(map(str, data)) or 'nothing'}")
        data = data[part]
    return data


def alternatives(expected: Any) -> list[Any]:
    """Give every answer that is right: those of ``{"any_of": [...]}``, else *expected* alone."""
    if isinstance(expected, dict) and expected.keys() == {"any_of"} and isinstance(expected["any_of"], list):
        return expected["any_of"]
    return [expected]
