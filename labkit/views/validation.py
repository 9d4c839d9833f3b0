"""What became of every output: valid as it came, repaired, fixed by a rule, or replaced by a fallback, and why."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.call.repairs import Repair
from labkit.call.result import AttemptRecord, FieldError
from labkit.evals.runs import EvalRun, Row
from labkit.extras import needs
from labkit.terminal import printable
from labkit.views.display import Action, View
from labkit.views.markup import Safe, chip, count, h, join
from labkit.views.parts import fields_of, search_box, shown, source_words, why_degraded
from labkit.views.pictures import thumbnails, without_media

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["ValidationView"]

_PAGE = 100
_STEPS = {"next": 1, "previous": -1}
_ENDINGS = {"parse": "text is not JSON", "truncated": "text is cut off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    group: str = ""
    search: str = ""
    at: int = 0  # which of the filtered cases is open


class ValidationView(View):
    """The outputs of one run, case by case and field by field."""

    def __init__(self, run: EvalRun) -> None:
        super().__init__()
        self.run = run
        self._groups = [_groups_of(row) for row in run.rows]
        self._counts = Counter(name for names in self._groups for name in names)
        self._repeated = any(row.repeat for row in run.rows)
        self._fields = list(dict.fromkeys(name for row in run.rows for name in fields_of(row.result)))
        worst = [name for name, _ in self._counts.most_common() if not name.startswith("fixed")]
        self._state = _State(group=worst[0] if worst else "")
        self.title = self.headline

    @property
    def headline(self) -> str:
        """How many were valid, repaired, served by a fallback, or not answered."""
        rows = self.run.rows
        clean = sum(
            1 for row in rows if not row.result.degraded and not _reader_repairs(row) and not _failed_attempts(row)
        )
        mended = sum(1 for row in rows if not row.result.degraded) - clean
        served = sum(1 for row in rows if row.result.degraded and row.result.ok)
        silent = sum(1 for row in rows if not row.result.ok)
        parts = [f"{clean} of {len(rows)} outputs valid at the first go"]
        if mended:
            parts.append(f"{mended} after a repair or another attempt")
        if served:
            parts.append(f"{served} served by a fallback")
        if silent:
            parts.append(f"{silent} without an answer")
        return ", ".join(parts)

    def frame(self) -> DataFrame:
        """Give one row per case: status, source, attempts' outcomes, repairs, and the output's fields."""
        with needs("pandas", "a frame of answers"):
            import pandas as pd

        return pd.DataFrame(
            [
                {
                    "case_id": row.case_id,
                    "status": row.status,
                    "source": row.result.source,
                    "attempts": ", ".join(attempt.outcome for attempt in row.result.attempts),
                    "repairs": ", ".join(repair.by or repair.kind for repair in row.result.repairs),
                    "why": row.result.reason.message if row.result.reason else "",
                    **{f"output.{name}": value for name, value in fields_of(row.result).items()},
                }
                for row in self.run.rows
            ]
        ).set_index("case_id")

    def act(self, action: Action) -> None:
        state, value = self._state, action.value
        if action.act == "group" and (not value or value in self._counts):
            self._state = replace(state, group="" if value == state.group else value, at=0)
        elif action.act == "search":
            self._state = replace(state, search=value, at=0)
        elif action.act == "step" and value in _STEPS:
            self._state = replace(state, at=self._clamped(state.at + _STEPS[value]))
        elif action.act == "open":
            ids = [self._name(row) for row in self._chosen()]
            self._state = replace(state, at=ids.index(value) if value in ids else state.at)

    def __repr__(self) -> str:
        return printable(f"{self.run.call}: {self.headline}")

    def _chosen(self) -> list[Row]:
        group, wanted = self._state.group, self._state.search.strip().casefold()
        return [
            row
            for row, groups in zip(self.run.rows, self._groups, strict=True)
            if (not group or group in groups) and (not wanted or wanted in _searched(row))
        ]

    def _name(self, row: Row) -> str:
        """The case's id, told apart from its other repeats where there are any."""
        return f"{row.case_id} #{row.repeat + 1}" if self._repeated else row.case_id

    def _clamped(self, at: int) -> int:
        return max(0, min(at, len(self._chosen()) - 1))

    def _page(self, *, live: bool, rows: int) -> Safe:
        regions = self._regions() if live else {}
        head = h(
            "div",
            h("h2", self.headline),
            h("p", "Nothing was accepted that the schema rejects.", class_="lk-sub"),
            h(
                "div",
                chip(self.run.call),
                chip(self.run.model),
                chip(f"{self.run.dataset} · {self.run.dataset_hash[:4]}"),
                class_="lk-sub",
            ),
            class_="lk-head",
        )
        keys = h(
            "div",
            h("button", h("kbd", "j"), data_act="step", data_value="next", data_key="j ArrowDown"),
            " ",
            h("button", h("kbd", "k"), data_act="step", data_value="previous", data_key="k ArrowUp"),
            " next, previous · ",
            h("kbd", "/"),
            " search",
            class_="lk-keys",
        )
        return join(
            [
                head,
                h(
                    "div",
                    h(
                        "div",
                        regions.get("groups") or self._group_list(live=False),
                        class_="lk-left",
                        data_region="groups" if live else None,
                    ),
                    h(
                        "div",
                        search_box(self._state.search, regions.get("found"), "input and output") if live else None,
                        h(
                            "div",
                            regions.get("cases") or self._table(live=False, rows=rows),
                            class_="lk-wide lk-scroll" if live else "lk-wide",
                            data_region="cases" if live else None,
                        ),
                        h("div", regions.get("raw") or self._raw(), data_region="raw" if live else None),
                    ),
                    class_="lk-cols",
                ),
                keys if live else None,
            ]
        )

    def _regions(self) -> dict[str, Safe]:
        return {
            "groups": self._group_list(live=True),
            "cases": self._table(live=True, rows=_PAGE),
            "raw": self._raw(),
            "found": join([count(len(self._chosen()), "case")]),
        }

    def _group_list(self, *, live: bool) -> Safe:
        names = ["", *(name for name, _ in self._counts.most_common())]
        return join(
            h(
                "button" if live else "div",
                h("span", name or "all"),
                h("span", f"{self._counts[name] if name else len(self.run.rows):,}", class_=_tone(name)),
                class_="lk-grp lk-on" if self._state.group == name else "lk-grp",
                data_act="group" if live else None,
                data_value=name if live else None,
            )
            for name in names
        )

    def _table(self, *, live: bool, rows: int) -> Safe:
        chosen = self._chosen()
        if not chosen:
            return h("div", "No case fits these filters.", class_="lk-more")
        at = self._clamped(self._state.at)
        start = at // rows * rows
        names = h("tr", h("th", "case"), [h("th", name, class_="lk-l") for name in self._fields], h("th", "source"))
        lines = [
            h(
                "tr",
                h(
                    "td",
                    h("button", self._name(row), data_act="open", data_value=self._name(row))
                    if live
                    else self._name(row),
                ),
                [_cell(row, name) for name in self._fields],
                _source_cell(row),
                class_="lk-sel" if start + n == at else None,
                data_act="open" if live else None,
                data_value=self._name(row) if live else None,
                data_case_id=row.case_id,
            )
            for n, row in enumerate(chosen[start : start + rows])
        ]
        rest = len(chosen) - len(lines)
        note = h("div", f"and {count(rest, 'more case')}", class_="lk-more") if rest else None
        return join([h("table", h("thead", names), h("tbody", lines)), note])

    def _raw(self) -> Safe:
        chosen = self._chosen()
        if not chosen:
            return join([])
        row = chosen[self._clamped(self._state.at)]
        reason = row.result.reason
        parts: list[Any] = [
            h("p", shown(without_media(row.case.input)), thumbnails(row.case.input), class_="lk-mut"),
            why_degraded(row.result),
        ]
        for attempt in row.result.attempts:
            parts.append(
                h("span", f"{self._name(row)} · raw answer of attempt {attempt.n}: {attempt.outcome}", class_="lk-mut")
            )
            parts.append(h("pre", _with_faults_marked(attempt)))
            if attempt.message and (reason is None or attempt.message != reason.message):
                parts.append(h("p", attempt.message, class_="lk-no"))
        if not row.result.attempts:
            parts.append(h("p", f"{self._name(row)} · the model was not asked", class_="lk-mut"))
        return h("div", parts, style="padding:10px 12px")


