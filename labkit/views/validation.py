"""What became of every output: valid as it came, repaired, fixed by a rule, or replaced by a fallback, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.call.result import AttemptRecord
from labkit.evals.runs import EvalRun, Row
from labkit.views.display import Action, View
from labkit.views.markup import Safe, chip, count, h, join
from labkit.views.parts import fields_of, shown, source_words

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["ValidationView"]

_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    group: str = ""
    at: int = 0


class ValidationView(View):
    """The outputs of one run, case by case and field by field."""

    def __init__(self, run: EvalRun) -> None:
        super().__init__()
        self.run = run
        self._groups = {row.case_id: _groups_of(row) for row in run.rows}
        self._counts = Counter(name for names in self._groups.values() for name in names)
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
        if action.act == "group":
            self._state = _State(group="" if value == state.group else value)
        elif action.act == "step":
            self._state = replace(state, at=self._clamped(state.at + (1 if value == "next" else -1)))
        elif action.act == "open":
            ids = [row.case_id for row in self._chosen()]
            self._state = replace(state, at=ids.index(value) if value in ids else state.at)

    def __repr__(self) -> str:
        return f"{self.run.call}: {self.headline}"

    def _chosen(self) -> list[Row]:
        group = self._state.group
        return [row for row in self.run.rows if not group or group in self._groups[row.case_id]]

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
            " next, previous",
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
        return {"groups": self._group_list(live=True), "cases": self._table(live=True, rows=_PAGE), "raw": self._raw()}

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
        at = self._clamped(self._state.at)
        start = at // rows * rows
        header = h("tr", h("th", "case"), [h("th", name, class_="lk-l") for name in self._fields], h("th", "source"))
        lines = [
            h(
                "tr",
                h("td", h("button", row.case_id, data_act="open", data_value=row.case_id) if live else row.case_id),
                [_cell(row, name) for name in self._fields],
                _source_cell(row),
                class_="lk-sel" if start + n == at else None,
                data_act="open" if live else None,
                data_value=row.case_id if live else None,
                data_case_id=row.case_id,
            )
            for n, row in enumerate(chosen[start : start + rows])
        ]
        rest = len(chosen) - len(lines)
        note = h("div", f"and {count(rest, 'more case')}", class_="lk-more") if rest else None
        return join([h("table", header, lines), note])

    def _raw(self) -> Safe:
        chosen = self._chosen()
        if not chosen:
            return join([])
        row = chosen[self._clamped(self._state.at)]
        reason = row.result.reason
        parts: list[Any] = [h("p", shown(row.case.input), class_="lk-mut")]
        if reason is not None:
            parts.append(h("p", f"! {reason.step} ended with {reason.outcome}: {reason.message}", class_="lk-note"))
        for attempt in row.result.attempts:
            parts.append(
                h("span", f"{row.case_id} · raw answer of attempt {attempt.n}: {attempt.outcome}", class_="lk-mut")
            )
            parts.append(h("pre", _with_faults_marked(attempt)))
            if attempt.message and (reason is None or attempt.message != reason.message):
                parts.append(h("p", attempt.message, class_="lk-no"))
        if not row.result.attempts:
            parts.append(h("p", f"{row.case_id} · the model was not asked", class_="lk-mut"))
        return h("div", parts, style="padding:10px 12px")


def _groups_of(row: Row) -> list[str]:
    """The groups a case belongs to: each fault, repair, fix and fallback once."""
    names = []
    for attempt in row.result.attempts:
        if attempt.errors:
            names += [f"{error.path or 'text'}: {error.type.replace('_', ' ')}" for error in attempt.errors]
        elif attempt.outcome != "ok":
            names.append(f"attempt: {attempt.outcome.replace('_', ' ')}")
    names += [f"repaired: {repair.kind}" for repair in _reader_repairs(row)]
    names += [f"fixed by {repair.by}" for repair in row.result.repairs if repair.by is not None]
    if row.result.reason is not None:
        names += [
            f"{error.path or 'input'}: {error.message}" for error in row.result.reason.errors if not row.result.attempts
        ]
        names.append(f"served by {source_words(row.result)}" if row.result.ok else "no answer")
    return list(dict.fromkeys(names))


def _tone(group: str) -> str | None:
    if group.startswith("fixed"):
        return "lk-mut"
    if group.startswith(("repaired", "served")):
        return "lk-warn"
    return "lk-no" if group else None


def _cell(row: Row, name: str) -> Safe:
    fields = fields_of(row.result)
    if name not in fields:
        return h("td", "✗ missing", class_="lk-l lk-bad")
    value = shown(fields[name])
    for repair in row.result.repairs:
        if repair.path.partition(".")[0] != name:
            continue
        if repair.by is not None:
            return h("td", "✎ ", value, h("span", "rule: ", repair.by, class_="lk-st"), class_="lk-l lk-fix")
        return h("td", "~ ", value, h("span", "was ", shown(repair.before), class_="lk-st"), class_="lk-l lk-rep")
    faults = [a for a in row.result.attempts if any(e.path.partition(".")[0] == name for e in a.errors)]
    if faults and not row.result.degraded:
        return h(
            "td",
            "✓ ",
            value,
            h("span", f"after {count(len(faults), 'rejected answer')}", class_="lk-st"),
            class_="lk-l lk-rep",
        )
    return h("td", "◂ " if row.result.degraded else "✓ ", value, class_="lk-l", title=value)


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
    spots = []
    for error in attempt.errors:
        field = error.path.rpartition(".")[2]
        start = text.find(f'"{field}"') if field else -1
        if start < 0:
            continue
        start = text.find(":", start) + 1
        end = min((at for at in (text.find(",", start), text.find("}", start)) if at > 0), default=len(text))
        spots.append((start, end))
    parts: list[Any] = []
    done = 0
    for start, end in sorted(set(spots)):
        if start < done:
            continue
        parts += [text[done:start], h("mark", text[start:end])]
        done = end
    return join([*parts, text[done:]])


def _reader_repairs(row: Row) -> list[Any]:
    return [repair for repair in row.result.repairs if repair.by is None]


def _failed_attempts(row: Row) -> bool:
    return any(attempt.outcome != "ok" for attempt in row.result.attempts)
