"""How a call did over its runs: quality, schema, fallbacks, latency and cost, and what changed between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.errors import OptionInvalid, StoreError, TooFewCases
from labkit.evals.stats import Interval, wilson
from labkit.evals.stats.drift import FEWEST_RUNS, Drift, DriftPoint, change_chart
from labkit.evals.stored import about_of
from labkit.extras import needs
from labkit.store.opening import StoreLike, opened
from labkit.store.units import StoredRun
from labkit.terminal import in_a_line

if TYPE_CHECKING:
    from pandas import DataFrame

    from labkit.store.runs import RunStore

__all__ = ["RATES", "History", "Point", "history"]

RATES: Mapping[str, tuple[str, str]] = {
    "pass rate": ("passed", "judged"),
    "pass rate of the model itself": ("model_passed", "judged"),
    "valid schema": ("schema_valid", "rows"),
    "served by fallback": ("fallbacks", "rows"),
}
"""Rates by name: what counts, of how many."""

# How clear a fall and a rise must be to be told, as normal scores; see ``change_chart``. Together the four charts cry
# out in fewer than one of ten histories of 60 steady nights; most of that is spent on a pass rate that falls.
_LIMITS: Mapping[str, tuple[float, float]] = {
    "pass rate": (3.5, 4.3),
    "pass rate of the model itself": (4.3, 4.6),
    "valid schema": (4.2, 4.6),
    "served by fallback": (4.6, 4.2),
}

# The largest of fewer timings is not their p95: none is expected beyond it.
_FEWEST_FOR_P95 = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finished run.

    Args:
        started_at: UTC, ISO 8601.
        repeats: Times each case was asked.
        summary: See ``labkit.store.facts.summary_of``.
        changes: What is not as it was in the run before, in words; empty for the call's first run.
        baseline: Whether it is what gates compare with.
    """

    run_id: str
    started_at: str
    model: str
    repeats: int
    summary: Mapping[str, Any]
    changes: tuple[str, ...]
    baseline: bool

    def rate(self, name: str) -> float | None:
        """Give one of ``RATES``, as a share; None where there was nothing to count."""
        counted, of = RATES[name]
        return self.summary[counted] / self.summary[of] if self.summary[of] else None

    def score(self, name: str) -> float | None:
        """Give the mean of a scorer's values; None where it judged none, or the run is older than that was kept."""
        mean: float | None = self.summary.get("scores", {}).get(name, {}).get("mean")
        return mean

    @property
    def graded(self) -> tuple[str, ...]:
        """The scorers that say how good an answer is, and not whether it is good enough."""
        return tuple(name for name, of in self.summary.get("scores", {}).items() if not of.get("has_pass", True))

    @property
    def rows(self) -> int:
        rows: int = self.summary["rows"]
        return rows

    @property
    def cases(self) -> int:
        cases: int = self.summary["cases"]
        return cases

    @property
    def judged(self) -> int:
        """Rows whose scorers could all tell."""
        judged: int = self.summary["judged"]
        return judged

    @property
    def pass_rate(self) -> float | None:
        return self.rate("pass rate")

    @property
    def pass_interval(self) -> Interval | None:
        """95% Wilson interval of ``pass_rate``, None where nothing was judged.

        Repeats of a case count as one case, for what they say beyond it is not kept in a summary; clusters count as
        independent cases. ``EvalRun.pass_interval``, which sees the rows, is exact about both.
        """
        if not self.judged:
            return None
        return wilson(self.summary["passed"] / self.repeats, self.judged / self.repeats)

    @property
    def model_pass_rate(self) -> float | None:
        return self.rate("pass rate of the model itself")

    @property
    def schema_valid_rate(self) -> float | None:
        return self.rate("valid schema")

    @property
    def fallback_rate(self) -> float | None:
        return self.rate("served by fallback")

    @property
    def p50_s(self) -> float | None:
        """None where every answer came from the cache."""
        p50: float | None = self.summary["p50_s"]
        return p50

    @property
    def p95_s(self) -> float | None:
        """None where every answer came from the cache, or there are fewer than 20 rows."""
        p95: float | None = self.summary["p95_s"]
        return p95 if self.rows >= _FEWEST_FOR_P95 else None

    @property
    def cost_usd(self) -> float | None:
        """Of the whole run; None where a price is unknown."""
        cost: float | None = self.summary["cost_usd"]
        return cost

    @property
    def cost_per_row_usd(self) -> float | None:
        """None where a price is unknown."""
        return self.cost_usd / self.rows if self.cost_usd is not None and self.rows else None


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """A call's finished runs.

    Args:
        points: Oldest first, at least one.
        unfinished: Runs that were begun and are left out.
        comparable: Places of the points that were asked the same cases and scored the same way as the last one.
        steady: Those of them since the call itself was last changed, which the charts are of.
        effects: A sentence for each change of the call after which a rate was another.
    """

    call: str
    points: Sequence[Point]
    unfinished: int
    comparable: Sequence[int]
    steady: Sequence[int]
    effects: Sequence[str] = ()

    @cached_property
    def drift(self) -> Mapping[str, Drift]:
        """Control charts by rate; a rate that fewer than five steady runs have is left out.

        Over the comparable runs alone: a rate over other cases, or by other scorers, says nothing about the limits of
        this one. A change of one's own starts the charts anew: what it did is in ``effects``, and what the provider
        does is drift.
        """
        found = {}
        for name, (counted, of) in RATES.items():
            seen = [self.points[at].summary for at in self._charted(name)]
            try:
                below, above = _LIMITS[name]
                found[name] = change_chart(
                    [summary[counted] / summary[of] * summary["cases"] for summary in seen],
                    [summary["cases"] for summary in seen],
                    below=below, above=above,
                )  # fmt: skip
            except TooFewCases:
                continue
        for name in self.points[-1].graded:
            graded = [self.points[at] for at in self._charted(name)]
            if len(graded) >= FEWEST_RUNS:
                below, above = _LIMITS["pass rate"]
                found[name] = change_chart(
                    [(point.score(name) or 0.0) * point.cases for point in graded], [point.cases for point in graded],
                    below=below, above=above,
                )  # fmt: skip
        return found

    def monitored(self, name: str) -> Mapping[int, DriftPoint]:
        """Give the chart of one of ``RATES`` by the places of the points; empty where there is none."""
        places = self._charted(name)
        return {places[point.run]: point for point in self.drift[name].points} if name in self.drift else {}

    @property
    def drifted(self) -> list[str]:
        """A sentence for each rate that is out of its limits now; empty while all are in control."""
        said = []
        for name, chart in self.drift.items():
            if (now := chart.now) is None:
                continue
            places = self._charted(name)
            limit = now.low if now.out == "below" else now.high
            said.append(
                f"{name} has drifted {now.out} its limit since run {self.points[places[now.since]].run_id}: "
                f"{now.recent:.1%} since then, limit {limit:.1%}, {now.before:.1%} in the {_runs(now.since)} before; "
                "nothing of the call had changed"
            )
        return said

    def notes(self) -> list[str]:
        """Sentences below the figures: drift, what changes did, and what was left out."""
        said = self.drifted
        for name, chart in self.drift.items():
            if chart.now is None and chart.first_out is not None:
                once = self.points[self._charted(name)[chart.first_out.run]]
                said.append(f"{name} left its limits at run {once.run_id} and is back within them")
        said += self.effects
        since = ""
        if len(self.steady) < len(self.comparable):
            since = f" since the call was changed at run {self.points[self.steady[0]].run_id}"
        if not self.drift:
            said.append(
                f"drift: not estimable from {_runs(len(self.steady))} over the same cases with the same scorers"
                f"{since}; it takes {FEWEST_RUNS}"
            )
        elif not self.drifted:
            said.append(
                f"no drift over the {_runs(len(self.steady))} that can be compared{since} (change-point charts)"
            )
        if self.unfinished:
            said.append(f"{_runs(self.unfinished)} not finished, left out")
        return said

    def frame(self) -> DataFrame:
        """Give one row for each run, oldest first; rates are shares.

        Raises:
            MissingDependency: pandas is not installed.
        """
        with needs("pandas", "a frame of runs"):
            import pandas as pd

        return pd.DataFrame([_record(point) for point in self.points]).set_index("run_id")

    def text(self) -> str:
        """Give the history for a terminal: a line for each run, what changed at its end, then whether it drifts."""
        rows: list[tuple[str, ...]] = [
            (
                "run",
                "started (UTC)",
                "cases",
                "passed",
                "95% interval",
                "schema",
                "fallback",
                "p95",
                "cost a call",
                "changed",
            )
        ]
        rows += [tuple(in_a_line(cell) for cell in _cells(point)) for point in self.points]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", *map(in_a_line, self.notes())])

    def __repr__(self) -> str:
        return f"History({self.call!r}, {_runs(len(self.points))})"

    def _charted(self, name: str) -> list[int]:
        """The steady points that have the rate or score *name*."""
        return [at for at in self.steady if self._value(self.points[at], name) is not None]

    def _value(self, point: Point, name: str) -> float | None:
        return point.rate(name) if name in RATES else point.score(name)


