"""How long people wait: percentiles against the budget, and who answered how fast."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from labkit.errors import TooFewCases
from labkit.evals.runs import EvalRun, Row
from labkit.evals.stats import Interval, quantile_interval
from labkit.views.display import Action, View
from labkit.views.markup import Safe, count, h, join, seconds
from labkit.views.parts import shown, source_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["LatencyView"]

_BINS = 40
_WIDTH, _HEIGHT, _LEFT = 900.0, 150.0, 40.0
_COLOURS = {"model": "#3b6fb6", "fallback": "#c2571a", "cache": "#9aa6b2"}
Family = Literal["model", "fallback", "cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """One percentile of a run, in seconds; *interval* is None when so few timings cannot bound it."""

    q: float
    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    log: bool = False
    cumulative: bool = False
    run: int = -1
    bin: int = -1


class LatencyView(View):
    """The latencies of one or several runs.

    Args:
        runs: At least one.
        budget_s: What people may be made to wait; the first run's deadline by default.

    Raises:
        TooFewCases: No run was given.
    """

    def __init__(self, runs: Sequence[EvalRun], budget_s: float | None = None) -> None:
        super().__init__()
        if not runs:
            raise TooFewCases("a latency view needs at least one run: views.latency(run)")
        self.runs = tuple(runs)
        self.budget_s = budget_s if budget_s is not None else min(run.deadline_s for run in runs)
        self._state = _State()
        self.title = self.headline

    @property
    def headline(self) -> str:
        """In how much time 95 of 100 calls answer, against the budget; of the last run where there are several."""
        run = self.runs[-1]
        name = f"{run.call}: " if len(self.runs) > 1 else ""
        within, budget = seconds(percentile(run, 0.95).value), seconds(self.budget_s)
        return f"{name}95 of 100 calls answer within {within}; the budget is {budget}"

    def frame(self) -> DataFrame:
        """Give one row per case and run: seconds, source, and seconds in each step."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "call": run.call,
                    "case_id": row.case_id,
                    "source": row.result.source,
                    "latency_s": row.result.elapsed_s,
                }
                | {f"{step}_s": took for step, took in row.result.steps.items()}
                for run in self.runs
                for row in run.rows
            ]
        )

    def figure(self) -> Figure:
        """Draw a histogram of each run, stacked by who answered, with p50, p95 and, where it is near, the budget."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 2.2 * len(self.runs) + 0.4), layout="constrained")
        axes = figure.subplots(len(self.runs), 1, sharex=True, squeeze=False)[:, 0]
        edges = self._edges()
        for axis, run in zip(axes, self.runs, strict=True):
            stacks = {
                family: [min(r.result.elapsed_s, edges[-1]) for r in run.rows if _family(r) == family]
                for family in _COLOURS
            }
            kept = {family: values for family, values in stacks.items() if values}
            axis.hist(
                list(kept.values()), bins=edges, stacked=True, color=[_COLOURS[f] for f in kept], label=list(kept)
            )
            for q in (0.5, 0.95):
                at = percentile(run, q).value
                axis.axvline(at, color="#1f2328", linestyle=":", linewidth=1)
                axis.annotate(f"p{q * 100:.0f}", (at, 1), xycoords=("data", "axes fraction"), fontsize=8, va="bottom")
            if self.budget_s <= edges[-1]:
                axis.axvline(self.budget_s, color="#b42318")
            axis.set_ylabel(f"{run.call}\ncalls", fontsize=9)
            axis.legend(fontsize=8, frameon=False)
        axes[-1].set_xlabel("seconds until the result")
        figure.suptitle(self.headline, fontsize=11)
        return figure

    def act(self, action: Action) -> None:
        state = self._state
        if action.act == "log":
            self._state = _State(log=not state.log, cumulative=state.cumulative)
        elif action.act == "cumulative":
            self._state = replace(state, cumulative=not state.cumulative)
        elif action.act == "bin":
            run, _, at = action.value.partition(":")
            if run.isdigit() and at.isdigit() and int(run) < len(self.runs) and int(at) < _BINS:
                self._state = replace(state, run=int(run), bin=int(at))

    def __repr__(self) -> str:
        return self.headline

    def _page(self, *, live: bool, rows: int) -> Safe:
        regions = self._regions() if live else {}
        head = h("div", h("h2", self.headline), [_summary(run, self.budget_s) for run in self.runs], class_="lk-head")
        keys = h(
            "div",
            h("button", h("kbd", "e"), " cumulative", data_act="cumulative", data_key="e"),
            " · ",
            h("button", h("kbd", "l"), " log axis", data_act="log", data_key="l"),
            " · click a bar to list its calls",
            class_="lk-keys",
        )
        return join(
            [
                head,
                h(
                    "div",
                    regions.get("charts") or self._charts(live=False),
                    class_="lk-chart",
                    data_region="charts" if live else None,
                ),
                h("div", regions.get("calls"), data_region="calls") if live else None,
                keys if live else None,
            ]
        )

    def _regions(self) -> dict[str, Safe]:
        return {"charts": self._charts(live=True), "calls": self._calls()}

    def _edges(self) -> list[float]:
        """Bounds of the bins, in seconds; shared by all runs, so that their shapes can be compared."""
        every = [row.result.elapsed_s for run in self.runs for row in run.rows]
        # a few outliers would press all others into one bin: they are counted in the last, which is open
        slow = max(percentile(run, 0.99).value for run in self.runs)
        longest = max(min(max(every), 1.6 * slow), 1e-6) * 1.02
        if not self._state.log:
            return [longest * n / _BINS for n in range(_BINS + 1)]
        shortest = max(1e-6, min(every))
        ratio = max(longest / shortest, 1.0001)
        return [shortest * ratio ** (n / _BINS) for n in range(_BINS + 1)]

    def _charts(self, *, live: bool) -> Safe:
        edges = self._edges()
        families = [f for f in _COLOURS if any(_family(row) == f for run in self.runs for row in run.rows)]
        legend = h("div", [[h("i", class_=f"lk-legend lk-source-{f}"), f] for f in families], class_="lk-mut")
        charts = []
        for n, run in enumerate(self.runs):
            label = (
                h("span", run.call, class_=f"lk-{'AB'[n]}" if len(self.runs) == 2 else "lk-mut")
                if len(self.runs) > 1
                else None
            )
            charts += [label, self._chart(n, run, edges, live=live)]
        return join([legend, charts])

    def _chart(self, n: int, run: EvalRun, edges: Sequence[float], *, live: bool) -> Safe:
        binned = _binned(run, edges, cumulative=self._state.cumulative)
        tallest = max((sum(stack.values()) for stack in binned), default=1) or 1
        wide = _WIDTH / _BINS
        shapes: list[Any] = []
        for at, stack in enumerate(binned):
            y = _HEIGHT + 20
            group = []
            for family, members in stack.items():
                tall = members / tallest * _HEIGHT
                y -= tall
                group.append(
                    h(
                        "rect",
                        x=f"{_LEFT + at * wide:.1f}",
                        y=f"{y:.1f}",
                        width=f"{wide - 2:.1f}",
                        height=f"{tall:.1f}",
                        class_=f"lk-source-{family}",
                    )
                )
            if group:
                upper = f"to {seconds(edges[at + 1])}" if at + 1 < len(binned) else "and more"
                said = f"{count(sum(stack.values()), 'call')}, {seconds(edges[at])} {upper}"
                shapes.append(
                    h(
                        "g",
                        h("title", said),
                        group,
                        class_="lk-bar" if live else None,
                        data_act="bin" if live else None,
                        data_value=f"{n}:{at}" if live else None,
                    )
                )
        base = _HEIGHT + 20
        axis: list[Any] = [h("line", x1=_LEFT, x2=_LEFT + _WIDTH, y1=base, y2=base, stroke="var(--line)")]
        for tick in range(0, _BINS + 1, 8):
            axis.append(
                h("text", seconds(edges[tick]), x=f"{_LEFT + tick * wide:.1f}", y=base + 16, text_anchor="middle")
            )
        axis.append(h("text", f"{tallest}", x=_LEFT - 4, y=30, text_anchor="end"))
        for q, low in ((0.5, 18), (0.95, 8)):
            axis += self._line(percentile(run, q).value, edges, f"p{q * 100:.0f}", low, "var(--fg)", "2 3")
        if self.budget_s <= edges[-1]:
            axis += self._line(self.budget_s, edges, f"budget {seconds(self.budget_s)}", 8, "var(--bad)", None)
        said = f"{run.call}: histogram of seconds until the result, {len(run.rows)} calls"
        return h(
            "svg",
            shapes,
            axis,
            viewBox=f"0 0 {_LEFT + _WIDTH + 30:.0f} {base + 24:.0f}",
            width="100%",
            role="img",
            aria_label=said,
        )

    def _line(
        self, value: float, edges: Sequence[float], label: str, y: float, colour: str, dashes: str | None
    ) -> list[Safe]:
        at = _LEFT + _position(value, edges) * _WIDTH
        return [
            h(
                "line",
                x1=f"{at:.1f}",
                x2=f"{at:.1f}",
                y1=y + 3,
                y2=_HEIGHT + 20,
                stroke=colour,
                stroke_dasharray=dashes,
            ),
            h("text", label, x=f"{at + 4:.1f}", y=y + 4),
        ]

    def _calls(self) -> Safe:
        state = self._state
        if state.bin < 0:
            return join([""])
        edges, run = self._edges(), self.runs[state.run]
        low, high = edges[state.bin], edges[state.bin + 1]
        chosen = [row for row in run.rows if _bin(row.result.elapsed_s, edges) == state.bin]
        lines = [
            h(
                "tr",
                h("td", row.case_id),
                h("td", seconds(row.result.elapsed_s)),
                h("td", source_words(row.result)),
                h("td", shown(row.case.input), class_="lk-l"),
                data_case_id=row.case_id,
            )
            for row in sorted(chosen, key=lambda row: -row.result.elapsed_s)[:50]
        ]
        upper = f"to {seconds(high)}" if state.bin + 2 < len(edges) else "and more"
        head = f"{run.call}: {count(len(chosen), 'call')} of {seconds(low)} {upper}"
        return join([h("div", head, class_="lk-more"), h("div", h("table", lines), class_="lk-wide lk-scroll")])


def percentile(run: EvalRun, q: float) -> Percentile:
    """Give the *q*-quantile of a run's latencies, cache hits left out, as an order statistic with its interval."""
    ordered = sorted(run.latencies_s) or [0.0]
    value = ordered[max(0, math.ceil(q * len(ordered)) - 1)]
    try:
        low, high = quantile_interval(ordered, q)
    except TooFewCases:
        low = high = None
    interval = None if low is None or high is None else Interval(low, high)
    return Percentile(q=q, value=value, interval=interval)


