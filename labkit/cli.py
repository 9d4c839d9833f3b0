"""``labkit ...``: evaluation from a terminal, from cron and from CI.

Exit codes of ``labkit run``: 0 passed (or, without --strict, not enough evidence), 1 the notebook or labkit failed,
2 quality fell, 3 not enough evidence or drift (with --strict). Every other command ends with 0, or with 1 and a reason.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TextIO

from labkit.errors import LabkitError, StoreMissing, TooFewCases
from labkit.evals.arms import compare_arms
from labkit.evals.compare import compare
from labkit.evals.gate import Gate
from labkit.evals.history import history
from labkit.evals.runner import load_run
from labkit.scheduled.night import Exit, run_night
from labkit.scheduled.notify import notify
from labkit.store.opening import opened
from labkit.store.places import NAME, SEARCHED
from labkit.store.units import StoredRun
from labkit.terminal import in_a_line, printable

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal's encoding may lack the letters of a name
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except LabkitError as error:
        _say(f"labkit: {error}", file=sys.stderr)
        return Exit.HARNESS_ERROR
    except BrokenPipeError:  # whoever read this stopped, as head does; what Python would flush at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.HARNESS_ERROR
    except KeyboardInterrupt as interrupt:
        notes = getattr(interrupt, "__notes__", ["interrupted"])
        _say("\n".join(f"labkit: {note}" for note in notes), file=sys.stderr)
        return 130  # as a shell counts a process that SIGINT ended


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse ends with 2, which here says that quality fell
        self.print_usage(sys.stderr)
        self.exit(Exit.HARNESS_ERROR, printable(f"{self.prog}: {message}\n"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="labkit", description="Evaluate guarded calls: run, compare, watch.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=help_, description=help_)
        added.set_defaults(command=command)
        return added

    run = add("run", _run, "Run an evaluation notebook and end with its verdict.")
    run.add_argument("notebook", help="a notebook that writes gate.json")
    run.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="for the cell tagged 'parameters'; numbers, True, False and None are read as such",
    )  # fmt: skip
    run.add_argument(
        "-r", "--raw", nargs=2, action="append", default=[], metavar=("NAME", "TEXT"), dest="raw",
        help="as -p, but the text as it stands: 007 or 123e4567 stay what they are",
    )  # fmt: skip
    run.add_argument("--kernel", metavar="NAME", help="a Jupyter kernel, instead of the one the notebook names")
    run.add_argument("--out", required=True, help="where gate.json, the report and the executed notebook go")
    run.add_argument("--strict", action="store_true", help="end with 3 when the evidence is not enough")

    def stored(name: str, command: Callable[[argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        added = add(name, command, help_)
        added.add_argument(
            "--store", help=f"the runs' store, a URL or a file; else LABKIT_STORE, else {NAME} in {SEARCHED}"
        )
        return added

    runs = stored("runs", _runs, "List runs, latest first.")
    runs.add_argument("--call", help="only those of this call")
    runs.add_argument("--limit", type=_count, default=20, help="at most so many (default: 20)")

    compared = stored("compare", _compare, "Compare runs with the first, case by case.")
    compared.add_argument("first", metavar="A", help="a run id, or its end as comparisons print it")
    compared.add_argument(
        "--primary", help="what counts: 'pass' or the name of a scorer; else what the runs were made for"
    )
    compared.add_argument("others", nargs="+", metavar="B", help="run ids, or their ends")

    of_call = stored("history", _history, "Show how a call did over its runs, and what changed between them.")
    of_call.add_argument("name", metavar="NAME", help="the call's name")
    of_call.add_argument("--last", type=_count, help="only the last so many runs")

    bless = stored("bless", _bless, "Make a run the baseline of its call.")
    bless.add_argument("run", metavar="RUN", help="a run id, or its end as comparisons print it")
    bless.add_argument(
        "--margin", type=_share, default=0.02, help="of the gate that is planned: a share (default: 0.02, two points)"
    )

    export = stored("export", _export, "Write a run's rows to a file.")
    export.add_argument("run", metavar="RUN", help="a run id, or its end as comparisons print it")
    export.add_argument("path", metavar="PATH", help="ends in .jsonl or .parquet")
    return parser


def _run(given: argparse.Namespace) -> int:
    parameters = {name: _value(text) for name, text in given.parameters} | dict(given.raw)
    terminal = _Line()
    night = run_night(
        given.notebook, given.out, parameters=parameters, kernel=given.kernel, strict=given.strict, watch=terminal.show
    )
    terminal.end()
    reason = " / ".join(night.reason.splitlines())  # a line of its own could be a command to whoever reads the log
    where = sys.stderr if night.exit else sys.stdout
    _say(f"{night.verdict} after {night.elapsed_s:.0f} s: {reason}", file=where)
    if night.executed.is_file():
        _say(f"executed notebook: {night.executed}", file=where)
    if night.exit or night.attention or night.verdict == "inconclusive":
        try:
            notify(
                f"labkit: {night.verdict}: {given.notebook}", f"{night.reason}\n\nexecuted notebook: {night.executed}"
            )
        except Exception as error:  # the verdict stands, whoever heard of it
            _say(f"labkit: {error}", file=sys.stderr)
    return night.exit


def _runs(given: argparse.Namespace) -> int:
    try:
        with opened(given.store, reading=True) as store:
            found = store.headings(call=given.call, limit=given.limit)
            blessed = {store.baseline(call) for call in {run.call for run in found}}
            where = store.url
    except StoreMissing as nothing:
        _say(str(nothing))
        return Exit.PASS
    if not found:
        _say(f"no runs{'' if given.call is None else f' of {given.call}'} yet in {where}")
        return Exit.PASS
    rows: list[tuple[str, ...]] = [("run", "call", "started (UTC)", "cases", "passed", "fallbacks", "p95", "cost", "")]
    rows += [tuple(map(in_a_line, _listed(run, "baseline" if run.run_id in blessed else ""))) for run in found]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return Exit.PASS


def _listed(run: StoredRun, mark: str) -> tuple[str, ...]:
    started = run.started_at[:16].replace("T", " ")
    seen = run.summary
    if seen is None:
        return (run.run_id, run.call, started, "", "not finished", "", "", "", mark)
    return (
        run.run_id,
        run.call,
        started,
        f"{seen['cases']:,}",
        _passed(seen),
        f"{seen['fallbacks'] / seen['rows']:.1%}",
        "unknown" if seen["p95_s"] is None else f"{seen['p95_s']:.3f} s",
        "unknown" if seen["cost_usd"] is None else f"${seen['cost_usd']:.4f}",
        mark,
    )


def _passed(seen: Mapping[str, Any]) -> str:
    said = [f"{seen['passed'] / seen['judged']:.1%}"] if seen["judged"] else []
    scores: Mapping[str, Mapping[str, Any]] = seen.get("scores", {})
    said += [f"{name} {of['mean']:.3f}" for name, of in scores.items() if not of["has_pass"]]
    return ", ".join(said) or "not scored"


def _compare(given: argparse.Namespace) -> int:
    with opened(given.store, reading=True) as store:
        runs = [load_run(run_id, store=store) for run_id in (given.first, *given.others)]
        arms = compare_arms(runs, primary=given.primary) if len(runs) > 2 else compare(*runs, primary=given.primary)
        _say(arms.text())
    return Exit.PASS


def _history(given: argparse.Namespace) -> int:
    with opened(given.store, reading=True) as store:
        _say(history(given.name, store=store, last=given.last).text())
    return Exit.PASS


def _bless(given: argparse.Namespace) -> int:
    with opened(given.store, reading=True) as store:  # a typo in the address makes no store
        run = store.heading(store.find(given.run))
    with opened(given.store) as store:
        store.bless(run.run_id)
        baseline = load_run(run.run_id, store=store)
        try:
            planned = Gate.plan(baseline, margin=given.margin).text()
        except TooFewCases as nothing:
            planned = f"no gate can be planned: {nothing}"
    _say(f"{run.run_id} is the baseline of {run.call} from now on\n{planned}")
    return Exit.PASS


def _export(given: argparse.Namespace) -> int:
    with opened(given.store, reading=True) as store:
        _say(str(store.export(store.find(given.run), given.path)))
    return Exit.PASS


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1 on")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share from 0 to below 1; 0.02 is two points")
    return share


def _value(text: str) -> Any:
    """Read a parameter as papermill does, so that a notebook gets the same from both."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _say(text: str, file: TextIO | None = None) -> None:
    print(printable(text), file=file)


class _Line:
    """One line that is rewritten in a terminal; elsewhere only what is final is printed."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._is_open = False

    def show(self, said: str, final: bool) -> None:
        said = printable(said)
        if self._live:
            print(f"\r\x1b[K{said}", end="\n" if final else "", file=sys.stderr, flush=True)
            self._is_open = not final
        elif final:
            print(said, file=sys.stderr)

    def end(self) -> None:
        if self._is_open:
            print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