def history(name: str, *, store: StoreLike = None, last: int | None = None) -> History:
    """Give the finished runs of the call *name*.

    Args:
        store: As for ``evaluate``; it is only read.
        last: Only so many, the latest; at least 1.

    Raises:
        StoreError: The store cannot be opened, or holds no finished run of that call; the message names its calls.
        OptionInvalid: *last* is below 1.
    """
    if last is not None and last < 1:
        raise OptionInvalid(f"last={last} runs are no history: give 1 or more, or leave it out for all")
    with opened(store, reading=True) as kept:
        headings = kept.headings(call=name)
        runs = [run for run in reversed(headings) if run.finished_at is not None]
        if not runs:
            raise _no_runs(kept, name, len(headings))
        baseline = kept.baseline(name)
    points = [
        Point(
            run_id=run.run_id,
            started_at=run.started_at,
            model=about_of(run)["model"],
            repeats=run.about.get("repeats", 1),
            summary=run.summary or {},
            changes=_changes(before, run) if before is not None else (),
            baseline=run.run_id == baseline,
        )
        for before, run in zip([None, *runs], runs, strict=False)
    ]
    # cut only now: what changed with the first run shown is seen from the one before it
    shown = slice(-last if last is not None else None, None)
    asked = [(run.about["dataset_hash"], run.about["scorers"]) for run in runs[shown]]
    comparable = [at for at, each in enumerate(asked) if each == asked[-1]]
    kept_runs, kept_points = runs[shown], points[shown]
    changed = [n for n in range(1, len(comparable)) if _changes(kept_runs[comparable[n - 1]], kept_runs[comparable[n]])]
    effects = [_effect(kept_points, comparable, n) for n in changed]
    return History(
        call=name,
        points=kept_points,
        unfinished=len(headings) - len(runs),
        comparable=comparable,
        steady=comparable[changed[-1] :] if changed else comparable,
        effects=[said for said in effects if said],
    )