def _summary(run: EvalRun, budget_s: float) -> Safe:
    parts = [run.call]
    for q in (0.5, 0.95):
        at = percentile(run, q)
        within = (
            f"95% interval {seconds(at.interval.low)} to {seconds(at.interval.high)}"
            if at.interval
            else "no interval from so few"
        )
        parts.append(f"p{q * 100:.0f} {seconds(at.value)} ({within})")
    worst = percentile(run, 0.99).value
    parts.append(f"p99 {seconds(worst)}" + (", over budget" if worst > budget_s else ""))
    over = sum(1 for value in run.latencies_s if value > budget_s)
    if over:
        parts.append(f"{count(over, 'call')} over budget")
    hits = len(run.rows) - len(run.latencies_s)
    if hits:
        parts.append(f"{count(hits, 'cache hit')} kept apart")
    return h("p", " · ".join(parts), class_="lk-sub")


def _family(row: Row) -> Family:
    if row.result.source == "cache":
        return "cache"
    return "fallback" if row.result.degraded else "model"


def _position(value: float, edges: Sequence[float]) -> float:
    """Where *value* lies between the first edge and the last, from 0 to 1, on an axis of equally wide bins."""
    if value <= edges[0]:
        return 0.0
    for n in range(len(edges) - 1):
        if value <= edges[n + 1]:
            return (n + (value - edges[n]) / (edges[n + 1] - edges[n])) / (len(edges) - 1)
    return 1.0


def _bin(value: float, edges: Sequence[float]) -> int:
    return min(len(edges) - 2, int(_position(value, edges) * (len(edges) - 1)))


def _binned(run: EvalRun, edges: Sequence[float], *, cumulative: bool) -> list[dict[Family, int]]:
    stacks: list[dict[Family, int]] = [{} for _ in range(len(edges) - 1)]
    for row in run.rows:
        at = _bin(row.result.elapsed_s, edges)
        family = _family(row)
        stacks[at][family] = stacks[at].get(family, 0) + 1
    if cumulative:
        for before, after in itertools.pairwise(stacks):
            for family, members in before.items():
                after[family] = after.get(family, 0) + members
    return [{family: stack[family] for family in _COLOURS if family in stack} for stack in stacks]
