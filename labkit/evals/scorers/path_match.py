"""What a JSONPath finds in the answer equals what is expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.call.result import Result
from labkit.errors import MissingDependency, OptionInvalid, Unscorable
from labkit.evals.case import Case
from labkit.evals.scorers.json_values import same, shown
from labkit.evals.scorers.match import alternatives, at
from labkit.evals.scorers.score import Score
from labkit.options import checked

__all__ = ["JsonPathMatch"]


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class JsonPathMatch:
    """What a path finds in the answer equals what is expected.

    A path that can find one value at most (``$.order.total``) is compared by that value, any other one
    (``$.items[*].sku``) by the list of what it finds, in its order.

    Args:
        path: JSONPath as in RFC 9535, ``$.items[?@.price > 10].sku``.
        expected: What it should find; by default what the case expects.
        expected_field: Dotted name of the part of the case's expectation to compare with; "" is all of it.

    Raises:
        MissingDependency: python-jsonpath is not installed.
        OptionInvalid: The path cannot be read, or both *expected* and *expected_field* are given.
    """

    path: str
    expected: Any = ...
    expected_field: str = ""
    _compiled: Any = field(init=False, repr=False, compare=False)
    _is_singular: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.expected is not ... and self.expected_field:
            raise OptionInvalid(f"JsonPathMatch({self.path!r}): give expected or expected_field, not both")
        try:
            import jsonpath
        except ImportError as error:
            raise MissingDependency("python-jsonpath", extra="evals", purpose="JsonPathMatch") from error
        try:
            compiled = jsonpath.compile(self.path)
        except jsonpath.JSONPathError as error:
            said = str(error).partition("\n")[0]
            raise OptionInvalid(f"JsonPathMatch({self.path!r}): the path cannot be read: {said}") from error
        object.__setattr__(self, "_compiled", compiled)
        # several paths joined by | or & always find a list
        singular = isinstance(compiled, jsonpath.JSONPath) and compiled.singular_query()
        object.__setattr__(self, "_is_singular", singular)

    @property
    def name(self) -> str:
        return f"path {self.path}"

    def score(self, case: Case, result: Result[Any]) -> Score:
        """1 when what is found equals what is expected, or one of ``{"any_of": [...]}``, else 0.

        A call without a value scores 0, and so does a path to one value that is not there.

        Raises:
            Unscorable: The case expects nothing to compare with.
        """
        wanted = alternatives(self._expectation(case))
        if not result.ok:
            return Score(value=0.0, passed=False, reason="no value")
        found = self._compiled.findall(result.data())
        if self._is_singular and not found:
            return Score(value=0.0, passed=False, reason="the path finds nothing")
        seen = found[0] if self._is_singular else found
        passed = any(same(seen, each) for each in wanted)
        said = " or ".join(shown(each) for each in wanted)
        return Score(value=float(passed), passed=passed, reason="" if passed else f"{shown(seen)}, expected {said}")

    def _expectation(self, case: Case) -> Any:
        if self.expected is not ...:
            return self.expected
        missing = f"case {case.id!r} expects nothing"
        if case.expected is None:
            raise Unscorable(f"{missing}: give it expected, or give JsonPathMatch(expected=...)")
        return at(case.expected, self.expected_field, f"{missing} of")
