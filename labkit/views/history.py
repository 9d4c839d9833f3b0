"""A call over its runs: one small chart for each measure, marked where something changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.evals.history import History, Point
from labkit.evals.stats.drift import DriftPoint
from labkit.extras import needs
from labkit.views.display import STATIC_ROWS
from labkit.views.markup import Safe, count, document, h, join, percent, seconds, stylesheet, usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["HistoryView"]

_BLUE, _ORANGE, _RED, _GREY = "#3b6fb6", "#c2571a", "#b42318", "#7b8794"
_MOST_DOTS = 150  # more of them run into each other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """One chart.

    Args:
        limited: Whether the rate of that name has a control chart.
        unit: Of the axis, with what the value is multiplied by.
    """

    name: str
    of: Callable[[Point], float | None]
    shown: Callable[[float | None], str]
    unit: tuple[str, float]
    limited: bool = False


_RATE = ("%", 100.0)
_MEASURES = (
    _Measure(name="pass rate", of=lambda point: point.pass_rate, shown=percent, unit=_RATE, limited=True),
    _Measure(name="valid schema", of=lambda point: point.schema_valid_rate, shown=percent, unit=_RATE, limited=True),
    _Measure(name="served by fallback", of=lambda point: point.fallback_rate, shown=percent, unit=_RATE, limited=True),
    _Measure(name="p95 latency", of=lambda point: point.p95_s, shown=seconds, unit=("s", 1.0)),
    _Measure(name="cost per call", of=lambda point: point.cost_per_row_usd, shown=usd, unit=("USD", 1.0)),
)


class HistoryView:
    """The history of a call. It is static, also in a live notebook: there is nothing in it to click.

    Args:
        history: As ``labkit.evals.history`` gives it.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    @property
    def headline(self) -> str:
        """How the latest run did, and whether the call is drifting."""
        seen = self.history
        rate = seen.points[-1].pass_rate
        passed = "nothing judged" if rate is None else f"{percent(rate)} passed"
        where = f"in the latest of {count(len(seen.points), 'run')}" if len(seen.points) > 1 else "in its only run"
        drift = "drift not estimable" if not seen.drift else "it is drifting" if seen.drifted else "no drift"
        return f"{seen.call}: {passed} {where}; {drift}"

    def frame(self) -> DataFrame:
        """Give one row for each run, oldest first."""
        return self.history.frame()

    def figure(self) -> Figure:
        """Draw each measure over the runs: intervals, control limits, and what changed between them."""
        with needs("matplotlib", "a figure"):
            from matplotlib.figure import Figure

        points = self.history.points
        figure = Figure(figsize=(7.6, 8.4), layout="constrained")
        axes = figure.subplots(len(_MEASURES), 1, sharex=True)
        for axis, series in zip(axes, self._series, strict=True):
            _draw(axis, series)
            for n, point in enumerate(points):
                if point.changes:
                    axis.axvline(n, color=_GREY, linewidth=1, linestyle=":")
        changed = [n for n, point in enumerate(points) if point.changes]
        for n in _apart(changed, len(points) / 30):
            # names are not trusted: a $ in them is no formula
            axes[0].annotate(
                _short(", ".join(points[n].changes)), (n, 1.03), xycoords=("data", "axes fraction"), fontsize=7,
                rotation=20, va="bottom", color=_GREY, parse_math=False,
            )  # fmt: skip
        axes[0].legend(fontsize=7, frameon=False, loc="lower left", ncols=4)
        every = max(1, -(-len(points) // 12))
        ticks = range(0, len(points), every)
        axes[-1].set_xticks(
            list(ticks), [points[n].started_at[:10] for n in ticks], rotation=30, ha="right", fontsize=7
        )
        axes[-1].set_xlim(-0.5, len(points) - 0.5)
        figure.suptitle(self.headline, fontsize=11, parse_math=False)
        return figure

    def html(self, *, rows: int = STATIC_ROWS) -> str:
        """Give the view as a page of its own: no script, nothing fetched, everything escaped.

        Args:
            rows: Most runs listed, and most changes; what is left out is counted. The charts show every run.
        """
        return document(f"{self.history.call}: history", self.section(rows=rows))

    def section(self, *, rows: int = STATIC_ROWS) -> Safe:
        """Give the view as one element, for a page that holds several."""
        seen = self.history
        notes = [
            h("p", "! " if note in seen.drifted else None, note, class_="lk-note" if note in seen.drifted else "lk-sub")
            for note in seen.notes()
        ]
        return h(
            "div",
            h("div", h("h2", self.headline), notes, class_="lk-head"),
            h(
                "div",
                self._legend(),
                self._numbers(),
                [self._trend(series) for series in self._series],
                self._dates(),
                class_="lk-trends",
            ),
            self._change_list(rows),
            h("div", self._table(rows), class_="lk-wide lk-runs"),
            class_="labkit labkit-static",
        )

    def _repr_html_(self) -> str:
        return f"<style>{stylesheet()}</style>{self.section()}"

    def __repr__(self) -> str:
        return self.history.text()

    @cached_property
    def _series(self) -> list[_Series]:
        return [_series(self.history, measure) for measure in _MEASURES]

    @cached_property
    def _changed(self) -> dict[int, int]:
        """Number of each change by the place of its point."""
        places = (at for at, point in enumerate(self.history.points) if point.changes)
        return {at: n for n, at in enumerate(places, start=1)}

    def _legend(self) -> Safe:
        kinds = [("lk-key-line", "each run"), ("lk-key-band", "95% interval")]
        if self.history.drift:
            kinds += [("lk-key-ewma", "rate since the likeliest change"), ("lk-key-limit", "its limits")]
        if self._changed:
            kinds.append(("lk-key-mark", "something changed"))
        return h("div", [h("span", h("i", class_=style), said) for style, said in kinds], class_="lk-mut lk-legends")

    def _numbers(self) -> Safe | None:
        """The number of each change above its mark; where marks crowd, only the first of them has room for one."""
        if not self._changed:
            return None
        n = len(self.history.points)
        shown = [
            h("span", self._changed[at], style=f"left:{_across(at, n)}%")
            for at in _apart(list(self._changed), n * 0.05)
        ]
        return _trend_row("lk-numbers", None, h("div", shown))

    def _dates(self) -> Safe:
        first, last = self.history.points[0].started_at[:10], self.history.points[-1].started_at[:10]
        ends = [h("span", first, " UTC"), h("span", last) if len(self.history.points) > 1 else None]
        return _trend_row("lk-dates", None, h("div", ends))

    def _trend(self, series: _Series) -> Safe:
        points, measure = self.history.points, series.measure
        n, last = len(points), measure.shown(series.values[-1])
        marks = [
            h("line", x1=_across(at, n), x2=_across(at, n), y1=0, y2=100, class_="lk-mark") for at in self._changed
        ]
        drawing = h(
            "svg",
            _band(series),
            marks,
            _limits(series),
            h("polyline", points=_corners(series, _known(series.values)), class_="lk-line"),
            self._dots(series) if n <= _MOST_DOTS else None,
            h("polyline", points=_corners(series, series.recent), class_="lk-ewma") if series.recent else None,
            viewBox="0 0 100 100",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{measure.name} over {count(n, 'run')}, last {last}",
        )
        ends = {series.y(value): measure.shown(value) for value in series.ends}
        labels = h("div", [h("span", said, style=f"top:{y}%") for y, said in ends.items()], class_="lk-ends")
        return _trend_row(None, [h("b", measure.name), " ", h("span", last)], [drawing, labels])

    def _dots(self, series: _Series) -> list[Safe]:
        dots = []
        for at, value in _known(series.values):
            point, limits = self.history.points[at], series.monitored.get(at)
            said = f"{point.run_id}, {point.started_at[:10]} UTC: {series.measure.shown(value)}"
            if limits is not None and limits.out:
                said += f"; {percent(limits.recent)} since the change, {limits.out} its limit"
            x, y = _across(at, len(series.values)), series.y(value)
            style = "lk-dot lk-out" if limits is not None and limits.out else "lk-dot"
            # a line of no length with round ends stays round where the drawing is stretched
            dots.append(h("line", h("title", said), x1=x, x2=x, y1=y, y2=y, class_=style))
        return dots

    def _change_list(self, rows: int) -> Safe | None:
        if not self._changed:
            return None
        listed = list(self._changed.items())[-rows:]
        items = []
        for at, number in reversed(listed):
            point = self.history.points[at]
            when = h("span", f" {point.started_at[:10]}, run {point.run_id}", class_="lk-mut")
            items.append(h("div", h("b", number), h("span", ", ".join(point.changes), when)))
        left_out = len(self._changed) - len(listed)
        more = h("div", h("b"), f"{count(left_out, 'earlier change')} not listed", class_="lk-mut")
        return h("div", items, more if left_out else None, class_="lk-changes")

    def _table(self, rows: int) -> Safe:
        # run ids last: a phone shows the first columns, and people know a run by its day
        names = ("started (UTC)", *(measure.name for measure in _MEASURES), "cases")
        header = h(
            "tr", [h("th", name) for name in names], [h("th", name, class_="lk-l") for name in ("changed", "run")]
        )
        shown = self.history.points[-rows:]
        lines = [
            h(
                "tr",
                h("td", point.started_at[:16].replace("T", " ")),
                [h("td", measure.shown(measure.of(point))) for measure in _MEASURES],
                h("td", f"{point.cases:,}"),
                h("td", ", ".join(point.changes), class_="lk-l"),
                h(
                    "td",
                    point.run_id,
                    h("span", " baseline", class_="lk-ok") if point.baseline else None,
                    class_="lk-l",
                ),
            )
            for point in reversed(shown)
        ]
        left_out = len(self.history.points) - len(shown)
        note = h("div", f"{count(left_out, 'older run')} not listed", class_="lk-more") if left_out else None
        return join([h("table", header, lines), note])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """What one chart shows, by the places of the runs.

    Args:
        values: None where a run has none.
        band: 95% interval of a value.
        recent: Place and rate since the likeliest change, of each monitored run.
        bounds: Lowest and highest of all that is drawn.
    """

    measure: _Measure
    values: Sequence[float | None]
    band: Sequence[tuple[int, float, float]]
    monitored: Mapping[int, DriftPoint]
    recent: Sequence[tuple[int, float]]
    bounds: tuple[float, float]

    @property
    def ends(self) -> tuple[float, ...]:
        """The values that are written at the axis."""
        if not _known(self.values):
            return ()
        return tuple(dict.fromkeys(self.bounds))

    def y(self, value: float) -> str:
        """Place in a drawing 100 high, with a little room above and below."""
        low, high = self.bounds
        return f"{50.0 if low == high else 6 + (high - value) / (high - low) * 88:.2f}"


def _series(history: History, measure: _Measure) -> _Series:
    values = [measure.of(point) for point in history.points]
    band: list[tuple[int, float, float]] = []
    recent: list[tuple[int, float]] = []
    monitored = history.monitored(measure.name) if measure.limited else {}
    if measure.name == "pass rate":
        ends = ((at, point.pass_interval) for at, point in enumerate(history.points))
        band = [(at, interval.low, interval.high) for at, interval in ends if interval is not None]
    if monitored:
        recent = [(at, point.recent) for at, point in monitored.items()]
    drawn = [value for _, value in (*_known(values), *recent)]
    drawn += [end for _, low, high in band for end in (low, high)]
    drawn += [end for point in monitored.values() for end in (point.low, point.high)]
    return _Series(
        measure=measure, values=values, band=band, monitored=monitored, recent=recent,
        bounds=(min(drawn), max(drawn)) if drawn else (0.0, 0.0),
    )  # fmt: skip


def _draw(axis: Axes, series: _Series) -> None:
    unit, scale = series.measure.unit
    known = _known(series.values)
    axis.plot([at for at, _ in known], [value * scale for _, value in known], "o-", color=_BLUE, ms=3.5, label="run")
    axis.set_ylabel(f"{series.measure.name}, {unit}", fontsize=8)
    axis.tick_params(labelsize=7)
    if series.band:
        lows, highs = ([each[n] * scale for each in series.band] for n in (1, 2))
        places = [at for at, _, _ in series.band]
        axis.fill_between(places, lows, highs, color=_BLUE, alpha=0.15, linewidth=0, label="95% interval")
    if not series.monitored:
        return
    axis.plot(
        [at for at, _ in series.recent],
        [mean * scale for _, mean in series.recent],
        color=_ORANGE,
        label="since the likeliest change",
    )
    for n, end in enumerate(("low", "high")):
        limits = [getattr(point, end) * scale for point in series.monitored.values()]
        label = "its limits" if n == 0 else None
        axis.step(list(series.monitored), limits, where="mid", color=_ORANGE, linestyle="--", lw=0.9, label=label)
    out = [at for at, point in series.monitored.items() if point.out]
    axis.plot(out, [(series.values[at] or 0.0) * scale for at in out], "o", color=_RED, ms=5)


def _trend_row(style: str | None, name: Any, chart: Any) -> Safe:
    return h(
        "div",
        h("div", name, class_="lk-trend-name"),
        h("div", chart, class_="lk-trend-chart"),
        class_=f"lk-trend {style}" if style else "lk-trend",
    )


def _band(series: _Series) -> Safe | None:
    """The interval of each run, joined; that of a single run is a bar."""
    if not series.band:
        return None
    upper = [(at, high) for at, _, high in series.band]
    lower = [(at, low) for at, low, _ in reversed(series.band)]
    corners = _corners(series, [*upper, *lower])
    if len(series.band) == 1:
        return h("polyline", points=corners, class_="lk-bar-of-one")
    return h("polygon", points=corners, class_="lk-band")


def _limits(series: _Series) -> list[Safe]:
    """Both limits as stairs: each run has its own, by how many cases it had and how long the average remembers."""
    if not series.monitored:
        return []
    n = len(series.values)
    stairs = []
    for end in ("low", "high"):
        steps = [
            f"{x},{series.y(getattr(point, end))}"
            for at, point in series.monitored.items()
            for x in (_across(at - 0.5, n), _across(at + 0.5, n))
        ]
        stairs.append(h("polyline", points=" ".join(steps), class_="lk-limit"))
    return stairs


def _corners(series: _Series, places: Iterable[tuple[int, float]]) -> str:
    return " ".join(f"{_across(at, len(series.values))},{series.y(value)}" for at, value in places)


def _across(at: float, n: int) -> str:
    """Place of a run in a drawing 100 wide."""
    return f"{(at + 0.5) / n * 100:.2f}"


def _known(values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(at, value) for at, value in enumerate(values) if value is not None]


def _apart(places: Sequence[int], least: float) -> Iterator[int]:
    """Give those places that are not too close to the one given before."""
    last = float("-inf")
    for at in places:
        if at - last >= least:
            yield at
            last = at


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
