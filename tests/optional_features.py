"""Every documented feature that stands on something optional, tried with some of it hidden: run as a program.

    python optional_features.py FOLDER NAME...

hides the import packages NAME and prints what became of each feature as JSON: "ok", or what the error was.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PUBLIC = ("labkit", "labkit.evals", "labkit.views", "labkit.export", "labkit.cli", "labkit.scheduled", "labkit.errors")


SLOW = {"another provider": "litellm", "a notebook run": "papermill", "labkit run": "papermill"}
"""Features whose package takes seconds to import: tried when it is hidden, or nothing is."""


class Hidden:
    """Refuses to find packages, as if they were not installed."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def features(folder: Path) -> dict[str, Callable[[], Any]]:
    """Give every feature by its name; each works or raises."""
    from desk import GOOD, support_desk
    from pydantic import BaseModel
    from scored_runs import coin, run_of

    import labkit as lk
    from labkit import evals, views
    from labkit.evals import stats
    from labkit.scheduled import run_notebook
    from labkit.scheduled.notify import notify

    class In(BaseModel):
        text: str

    def desk(**changes: Any) -> lk.GuardedCall[Any]:
        return support_desk(lk.ScriptedModel(GOOD), **changes)

    def run() -> evals.EvalRun:
        return run_of(coin(0.6, 40, 1))

    def other() -> evals.EvalRun:
        return run_of(coin(0.8, 40, 2), call="b", run_id="b")

    def repeated(seed: int) -> evals.EvalRun:
        return run_of(coin(0.5, 20, seed, repeats=3), call=str(seed), run_id=str(seed))

    def recorded(where: str) -> None:
        assert desk(sink=where)(text="hi").ok
        assert lk.flush()

    def evaluated(**options: Any) -> evals.EvalRun:
        cases = evals.Dataset([evals.Case(id="a", input={"text": "hi"}, expected={"intent": "card_arrival"})])
        return evals.evaluate(
            desk(), cases, scorers=[evals.ExactMatch("intent")], progress=False,
            **({"store": folder / "runs.db"} | options),
        )  # fmt: skip

    def stored() -> str:
        return evaluated().run_id

    def some_run() -> str:
        try:
            return stored()
        except lk.LabkitError:
            return "none"

    def written(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def scored(scorer: Any) -> None:
        result = desk()(text="hi")
        case = evals.Case(id="a", input={"text": "hi"}, expected={"intent": "card_arrival", "tags": ["x"]})
        answer = scorer(case, result) if callable(scorer) else scorer.score(case, result)
        if asyncio.iscoroutine(answer):
            asyncio.run(answer)

    def command(*given: str) -> None:
        from labkit.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(given)
        if code:
            raise _Said(code, err.getvalue())

    def served_by_redis() -> None:
        # nobody listens there: an unreachable cache is a miss, a missing package an error
        policy = lk.Policy(cache=lk.Cache(store=lk.RedisCacheStore("redis://127.0.0.1:1", timeout_s=0.2)))
        assert desk(policy=policy)(text="hi").ok

    rows = '{"id": "a", "input": {"text": "hi"}}\n'
    return {
        "a call": lambda: desk()(text="hi").unwrap(),
        "the embedded model": lambda: lk.GuardedCall(
            "t", input=In, output=In, prompt=lk.Prompt(user="{{ input.text }}"), model="offline/nearest"
        )(text="hi").unwrap(),
        "a cache in a file": lambda: desk(policy=lk.Policy(cache=lk.Cache(path=folder / "a.db")))(text="hi").unwrap(),
        "a cache in Redis": served_by_redis,
        "records as lines": lambda: recorded(f"jsonl:{folder}/calls.jsonl"),
        "records in SQLite": lambda: recorded(f"sqlite:///{folder}/calls.db"),
        "records in PostgreSQL": lambda: recorded("postgresql://nobody@127.0.0.1:1/none"),
        "another provider": lambda: desk(fallbacks=[lk.Model("anthropic/claude-haiku-4-5")]),
        "a kill switch": lambda: desk(flags={"triage.enabled": True})(text="hi").unwrap(),
        "cases of lines": lambda: evals.Dataset.load(written("c.jsonl", rows)),
        "cases of YAML": lambda: evals.Dataset.load(written("c.yaml", "- id: a\n  input: {text: hi}\n")),
        "cases of a table": lambda: evals.Dataset.load(written("c.csv", "id,input.text\na,hi\n")),
        "cases to Parquet": lambda: evals.Dataset.load(written("c.jsonl", rows)).write(folder / "c.parquet"),
        "cases of Parquet": lambda: evals.Dataset.load(written("d.parquet", "none")),
        "a frame of cases": lambda: evals.Dataset.load(written("c.jsonl", rows)).to_frame(),
        "an exact match": lambda: scored(evals.ExactMatch("intent")),
        "similar texts": lambda: scored(evals.TextSimilarity("intent")),
        "a pattern": lambda: scored(evals.RegexMatch("^c", field="intent")),
        "a path": lambda: scored(evals.JsonPathMatch("$.intent", expected="card_arrival")),
        "an evaluation": evaluated,
        "an evaluation on Dask": lambda: evaluated(engine=object()),
        "runs in PostgreSQL": lambda: evaluated(store="postgresql://nobody@127.0.0.1:1/none"),
        "a stored run": lambda: evals.load_run(stored(), store=folder / "runs.db").rows[0],
        "a run as lines": lambda: command(
            "export", stored(), str(folder / "rows.jsonl"), "--store", f"{folder}/runs.db"
        ),
        "a run as Parquet": lambda: command(
            "export", stored(), str(folder / "rows.parquet"), "--store", f"{folder}/runs.db"
        ),
        "history": lambda: (stored(), evals.history("triage", store=folder / "runs.db").text()),
        "a frame of runs": lambda: (stored(), evals.history("triage", store=folder / "runs.db").frame()),
        "a comparison": lambda: evals.compare(run(), other()).text(),
        "a comparison of repeats": lambda: evals.compare(repeated(1), repeated(2)).text(),
        "arms": lambda: evals.compare_arms([run(), other()]).text(),
        "a frame of arms": lambda: evals.compare_arms([run(), other()]).frame(),
        "the gate": lambda: evals.Gate(margin=0.1, floors={"pass_rate": 0.1}).check(run(), baseline=other()),
        "the gate on latency": lambda: evals.Gate(floors={"p95_s": 60.0}).check(run()),
        "junit": lambda: evals.write_junit(folder / "junit.xml", run()),
        "the A/B view": lambda: views.ab(run(), other()).html(),
        "its frame": lambda: views.ab(run(), other()).frame(),
        "its figure": lambda: views.ab(run(), other()).figure(),
        "its widget": lambda: views.ab(run(), other()).widget(),
        "the validation view": lambda: views.validation(run()).html(),
        "the validation frame": lambda: views.validation(run()).frame(),
        "the latency view": lambda: views.latency(run()).html(),
        "the latency frame": lambda: views.latency(run()).frame(),
        "the latency figure": lambda: views.latency(run()).figure(),
        "the history view": lambda: (stored(), views.history("triage", store=folder / "runs.db").html()),
        "the history figure": lambda: (stored(), views.history("triage", store=folder / "runs.db").figure()),
        "the report": lambda: views.report(run(), baseline=other()).write(folder / "report.html"),
        "an exact interval": lambda: stats.clopper_pearson(3, 10),
        "a t interval": lambda: stats.paired_t([0.1, 0.5, 0.3], [0.2, 0.9, 0.1]),
        "a sign flip": lambda: stats.sign_flip([0.1, 0.5, -0.3]),
        "a Wilcoxon test": lambda: stats.wilcoxon([0.1, 0.5, -0.3]),
        "Fleiss' kappa": lambda: stats.fleiss_kappa([[2, 0], [0, 2], [1, 1]]),
        "a plan": lambda: stats.cases_needed_numeric(0.2, 0.25, exact=True),
        "a percentile": lambda: stats.quantile_interval([float(n) for n in range(100)], 0.5),
        "a notebook run": lambda: run_notebook(folder / "none.ipynb", folder / "ran.ipynb"),
        "word of a night": lambda: notify("t", "b", urls="json://127.0.0.1:1/"),
        "labkit --help": lambda: command("--help"),
        "labkit run": lambda: command("run", f"{folder}/none.ipynb", "--out", f"{folder}/out"),
        "labkit runs": lambda: command("runs", "--store", f"{folder}/runs.db"),
        "labkit compare": lambda: command("compare", some_run(), some_run(), "--store", f"{folder}/runs.db"),
        "labkit history": lambda: (some_run(), command("history", "triage", "--store", f"{folder}/runs.db")),
        "labkit bless": lambda: command("bless", some_run(), "--store", f"{folder}/runs.db"),
        "labkit export": lambda: command("export", some_run(), f"{folder}/r.jsonl", "--store", f"{folder}/runs.db"),
    }


class _Said(Exception):
    """A command that ended with a code and these words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def _tried(feature: Callable[[], Any]) -> dict[str, Any]:
    try:
        feature()
    except SystemExit as ended:
        return {"is": "ok"} if not ended.code else {"is": "error", "said": f"exit {ended.code}"}
    except _Said as said:
        return {"is": "command", "said": str(said), "code": said.code}
    except Exception as error:
        kind = [each.__name__ for each in type(error).__mro__]
        return {
            "is": "error", "kind": kind, "said": str(error),
            "extra": getattr(error, "extra", None), "package": getattr(error, "package", None),
        }  # fmt: skip
    return {"is": "ok"}


def main() -> None:
    folder, names = Path(sys.argv[1]), set(sys.argv[2:])
    sys.meta_path.insert(0, Hidden(names))  # type: ignore[arg-type]
    os.environ.pop("LABKIT_STORE", None)
    found = {f"import {name}": _tried(lambda name=name: importlib.import_module(name)) for name in PUBLIC}
    for name, feature in features(folder).items():
        if not names or SLOW.get(name, "") in {"", *names}:
            found[name] = _tried(feature)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
