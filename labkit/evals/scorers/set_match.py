"""A list as a set: how much of it is right, and how much of what is right is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.call.result import Result
from labkit.errors import OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.json_values import json_key, shown
from labkit.evals.scorers.match import alternatives, at
from labkit.evals.scorers.score import Score
from labkit.options import Share, checked

__all__ = ["SetF1"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class SetF1:
    """A list of the answer holds what is expected and nothing else; order and repetition do not count.

    Args:
        field: Dotted name of a list in both; "" compares the whole value.
        at_least: The F1 from which on it passes, in [0, 1]; None: its mean is what counts, and nothing passes.

    Raises:
        OptionInvalid: A threshold outside [0, 1].

    Source: van Rijsbergen (1979), "Information Retrieval", chapter 7: the harmonic mean of precision and recall.
    """

    field: str
    at_least: Share | None = None

    @property
    def name(self) -> str:
        return f"{self.field}: F1" if self.field else "F1"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """Give F1 against the expected list, the best of ``{"any_of": [...]}``; two empty lists score 1.

        A call without a value, or a value that is no list, scores 0.

        Raises:
            Unscorable: The case expects nothing of this field, or the output has no such field.
            Unscorable: What the case expects is no list.
        """
        wanted = alternatives(at(case.expected, self.field, f"case {case.id!r} expects nothing of"))
        if not wanted or not all(isinstance(each, list) for each in wanted):
            raise Unscorable(f"case {case.id!r} expects no list of {self.field!r}: {shown(wanted)}")
        if not result.ok:
            return self._graded(0.0, "no value")
        found = at(result.data(), self.field, "the output has no field")
        if not isinstance(found, list):
            return self._graded(0.0, f"{shown(found)} is no list")
        keys = {json_key(item) for item in found}
        value, reason = max(_f1(keys, {json_key(item) for item in each}) for each in wanted)
        return self._graded(value, reason)

    @property
    def is_graded(self) -> bool:
        """It says how good an answer is, and not whether good enough."""
        return self.at_least is None

    def _graded(self, value: float, reason: str) -> Score:
        return Score(value=value, passed=None if self.at_least is None else value >= self.at_least, reason=reason)


def _f1(found: set[str], wanted: set[str]) -> tuple[float, str]:
    if not found and not wanted:
        return 1.0, "both empty"
    right = len(found & wanted)
    # of nothing there is no share, and the other one says all
    precision = f"precision {right}/{len(found)}" if found else "nothing found"
    recall = f"recall {right}/{len(wanted)}" if wanted else "nothing expected"
    return 2 * right / (len(found) + len(wanted)), f"{precision}, {recall}"
