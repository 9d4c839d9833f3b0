"""A number within a tolerance of the expected one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeGuard

from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.json_values import shown
from labkit.evals.scorers.match import alternatives, at
from labkit.evals.scorers.score import Score
from labkit.options import NotNegative, checked

__all__ = ["NumericMatch"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class NumericMatch:
    """A number of the answer lies within a tolerance of the expected one, both ends included.

    Only JSON numbers count: true is none, "12" is none (nor is a field of type ``Decimal``, which JSON holds as text),
    and NaN and infinity are none.

    Args:
        field: Dotted name of a field of both; "" compares the whole value.
        abs_tol: Accepted distance, in the unit of the field.
        rel_tol: Accepted distance as a share of the expected number; the larger of both counts.

    Raises:
        OptionInvalid: A tolerance below 0, or not finite.
    """

    field: str
    abs_tol: NotNegative = 0.0
    rel_tol: NotNegative = 0.0

    @property
    def name(self) -> str:
        return f"{self.field}: number" if self.field else "number"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """1 within the tolerance of the expected number, or of one of ``{"any_of": [...]}``, else 0.

        A call without a value scores 0, and so does a value that is no number.

        Raises:
            Unscorable: The case expects nothing of this field, or the output has no such field.
            Unscorable: What the case expects is no number.
        """
        wanted = alternatives(at(case.expected, self.field, f"case {case.id!r} expects nothing of"))
        for each in wanted:
            if not _is_number(each):
                raise Unscorable(f"case {case.id!r} expects {shown(each)} of {self.field!r}, which is no finite number")
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        found = at(result.data(), self.field, "the output has no field")
        if not _is_number(found):
            return Score(value=0.0, passed=False, reason=f"{shown(found)} is no finite number")
        near = any(self._is_near(found, each) for each in wanted)
        said = " or ".join(shown(each) for each in wanted)
        return Score(value=float(near), passed=near, reason="" if near else f"{shown(found)}, expected {said}")

    def _is_near(self, found: float, expected: float) -> bool:
        # As the decimals they are written as: in binary, 1.1 is more than 0.1 away from 1.0.
        target = _decimal(expected)
        tolerance = max(_decimal(self.abs_tol), _decimal(self.rel_tol) * abs(target))
        return abs(_decimal(found) - target) <= tolerance


def _is_number(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _decimal(number: float) -> Decimal:
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))