def _effect(points: Sequence[Point], comparable: Sequence[int], n: int) -> str:
    """Say by how much the pass rate, or a mean score, was another after the call was changed, where beyond chance.

    Both runs' answers are taken for independent, though they are to the same cases: what is told is there all the more,
    and ``compare`` may tell more.
    """
    before, after = points[comparable[n - 1]], points[comparable[n]]
    values = {"pass rate": (before.pass_rate, after.pass_rate)}
    values |= {name: (before.score(name), after.score(name)) for name in after.graded}
    said = []
    for name, (old, new) in values.items():
        if old is None or new is None:
            continue
        variance = sum(
            max(rate * (1 - rate), 1 / (point.cases + 4)) / point.cases for rate, point in ((old, before), (new, after))
        )
        if abs(new - old) > 1.96 * math.sqrt(variance):
            way, points_of = "rose" if new > old else "fell", abs(new - old) * 100
            said.append(f"{name} {way} by {points_of:.1f} points, {old:.1%} to {new:.1%}")
    if not said:
        return ""
    return f"with the change of {', '.join(after.changes) or 'the call'} at run {after.run_id}: {'; '.join(said)}"


def _no_runs(kept: RunStore, name: str, unfinished: int) -> StoreError:
    if unfinished:
        return StoreError(
            f"{kept.url} holds no finished run of {name!r}, {_runs(unfinished)} not finished: "
            "go on with evaluate(..., resume=run_id)"
        )
    calls = ", ".join(sorted({run.call for run in kept.headings()})) or "none"
    return StoreError(f"{kept.url} holds no run of {name!r}; there are runs of: {calls}")


