"""How many of the expected fields are equal: partial credit, and the names of those that are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.json_values import same, shown
from labkit.evals.scorers.match import alternatives, at
from labkit.evals.scorers.score import Score
from labkit.options import checked

__all__ = ["FieldMatch"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class FieldMatch:
    """Each expected field of the answer equals what is expected of it.

    Args:
        fields: Dotted names of the fields that are compared; None: every top-level field that the case expects.

    Raises:
        OptionInvalid: No field, or one text instead of a list of names.
    """

    fields: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.fields is None:
            return
        if not self.fields:
            raise OptionInvalid("FieldMatch(fields=[]): give a list of names, or None for all that a case expects")
        object.__setattr__(self, "fields", tuple(self.fields))

    @property
    def name(self) -> str:
        return "fields" if self.fields is None else f"{', '.join(self.fields)}: fields"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """Give the share of expected fields that are equal; it passes when all are.

        ``{"any_of": [...]}``, of the whole or of one field, takes the nearest. A field that the answer lacks is wrong.
        A call without a value scores 0.

        Raises:
            Unscorable: The case expects nothing of a field.
        """
        options = [self._expected(case, option) for option in alternatives(case.expected)]
        if not options:
            raise Unscorable(f"case {case.id!r} expects one of no answers: fill its any_of")
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        data = result.data()
        value, wrong = max((_compared(data, option) for option in options), key=lambda compared: compared[0])
        return Score(value=value, passed=not wrong, reason="; ".join(wrong))

    def _expected(self, case: Case, option: Any) -> Mapping[str, Any]:
        missing = f"case {case.id!r} expects nothing of"
        if self.fields is not None:
            return {field: at(option, field, missing) for field in self.fields}
        if not (isinstance(option, dict) and option):
            raise Unscorable(f"{missing} any field: give it expected={{field: value}}, or use ExactMatch()")
        return option


def _compared(data: Any, expected: Mapping[str, Any]) -> tuple[float, list[str]]:
    """Give the share of fields that are equal, and what is wrong with the others."""
    wrong = []
    for field, wanted in expected.items():
        right = alternatives(wanted)
        try:
            # a top-level name may hold a dot of its own
            found = data[field] if isinstance(data, dict) and field in data else at(data, field, "")
        except LookupError:
            wrong.append(f"{field}: not there")
            continue
        if not any(same(found, each) for each in right):
            wrong.append(f"{field}: {shown(found)}, expected {' or '.join(shown(each) for each in right)}")
    return 1 - len(wrong) / len(expected), wrong
