"""What a gate can tell, before anything is asked: how often it is right at so many cases and repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from labkit.errors import TooFewCases
from labkit.evals.runs import EvalRun
from labkit.extras import needs

__all__ = ["GatePlan", "PlannedGate", "plan_gate"]

_WANTED = 0.8
_REPEATS = (1, 3, 5, 10)
_TIMES_CASES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGate:
    """A night of so many answers.

    Args:
        unchanged_passes: Chance that a version as good as the baseline passes.
        loss_fails: Chance that one which lost the margin fails.
        twice_fails: Chance that one which lost twice the margin fails.
        cost_usd: At the baseline's price; None where that is not known.
        elapsed_s: At the baseline's pace.
    """

    cases: int
    repeats: int
    unchanged_passes: float
    loss_fails: float
    twice_fails: float
    cost_usd: float | None
    elapsed_s: float

    @property
    def is_enough(self) -> bool:
        """An unchanged version passes, and one that lost twice the margin fails, on four nights of five."""
        return self.unchanged_passes >= _WANTED and self.twice_fails >= _WANTED

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.2f}"
        return (
            f"{self.cases:,} cases x {self.repeats}: an unchanged version passes on {_percent(self.unchanged_passes)} "
            f"of nights; a loss of the margin fails on {_percent(self.loss_fails)}, of twice the margin on "
            f"{_percent(self.twice_fails)}; {cost}, {_span(self.elapsed_s)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a margin takes.

    Args:
        margin: As a share.
        noise: Variance of one answer when the same case is asked again, of which the chances are.
        noise_from: Where *noise* is from, in a sentence.
        now: As the baseline was asked.
        options: The baseline's cases with more repeats.
        enough: The cheapest that is enough, None where none of up to 16 times the cases and 10 repeats is.
    """

    margin: float
    noise: float
    noise_from: str
    now: PlannedGate
    options: tuple[PlannedGate, ...]
    enough: PlannedGate | None

    def text(self) -> str:
        """Give the plan for a terminal."""
        lines = [f"a gate with a margin of {self.margin * 100:g} points ({self.noise_from}):", f"  {self.now}"]
        lines += [f"  {option}" for option in self.options]
        if self.now.is_enough:
            lines.append("  as it is asked now, that is enough")
        elif self.enough is None:
            lines.append("  no number of answers that can be paid for is enough: widen the margin")
        elif self.enough not in self.options:
            lines.append(f"  enough: {self.enough}")
        else:
            lines.append(f"  enough: {self.enough.cases:,} cases x {self.enough.repeats}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text()


def plan_gate(
    baseline: EvalRun, margin: float, *, again: EvalRun | None = None, within_margin: bool = False
) -> GatePlan:
    """Plan a gate from what a baseline shows; see ``Gate.plan``."""
    noise, noise_from = _noise(baseline, again)
    cases = len({fact.case_id for fact in baseline.facts})
    repeats = max(1, round(len(baseline.facts) / cases))
    per_answer_s = baseline.elapsed_s / len(baseline.facts)
    per_answer_usd = None if baseline.cost_usd is None else baseline.cost_usd / len(baseline.facts)

    def planned(cases: int, repeats: int) -> PlannedGate:
        def fails(loss: float) -> float:
            return _fails(cases, noise / repeats, loss, margin if within_margin else 0.0)

        answers = cases * repeats
        return PlannedGate(
            cases=cases, repeats=repeats, unchanged_passes=_passes(cases, noise / repeats, margin),
            loss_fails=fails(margin), twice_fails=fails(2 * margin),
            cost_usd=None if per_answer_usd is None else per_answer_usd * answers, elapsed_s=per_answer_s * answers,
        )  # fmt: skip

    options = tuple(planned(cases, more) for more in _REPEATS if more > repeats)
    every = [planned(cases * times, more) for times in _TIMES_CASES for more in _REPEATS]
    enough = [each for each in every if each.is_enough]
    return GatePlan(
        margin=margin, noise=noise, noise_from=noise_from, now=planned(cases, repeats), options=options,
        enough=min(enough, key=lambda each: (each.cases * each.repeats, each.cases)) if enough else None,
    )  # fmt: skip


def _noise(baseline: EvalRun, again: EvalRun | None) -> tuple[float, str]:
    """Variance of one answer's score about its case's, and where it is from."""
    with needs("numpy", "a plan"):
        import numpy as np

    metric = baseline.metric
    seen, _ = baseline.metric_by_case(metric)
    if not np.any(~np.isnan(seen.mean)):
        raise TooFewCases(f"run {baseline.run_id} has no judged case to plan by: {baseline.why_unjudged()}")
    groups: dict[str, list[float]] = {}
    for run in (baseline,) if again is None else (baseline, again):
        for fact in run.facts:
            score = fact.passed if metric == "pass" else fact.value_of(metric)
            if score is not None:
                groups.setdefault(fact.case_id, []).append(float(score))
    repeated = [scores for scores in groups.values() if len(scores) > 1]
    if repeated:
        spreads = [float(np.var(scores, ddof=1)) for scores in repeated]
        return math.fsum(spreads) / len(spreads), f"by how answers to {len(spreads):,} cases vary when asked again"
    return float(np.nanvar(seen.mean)), (
        "at the least: one answer a case does not show how far answers vary when asked again; give repeats, or "
        "plan(..., again=another run of it)"
    )


def _passes(cases: int, noise: float, margin: float) -> float:
    """Chance that an unchanged version's whole interval is above -margin, and not below 0."""
    se = math.sqrt(2 * noise / cases)
    if not se:
        return 1.0  # the answers are the same
    half = _t(cases) * se
    return 1 - NormalDist().cdf(max(half - margin, -half) / se)


def _fails(cases: int, noise: float, loss: float, margin: float) -> float:
    """Chance that the whole interval of a version that lost *loss* is below -margin."""
    # where few cases lose all, differences spread the most
    se = math.sqrt((2 * noise + loss * (1 - loss)) / cases)
    return NormalDist().cdf((loss - margin) / se - _t(cases)) if se else float(loss > margin)


def _t(cases: int) -> float:
    with needs("scipy", "a plan"):
        from scipy.special import stdtrit

    return float(stdtrit(max(1, cases - 1), 0.975))


def _percent(chance: float) -> str:
    return f"{min(0.99, chance):.0%}" if 0.005 < chance < 1 else f"{chance:.0%}"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
