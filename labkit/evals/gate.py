"""May this version go live? Three answers: pass, fail, and not enough evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated, Literal

from labkit.call.record import now
from labkit.errors import OptionInvalid, QualityRegression
from labkit.evals.compare import Comparison, compare
from labkit.evals.contrast import Contrast
from labkit.evals.figures import FIGURES, figure_of, is_ceiling, is_share
from labkit.evals.gate_plan import GatePlan, plan_gate
from labkit.evals.measures import label_of, shown
from labkit.evals.runs import EvalRun
from labkit.options import Bound, checked

__all__ = ["Gate", "GateCheck", "GateResult"]

GateVerdict = Literal["pass", "fail", "inconclusive"]

Allowance = Literal["within margin"]

_MARGIN = 0.02  # two points

_UNITS = ("_rate", "_s", "_usd", "_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One thing a gate looked at.

    Args:
        name: "regression", or the floor's measure.
        verdict: What came of it.
        message: What was seen against what was asked, in a sentence.
        seen: The measure; None when it is not known.
        limit: What was asked.
        attention: Somebody should look at it, also where it passed.
    """

    name: str
    verdict: GateVerdict
    message: str
    seen: float | None
    limit: float
    attention: bool = False


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
            said.append(f"there was no baseline to compare with: labkit bless {self.run_id} makes this run one")
        said += [message for message in self.attention if message not in said]
        return "; ".join(said)

    @property
    def attention(self) -> list[str]:
        """What somebody should look at though it did not fail: what is not settled, drift, a loss that was allowed."""
        return [check.message for check in self.checks if check.verdict == "inconclusive" or check.attention]

    def write(self, path: str | Path) -> Path:
        """Write the result as JSON to *path*, making its folder."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"judged_at": now(), "reason": self.reason, "attention": self.attention, **asdict(self)}
        path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
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

    Against the baseline it passes where the whole interval of the difference is above ``-margin`` or the answers are
    the same; it fails where the whole of it is below ``-margin``, or below 0: worse beyond doubt is a failure of its
    own. A floor holds where the whole interval of its figure is on the right side of it, and is broken where the whole
    is on the other. In between there is not enough evidence.

    Args:
        margin: Largest loss against the baseline that is accepted, of what the run is compared by (its pass rate, or
            the mean of its primary scorer), as a share: 0.02 is two points. Or a mapping of such losses by figure, the
            names of *floors*, each in its own unit: ``{"f1": 0.02, "latency_p95_s": 0.5, "cost_usd": 0.001}``; of a
            figure beside the primary one a loss fails where the whole of its interval is beyond the margin.
        floors: Limits by figure: ``pass_rate``, ``model_pass_rate`` and ``schema_valid_rate`` at least;
            ``fallback_rate``, ``latency_p50_s``, ``latency_p95_s`` and ``cost_usd`` (of one call) at most. A floor of 1
            asks for every row, a ceiling of 0 for none. The name of a scorer is the mean of its values.
        allow: "within margin": a loss beyond doubt passes as long as it is within the margin beyond doubt.

    Raises:
        OptionInvalid: A margin outside [0, 1) or a figure that does not exist.
    """

    margin: Annotated[float, Bound(0.0, 1.0)] | Mapping[str, float] = _MARGIN
    floors: Mapping[str, float] = field(default_factory=dict)
    allow: Allowance | None = None

    def __post_init__(self) -> None:
        margins = self.margin if isinstance(self.margin, Mapping) else {}
        if not isinstance(self.margin, Mapping):
            _check_margin(self.margin)
        if self.allow not in (None, "within margin"):
            raise OptionInvalid(f"Gate(allow={self.allow!r}): give 'within margin' or leave it out")
        # whatever is no figure of every run may be a scorer of one; a slip in a figure's name is none
        unknown = {name for name in (*self.floors, *margins) if name not in FIGURES and name.endswith(_UNITS)}
        if unknown:
            raise OptionInvalid(
                f"Gate(floors=...): {sorted(unknown)[0]!r} is not a measure; there are {', '.join(FIGURES)}"
            )
        for name, margin in margins.items():
            if not 0 <= margin < math.inf:
                raise OptionInvalid(f"Gate(margin=...): {name}={margin:g}: give a loss of 0 or more")
        for name, limit in self.floors.items():
            if is_share(name) and not 0.0 <= limit <= 1.0:
                raise OptionInvalid(f"Gate(floors=...): {name}={limit:g} is a share from 0 to 1; 0.7 is 70%")

    def _against(self, baseline: EvalRun, run: EvalRun) -> list[GateCheck]:
        """What the baseline says; one without the run's measure says nothing."""
        metric = run.metric
        if metric != "pass" and metric not in baseline.scores:
            message = f"the baseline {baseline.run_id} has no score {metric!r}: bless a run that has"
            return [GateCheck(name="regression", verdict="inconclusive", message=message, seen=None, limit=0.0)]
        seen = compare(baseline, run, primary=metric)
        of_primary = "pass_rate" if metric == "pass" else metric
        margins = dict(self.margin) if isinstance(self.margin, Mapping) else {of_primary: self.margin}
        margin = margins.pop(of_primary, _MARGIN)
        others = [_check_margin_of(name, allowed, seen) for name, allowed in margins.items()]
        return [_check_regression(seen, margin, self.allow), *others]

    @property
    def _share(self) -> float:
        """The share of rows that may be lost."""
        return _MARGIN if isinstance(self.margin, Mapping) else self.margin

    @staticmethod
    def plan(
        baseline: EvalRun, *, margin: float, again: EvalRun | None = None, allow: Allowance | None = None
    ) -> GatePlan:
        """Say before anything is asked how often a gate with this margin will be right, and what more answers bring.

        Args:
            baseline: Its cases, rate, price and pace are taken; its repeats show how far answers vary.
            again: Another run of the same version, which shows that where the baseline asked its cases once.
            allow: As for ``Gate``.

        Raises:
            TooFewCases: The baseline has no judged case.
            OptionInvalid: A margin outside [0, 1).
        """
        _check_margin(margin)
        return plan_gate(baseline, margin, again=again, within_margin=allow is not None)

    def check(self, run: EvalRun, *, baseline: EvalRun | None = None, drift: Sequence[str] = ()) -> GateResult:
        """Judge *run*; without a *baseline* by the floors alone.

        What would let a run pass by not being measured is not enough evidence: scorers that are not the baseline's, and
        more rows that no scorer could judge than the margin allows.

        Args:
            drift: What has drifted, ``history(...).drifted``: it keeps the run from passing until somebody looked.

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
            checks = [*self._against(baseline, run), *checks]
            if dict(baseline.scorers) != dict(run.scorers):
                checks.append(_SCORERS_DIFFER)
        lost = _unjudged(run)
        if lost and run.scorers:
            checks.append(_check_judged(lost, len(run.facts), self._share))
        checks += [
            GateCheck(name="drift", verdict="inconclusive", message=said, seen=None, limit=0.0) for said in drift
        ]
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


def _unjudged(run: EvalRun) -> int:
    """Rows that a scorer could not tell of."""
    if run.metric == "pass":
        return len(run.facts) - len(run.judged)
    return sum(1 for fact in run.facts if fact.value_of(run.metric) is None)


def _check_drift(said: str) -> GateCheck:
    return GateCheck(name="drift", verdict="inconclusive", message=said, seen=None, limit=0.0)


def _check_judged(lost: int, rows: int, margin: float) -> GateCheck:
    """Rows that no scorer could judge are in no rate: a gate that went by the others could be walked around."""
    share = lost / rows
    return GateCheck(
        name="judged", verdict="pass" if share <= margin else "inconclusive", seen=share, limit=margin,
        message=f"{lost:,} of {rows:,} rows could not be judged, {share:.1%}: see the errors of their scorers",
    )  # fmt: skip


def _check_margin(margin: float) -> None:
    if not 0.0 <= margin < 1.0:
        raise OptionInvalid(f"Gate(margin={margin}): give a share from 0 to below 1; 0.02 is two points")


def _check_regression(seen: Comparison, margin: float, allow: Allowance | None) -> GateCheck:
    """Non-inferiority and a test of the difference in one look at the interval."""
    found = seen.contrast
    low, high = found.interval
    message = (
        f"{label_of(seen.metric)} {found.a_rate:.1%} to {found.b_rate:.1%}: "
        f"difference {low * 100:+.1f} to {high * 100:+.1f} points on {found.n:,} cases, margin {margin * 100:g}"
    )
    verdict: GateVerdict = "pass" if low > -margin else "fail" if high < -margin else "inconclusive"
    is_worse = high < 0
    if is_worse and verdict != "fail":
        if allow is None:
            verdict = "fail"
            message += "; worse than the baseline beyond doubt, if not by the margin"
        elif verdict == "pass":
            message += "; worse than the baseline beyond doubt, within the margin, which was allowed"
    elif verdict == "inconclusive" and _same_answers(seen):
        verdict = "pass"
        message += "; the answers are the same"
    if verdict == "inconclusive":
        if found.turned or found.unjudged:
            message += f"; {found.unjudged:,} rows of both runs could not be judged and might turn it"
        if (more := _more_cases(found, margin)) is not None:
            message += f"; about {more:,} more cases would settle it"
    return GateCheck(
        name="regression", verdict=verdict, message=message, seen=found.difference, limit=-margin,
        attention=is_worse and verdict == "pass",
    )  # fmt: skip


_ROWS = {
    "pass_rate": "pass rate", "schema_valid_rate": "valid schema", "fallback_rate": "served by fallback",
    "latency_p50_s": "p50 latency", "latency_p95_s": "p95 latency", "p95_s": "p95 latency",
    "cost_usd": "cost per 1,000", "cost_usd_per_call": "cost per 1,000",
}  # fmt: skip


def _check_margin_of(name: str, margin: float, seen: Comparison) -> GateCheck:
    """Whether another figure lost no more than its margin; an allowance of its own, and no test of the difference."""
    row = next((row for row in seen.measures if row.name == _ROWS.get(name, name)), None)
    if row is None:
        names = ", ".join(row.name for row in seen.measures)
        raise OptionInvalid(f"Gate(margin=...): the comparison has no {name!r}; there are {names}")
    scale = 1000.0 if name.startswith("cost_usd") else 1.0
    if row.interval is None or row.estimate is None:
        message = f"{row.name}: the difference is not estimable, a loss of {margin:g} was allowed"
        return GateCheck(name=name, verdict="inconclusive", message=message, seen=None, limit=margin)
    low, high = row.interval
    worst, best = (-low, -high) if row.higher_is_better else (high, low)
    verdict: GateVerdict = "pass" if worst <= margin * scale else "fail" if best > margin * scale else "inconclusive"
    ends = " to ".join(shown(end, row.unit, signed=True) for end in row.interval)
    message = f"{row.name} {shown(row.a, row.unit)} to {shown(row.b, row.unit)}: difference {ends}, margin {margin:g}"
    return GateCheck(name=name, verdict=verdict, message=message, seen=row.estimate / scale, limit=margin)


def _same_answers(seen: Comparison) -> bool:
    """Whether every row was answered alike, for then the version cannot have changed for these cases."""
    a, b = seen.a, seen.b
    if seen.table.discordant or seen.difference or len(a.facts) != len(b.facts) or seen.contrast.unjudged:
        return False
    if any((x.case_id, x.repeat, x.case_hash, x.passed) != (y.case_id, y.repeat, y.case_hash, y.passed)
           for x, y in zip(a.facts, b.facts, strict=True)):  # fmt: skip
        return False
    return all(x.result.data() == y.result.data() for x, y in zip(a.rows, b.rows, strict=True))


def _more_cases(found: Contrast, margin: float) -> int | None:
    """How many more cases bring the interval's end to the margin, were the difference to stay; None if it is on it."""
    gap = found.difference + margin
    half = found.difference - found.judged_interval.low if gap > 0 else found.judged_interval.high - found.difference
    if not gap:
        return None
    # An interval's width goes with one over the root of the cases.
    more = math.ceil(found.n * (half / gap) ** 2) - found.n
    return more if more > 0 else None


