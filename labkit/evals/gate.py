"""May this version go live? Three answers: pass, fail, and not enough evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated, Literal

from labkit.call.record import now
from labkit.errors import OptionInvalid, QualityRegression
from labkit.evals.compare import Comparison, compare
from labkit.evals.contrast import Contrast
from labkit.evals.runs import EvalRun
from labkit.options import Bound, checked

__all__ = ["Gate", "GateCheck", "GateResult"]

GateVerdict = Literal["pass", "fail", "inconclusive"]

_MEASURES: dict[str, Callable[[EvalRun], float | None]] = {
    "pass_rate": lambda run: run.pass_rate,
    "model_pass_rate": lambda run: run.model_pass_rate,
    "schema_valid_rate": lambda run: run.schema_valid_rate,
    "fallback_rate": lambda run: run.fallback_rate,
    "p95_s": lambda run: run.summary["p95_s"],
    "cost_usd_per_call": lambda run: None if run.cost_usd is None else run.cost_usd / len(run.facts),
}
# For these a floor is a ceiling: less is better.
_CEILINGS = frozenset({"fallback_rate", "p95_s", "cost_usd_per_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One thing a gate looked at.

    Args:
        name: "regression", or the floor's measure.
        verdict: What came of it.
        message: What was seen against what was asked, in a sentence.
        seen: The measure; None when it is not known.
        limit: What was asked.
    """

    name: str
    verdict: GateVerdict
    message: str
    seen: float | None
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What a gate found about a run."""

    verdict: GateVerdict
    checks: tuple[GateCheck, ...]
    run_id: str
    baseline_id: str | None
    call: str
    fingerprint: str

    @property
    def reason(self) -> str:
        """The checks that kept it from passing, or that all passed, in one line."""
        held = [check.message for check in self.checks if check.verdict == self.verdict != "pass"]
        said = held or [check.message for check in self.checks]
        if self.baseline_id is None:
            said.append(f"no baseline to compare with: labkit bless {self.run_id} makes this run one")
        return "; ".join(said)

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON to *path*, making its folder."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"judged_at": now(), "reason": self.reason, **asdict(self)}, indent=2) + "\n", encoding="utf-8"
        )
        return path

    def enforce(self) -> GateResult:
        """Give the result back unless it failed.

        Raises:
            QualityRegression: The verdict is ``fail``; the reason is the message.
        """
        if self.verdict == "fail":
            raise QualityRegression(
                f"{self.call}: {self.reason}\nrun {self.run_id} against baseline {self.baseline_id or 'none'}"
            )
        return self

    def _repr_html_(self) -> str:
        tone = {"pass": "#1a7f5a", "fail": "#b42318", "inconclusive": "#8a6100"}
        mark = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
        rows = "".join(
            f"<li style='list-style:none'><b style='color:{tone[c.verdict]}'>{mark[c.verdict]} {escape(c.name)}</b> "
            f"{escape(c.message)}</li>"
            for c in self.checks
        )
        return (
            f"<div style='border-left:3px solid {tone[self.verdict]};padding-left:10px'>"
            f"<b style='color:{tone[self.verdict]}'>gate: {self.verdict}</b> {escape(self.call)}"
            f"<ul style='padding-left:0'>{rows}</ul></div>"
        )


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a run must hold to go live.

    Args:
        margin: Largest loss of pass rate against the baseline that is accepted, as a share: 0.02 is two points.
        floors: Limits by measure: ``pass_rate``, ``model_pass_rate`` and ``schema_valid_rate`` at least;
            ``fallback_rate``, ``p95_s`` and ``cost_usd_per_call`` at most.

    Raises:
        OptionInvalid: A margin outside [0, 1) or a measure that does not exist.
    """

    margin: Annotated[float, Bound(0.0, 1.0)] = 0.02
    floors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.margin == 1.0:
            raise OptionInvalid(f"Gate(margin={self.margin}): give a share from 0 to below 1; 0.02 is two points")
        for name, limit in self.floors.items():
            if name.endswith("_rate") and not 0.0 <= limit <= 1.0:
                raise OptionInvalid(f"Gate(floors=...): {name}={limit:g} is a share from 0 to 1; 0.7 is 70%")
        unknown = set(self.floors) - set(_MEASURES)
        if unknown:
            raise OptionInvalid(
                f"Gate(floors=...): {sorted(unknown)[0]!r} is not a measure; there are {', '.join(_MEASURES)}"
            )

    def check(self, run: EvalRun, *, baseline: EvalRun | None = None) -> GateResult:
        """Judge *run*; without a *baseline* by the floors alone.

        What would let a run pass by not being measured is not enough evidence: scorers that are not the baseline's, and
        more rows that no scorer could judge than the margin allows.

        Raises:
            RunsDiffer: The runs cannot be paired.
            OptionInvalid: There is nothing to judge by.
        """
        if baseline is None and not self.floors:
            raise OptionInvalid(
                "a gate without floors needs a baseline: give check(run, baseline=...) or Gate(floors={...})"
            )
        checks = [_check_floor(name, limit, run) for name, limit in self.floors.items()]
        if baseline is not None:
            checks.insert(0, _check_regression(compare(baseline, run), self.margin))
            if dict(baseline.scorers) != dict(run.scorers):
                checks.append(_SCORERS_DIFFER)
        lost = len(run.facts) - len(run.judged)
        if lost and run.scorers:
            checks.append(_check_judged(lost, len(run.facts), self.margin))
        verdicts = {check.verdict for check in checks}
        return GateResult(
            verdict="fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass",
            checks=tuple(checks),
            run_id=run.run_id,
            baseline_id=None if baseline is None else baseline.run_id,
            call=run.call,
            fingerprint=run.fingerprint,
        )