def _changes(before: StoredRun, after: StoredRun) -> tuple[str, ...]:
    """What is not as it was, in the words of people."""
    old, new = before.about, after.about
    found = []
    for part in dict.fromkeys([*old["versions"], *new["versions"]]):
        if old["versions"].get(part) == new["versions"].get(part):
            continue
        if part != "model":
            found.append(part.replace("_", " "))
        elif old["model"] != new["model"]:
            found.append(f"model: {old['model']} → {new['model']}")
        else:
            found.append("model parameters")
    if old["dataset_hash"] != new["dataset_hash"]:
        same_name = old["dataset"] == new["dataset"]
        found.append("data" if same_name else f"data: {old['dataset']} → {new['dataset']}")
    if old["scorers"] != new["scorers"]:
        found.append("scorers")
    if old.get("repeats", 1) != new.get("repeats", 1):
        found.append(f"repeats: {old.get('repeats', 1)} → {new.get('repeats', 1)}")
    return tuple(found)


def _record(point: Point) -> dict[str, Any]:
    low, high = point.pass_interval or (None, None)
    return {
        "run_id": point.run_id, "started_at": point.started_at, "model": point.model, "cases": point.cases,
        "rows": point.rows, "judged": point.judged, "pass_rate": point.pass_rate, "pass_rate_low": low,
        "pass_rate_high": high, "model_pass_rate": point.model_pass_rate,
        "schema_valid_rate": point.schema_valid_rate, "fallback_rate": point.fallback_rate, "p50_s": point.p50_s,
        "p95_s": point.p95_s, **{f"score: {name}": point.score(name) for name in point.summary.get("scores", {})},
        "cost_usd": point.cost_usd, "cost_per_row_usd": point.cost_per_row_usd,
        "changes": ", ".join(point.changes), "baseline": point.baseline,
    }  # fmt: skip


def _cells(point: Point) -> tuple[str, ...]:
    interval = point.pass_interval
    changes = ", ".join(point.changes)
    return (
        point.run_id,
        point.started_at[:16].replace("T", " "),
        f"{point.cases:,}",
        _passed(point),
        "" if interval is None else f"{interval.low * 100:.1f} to {interval.high * 100:.1f}",
        _percent(point.schema_valid_rate),
        _percent(point.fallback_rate),
        "–" if point.p95_s is None else f"{point.p95_s:.3f} s",
        "unknown" if point.cost_per_row_usd is None else f"${point.cost_per_row_usd:.5f}",
        f"{changes} (baseline)".strip() if point.baseline else changes,
    )


def _passed(point: Point) -> str:
    """The share that passed, and the mean of what only got grades."""
    said = [] if point.pass_rate is None else [f"{point.pass_rate:.1%}"]
    said += [f"{name} {point.score(name):.3f}" for name in point.graded]
    return ", ".join(said) or "not judged"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _runs(n: int) -> str:
    return f"{n:,} run" if n == 1 else f"{n:,} runs"
