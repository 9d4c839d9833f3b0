"""Evaluation that never stops: cases, scores, runs, comparisons and the gate.

    cases.py      Case and Dataset
    scorers.py    scores for the behaviours that matter
    runner.py     evaluate: every case asked, scored, stored as it finishes
    runs.py       EvalRun and its rows
    compare.py    two runs, paired by case
    stats/        the statistics under all of it, with their sources
    gate.py       pass, fail, or not enough evidence

May import ``labkit.store``, ``labkit.call`` and below; knows nothing of views or notebooks but how to show progress.
"""

from labkit.evals.cases import Case, Dataset
from labkit.evals.compare import Comparison, compare
from labkit.evals.gate import Gate, GateResult
from labkit.evals.runner import aevaluate, evaluate, load_run
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers import ExactMatch, FunctionScorer, Score, Scorer

__all__ = [
    "Case",
    "Comparison",
    "Dataset",
    "EvalRun",
    "ExactMatch",
    "FunctionScorer",
    "Gate",
    "GateResult",
    "Row",
    "Score",
    "Scorer",
    "aevaluate",
    "compare",
    "evaluate",
    "load_run",
]
