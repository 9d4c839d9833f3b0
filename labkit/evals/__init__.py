"""Evaluation that never stops: cases, scores, runs, comparisons, the gate and its history.

    case.py        Case: an input with what is expected of its answer
    cases.py       Dataset: from files of many kinds, frames and records
    formats/       those files
    fit.py         whether a case fits a call
    messy.py       hostile variants of cases
    promotion.py   cases made of production records
    scorers/       scores for the behaviours that matter
    calibration.py how far a judge agrees with people
    runner.py      evaluate: every case asked, scored, stored as it finishes; resume
    crew.py        who asks: bounded, paced, patient
    shards.py      the same on Dask workers
    pacing.py      how fast a provider may be asked
    progress.py    how far it is
    runs.py        EvalRun and its rows
    stored.py      rows on their way into a store and back
    pairing.py     two runs brought together case by case
    contrast.py    the difference of their pass rates, and its test
    measures.py    what else differs
    pairs.py       the shared cases one by one
    compare.py     all of it, as a verdict
    arms.py        several runs with the first
    gate.py        pass, fail, or not enough evidence
    junit.py       a run as JUnit XML
    history.py     a call over its runs
    stats/         the statistics under all of it, with their sources

May import ``labkit.store``, ``labkit.call`` and below; knows nothing of views or notebooks but how to show progress.
"""

from labkit.evals.arms import Arms, compare_arms
from labkit.evals.calibration import Calibration, calibrate
from labkit.evals.case import Case, Check
from labkit.evals.cases import Dataset
from labkit.evals.compare import Comparison, compare
from labkit.evals.gate import Gate, GateResult
from labkit.evals.history import History, history
from labkit.evals.junit import write_junit
from labkit.evals.pacing import Rate
from labkit.evals.runner import aevaluate, evaluate, load_run
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.checks import CheckScorer
from labkit.evals.scorers.field_match import FieldMatch
from labkit.evals.scorers.judge import Judge
from labkit.evals.scorers.match import ExactMatch
from labkit.evals.scorers.number_match import NumericMatch
from labkit.evals.scorers.pairwise import PairwiseJudge, Preferences, acompare_answers, compare_answers
from labkit.evals.scorers.path_match import JsonPathMatch
from labkit.evals.scorers.score import FunctionScorer, Score, Scorer
from labkit.evals.scorers.set_match import SetF1
from labkit.evals.scorers.text_match import RegexMatch, TextSimilarity

__all__ = [
    "Arms",
    "Calibration",
    "Case",
    "Check",
    "CheckScorer",
    "Comparison",
    "Dataset",
    "EvalRun",
    "ExactMatch",
    "FieldMatch",
    "FunctionScorer",
    "Gate",
    "GateResult",
    "History",
    "JsonPathMatch",
    "Judge",
    "NumericMatch",
    "PairwiseJudge",
    "Preferences",
    "Rate",
    "RegexMatch",
    "Row",
    "Score",
    "Scorer",
    "SetF1",
    "TextSimilarity",
    "acompare_answers",
    "aevaluate",
    "calibrate",
    "compare",
    "compare_answers",
    "compare_arms",
    "evaluate",
    "history",
    "load_run",
    "write_junit",
]