def _check_floor(name: str, limit: float, run: EvalRun) -> GateCheck:
    found = figure_of(run, name)
    word = "at most" if is_ceiling(name) else "at least"
    if found.value is None:
        mend = ": give Model(price=lk.Price(...))" if name.startswith("cost_usd") else ""
        message = f"{name} is not known, {limit:g} was asked for{mend}"
        return GateCheck(name=name, verdict="inconclusive", message=message, seen=None, limit=limit)
    low, high = found.interval
    worst, best = (high, low) if is_ceiling(name) else (low, high)
    sign = -1.0 if is_ceiling(name) else 1.0
    if is_share(name) and limit == (0.0 if is_ceiling(name) else 1.0):
        verdict: GateVerdict = "pass" if found.value == limit else "fail"
        said = "asked of every row"
    elif is_share(name) and limit == (1.0 if is_ceiling(name) else 0.0):
        verdict, said = "pass", ""
    else:
        verdict = "inconclusive"
        if worst is not None and sign * worst >= sign * limit:
            verdict = "pass"
        elif best is not None and sign * best < sign * limit:
            verdict = "fail"
        ends = ("unbounded" if end is None else f"{end:.4g}" for end in found.interval)
        said = f"95% interval {' to '.join(ends)}"
    message = f"{name} {found.value:.4g}, asked for {word} {limit:g}" + (f" ({said})" if said else "")
    return GateCheck(name=name, verdict=verdict, message=message, seen=found.value, limit=limit)
