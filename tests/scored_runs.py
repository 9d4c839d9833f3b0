"""Runs made of verdicts: which case passed how often, and nothing else."""

from __future__ import annotations

import random
from typing import Any

from scripted_runs import answered, evaluated

from labkit import evals
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.score import Score


def run_of(
    passed: list[list[bool | None]], *, call: str = "a", clusters: list[str] | None = None, **about: Any
) -> EvalRun:
    """A run whose n-th case was answered once for each entry of ``passed[n]``."""
    rows = []
    for n, repeats in enumerate(passed):
        cluster = None if clusters is None else clusters[n]
        case = evals.Case(
            id=f"c{n}", input={"text": f"t{n}"}, tags=("even",) * (n % 2 == 0), cluster=cluster, expected=about.get("e")
        )
        for repeat, verdict in enumerate(repeats):
            score = Score(value=None if verdict is None else float(verdict), passed=verdict, reason="why")
            result = answered({"n": n}, took_s=0.1 + 0.01 * n, call=call)
            rows.append(Row(case=case, repeat=repeat, result=result, scores={"intent: exact": score}))
    about.pop("e", None)
    many = any(len(repeats) > 1 for repeats in passed) or clusters is not None
    return evaluated(rows, call=call, primary_test="paired_t" if many else "mcnemar", **about)


def coin(chance: float, n: int, seed: int, repeats: int = 1) -> list[list[bool | None]]:
    source = random.Random(seed)
    return [[source.random() < chance for _ in range(repeats)] for _ in range(n)]
