"""Two runs side by side: the verdict first, then who won which case, then both answers to one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.evals.compare import Comparison, compare
from labkit.evals.contrast import Outcome
from labkit.evals.measures import Difference, label_of
from labkit.evals.pairs import Pair, Pairs
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.score import Score
from labkit.extras import needs
from labkit.terminal import printable
from labkit.views.display import Action, View
from labkit.views.markup import Safe, chip, count, h, join, percent, seconds, usd
from labkit.views.parts import (
    field_list,
    fields_of,
    interval_bar,
    search_box,
    shown,
    signed,
    source_words,
    step_bar,
    way,
    why_degraded,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
from labkit.views.pictures import thumbnails, without_media

__all__ = ["AbView"]

_PAGE = 100
_STEPS = {"next": 1, "previous": -1}
_GRADED = {"both": "both full", "only_a": "A higher", "only_b": "B higher", "neither": "equal"}
_OUTCOMES: tuple[tuple[Outcome, str, str], ...] = (
    ("both", "both pass", ""),
    ("only_a", "only A", "lk-A"),
    ("only_b", "only B", "lk-B"),
    ("neither", "neither", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    outcome: str = ""
    tag: str = ""
    search: str = ""
    at: int = 0  # which of the filtered cases is open
    raw: bool = False


class AbView(View):
    """The comparison of two runs.

    Args:
        a: The run that stands.
        b: The run that would replace it.

    Raises:
        RunsDiffer: The runs cannot be paired.
        TooFewCases: No shared case was judged.
    """

    def __init__(self, a: EvalRun, b: EvalRun) -> None:
        super().__init__()
        self.comparison: Comparison = compare(a, b)
        self.title = self.comparison.headline
        # where the prompts disagree is what people come to see, and most of all what decided the verdict
        table = self.comparison.table
        first = "" if not table.discordant else "only_a" if table.only_a > table.only_b else "only_b"
        self._state = _State(outcome=first)
        self._found: tuple[tuple[str, str, str], Pairs] | None = None  # the last choice: each region asks for it

    def frame(self) -> DataFrame:
        """Give one row per case: both outputs' status, pass, source, latency and cost."""
        with needs("pandas", "a frame of pairs"):
            import pandas as pd

        return pd.DataFrame([_flat(pair) for pair in self.comparison.pairs]).set_index("case_id")

    def figure(self) -> Figure:
        """Draw both pass rates with their intervals and the difference with its own."""
        with needs("matplotlib", "a figure"):
            from matplotlib.figure import Figure

        seen = self.comparison
        found = seen.contrast
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        rates, difference = figure.subplots(1, 2, width_ratios=[3, 2])
        for at, (rate, interval, colour) in enumerate(
            [(found.a_rate, found.a_interval, "#3b6fb6"), (found.b_rate, found.b_interval, "#c2571a")]
        ):
            rates.errorbar(
                rate * 100,
                at,
                xerr=[[(rate - interval.low) * 100], [(interval.high - rate) * 100]],
                fmt="o",
                color=colour,
                capsize=4,
                markersize=8,
            )
        rates.set_yticks([0, 1], [seen.a_label, seen.b_label], parse_math=False)  # a name is no formula
        rates.set_ylim(1.6, -0.6)
        rates.set_xlabel(f"{label_of(seen.metric)}, %, n = {found.n}", parse_math=False)
        low, high = found.interval
        middle = found.difference * 100
        difference.axvline(0, color="#98a1ab", linewidth=1)
        difference.errorbar(
            middle, 0, xerr=[[middle - low * 100], [high * 100 - middle]], fmt="o", color="#1f2328", capsize=4
        )
        difference.set_yticks([])
        difference.set_xlabel("B − A, points, 95% interval")
        figure.suptitle(seen.headline, fontsize=11, parse_math=False)
        return figure

    def act(self, action: Action) -> None:
        state, value = self._state, action.value
        if action.act == "outcome" and value in {name for name, _, _ in _OUTCOMES}:
            self._state = replace(state, outcome="" if value == state.outcome else value, at=0)
        elif action.act == "tag" and value in {part.tag for part in self.comparison.slices}:
            self._state = replace(state, tag="" if value == state.tag else value, at=0)
        elif action.act == "search":
            self._state = replace(state, search=value, at=0)
        elif action.act == "step" and value in _STEPS:
            self._state = replace(state, at=self._clamped(state.at + _STEPS[value]))
        elif action.act == "open":
            ids = [pair.case_id for pair in self._chosen()]
            self._state = replace(state, at=ids.index(value) if value in ids else state.at)
        elif action.act == "raw":
            self._state = replace(state, raw=not state.raw)

    def __repr__(self) -> str:
        return printable(f"{self.comparison.headline}: {self.comparison.evidence}")

    def _chosen(self) -> Pairs:
        state = self._state
        key = (state.outcome, state.tag, state.search.strip().casefold())
        if self._found is None or self._found[0] != key:
            chosen = self.comparison.pairs.where(outcome=state.outcome, tag=state.tag)
            self._found = key, chosen.filter(lambda pair: key[2] in _searched(pair)) if key[2] else chosen
        return self._found[1]

    def _clamped(self, at: int) -> int:
        return max(0, min(at, len(self._chosen()) - 1))

    def _page(self, *, live: bool, rows: int) -> Safe:
        regions = self._regions() if live else {}
        cases = regions.get("cases") or self._cases(live=False, rows=rows)
        keys = h(
            "div",
            h("button", h("kbd", "j"), data_act="step", data_value="next", data_key="j ArrowDown"),
            " ",
            h("button", h("kbd", "k"), data_act="step", data_value="previous", data_key="k ArrowUp"),
            " next, previous · ",
            h("button", h("kbd", "r"), data_act="raw", data_key="r"),
            " raw text · ",
            h("kbd", "/"),
            " search",
            class_="lk-keys",
        )
        search = search_box(self._state.search, regions.get("found"), "input and outputs")
        return join(
            [
                self._head(),
                h("div", self._measures(), class_="lk-wide"),
                h(
                    "div",
                    h(
                        "div",
                        regions.get("filters") or self._filters(live=False),
                        class_="lk-left",
                        data_region="filters" if live else None,
                    ),
                    h(
                        "div",
                        search if live else None,
                        h("div", cases, class_="lk-scroll" if live else None, data_region="cases" if live else None),
                    ),
                    class_="lk-cols",
                ),
                h("div", regions.get("pair") or self._open_pair(), data_region="pair" if live else None),
                keys if live else None,
            ]
        )

    def _regions(self) -> dict[str, Safe]:
        chosen = self._chosen()
        return {
            "filters": self._filters(live=True),
            "cases": self._cases(live=True, rows=_PAGE),
            "pair": self._open_pair(),
            "found": join([count(len(chosen), "case")]),
        }

    def _head(self) -> Safe:
        seen = self.comparison
        a, b = h("span", seen.a_label, class_="lk-A"), h("span", seen.b_label, class_="lk-B")
        if seen.verdict == "inconclusive":
            headline = h("h2", b, " and ", a, f" cannot be told apart on {count(seen.contrast.n, 'case')}")
        else:
            size = f" by {abs(seen.difference) * 100:.1f} points" + (
                f" of {seen.metric}" if seen.metric != "pass" else ""
            )
            headline = h("h2", b, f" is {seen.verdict} than ", a, size)
        models = dict.fromkeys([seen.a.model, seen.b.model])
        chips = [
            chip(f"{seen.b.dataset} · {seen.b.dataset_hash[:4]}"),
            [chip(model) for model in models],
            [chip(name) for name in seen.b.scorers],
            chip("changed: ", ", ".join(seen.changed)) if seen.changed else chip("nothing changed"),
        ]
        settle = h("p", seen.settled_by, class_="lk-sub") if seen.settled_by else None
        return h(
            "div",
            headline,
            h("p", f"{seen.evidence}. Primary test, fixed before the run: {seen.primary_test}.", class_="lk-sub"),
            settle,
            [h("p", "! ", warning, class_="lk-note") for warning in seen.warnings],
            [h("p", note, class_="lk-sub") for note in seen.notes],
            h("div", chips, class_="lk-sub"),
            class_="lk-head",
        )

    def _measures(self) -> Safe:
        seen = self.comparison
        header = h(
            "tr",
            h("th"),
            h("th", "A ", seen.a_label, class_="lk-A"),
            h("th", "B ", seen.b_label, class_="lk-B"),
            h("th", "B − A"),
            h("th", "less ◂  95% interval  ▸ more", style="width:240px"),
        )
        return h("table", header, [_measure_row(measure) for measure in seen.measures])

    def _filters(self, *, live: bool) -> Safe:
        table, state = self.comparison.table, self._state
        graded = self.comparison.metric in self.comparison.b.graded
        tag = "button" if live else "div"
        cells = [
            h(
                tag,
                h("b", f"{getattr(table, outcome):,}"),
                h("span", _GRADED[outcome] if graded else label, class_=style),
                class_="lk-on" if state.outcome == outcome else None,
                data_act="outcome" if live else None,
                data_value=outcome if live else None,
            )
            for outcome, label, style in _OUTCOMES
        ]
        slices = []
        for part in self.comparison.slices:
            table_of_tag = part.contrast.table
            gained = signed(table_of_tag.only_b - table_of_tag.only_a)
            verdict = part.verdict
            tone = {"better": "lk-ok", "worse": "lk-no", "inconclusive": "lk-mut"}[verdict]
            said = f"{gained} of {part.contrast.n}" + (", inconclusive" if verdict == "inconclusive" else "")
            slices.append(
                h(
                    tag,
                    h("span", part.tag),
                    h("span", said, class_=tone),
                    class_="lk-grp lk-on" if state.tag == part.tag else "lk-grp",
                    data_act="tag" if live else None,
                    data_value=part.tag if live else None,
                )
            )
        return join(
            [
                h("span", "outcomes, click to filter" if live else "outcomes", class_="lk-mut"),
                h("div", cells, class_="lk-mat"),
                h("span", "by tag, exploratory", class_="lk-mut") if slices else None,
                slices,
            ]
        )

    def _cases(self, *, live: bool, rows: int) -> Safe:
        chosen = self._chosen()
        at = self._clamped(self._state.at)
        start = at // rows * rows
        lines = [
            h(
                "button" if live else "div",
                h("span", pair.case_id),
                h("span", shown(_input_text(pair.a)), title=shown(_input_text(pair.a))),
                _verdict_cell(pair.a),
                _verdict_cell(pair.b),
                class_="lk-case lk-sel" if start + n == at else "lk-case",
                data_act="open" if live else None,
                data_value=pair.case_id if live else None,
                data_case_id=pair.case_id,
            )
            for n, pair in enumerate(chosen[start : start + rows])
        ]
        if not chosen:
            return h("div", "No case fits these filters.", class_="lk-more")
        head = h(
            "div",
            h("span", "case"),
            h("span", "input"),
            h("span", "A", class_="lk-A"),
            h("span", "B", class_="lk-B"),
            class_="lk-casehead",
        )
        rest = len(chosen) - len(lines)
        note = (
            f"{count(rest, 'more case')} here; go on with j and k"
            if live
            else f"and {count(rest, 'more case')} of this outcome"
        )
        return join([head, lines, h("div", note, class_="lk-more") if rest else None])

    def _open_pair(self) -> Safe:
        chosen = self._chosen()
        if not chosen:
            return join([])
        pair = chosen[self._clamped(self._state.at)]
        asked = h(
            "div",
            h("span", pair.case_id, " ", class_="lk-mut"),
            shown(_input_text(pair.a)),
            thumbnails(pair.a.case.input),
            class_="lk-asked",
        )
        panes = h(
            "div",
            self._pane(pair.a, pair.b, "A", self.comparison.a_label),
            self._pane(pair.b, pair.a, "B", self.comparison.b_label),
            class_="lk-pair",
        )
        return join([asked, panes])

    def _pane(self, row: Row, other: Row, side: str, label: str) -> Safe:
        result = row.result
        raw = None
        if self._state.raw:
            raw = [
                [
                    h("span", f"attempt {attempt.n}, {attempt.outcome}", class_="lk-mut"),
                    h("pre", attempt.text or "no text came"),
                ]
                for attempt in result.attempts
            ] or h("p", "The model was not asked.", class_="lk-mut")
        return h(
            "div",
            h("span", side, " ", label, class_=f"lk-{side}"),
            " ",
            way(result),
            why_degraded(result),
            field_list(row, other, inserted=side == "B"),
            [
                h("p", _told(name, score), class_="lk-note" if score.value is None else "lk-sub")
                for name, score in row.scores.items()
                if score.value is None or score.passed is None
            ],
            step_bar(result),
            raw,
            class_=f"lk-pane lk-{side.lower()}",
        )


