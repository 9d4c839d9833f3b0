"""Is B better than A? Paired by case, with the primary test named beforehand and an interval beside every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.contrast import Contrast, PrimaryTest, Table, Verdict, contrast
from labkit.evals.measures import Difference, label_of, measured, of_contrast, shown
from labkit.evals.pairing import Paired, pair_up
from labkit.evals.pairs import Pairs
from labkit.evals.runs import EvalRun
from labkit.evals.stats import Interval, benjamini_hochberg, e_value
from labkit.evals.stats.inference import McNemarScore
from labkit.extras import needs
from labkit.terminal import printable

__all__ = ["Comparison", "Slice", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The same contrast for the cases of one tag; exploratory, not the primary test.

    Args:
        contrast: Its interval allows for how many slices were looked at, and how many stand out.
        adjusted_p: For the number of slices, by Benjamini and Hochberg.

    Source: Benjamini and Yekutieli (2005), "False discovery rate-adjusted multiple confidence intervals for selected
    parameters", JASA 100, for the intervals.
    """

    tag: str
    contrast: Contrast
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        return self.contrast.verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two runs over the same cases.

    Args:
        a: The run that stands.
        b: The run that would replace it.
        metric: What they are compared by: "pass", or the name of a scorer.
        pairs: In A's order.
        contrast: Of the judged cases; the verdict rests on it.
        measures: Pass rate first, then the rest.
        slices: By tag, most cases first.
        changed: Names of the parts whose versions differ: "prompt", "model", ...
        warnings: Why the comparison may not be what it seems.
        notes: What it made of what it found: cases that ask the same, latencies that came in stretches.
        adjusted_p: The p-value by Holm where several arms are compared at once, else that of the contrast.
    """

    a: EvalRun
    b: EvalRun
    metric: str
    pairs: Pairs
    contrast: Contrast
    measures: Sequence[Difference]
    slices: Sequence[Slice]
    changed: Sequence[str]
    warnings: Sequence[str]
    notes: Sequence[str]
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        return self.contrast.verdict

    @property
    def table(self) -> Table:
        """Judged cases by who passed."""
        return self.contrast.table

    @property
    def difference(self) -> float:
        """B's pass rate, or mean score, less A's."""
        return self.contrast.difference

    @property
    def interval(self) -> Interval:
        """Interval of ``difference``, on which the verdict rests; 95%, of several arms together where there are."""
        return self.contrast.interval

    @property
    def p_value(self) -> float:
        """Two-sided, not adjusted."""
        return self.contrast.p_value

    @property
    def primary_test(self) -> str:
        """What the verdict rests on; it follows from how the cases were asked, never from the answers."""
        return f"{label_of(self.metric)} by {self.contrast.test}, two-sided, at 5%"

    def among(self, adjusted_p: float, confidence: float, towards_zero: float) -> Comparison:
        """Give the comparison as one of several; see ``Contrast.with_confidence``."""
        seen = self.contrast.with_confidence(confidence, towards_zero)
        first = of_contrast(self.measures[0].name, seen, higher_is_better=True)
        return replace(self, contrast=seen, adjusted_p=adjusted_p, measures=[first, *self.measures[1:]])

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
        of = "" if self.metric == "pass" else f" of {self.metric}"
        return f"{self.b_label} is {self.verdict} than {self.a_label} by {points:.1f} points{of}"

    @property
    def evidence(self) -> str:
        """One sentence: interval, p-value, discordant cases, and what so many cases could have shown."""
        seen, table = self.contrast, self.table
        said = (
            f"{label_of(self.metric)} on {seen.n:,} cases: {_level(seen)} interval {_ends(seen.interval)}, "
            f"{seen.test} p = {_p(seen.p_value)} "
            f"({table.only_b} improved, {table.only_a} regressed, {table.discordant} discordant)"
        )
        if seen.unjudged:
            said += (
                f"; the interval allows for {_rows(seen.unjudged)} that could not be judged, on the others alone it is "
                f"{_ends(seen.judged_interval)}"
            )
        if self.adjusted_p != seen.p_value:
            said += f"; {_p(self.adjusted_p)} among the arms by Holm"
        effect = seen.minimum_detectable_effect
        return said if effect is None else f"{said}; differences from {effect * 100:.1f} points on would show"

    @property
    def more_cases(self) -> int | None:
        """How many more cases a new comparison needs to settle it, at the rates seen; None when it cannot be told."""
        return self.contrast.more_cases() if self.verdict == "inconclusive" else None

    @property
    def e_value(self) -> float | None:
        """Evidence against "both are as good" for who looks after every case: 20 stops at 5%, whenever it is reached.

        None where cases were repeated, cluster, weigh or got grades: only single passes are counted in it.
        """
        if not isinstance(self.contrast.inference, McNemarScore):
            return None
        return e_value(self.table.only_b, self.table.only_a)

    @property
    def settled_by(self) -> str:
        """What would settle it, in a sentence; "" where it is settled or cannot be told.

        A new look, not a longer one: who adds cases until a difference shows finds one too often.
        """
        if self.contrast.turned:
            return "The rows that could not be judged could turn the verdict: mend their scorers."
        more = self.more_cases
        if not more:
            return ""
        said = (
            f"About {more:,} more cases would settle it, if the rates stay as they are: compare anew on "
            f"{self.contrast.n + more:,}, once."
        )
        seen = self.e_value
        return (
            said if seen is None else f"{said} Who looks as cases come in stops at an e-value of 20, here {seen:.2g}."
        )

    def text(self) -> str:
        """Give the comparison for a terminal."""
        lines = [self.headline, self.evidence, ""]
        width = max(len(measure.name) for measure in self.measures)
        lines.append(f"{'':{width}}  {'A':>9}  {'B':>9}  {'B - A':>9}  interval, 95%")
        for measure in self.measures:
            cells = [shown(value, measure.unit) for value in (measure.a, measure.b)]
            change = shown(measure.estimate, measure.unit, signed=True)
            ends = "not estimable"
            if measure.interval is not None:
                ends = " to ".join(shown(end, measure.unit, signed=True) for end in measure.interval)
            mark = {"better": "  better", "worse": "  worse", "inconclusive": ""}[measure.verdict]
            lines.append(f"{measure.name:{width}}  {cells[0]:>9}  {cells[1]:>9}  {change:>9}  {ends}{mark}")
        lines.append("")
        if self.settled_by:
            lines.append(self.settled_by)
        lines.append(f"changed: {', '.join(self.changed) or 'nothing'}")
        lines += [f"! {warning}" for warning in self.warnings]
        lines += [f"note: {note}" for note in self.notes]
        return printable("\n".join(lines))

    def __repr__(self) -> str:
        return printable(f"Comparison({self.headline}; {self.evidence})")


def compare(a: EvalRun, b: EvalRun, *, primary: str | None = None) -> Comparison:
    """Compare run *b* with run *a*, case by case.

    Args:
        primary: What the verdict rests on: "pass", or the name of a scorer; None: what the runs were made for, see
            ``EvalRun.metric``. Name it before you look: of several measures one always stands out.

    Raises:
        OptionInvalid: It is not clear what to compare by, or the runs have no such score.
        RunsDiffer: They share no case of the same content.
        TooFewCases: No shared case could be judged in both.
    """
    metric = _metric(a, b, primary)
    pairs = pair_up(a, b, metric)
    test: PrimaryTest = "mcnemar" if a.primary_test == b.primary_test == "mcnemar" else "paired_t"
    is_graded = metric in a.graded | b.graded
    with needs("numpy", "a comparison"):
        import numpy as np

    of_a, of_b = pairs.a.metric, pairs.b.metric
    known = ~(np.isnan(of_a.mean) | np.isnan(of_b.mean))
    if not known.any():
        why = a.why_unjudged() or b.why_unjudged() or "there were no scorers"
        raise TooFewCases(f"no case was judged in both {a.run_id} and {b.run_id}: {why}")
    of_tag: dict[str, list[int]] = {}
    for n in np.flatnonzero(known).tolist():
        for tag in pairs.tags[n]:
            of_tag.setdefault(tag, []).append(n)

    def of_places(chosen: Sequence[int]) -> Contrast:
        places = np.asarray(chosen)
        return contrast(of_a.at(places), of_b.at(places), pairs.units.at(places), primary=test, is_graded=is_graded)

    whole = contrast(of_a, of_b, pairs.units, primary=test, is_graded=is_graded)
    measures = measured(pairs, whole, test, metric)
    return Comparison(
        a=a,
        b=b,
        metric=metric,
        pairs=Pairs(a, b, pairs, is_graded=is_graded),
        contrast=whole,
        measures=measures,
        slices=_sliced({tag: of_places(chosen) for tag, chosen in sorted(of_tag.items())}),
        changed=[part for part in {**a.versions, **b.versions} if a.versions.get(part) != b.versions.get(part)],
        warnings=_warnings(a, b, pairs),
        notes=_notes(a, b, pairs, measures),
        adjusted_p=whole.p_value,
    )


def _metric(a: EvalRun, b: EvalRun, primary: str | None) -> str:
    metric = primary or b.metric
    if primary is None and a.metric != metric:
        raise OptionInvalid(
            f"run {a.run_id} counts {label_of(a.metric)}, run {b.run_id} counts {label_of(metric)}: say what counts, "
            "compare(a, b, primary=...)"
        )
    for run in (a, b) if metric != "pass" else ():
        names = dict.fromkeys(grade.name for fact in run.facts for grade in fact.scores)
        if metric not in names:
            raise OptionInvalid(f"run {run.run_id} has no score {metric!r}; there are {', '.join(names) or 'none'}")
    return metric


def _sliced(of_tag: Mapping[str, Contrast]) -> list[Slice]:
    """Most cases first; with every slice more, a difference has to be clearer to stand out."""
    adjusted = benjamini_hochberg([seen.p_value for seen in of_tag.values()])
    confidence = 1 - max(1, sum(1 for p in adjusted if p <= 0.05)) * 0.05 / max(1, len(of_tag))
    slices = [
        Slice(tag=tag, contrast=seen.with_confidence(confidence), adjusted_p=p)
        for (tag, seen), p in zip(of_tag.items(), adjusted, strict=True)
    ]
    return sorted(slices, key=lambda part: -part.contrast.n)


def _apart(run_id: str, other: str) -> str:
    """Leave out of a run's id what it shares with the other's, up to a dash: the date, often."""
    if run_id == other:
        return run_id
    alike = next((n for n, (x, y) in enumerate(zip(run_id, other, strict=False)) if x != y), 0)
    return run_id[run_id.rfind("-", 0, alike) + 1 :]


def _warnings(a: EvalRun, b: EvalRun, pairs: Paired) -> list[str]:
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
    lost = ((a, pairs.a.metric.unjudged), (b, pairs.b.metric.unjudged))
    found += [_unjudged(run, rows) for run, rows in lost if rows]
    for run in (a, b):
        if run.unaccounted:
            found.append(
                f"of {run.unaccounted} requests of run {run.run_id} no answer was kept, as it was cut off: "
                "they may have cost more"
            )
    return found


def _notes(a: EvalRun, b: EvalRun, pairs: Paired, measures: Sequence[Difference]) -> list[str]:
    found = []
    if pairs.alike:
        found.append(
            f"{pairs.alike:,} cases ask what another one asks: each question counts as one cluster, unless its cases "
            "name clusters of their own"
        )
    found += dict.fromkeys(measure.note for measure in measures if measure.note)
    is_told = any(measure.unit == "s" and measure.verdict != "inconclusive" for measure in measures)
    if is_told and not _side_by_side(a, b):
        found.append(
            "latency: the runs were not asked side by side, so that a busy hour of one looks like a difference; "
            "evaluate([a, b], ...) asks both case by case"
        )
    return found


def _unjudged(run: EvalRun, rows: int) -> str:
    """Say what was not judged, by whom: a scorer that fails where answers are bad flatters them."""
    total = len(run.facts)
    why = run.why_unjudged()
    return f"{rows:,} of {total:,} rows of {run.run_id} could not be judged" + (f" ({why})" if why else "")


def _side_by_side(a: EvalRun, b: EvalRun) -> bool:
    """Whether both are arms of one evaluation: its id stands before the slash."""
    return a.run_id == b.run_id or ("/" in a.run_id and a.run_id.rpartition("/")[0] == b.run_id.rpartition("/")[0])


def _level(seen: Contrast) -> str:
    return f"{seen.confidence * 100:.4g}%"


def _ends(interval: Interval) -> str:
    """In points, an end that only just leaves 0 out with as many places as show it."""
    low, high = (end * 100 for end in interval)
    places = 1
    while places < 6 and any(end and not round(end, places) for end in (low, high)):
        places += 1
    return f"{low:+.{places}f} to {high:+.{places}f} points"


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else f"{value:.0e}"
