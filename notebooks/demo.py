"""Run the demo notebooks and say what came of them: ``make demo``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
NOTEBOOKS = ("01_explore", "02_compare_prompts", "03_break_and_export", "eval_nightly")
PARAMETERS = {"03_break_and_export": {"out": str(OUT)}, "eval_nightly": {"out": str(OUT / "nightly")}}

os.environ["LABKIT_STORE"] = f"sqlite:///{OUT}/labkit.db"


def main() -> None:
    # after the environment is set, so that runs land beside the other results
    from labkit import evals
    from labkit.errors import LabkitError
    from labkit.scheduled import run_notebook
    from labkit.store.runs import RunStore

    OUT.mkdir(exist_ok=True)
    began = time.perf_counter()
    for name in NOTEBOOKS:
        print(f"running notebooks/{name}.ipynb ...", end=" ", flush=True)
        source, executed = ROOT / "notebooks" / f"{name}.ipynb", OUT / "notebooks" / f"{name}.ipynb"
        try:
            ran = run_notebook(source, executed, parameters=PARAMETERS.get(name), cwd=ROOT / "notebooks")
        except LabkitError as error:
            sys.exit(f"failed\n{error}")
        print(f"{ran.elapsed_s:.1f} s")

    runs = RunStore()
    a, b = (
        evals.load_run(runs.headings(call=name, limit=1)[0].run_id, store=runs) for name in ("labels-only", "few-shot")
    )
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
        f"exact McNemar p = {seen.p_value:.2g}",
        "latency": f"p50 {p50.a * 1000:.1f} ms and {p50.b * 1000:.1f} ms",
        "nightly gate": f"{gate['verdict']} ({OUT.name}/nightly/gate.json)",
        "report": f"{OUT.name}/nightly/report.html",
        "notebooks": f"{OUT.name}/notebooks/",
        "package": f"{OUT.name}/triage_feature/",
        "open it live": "make lab",
    }
    print(f"\nDone in {time.perf_counter() - began:.0f} s.\n")
    for name, said in table.items():
        print(f"  {name:<13} {said}")


if __name__ == "__main__":
    main()
