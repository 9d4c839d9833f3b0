"""How long people wait: percentiles against the budget, and who answered how fast."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from labkit.errors import TooFewCases
from labkit.evals.runs import EvalRun, Row
from labkit.evals.stats import Interval
from labkit.extras import needs
from labkit.terminal import printable
from labkit.views.display import Action, View
from labkit.views.markup import Safe, count, h, join, seconds
from labkit.views.parts import shown, source_words
from labkit.views.pictures import without_media

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["LatencyView"]

_BINS = 40
_CALLS_LISTED = 50
Family = Literal["model", "fallback", "shortcut", "cache", "no answer"]
_COLOURS: dict[Family, str] = {
    "model": "#3b6fb6",
    "fallback": "#c2571a",
    "shortcut": "#1a7f5a",
    "cache": "#9aa6b2",
    "no answer": "#b42318",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """One percentile of a run.

    Args:
        value: Seconds, an order statistic; None when there are too few timings to say where it lies.
        interval: 95%, between order statistics. None where neither end can be given; one end is None where only the
            other can.
        n: Timings it was taken from.
    """

    q: float
    n: int
    value: float | None
    interval: Interval[float | None] | None

    def __str__(self) -> str:
        """The percentile in words, with its interval, or why there is none."""
        name = f"p{self.q * 100:g}"
        if self.value is None:
            return f"{name} not estimable from {count(self.n, 'timing')}"
        low, high = self.interval or (None, None)
        if low is not None and high is not None:
            return f"{name} {seconds(self.value)} (95% interval {seconds(low)} to {seconds(high)})"
        if low is not None:
            return f"{name} {seconds(self.value)} (at least {seconds(low)}, no upper end from so few)"
        if high is not None:
            return f"{name} {seconds(self.value)} (at most {seconds(high)}, no lower end from so few)"
        return f"{name} {seconds(self.value)} (no interval from so few)"


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
        budget_s: What people may be made to wait; the shortest of the runs' deadlines by default.

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
        slow, budget = percentile(run, 0.95), f"the budget is {seconds(self.budget_s)}"
        if slow.value is not None:
            return f"{name}95 of 100 calls answer within {seconds(slow.value)}; {budget}"
        if slow.n:
            longest = seconds(max(run.latencies_s))
            return f"{name}{slow}, the slowest of which took {longest}; {budget}"
        return f"{name}every answer came from the cache: how long the model takes was not measured; {budget}"

    def frame(self) -> DataFrame:
        """Give one row per case and run: seconds, source, and seconds in each step."""
        with needs("pandas", "a frame of timings"):
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
        with needs("matplotlib", "a figure"):
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
                if at is None:
                    continue
                axis.axvline(at, color="#1f2328", linestyle=":", linewidth=1)
                axis.annotate(f"p{q * 100:.0f}", (at, 1), xycoords=("data", "axes fraction"), fontsize=8, va="bottom")
            if self.budget_s <= edges[-1]:
                axis.axvline(self.budget_s, color="#b42318")
            axis.set_ylabel(f"{run.call}\ncalls", fontsize=9, parse_math=False)
            axis.legend(fontsize=8, frameon=False)
        axes[-1].set_xlabel("seconds until the result")
        figure.suptitle(self.headline, fontsize=11, parse_math=False)
        return figure

    def act(self, action: Action) -> None:
        state = self._state
        if action.act == "log":
            self._state = _State(log=not state.log, cumulative=state.cumulative)
        elif action.act == "cumulative":
            self._state = replace(state, cumulative=not state.cumulative)
        elif action.act == "bin":
            place = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", action.value)
            if place and int(place[1]) < len(self.runs) and int(place[2]) < _BINS:
                self._state = replace(state, run=int(place[1]), bin=int(place[2]))

    def __repr__(self) -> str:
        return printable(self.headline)

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
        slow = sorted(every)[math.ceil(0.99 * len(every)) - 1]
        longest = max(min(max(every), 1.6 * slow), 1e-6) * 1.02
        if not self._state.log:
            return [longest * n / _BINS for n in range(_BINS + 1)]
        shortest = max(1e-6, min(every))
        ratio = max(longest / shortest, 1.0001)
        return [shortest * ratio ** (n / _BINS) for n in range(_BINS + 1)]

    def _charts(self, *, live: bool) -> Safe:
        edges = self._edges()
        families: list[Family] = [
            f for f in _COLOURS if any(_family(row) == f for run in self.runs for row in run.rows)
        ]
        legend = h(
            "div", [h("span", h("i", class_=f"lk-legend {_style(f)}"), f) for f in families], class_="lk-mut lk-legends"
        )
        charts = []
        for n, run in enumerate(self.runs):
            label = (
                h("div", run.call, class_=f"lk-{'AB'[n]}" if len(self.runs) == 2 else "lk-mut")
                if len(self.runs) > 1
                else None
            )
            charts += [label, self._chart(n, run, edges, live=live)]
        note = None
        if self.budget_s > edges[-1]:
            note = h("p", f"The budget of {seconds(self.budget_s)} lies right of the axis.", class_="lk-mut")
        return join([legend, charts, note])

    def _chart(self, n: int, run: EvalRun, edges: Sequence[float], *, live: bool) -> Safe:
        """One histogram. Bars are stretched to the width there is; what is written keeps its size beside them."""
        binned = _binned(run, edges, cumulative=self._state.cumulative)
        tallest = max((sum(stack.values()) for stack in binned), default=1) or 1
        said = f"{run.call}: histogram of seconds until the result, {len(run.rows)} calls, at most {tallest} in a bar"
        bars = [self._bar(n, at, stack, edges, tallest, live=live) for at, stack in enumerate(binned) if stack]
        lines, labels = [], [h("span", f"{tallest:,}", class_="lk-tallest")]
        for q in (0.5, 0.95):
            value = percentile(run, q).value
            if value is not None:
                lines.append(_line(value, edges, "var(--fg)", "2 3"))
                labels.append(_label(value, edges, f"p{q * 100:g}", "lk-high" if q > 0.5 else ""))
        if self.budget_s <= edges[-1]:
            lines.append(_line(self.budget_s, edges, "var(--bad)", None))
            labels.append(_label(self.budget_s, edges, f"budget {seconds(self.budget_s)}", "lk-no"))
        drawing = h(
            "svg", bars, lines, viewBox=f"0 0 {_BINS} 100", preserveAspectRatio="none", role="img", aria_label=said
        )
        ticks = [
            h("span", seconds(value), style=f"left:{_position(value, edges) * 100:.2f}%")
            for value in _ticks(edges, log=self._state.log)
        ]
        return h(
            "div",
            h("div", labels, class_="lk-labels"),
            drawing,
            h("div", ticks, class_="lk-ticks"),
            class_="lk-histogram",
        )

    def _bar(
        self, n: int, at: int, stack: dict[Family, int], edges: Sequence[float], tallest: int, *, live: bool
    ) -> Safe:
        y = 100.0
        blocks = []
        for family, members in stack.items():
            tall = members / tallest * 100
            y -= tall
            blocks.append(
                h("rect", x=f"{at + 0.04:.2f}", y=f"{y:.2f}", width="0.92", height=f"{tall:.2f}", class_=_style(family))
            )
        chosen = (self._state.run, self._state.bin) == (n, at)
        return h(
            "g",
            h("title", f"{count(sum(stack.values()), 'call')}, {self._range(edges, at)}"),
            # the whole column answers a click, so that a bar of one call can be hit
            h("rect", x=at, y=0, width=1, height=100, fill="transparent") if live else None,
            blocks,
            class_="lk-bar lk-chosen" if live and chosen else "lk-bar" if live else None,
            data_act="bin" if live else None,
            data_value=f"{n}:{at}" if live else None,
        )

    def _range(self, edges: Sequence[float], at: int) -> str:
        low = seconds(0 if self._state.cumulative else edges[at])
        return f"{low} and more" if at == len(edges) - 2 else f"{low} to {seconds(edges[at + 1])}"

    def _calls(self) -> Safe:
        state = self._state
        if state.bin < 0:
            return join([""])
        edges, run = self._edges(), self.runs[state.run]
        bins = [_bin(row.result.elapsed_s, edges) for row in run.rows]
        chosen = [
            row
            for row, at in zip(run.rows, bins, strict=True)
            if at == state.bin or (state.cumulative and at < state.bin)
        ]
        lines = [
            h(
                "tr",
                h("td", row.case_id),
                h("td", seconds(row.result.elapsed_s)),
                h("td", source_words(row.result)),
                h("td", shown(without_media(row.case.input)), class_="lk-l"),
                data_case_id=row.case_id,
            )
            for row in sorted(chosen, key=lambda row: -row.result.elapsed_s)[:_CALLS_LISTED]
        ]
        head = f"{run.call}: {count(len(chosen), 'call')}, {self._range(edges, state.bin)}"
        if len(chosen) > len(lines):
            head += f"; the {len(lines)} slowest of them"
        return join([h("div", head, class_="lk-more"), h("div", h("table", lines), class_="lk-wide lk-scroll")])


def percentile(run: EvalRun, q: float) -> Percentile:
    """Give the *q*-quantile of a run's latencies, cache hits left out, as an order statistic with its interval.

    The largest of a few timings is not their p95: below 1 / (1 - q) timings none lies beyond the quantile, and it is
    not estimated.
    """
    ordered = sorted(run.latencies_s)
    n = len(ordered)
    if n * (1 - q) < 1 - 1e-9:
        return Percentile(q=q, n=n, value=None, interval=None)
    try:
        interval = run.timings.interval(q)
    except TooFewCases:
        interval = None
    return Percentile(q=q, n=n, value=ordered[math.ceil(q * n) - 1], interval=interval)


def _summary(run: EvalRun, budget_s: float) -> Safe:
    worst = percentile(run, 0.99)
    late = ", over budget" if worst.value is not None and worst.value > budget_s else ""
    tail = f"p99 {seconds(worst.value)}{late}" if worst.value is not None else str(worst)
    parts = [run.call, str(percentile(run, 0.5)), str(percentile(run, 0.95)), tail]
    over = sum(1 for value in run.latencies_s if value > budget_s)
    if over:
        parts.append(f"{count(over, 'call')} over budget")
    hits = len(run.rows) - len(run.latencies_s)
    if hits:
        parts.append(f"{count(hits, 'cache hit')} kept apart")
    return h("p", " · ".join(parts), class_="lk-sub")


def _family(row: Row) -> Family:
    """Who answered; a call that nobody answered is not one that a fallback saved."""
    if not row.result.ok:
        return "no answer"
    if row.result.source == "cache":
        return "cache"
    if row.result.degraded:
        return "fallback"
    return "shortcut" if row.result.source == "shortcut" else "model"


def _style(family: Family) -> str:
    return f"lk-source-{family.replace(' ', '-')}"


def _line(value: float, edges: Sequence[float], colour: str, dashes: str | None) -> Safe:
    at = f"{_position(value, edges) * _BINS:.3f}"
    return h(
        "line", x1=at, x2=at, y1=0, y2=100, stroke=colour, stroke_dasharray=dashes, vector_effect="non-scaling-stroke"
    )


def _label(value: float, edges: Sequence[float], text: str, style: str) -> Safe:
    """What a line says, on the side of it where there is room."""
    at = _position(value, edges)
    side = " lk-before" if at > 0.8 else ""
    return h("span", text, class_=f"{style}{side}".strip() or None, style=f"left:{at * 100:.2f}%")


def _ticks(edges: Sequence[float], *, log: bool) -> list[float]:
    """Round values inside the axis, about six: 1, 2 or 5 times a power of ten."""
    low, high = edges[0], edges[-1]
    if log and high / low > 4:
        return [value for value in _round_values(low, high) if low <= value <= high]
    step = next(value for value in _round_values((high - low) / 10, high) if (high - low) / value <= 6)
    first, last = math.ceil(low / step), math.floor(high / step * (1 + 1e-9))
    return [n * step for n in range(first, last + 1)]


def _round_values(low: float, high: float) -> Iterator[float]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 2):
        yield from (lead * 10.0**power for lead in (1, 2, 5))


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
