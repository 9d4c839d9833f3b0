"""Is B better than A? Paired by case, with the primary test named beforehand and an interval beside every figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labkit.errors import RunsDiffer, TooFewCases
from labkit.evals.runs import EvalRun, Row
from labkit.evals.stats import Interval, cases_needed, mcnemar_exact, paired_t, tango, wilson

__all__ = ["Comparison", "Difference", "Outcome", "Pair", "Slice", "Table", "Verdict", "compare"]

Verdict = Literal["better", "worse", "inconclusive"]
Outcome = Literal["both", "only_a", "only_b", "neither"]

PRIMARY_TEST = "pass rate by exact McNemar, two-sided, at 5%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case as both runs answered it."""

    a: Row
    b: Row

    @property
    def case_id(self) -> str:
        return self.a.case_id

    @property
    def outcome(self) -> Outcome | None:
        """Who passed; None when either could not be judged."""
        if self.a.passed is None or self.b.passed is None:
            return None
        if self.a.passed:
            return "both" if self.b.passed else "only_a"
        return "only_b" if self.b.passed else "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Judged pairs by who passed. *only_a* regressed from A to B, *only_b* improved."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def discordant(self) -> int:
        return self.only_a + self.only_b

    @property
    def a_rate(self) -> float:
        return (self.both + self.only_a) / self.n

    @property
    def b_rate(self) -> float:
        return (self.both + self.only_b) / self.n

    @property
    def a_interval(self) -> Interval:
        return wilson(self.both + self.only_a, self.n)

    @property
    def b_interval(self) -> Interval:
        return wilson(self.both + self.only_b, self.n)

    @property
    def difference(self) -> float:
        """B's pass rate less A's."""
        return (self.only_b - self.only_a) / self.n

    @property
    def interval(self) -> Interval:
        """95% Tango score interval of ``difference``."""
        return tango(self.only_b, self.only_a, self.n)

    @property
    def p_value(self) -> float:
        """Exact McNemar, two-sided."""
        return mcnemar_exact(self.only_a, self.only_b)

    @property
    def verdict(self) -> Verdict:
        if self.p_value > 0.05:
            return "inconclusive"
        return "better" if self.only_b > self.only_a else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The same table for the cases of one tag; exploratory, not the primary test."""

    tag: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure of both runs.

    Args:
        name: "pass rate", "p50 latency", ...
        unit: "share", "s" or "usd".
        a: Measure of A; None where it is not known.
        b: Measure of B.
        estimate: B less A, None where it cannot be estimated.
        interval: 95% interval of *estimate*, None where none can be given.
        higher_is_better: Which way is good.
    """

    name: str
    unit: Literal["share", "s", "usd"]
    a: float | None
    b: float | None
    estimate: float | None
    interval: Interval | None
    higher_is_better: bool

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies; inconclusive when it holds 0 or there is none."""
        if self.interval is None or self.interval.low is None or self.interval.high is None:
            return "inconclusive"
        if self.interval.low > 0:
            return "better" if self.higher_is_better else "worse"
        if self.interval.high < 0:
            return "worse" if self.higher_is_better else "better"
        return "inconclusive"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two runs over the same cases.

    Args:
        a: The run that stands.
        b: The run that would replace it.
        pairs: In A's order.
        table: Of the judged pairs; the primary test rests on it.
        measures: Pass rate first, then the rest.
        slices: By tag, most cases first.
        changed: Names of the parts whose versions differ: "prompt", "model", ...
        warnings: Why the comparison may not be what it seems.
        primary_test: Fixed before the runs.
    """

    a: EvalRun
    b: EvalRun
    pairs: Sequence[Pair]
    table: Table
    measures: Sequence[Difference]
    slices: Sequence[Slice]
    changed: Sequence[str]
    warnings: Sequence[str]
    primary_test: str = PRIMARY_TEST

    @property
    def verdict(self) -> Verdict:
        return self.table.verdict

    @property
    def a_label(self) -> str:
        """A's name in views: the call's, or the run's where the calls have the same name."""
        return self.a.call if self.a.call != self.b.call else f"{self.a.call} ({self.a.run_id[:8]})"

    @property
    def b_label(self) -> str:
        return self.b.call if self.a.call != self.b.call else f"{self.b.call} ({self.b.run_id[:8]})"

    @property
    def headline(self) -> str:
        """One sentence: the verdict with its size."""
        points = abs(self.table.difference) * 100
        if self.verdict == "inconclusive":
            return f"{self.b_label} and {self.a_label} cannot be told apart on {self.table.n} cases"
        return f"{self.b_label} is {self.verdict} than {self.a_label} by {points:.1f} points"

    @property
    def evidence(self) -> str:
        """One sentence: interval, p-value, discordant cases."""
        low, high = self.table.interval
        return (
            f"pass rate on {self.table.n} cases: 95% interval {low * 100:+.1f} to {high * 100:+.1f} points, "
            f"exact McNemar p = {_p(self.table.p_value)} "
            f"({self.table.only_b} improved, {self.table.only_a} regressed, {self.table.discordant} discordant)"
        )

    @property
    def more_cases(self) -> int | None:
        """How many more cases would settle it, at the rates seen; None when it is settled or cannot be told."""
        if self.verdict != "inconclusive":
            return None
        try:
            return max(0, math.ceil(cases_needed(self.table.only_b, self.table.only_a, self.table.n)) - self.table.n)
        except (TooFewCases, ValueError):
            return None

    def __repr__(self) -> str:
        return f"Comparison({self.headline}; {self.evidence})"


