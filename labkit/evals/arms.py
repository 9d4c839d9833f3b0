"""Several runs against the first: with every arm more, a difference has to be clearer to count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """Several runs against the first, their p-values adjusted by Holm, their intervals holding together.

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
                    "metric": seen.metric, "value": seen.contrast.b_rate, "pass_rate": seen.b.pass_rate,
                    "difference": seen.difference, "low": seen.interval.low,
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


def compare_arms(runs: Sequence[EvalRun], *, primary: str | None = None) -> Arms:
    """Compare each run with the first; with every arm more, a difference has to be clearer to count.

    Each arm is told from the first by Holm's steps. Its interval is Bonferroni's, at 1 - 5% / arms, so that all of them
    hold together; where only Holm's step tells an arm from the first, the end next to 0 is the one at that step.

    Args:
        primary: As for ``compare``.

    Raises:
        RunsDiffer: Fewer than two runs, or two that share no case.
        TooFewCases: No shared case could be judged.

    Source: Holm (1979), see ``labkit.evals.stats.holm``.
    """
    if len(runs) < 2:
        raise RunsDiffer(f"{len(runs)} run given: a comparison takes two or more")
    seen = [compare(runs[0], run, primary=primary) for run in runs[1:]]
    arms = len(seen)
    adjusted = holm([each.p_value for each in seen])
    found = dict[int, Comparison]()
    for step, at in enumerate(sorted(range(arms), key=lambda at: seen[at].p_value)):
        is_told = adjusted[at] <= _ALPHA
        towards_zero = 1 - _ALPHA / (arms - step) if is_told else 1 - _ALPHA / arms
        found[at] = seen[at].among(adjusted[at], 1 - _ALPHA / arms, towards_zero)
    return Arms(first=runs[0], comparisons=[found[at] for at in range(arms)])


_ALPHA = 0.05
