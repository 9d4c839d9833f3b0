"""One page about a run, for whoever was not there: the gate, the comparison, the outputs, the latency."""

from __future__ import annotations

from pathlib import Path

from labkit.evals.gate import GateResult
from labkit.evals.history import History
from labkit.evals.runs import EvalRun
from labkit.views.ab import AbView
from labkit.views.history import HistoryView
from labkit.views.latency import LatencyView
from labkit.views.markup import Safe, chip, document, h, join, percent
from labkit.views.validation import ValidationView

__all__ = ["Report"]


class Report:
    """A standalone page: it opens offline, fits a phone, and runs nothing.

    Args:
        run: What it is about.
        baseline: What it is compared with, None without one.
        gate: The verdict, None without one.
        history: The call over its runs, None to leave it out.
    """

    def __init__(
        self,
        run: EvalRun,
        *,
        baseline: EvalRun | None = None,
        gate: GateResult | None = None,
        history: History | None = None,
    ) -> None:
        self.run, self.baseline, self.gate, self.history = run, baseline, gate, history

    def html(self) -> str:
        """Give the page."""
        sections = [self._head()]
        if self.baseline is not None:
            sections.append(AbView(self.baseline, self.run).section())
        if self.history is not None:
            sections.append(HistoryView(self.history).section())
        sections += [ValidationView(self.run).section(), LatencyView([self.run]).section()]
        return document(f"{self.run.call}: {self.gate.verdict if self.gate else 'report'}", join(sections))

    def write(self, path: str | Path) -> Path:
        """Write the page to *path*, making its folder."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def _head(self) -> Safe:
        run, gate = self.run, self.gate
        tones = {"pass": "lk-ok", "fail": "lk-no", "inconclusive": "lk-warn"}
        marks = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
        verdict = None
        checks: list[Safe] = []
        if gate is not None:
            verdict = h("span", f"{marks[gate.verdict]} {gate.verdict}", class_=tones[gate.verdict])
            checks = [
                h(
                    "p",
                    h("span", marks[check.verdict], " ", check.name, class_=tones[check.verdict]),
                    " ",
                    check.message,
                )
                for check in gate.checks
            ]
        rates = [str(run.scores[name]) for name in sorted(run.graded)]
        rates += [
            f"pass rate {percent(run.pass_rate)}", f"by the model itself {percent(run.model_pass_rate)}",
            f"valid schema {percent(run.schema_valid_rate)}", f"served by fallback {percent(run.fallback_rate)}",
        ]  # fmt: skip
        return h(
            "div",
            h(
                "div",
                h("h2", run.call, " ", verdict),
                h("p", gate.reason, class_=tones[gate.verdict]) if gate is not None else None,
                h("p", " · ".join(rates), class_="lk-sub"),
                h(
                    "div",
                    chip(run.model), chip(f"{run.dataset} · {len(run.rows)} cases"), chip(f"run {run.run_id}"),
                    chip(f"baseline {self.baseline.run_id}" if self.baseline else "no baseline"),
                    chip(f"fingerprint {run.fingerprint[:12]}"),
                    class_="lk-sub",
                ),
                class_="lk-head",
            ),
            h("div", checks, style="padding:10px 16px") if checks else None,
            class_="labkit",
        )  # fmt: skip