def _groups_of(row: Row) -> list[str]:
    """The groups a case belongs to: each fault, repair, fix and fallback once."""
    names = []
    for attempt in row.result.attempts:
        if attempt.errors:
            names += [f"{_place(error)}: {error.type.replace('_', ' ')}" for error in attempt.errors]
        elif attempt.outcome != "ok":
            names.append(_ENDINGS.get(attempt.outcome, f"attempt: {attempt.outcome.replace('_', ' ')}"))
    names += [f"repaired: {repair.kind}" for repair in _reader_repairs(row)]
    names += [f"fixed by {repair.by}" for repair in row.result.repairs if repair.by is not None]
    if row.result.reason is not None:
        names += [
            f"{error.path or 'input'}: {error.message}" for error in row.result.reason.errors if not row.result.attempts
        ]
        names.append(f"served by {source_words(row.result)}" if row.result.ok else "no answer")
    return list(dict.fromkeys(names))


def _place(error: FieldError) -> str:
    """Where a fault is; the items of a list are one place."""
    return re.sub(r"\.\d+(?=\.|$)", "[]", error.path) or "text"


def _searched(row: Row) -> str:
    return f"{row.case_id} {without_media(row.case.input)} {dict(fields_of(row.result))}".casefold()


def _tone(group: str) -> str | None:
    if group.startswith("fixed"):
        return "lk-mut"
    if group.startswith(("repaired", "served")):
        return "lk-warn"
    return "lk-no" if group else None


