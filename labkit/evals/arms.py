"""Several runs against the first: with every arm more, a difference has to be clearer to count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.errors import RunsDiffer
from labkit.evals.compare import Comparison, compare
from labkit.evals.runs import EvalRun
from labkit.evals.stats import holm
from labkit.extras import needs
from labkit.terminal import printable

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Arms", "compare_arms"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """Several runs against the first, their p-values adjusted by Holm.

    Args:
        first: The run the others are compared with.
        comparisons: One for each other run, in their order.
    """

    first: EvalRun
    comparisons: Sequence[Comparison]

    def frame(self) -> DataFrame:
        """Give one row for each arm but the first."""
        with needs("pandas", "a frame of comparisons"):
            import pandas as pd

        return pd.DataFrame(
            [
                {
                    "arm": seen.b_label, "run_id": seen.b.run_id, "cases": seen.contrast.n,
                    "pass_rate": seen.contrast.b_rate, "difference": seen.difference, "low": seen.interval.low,
                    "high": seen.interval.high, "p_value": seen.p_value, "adjusted_p": seen.adjusted_p,
                    "verdict": seen.verdict,
                }
                for seen in self.comparisons
            ]
        ).set_index("arm")  # fmt: skip

    def text(self) -> str:
        """Give the arms for a terminal, one in two lines."""
        return printable("\n".join(f"{seen.headline}\n  {seen.evidence}" for seen in self.comparisons))

    def __repr__(self) -> str:
        return self.text()


def compare_arms(runs: Sequence[EvalRun]) -> Arms:
    """Compare each run with the first; with every arm more, a difference has to be clearer to count.

    Raises:
        RunsDiffer: Fewer than two runs, or two that share no case.
        TooFewCases: No shared case could be judged.

    Source: Holm (1979), see ``labkit.evals.stats.holm``.
    """
    if len(runs) < 2:
        raise RunsDiffer(f"{len(runs)} run given: a comparison takes two or more")
    seen = [compare(runs[0], run) for run in runs[1:]]
    adjusted = holm([each.p_value for each in seen])
    return Arms(
        first=runs[0], comparisons=[replace(each, adjusted_p=p) for each, p in zip(seen, adjusted, strict=True)]
    )
