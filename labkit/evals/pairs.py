"""The cases that two runs share, one by one: who passed, and both answers when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import overload

from labkit.evals.contrast import Outcome, outcome_of
from labkit.evals.pairing import Paired
from labkit.evals.runs import EvalRun, Row

__all__ = ["Pair", "Pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case as both runs answered it; of repeats, *a* and *b* are the first.

    Args:
        outcome: Who passed; None when either could not be judged.
    """

    case_id: str
    tags: tuple[str, ...]
    outcome: Outcome | None
    a_run: EvalRun
    b_run: EvalRun

    @property
    def a(self) -> Row:
        return self.a_run.row(self.case_id)

    @property
    def b(self) -> Row:
        return self.b_run.row(self.case_id)


class Pairs(Sequence[Pair]):
    """The shared cases in A's order; what both answered is looked up when it is asked for."""

    def __init__(self, a: EvalRun, b: EvalRun, pairs: Paired, *, is_graded: bool = False) -> None:
        self._a, self._b, self._pairs = a, b, pairs
        self._outcomes = [
            outcome_of(x, y, is_graded) if x == x and y == y else None  # nan: not judged
            for x, y in zip(pairs.a.metric.mean.tolist(), pairs.b.metric.mean.tolist(), strict=True)
        ]
        self._at: Sequence[int] = range(len(self._outcomes))

    def where(self, *, outcome: str = "", tag: str = "") -> Pairs:
        """Give those of an outcome and with a tag; "" leaves it open."""
        return self._only(
            [
                at
                for at in self._at
                if (not outcome or self._outcomes[at] == outcome) and (not tag or tag in self._pairs.tags[at])
            ]
        )

    def filter(self, wanted: Callable[[Pair], bool]) -> Pairs:
        """Give those that are *wanted*; both answers to each are read if it looks at them."""
        return self._only([at for n, at in enumerate(self._at) if wanted(self[n])])

    def _only(self, at: Sequence[int]) -> Pairs:
        chosen = copy(self)
        chosen._at = at
        return chosen

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        at = self._at[index]
        return Pair(
            case_id=self._pairs.case_ids[at], tags=self._pairs.tags[at], outcome=self._outcomes[at],
            a_run=self._a, b_run=self._b,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Pair]:
        return (self[n] for n in range(len(self)))