def _told(name: str, score: Score) -> str:
    return f"{name}: {score.reason}" if score.value is None else f"{name}: {score.value:.2f} {score.reason}".rstrip()


def _measure_row(measure: Difference) -> Safe:
    write: Any = {"share": percent, "s": seconds, "usd": usd}[measure.unit]
    tone = {"better": "good", "worse": "bad", "inconclusive": "mut"}[measure.verdict]
    if measure.estimate is None:
        difference = "–"
    elif measure.unit == "share":
        difference = _signed(f"{abs(measure.estimate) * 100:.1f}", measure.estimate)
    else:
        difference = _signed(write(abs(measure.estimate)), measure.estimate)
    low, high = measure.interval or (None, None)
    return h(
        "tr",
        h("td", measure.name),
        h("td", write(measure.a)),
        h("td", write(measure.b)),
        h("td", difference, style=f"color:var(--{tone})"),
        h("td", interval_bar(low, measure.estimate, high, tone)),
    )


def _signed(size: str, value: float) -> str:
    """Put the sign before a size; what rounds to nothing has none."""
    nothing = not any(digit in size for digit in "123456789")
    return size if nothing else ("+" if value > 0 else "−") + size


def _verdict_cell(row: Row) -> Safe:
    grades = [f"{score.value:.2f}" for score in row.scores.values() if score.value is not None]
    if row.passed is None and grades:
        return h("span", f"{', '.join(grades)} ", said_of(row), class_="lk-verdict")
    if row.passed is None:
        return h("span", "? not judged", class_="lk-verdict lk-mut")
    said = said_of(row)
    # a long answer is cut; who gave it is not
    mark = h("span", f"◂ {source_words(row.result)}", class_="lk-by") if row.result.degraded and row.result.ok else None
    return h(
        "span",
        h("span", "✓ " if row.passed else "✗ ", said),
        mark,
        class_="lk-verdict lk-ok" if row.passed else "lk-verdict lk-no",
        title=said,
    )


