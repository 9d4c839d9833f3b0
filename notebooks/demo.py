"""Run the demo notebooks and say what came of them: ``make demo``."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from labkit import evals
from labkit.errors import LabkitError
from labkit.scheduled import NotebookFailed, run_notebook
from labkit.store.places import default_url
from labkit.store.runs import RunStore

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
NOTEBOOKS = ("01_explore", "02_compare_prompts", "03_break_and_export", "eval_nightly")
PARAMETERS = {"03_break_and_export": {"out": str(OUT)}, "eval_nightly": {"out": str(OUT / "nightly")}}


def main() -> None:
    OUT.mkdir(exist_ok=True)
    # where JupyterLab and the command line look, too, from whatever folder this is run
    os.environ["LABKIT_STORE"] = default_url(ROOT / "notebooks")
    runs = RunStore()
    began, began_at = time.perf_counter(), datetime.now(UTC).isoformat(timespec="milliseconds")
    for name in NOTEBOOKS:
        print(f"running notebooks/{name}.ipynb ...", end=" ", flush=True)
        source, executed = ROOT / "notebooks" / f"{name}.ipynb", OUT / "notebooks" / f"{name}.ipynb"
        try:
            ran = run_notebook(source, executed, parameters=PARAMETERS.get(name), cwd=ROOT / "notebooks")
        except NotebookFailed as error:
            if error.error != "QualityRegression":
                sys.exit(f"failed\n{error}")
            print("the gate said no")  # against a baseline of yours: a verdict, and told below
        except LabkitError as error:
            sys.exit(f"failed\n{error}")
        else:
            print(f"{ran.elapsed_s:.1f} s")

    a, b = (evals.load_run(_run_since(began_at, runs, name), store=runs) for name in ("labels-only", "few-shot"))
    seen = evals.compare(a, b)
    gate = json.loads((OUT / "nightly" / "gate.json").read_text())
    low, high = seen.interval
    p50 = next(measure for measure in seen.measures if measure.name == "p50 latency")
    table = {
        "compared": f"{seen.a_label} and {seen.b_label} on {seen.contrast.n} real queries ({a.dataset}, {a.model})",
        "pass rate": f"{seen.contrast.a_rate:.1%} and {seen.contrast.b_rate:.1%}",
        "verdict": f"{seen.headline}; 95% interval {low * 100:+.1f} to {high * 100:+.1f} points",
        "evidence": f"{seen.table.discordant} discordant cases: "
        f"{seen.table.only_b} improved, {seen.table.only_a} regressed; "
        f"{seen.contrast.test} p = {seen.p_value:.2g}",
        "latency": f"p50 {p50.a * 1000:.1f} ms and {p50.b * 1000:.1f} ms",
        "nightly gate": f"{gate['verdict']} ({OUT.name}/nightly/gate.json)",
        "runs": f"{runs.url.removeprefix('sqlite:///')} (labkit runs)",
        "report": f"{OUT.name}/nightly/report.html",
        "notebooks": f"{OUT.name}/notebooks/",
        "package": f"{OUT.name}/triage_feature/",
        "open it live": "make lab",
    }
    print(f"\nDone in {time.perf_counter() - began:.0f} s.\n")
    for name, said in table.items():
        print(f"  {name:<13} {said}")


def _run_since(began_at: str, runs: RunStore, call: str) -> str:
    """The store keeps runs of other days, and of whoever works in JupyterLab meanwhile: the first one of this demo."""
    return [run.run_id for run in runs.headings(call=call) if run.started_at >= began_at][-1]


if __name__ == "__main__":
    main()