_SCORERS_DIFFER = GateCheck(
    name="scorers", verdict="inconclusive", seen=None, limit=0.0,
    message="the scorers are not those of the baseline: a pass then may not be a pass now; bless a run with these",
)  # fmt: skip


def _check_judged(lost: int, rows: int, margin: float) -> GateCheck:
    """Rows that no scorer could judge are in no rate: a gate that went by the others could be walked around."""
    share = lost / rows
    return GateCheck(
        name="judged", verdict="pass" if share <= margin else "inconclusive", seen=share, limit=margin,
        message=f"{lost:,} of {rows:,} rows could not be judged, {share:.1%}: see the errors of their scorers",
    )  # fmt: skip


def _check_regression(seen: Comparison, margin: float) -> GateCheck:
    """Non-inferiority: the whole interval of the difference above -margin passes, the whole of it below fails."""
    found = seen.contrast
    low, high = found.interval
    verdict: GateVerdict = "pass" if low > -margin else "fail" if high < -margin else "inconclusive"
    message = (
        f"pass rate {found.a_rate:.1%} to {found.b_rate:.1%}: "
        f"difference {low * 100:+.1f} to {high * 100:+.1f} points on {found.n:,} cases, margin {margin * 100:g}"
    )
    if verdict == "inconclusive" and (more := _more_cases(found, margin)) is not None:
        message += f"; about {more:,} more cases would settle it"
    return GateCheck(name="regression", verdict=verdict, message=message, seen=found.difference, limit=-margin)


def _more_cases(found: Contrast, margin: float) -> int | None:
    """How many more cases bring the interval's end to the margin, were the difference to stay; None if it is on it."""
    gap = found.difference + margin
    half = found.difference - found.interval.low if gap > 0 else found.interval.high - found.difference
    if not gap:
        return None
    # An interval's width goes with one over the root of the cases.
    return math.ceil(found.n * (half / gap) ** 2) - found.n


def _check_floor(name: str, limit: float, run: EvalRun) -> GateCheck:
    seen = _MEASURES[name](run)
    if seen is None:
        mend = ": give Model(price=lk.Price(...))" if name == "cost_usd_per_call" else ""
        message = f"{name} is not known, {limit:g} was asked for{mend}"
        return GateCheck(name=name, verdict="inconclusive", message=message, seen=None, limit=limit)
    holds = seen <= limit if name in _CEILINGS else seen >= limit
    word = "at most" if name in _CEILINGS else "at least"
    message = f"{name} {seen:.4g}, asked for {word} {limit:g}"
    return GateCheck(name=name, verdict="pass" if holds else "fail", message=message, seen=seen, limit=limit)