def said_of(row: Row) -> str:
    """The fields that were scored, in a line."""
    return ", ".join(shown(value) for value in _scored_fields(row).values()) or f"no answer: {row.status}"


def _scored_fields(row: Row) -> dict[str, Any]:
    """The fields that something was expected of; all of them where that is not said by field."""
    fields = fields_of(row.result)
    expected = row.case.expected
    wanted = {name: fields[name] for name in fields if isinstance(expected, dict) and name in expected}
    return wanted or dict(fields)


def _input_text(row: Row) -> Any:
    """The input in a line: its only field, or all of them."""
    given = without_media(row.case.input)
    return next(iter(given.values())) if len(given) == 1 else given


def _searched(pair: Pair) -> str:
    return " ".join(
        [pair.case_id, str(without_media(pair.a.case.input)), *(str(fields_of(row.result)) for row in (pair.a, pair.b))]
    ).casefold()


def _flat(pair: Pair) -> dict[str, Any]:
    flat: dict[str, Any] = {"case_id": pair.case_id, "outcome": pair.outcome, "tags": ", ".join(pair.tags)}
    for side, row in (("a", pair.a), ("b", pair.b)):
        flat |= {
            f"{side}_passed": row.passed,
            f"{side}_status": row.status,
            f"{side}_source": row.result.source,
            f"{side}_latency_s": row.result.elapsed_s,
            f"{side}_cost_usd": row.result.cost_usd,
        }
    return flat