def compare(a: EvalRun, b: EvalRun) -> Comparison:
    """Compare run *b* with run *a*, case by case.

    Raises:
        RunsDiffer: They share no case, or a case's content differs between them.
        TooFewCases: No shared case could be judged in both.
    """
    # The unit is the case: repeats of one are not independent, so the first stands for it.
    in_b = {row.case_id: row for row in b.rows if row.repeat == 0}
    pairs = [Pair(a=row, b=in_b[row.case_id]) for row in a.rows if row.repeat == 0 and row.case_id in in_b]
    if not pairs:
        raise RunsDiffer(
            f"runs {a.run_id} ({a.dataset}) and {b.run_id} ({b.dataset}) share no case: "
            "evaluate both on the same dataset"
        )
    for pair in pairs:
        if pair.a.case_hash != pair.b.case_hash:
            raise RunsDiffer(
                f"case {pair.case_id!r} is not the same in runs {a.run_id} and {b.run_id}: its input or "
                "expectation was changed between them; evaluate both again on the present dataset"
            )
    judged = [pair for pair in pairs if pair.outcome is not None]
    if not judged:
        raise TooFewCases(f"no case was judged in both {a.run_id} and {b.run_id}: give scorers, and see their errors")
    table = _table(judged)
    tags = sorted({tag for pair in judged for tag in pair.a.case.tags})
    slices = [Slice(tag=tag, table=_table([p for p in judged if tag in p.a.case.tags])) for tag in tags]
    return Comparison(
        a=a,
        b=b,
        pairs=pairs,
        table=table,
        measures=_measures(pairs, table, a, b),
        slices=sorted(slices, key=lambda s: -s.table.n),
        changed=[part for part in a.versions if a.versions[part] != b.versions.get(part)],
        warnings=_warnings(a, b, pairs, judged),
    )


def _table(pairs: Sequence[Pair]) -> Table:
    outcomes = [pair.outcome for pair in pairs]
    return Table(
        both=outcomes.count("both"),
        only_a=outcomes.count("only_a"),
        only_b=outcomes.count("only_b"),
        neither=outcomes.count("neither"),
    )


