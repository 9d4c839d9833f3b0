"""What people look at. A view is a plain object: displayed it shows itself, and it gives what it has as

    ab              frame   figure  html    widget
    validation      frame           html    widget
    latency         frame   figure  html    widget
    history         frame   figure  html
    report                          html

``frame`` for pandas, ``figure`` for matplotlib, ``html`` a page of its own, ``widget`` the live half. The files:

    ab.py           two runs side by side
    validation.py   what became of every output
    latency.py      how long people wait
    history.py      a call over its runs
    report.py       one page about a run
    display.py      live and static display, and how the two share an output
    parts.py        pieces that several views show
    markup.py       HTML in which everything is escaped
    static/         the style sheet, and the live half of every view

May import ``labkit.evals`` and below. pandas, matplotlib, IPython and anywidget are imported where they are used.
"""

from labkit.evals.gate import GateResult
from labkit.evals.history import History
from labkit.evals.history import history as history_of
from labkit.evals.runs import EvalRun
from labkit.store.opening import StoreLike
from labkit.views.ab import AbView
from labkit.views.history import HistoryView
from labkit.views.latency import LatencyView
from labkit.views.report import Report
from labkit.views.validation import ValidationView

__all__ = ["ab", "history", "latency", "report", "validation"]


def ab(a: EvalRun, b: EvalRun) -> AbView:
    """Compare run *b* with run *a*: verdict, outcomes, and both answers to any case.

    Raises:
        RunsDiffer: The runs cannot be paired.
        TooFewCases: No shared case was judged.
    """
    return AbView(a, b)


def validation(run: EvalRun) -> ValidationView:
    """Show what became of every output of *run*."""
    return ValidationView(run)


def latency(*runs: EvalRun, budget_s: float | None = None) -> LatencyView:
    """Show how long the calls of *runs* took, against a budget in seconds (their deadline by default).

    Raises:
        TooFewCases: No run was given.
    """
    return LatencyView(runs, budget_s)


def history(call: str | History, *, store: StoreLike = None, last: int | None = None) -> HistoryView:
    """Show how a call did over its runs, and what changed between them.

    Args:
        call: Its name, or its history.
        store: Where the runs are, as for ``evaluate``.
        last: Only so many runs, the latest.

    Raises:
        StoreError: The store cannot be opened, or holds no finished run of that call.
    """
    return HistoryView(call if isinstance(call, History) else history_of(call, store=store, last=last))


def report(
    run: EvalRun,
    *,
    baseline: EvalRun | None = None,
    gate: GateResult | None = None,
    history: History | None = None,
) -> Report:
    """Make one page about *run*: ``.write(path)`` it, or take its ``.html()``."""
    return Report(run, baseline=baseline, gate=gate, history=history)
