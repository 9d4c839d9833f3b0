"""Is B better than A? Paired by case, with the primary test named beforehand and an interval beside every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import TooFewCases
from labkit.evals.contrast import Contrast, PrimaryTest, Table, Verdict, contrast
from labkit.evals.measures import Difference, measured
from labkit.evals.pairing import Paired, pair_up
from labkit.evals.pairs import Pairs
from labkit.evals.runs import EvalRun
from labkit.evals.stats import Interval, benjamini_hochberg
from labkit.terminal import printable

if TYPE_CHECKING:
    pass

__all__ = ["Comparison", "Slice", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The same contrast for the cases of one tag; exploratory, not the primary test.

    Args:
        adjusted_p: For the number of slices, by Benjamini and Hochberg.
    """

    tag: str
    contrast: Contrast
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        return _verdict(self.adjusted_p, self.contrast.difference)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two runs over the same cases.

    Args:
        a: The run that stands.
        b: The run that would replace it.
        pairs: In A's order.
        contrast: Of the judged cases; the verdict rests on it.
        measures: Pass rate first, then the rest.
        slices: By tag, most cases first.
        changed: Names of the parts whose versions differ: "prompt", "model", ...
        warnings: Why the comparison may not be what it seems.
        adjusted_p: The p-value by Holm where several arms are compared at once, else that of the contrast.
    """

    a: EvalRun
    b: EvalRun
    pairs: Pairs
    contrast: Contrast
    measures: Sequence[Difference]
    slices: Sequence[Slice]
    changed: Sequence[str]
    warnings: Sequence[str]
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        return _verdict(self.adjusted_p, self.contrast.difference)

    @property
    def table(self) -> Table:
        """Judged cases by who passed."""
        return self.contrast.table

    @property
    def difference(self) -> float:
        """B's pass rate less A's."""
        return self.contrast.difference

    @property
    def interval(self) -> Interval:
        """95% interval of ``difference``."""
        return self.contrast.interval

    @property
    def p_value(self) -> float:
        """Two-sided, not adjusted."""
        return self.contrast.p_value

    @property
    def primary_test(self) -> str:
        """What the verdict rests on; it follows from how the cases were asked, never from the answers."""
        return f"pass rate by {self.contrast.test}, two-sided, at 5%"

    @property
    def a_label(self) -> str:
        """A's name in views: the call's, with what tells the runs apart where the calls have the same name."""
        return self.a.call if self.a.call != self.b.call else f"{self.a.call} ({_apart(self.a.run_id, self.b.run_id)})"

    @property
    def b_label(self) -> str:
        return self.b.call if self.a.call != self.b.call else f"{self.b.call} ({_apart(self.b.run_id, self.a.run_id)})"

    @property
    def headline(self) -> str:
        """One sentence: the verdict with its size."""
        points = abs(self.difference) * 100
        if self.verdict == "inconclusive":
            return f"{self.b_label} and {self.a_label} cannot be told apart on {self.contrast.n:,} cases"
        return f"{self.b_label} is {self.verdict} than {self.a_label} by {points:.1f} points"

    @property
    def evidence(self) -> str:
        """One sentence: interval, p-value, discordant cases, and what so many cases could have shown."""
        low, high = self.interval
        seen, table = self.contrast, self.table
        said = (
            f"pass rate on {seen.n:,} cases: 95% interval {low * 100:+.1f} to {high * 100:+.1f} points, "
            f"{seen.test} p = {_p(seen.p_value)} "
            f"({table.only_b} improved, {table.only_a} regressed, {table.discordant} discordant)"
        )
        if self.adjusted_p != seen.p_value:
            said += f", {_p(self.adjusted_p)} among the arms by Holm"
        effect = seen.minimum_detectable_effect
        return said if effect is None else f"{said}; differences from {effect * 100:.1f} points on would show"

    @property
    def more_cases(self) -> int | None:
        """How many more cases would settle it, at the rates seen; None when it is settled or cannot be told."""
        return self.contrast.more_cases() if self.verdict == "inconclusive" else None

    def text(self) -> str:
        """Give the comparison for a terminal."""
        lines = [self.headline, self.evidence, ""]
        width = max(len(measure.name) for measure in self.measures)
        lines.append(f"{'':{width}}  {'A':>9}  {'B':>9}  {'B - A':>9}  95% interval")
        for measure in self.measures:
            cells = [_shown(value, measure.unit) for value in (measure.a, measure.b)]
            change = _shown(measure.estimate, measure.unit, signed=True)
            ends = "not estimable"
            if measure.interval is not None:
                ends = " to ".join(_shown(end, measure.unit, signed=True) for end in measure.interval)
            mark = {"better": "  better", "worse": "  worse", "inconclusive": ""}[measure.verdict]
            lines.append(f"{measure.name:{width}}  {cells[0]:>9}  {cells[1]:>9}  {change:>9}  {ends}{mark}")
        lines.append("")
        if self.more_cases:
            lines.append(f"About {self.more_cases:,} more cases would settle it, if the rates stay as they are.")
        lines.append(f"changed: {', '.join(self.changed) or 'nothing'}")
        lines += [f"! {warning}" for warning in self.warnings]
        return printable("\n".join(lines))

    def __repr__(self) -> str:
        return printable(f"Comparison({self.headline}; {self.evidence})")


def compare(a: EvalRun, b: EvalRun) -> Comparison:
    """Compare run *b* with run *a*, case by case.

    Raises:
        RunsDiffer: They share no case of the same content.
        TooFewCases: No shared case could be judged in both.
    """
    pairs = pair_up(a, b)
    primary: PrimaryTest = "mcnemar" if a.primary_test == b.primary_test == "mcnemar" else "paired_t"
    together = Pairs(a, b, pairs)
    passed_a, passed_b = pairs.a.passed.tolist(), pairs.b.passed.tolist()
    judged = [n for n, (x, y) in enumerate(zip(passed_a, passed_b, strict=True)) if x == x and y == y]
    if not judged:
        why = a.why_unjudged() or b.why_unjudged() or "there were no scorers"
        raise TooFewCases(f"no case was judged in both {a.run_id} and {b.run_id}: {why}")

    def contrasted(chosen: Sequence[int]) -> Contrast:
        clusters = None if pairs.clusters is None else [pairs.clusters[n] for n in chosen]
        return contrast([passed_a[n] for n in chosen], [passed_b[n] for n in chosen], clusters, primary=primary)

    of_tag: dict[str, list[int]] = {}
    for n in judged:
        for tag in pairs.tags[n]:
            of_tag.setdefault(tag, []).append(n)
    slices = {tag: contrasted(chosen) for tag, chosen in sorted(of_tag.items())}
    adjusted = benjamini_hochberg([seen.p_value for seen in slices.values()])
    whole = contrasted(judged)
    return Comparison(
        a=a,
        b=b,
        pairs=together,
        contrast=whole,
        measures=measured(pairs, whole, primary),
        slices=sorted(
            (
                Slice(tag=tag, contrast=seen, adjusted_p=p)
                for (tag, seen), p in zip(slices.items(), adjusted, strict=True)
            ),
            key=lambda part: -part.contrast.n,
        ),
        changed=[part for part in {**a.versions, **b.versions} if a.versions.get(part) != b.versions.get(part)],
        warnings=_warnings(a, b, pairs, len(judged)),
        adjusted_p=whole.p_value,
    )


def _apart(run_id: str, other: str) -> str:
    """Leave out of a run's id what it shares with the other's, up to a dash: the date, often."""
    if run_id == other:
        return run_id
    alike = next((n for n, (x, y) in enumerate(zip(run_id, other, strict=False)) if x != y), 0)
    return run_id[run_id.rfind("-", 0, alike) + 1 :]


def _verdict(p_value: float, difference: float) -> Verdict:
    if p_value > 0.05:
        return "inconclusive"
    return "better" if difference > 0 else "worse"


def _warnings(a: EvalRun, b: EvalRun, pairs: Paired, judged: int) -> list[str]:
    found = []
    if pairs.changed:
        named = ", ".join(repr(case_id) for case_id in pairs.changed[:3])
        found.append(
            f"{len(pairs.changed)} cases are left out: their input or expectation was changed ({named}"
            + (", ...)" if len(pairs.changed) > 3 else ")")
        )
    if a.dataset_hash != b.dataset_hash:
        counts = [run.summary["cases"] for run in (a, b)]
        found.append(
            f"the datasets differ: only the {len(pairs.case_ids)} shared cases of {counts[0]} and {counts[1]} count"
        )
    if dict(a.scorers) != dict(b.scorers):
        found.append("the scorers differ: a pass in one run may not be a pass in the other")
    for part in ("input_schema", "output_schema"):
        if a.versions.get(part) != b.versions.get(part):
            found.append(f"the {part.replace('_', ' ')}s differ")
    if a.primary_test != b.primary_test:
        found.append("one run asked its cases several times, the other once: they are compared by their means")
    if judged < len(pairs.case_ids):
        found.append(f"{len(pairs.case_ids) - judged} cases are left out: a scorer could not judge them")
    for run in (a, b):
        if run.unaccounted:
            found.append(
                f"of {run.unaccounted} requests of run {run.run_id} no answer was kept, as it was cut off: "
                "they may have cost more"
            )
    return found


def _shown(value: float | None, unit: str, *, signed: bool = False) -> str:
    if value is None:
        return "unknown"
    sign = "+" if signed else ""
    if unit == "share":
        return f"{value * 100:{sign}.1f}" + ("" if signed else "%")
    return f"{value:{sign}.3f} s" if unit == "s" else f"{'-' if value < 0 else sign}${abs(value):.4f}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else f"{value:.0e}"