def _measures(pairs: Sequence[Pair], table: Table, a: EvalRun, b: EvalRun) -> list[Difference]:
    timed = [p for p in pairs if "cache" not in (p.a.result.source, p.b.result.source)]
    slow_a, slow_b = [p.a.result.elapsed_s for p in timed], [p.b.result.elapsed_s for p in timed]
    return [
        Difference(
            name="pass rate", unit="share", a=table.a_rate, b=table.b_rate,
            estimate=table.difference, interval=table.interval, higher_is_better=True,
        ),
        _share("valid schema", [_fits(p.a) for p in pairs], [_fits(p.b) for p in pairs], higher_is_better=True),
        _share(
            "served by fallback", [p.a.result.degraded for p in pairs], [p.b.result.degraded for p in pairs],
            higher_is_better=False,
        ),
        _latency("p50 latency", slow_a, slow_b, 0.5),
        _latency("p95 latency", slow_a, slow_b, 0.95),
        _cost(a, b),
    ]  # fmt: skip


def _share(name: str, a: Sequence[bool], b: Sequence[bool], *, higher_is_better: bool) -> Difference:
    gained = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    lost = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    n = len(a)
    return Difference(
        name=name, unit="share", a=sum(a) / n, b=sum(b) / n, estimate=(gained - lost) / n,
        interval=tango(gained, lost, n), higher_is_better=higher_is_better,
    )  # fmt: skip


def _latency(name: str, a: Sequence[float], b: Sequence[float], q: float) -> Difference:
    """Difference of a percentile; for the median, with the interval of the paired log differences.

    A percentile's own difference has no simple paired interval. The ratio of a typical case does: the mean of
    log(b) - log(a), carried back to seconds at A's median.
    """
    if len(a) < 2:
        one = (a[0], b[0]) if a else (None, None)
        return Difference(name=name, unit="s", a=one[0], b=one[1], estimate=None, interval=None, higher_is_better=False)
    at_a, at_b = _percentile(a, q), _percentile(b, q)
    interval: Interval | None = None
    if q == 0.5:
        try:
            ratio = paired_t([math.log(max(x, 1e-9)) for x in a], [math.log(max(x, 1e-9)) for x in b])
        except TooFewCases:
            interval = None  # every case took the same multiple of time: there is no spread to estimate from
        else:
            interval = Interval(at_a * math.expm1(ratio.low), at_a * math.expm1(ratio.high))
    return Difference(
        name=name, unit="s", a=at_a, b=at_b, estimate=at_b - at_a, interval=interval, higher_is_better=False
    )


def _cost(a: EvalRun, b: EvalRun) -> Difference:
    per_a = None if a.cost_usd is None else a.cost_usd / len(a.rows) * 1000
    per_b = None if b.cost_usd is None else b.cost_usd / len(b.rows) * 1000
    known = per_a is not None and per_b is not None
    return Difference(
        name="cost per 1,000", unit="usd", a=per_a, b=per_b, estimate=per_b - per_a if known else None,  # type: ignore[operator]
        interval=None, higher_is_better=False,
    )  # fmt: skip


def _percentile(values: Sequence[float], q: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(q * 100) - 1]


def _fits(row: Row) -> bool:
    return not any(attempt.outcome in ("parse", "schema", "truncated") for attempt in row.result.attempts)


def _warnings(a: EvalRun, b: EvalRun, pairs: Sequence[Pair], judged: Sequence[Pair]) -> list[str]:
    found = []
    if a.dataset_hash != b.dataset_hash:
        found.append(
            f"the datasets differ: only the {len(pairs)} shared cases of {len(a.rows)} and {len(b.rows)} count"
        )
    if dict(a.scorers) != dict(b.scorers):
        found.append("the scorers differ: a pass in one run may not be a pass in the other")
    for part in ("input_schema", "output_schema"):
        if a.versions.get(part) != b.versions.get(part):
            found.append(f"the {part.replace('_', ' ')}s differ")
    if any(row.repeat for run in (a, b) for row in run.rows):
        found.append("cases were asked several times: the first answer to each is compared, the repeats are left out")
    if len(judged) < len(pairs):
        found.append(f"{len(pairs) - len(judged)} cases are left out: a scorer could not judge them")
    return found


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else f"{value:.0e}"