def _cell(row: Row, name: str) -> Safe:
    """A field's value with its fate: as it came, repaired, fixed, asked for again, or not the model's at all."""
    fields = fields_of(row.result)
    repairs = [repair for repair in row.result.repairs if repair.path.partition(".")[0] == name]
    faults = [error for a in row.result.attempts for error in a.errors if error.path.partition(".")[0] == name]
    value = shown(fields[name]) if name in fields else "missing"
    notes = [f"rule: {repair.by}" if repair.by is not None else f"was {shown(repair.before)}" for repair in repairs]
    if name not in fields or (row.result.degraded and faults):
        mark, tone = ("✗ ", "lk-bad") if name not in fields else ("◂ ", "lk-bad")
        notes += [f"rejected: {faults[-1].message}"] if faults else []
    elif row.result.degraded:
        mark, tone = "◂ ", ""
    elif any(repair.by is not None for repair in repairs):
        mark, tone = "✎ ", "lk-fix"
    elif repairs:
        mark, tone = "~ ", "lk-rep"
    elif faults:
        mark, tone, notes = "✓ ", "lk-rep", [f"after {count(len(faults), 'rejected answer')}"]
    else:
        mark, tone = "✓ ", ""
    said = [h("span", note, class_="lk-st", title=note) for note in notes]
    return h("td", mark, value, said, class_=f"lk-l {tone}".strip(), title=value)


def _source_cell(row: Row) -> Safe:
    result = row.result
    if result.reason is None:
        return h("td", source_words(result))
    return h("td", f"{source_words(result)} ◂ {result.reason.outcome.replace('_', ' ')}", class_="lk-no")


def _with_faults_marked(attempt: AttemptRecord) -> Safe:
    """The raw text, with the value of each faulty field marked where it can be found."""
    text = attempt.text
    if text is None:
        return join(["no text came"])
    spots = {spot for error in attempt.errors if (spot := _spot(text, error.path)) is not None}
    parts: list[Any] = []
    done = 0
    for start, end in sorted(spots):
        if start < done:
            continue
        parts += [text[done:start], h("mark", text[start:end])]
        done = end
    return join([*parts, text[done:]])


def _spot(text: str, path: str) -> tuple[int, int] | None:
    """Where the value at *path* stands in the text; None where its name stands in two places, or in none.

    A mark on the wrong item would be worse than no mark, so a name that is not unique is not guessed at.
    """
    name = path.rpartition(".")[2]
    keys = list(re.finditer(re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:\s*", text)) if name else []
    if len(keys) != 1:
        return None
    start = keys[0].end()
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        end = next((at for at in range(start, len(text)) if text[at] in ",}]\n"), len(text))
    return (start, end) if end > start else None


def _reader_repairs(row: Row) -> list[Repair]:
    return [repair for repair in row.result.repairs if repair.by is None]


def _failed_attempts(row: Row) -> bool:
    return any(attempt.outcome != "ok" for attempt in row.result.attempts)
