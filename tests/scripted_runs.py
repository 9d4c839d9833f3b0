"""Two evaluation runs over the twelve intents, made of scripted results: every fate an answer can have is in them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from labkit.call.repairs import Repair
from labkit.call.result import AttemptRecord, FieldError, Reason, Result
from labkit.evals.case import Case
from labkit.evals.cases import Dataset
from labkit.evals.runs import EvalRun, Row
from labkit.evals.scorers.match import ExactMatch
from labkit.evals.scorers.score import Score

BANKING = Path(__file__).resolve().parents[1] / "datasets" / "banking12.jsonl"
TOO_URGENT = FieldError(path="urgency", type="less_than_equal", message="Input should be less than or equal to 5")
REPLIES = {
    "short": "We are looking into it and will come back to you.",
    "long": "We are looking into it now and will come back to you today, by e-mail.",
}


def banking_runs(n: int = 120) -> tuple[EvalRun, EvalRun]:
    """A, right in two of three cases, and B, right more often, slower, with its mishaps spread over the cases."""
    cases = Dataset.load(BANKING).cases[:n]
    return (
        run_of(cases, "labels-only", right=0.66, median_s=0.30, reply=REPLIES["short"], seed=1),
        run_of(cases, "few-shot", right=0.84, median_s=0.42, reply=REPLIES["long"], seed=2),
    )


def run_of(
    cases: Any, call: str, *, right: float, median_s: float, reply: str, seed: int, price_usd: float | None = 0.0003
) -> EvalRun:
    """Answer *cases* with chance *right* of the expected intent and a log-normal time around *median_s*."""
    chance = random.Random(seed)
    intents = sorted({case.expected["intent"] for case in cases})
    rows = []
    for n, case in enumerate(cases):
        intent = case.expected["intent"] if chance.random() < right else chance.choice(intents)
        value = {"intent": intent, "urgency": 1 + n % 4, "reply": reply}
        took = median_s * chance.lognormvariate(0, 0.45)
        result = _fate(n, call, value, took, price_usd)
        exact = ExactMatch("intent")
        rows.append(Row(case=case, result=result, scores={exact.name: exact.score(case, result)}))
    return evaluated(rows, call=call)


def evaluated(rows: list[Row], *, call: str, **changes: Any) -> EvalRun:
    """The run that *rows* are of."""
    about: dict[str, Any] = {
        "run_id": f"{call}-0001", "call": call, "model": "openai/gpt-4o-mini", "fingerprint": "f" * 64,
        "versions": {"prompt": call, "output_schema": "same"}, "dataset": "banking12",
        "dataset_hash": Dataset({row.case_id: row.case for row in rows}.values()).hash,
        "scorers": {"intent: exact": "0"}, "rows": rows,
        "started_at": "2026-01-01T00:00:00Z", "elapsed_s": 30.0, "deadline_s": 2.0,
    }  # fmt: skip
    return EvalRun(**(about | changes))


def answered(value: Any, *, took_s: float = 0.2, call: str = "desk", **changes: Any) -> Result[Any]:
    """A result as the main path gives it, unless *changes* say otherwise."""
    about: dict[str, Any] = {
        "value": value, "source": "model", "call": call, "call_id": f"{call}-call", "elapsed_s": took_s,
        "cost_usd": 0.0003, "attempts": (attempt(1, str(value), took_s),),
        "steps": {"validate": 0.0001, "context": 0.014, "model": max(0.0, took_s - 0.016), "rules": 0.001},
    }  # fmt: skip
    return Result(**(about | changes))


def attempt(n: int, text: str | None, took_s: float, **changes: Any) -> AttemptRecord:
    about: dict[str, Any] = {
        "n": n, "kind": "first" if n == 1 else "reask", "model": "openai/gpt-4o-mini", "outcome": "ok",
        "latency_s": took_s, "text": text,
    }  # fmt: skip
    return AttemptRecord(**(about | changes))


def _fate(n: int, call: str, value: dict[str, Any], took: float, price_usd: float | None) -> Result[Any]:
    """Seven of every 24 answers have a story of their own; the others come as they should."""
    text = json.dumps(value)
    about: dict[str, Any] = {"took_s": took, "call": call, "cost_usd": price_usd, "attempts": (attempt(1, text, took),)}
    match n % 24:
        case 3:  # asked again after a number out of range
            bad = json.dumps(value | {"urgency": 9})
            said = f"urgency: {TOO_URGENT.message}"
            first = attempt(1, bad, took / 2, outcome="schema", message=said, errors=(TOO_URGENT,))
            about["attempts"] = (first, attempt(2, text, took / 2))
        case 7:  # a fence around the answer, a label with a capital
            said = value["intent"].replace("_", " ").capitalize() + "."
            fenced = "```json\n" + json.dumps(value | {"intent": said}) + "\n```"
            about["attempts"] = (attempt(1, fenced, took),)
            about["repairs"] = (
                Repair(kind="fence", path="", before="```json"),
                Repair(kind="enum", path="intent", before=said, after=value["intent"]),
            )
        case 11:  # a rule
            value = value | {"urgency": 4}
            about["repairs"] = (Repair(kind="rule", path="urgency", before=2, after=4, by="stolen_is_urgent"),)
        case 15:  # nothing the schema accepts: the rules answer
            prose = "I think this is about the card, but I am not sure.\nCould you tell me more?"
            message = "the text holds no JSON: it begins 'I think this is about'"
            about["source"] = "rules"
            about["reason"] = Reason(step="output", outcome="parse", message=message)
            about["attempts"] = (
                attempt(1, prose, took / 2, outcome="parse", message=message),
                attempt(2, prose, took / 2, outcome="parse", message=message),
            )
        case 19:  # from the cache
            about |= {"source": "cache", "took_s": 0.002, "attempts": (), "cost_usd": 0.0}
        case 23 if n % 48 == 47:  # nobody could answer in time
            value = None  # type: ignore[assignment]
            lost = attempt(1, None, 2.0, outcome="timeout", message="no answer within 2 s")
            late = Reason(step="model", outcome="deadline", message="2 s have passed")
            about |= {"source": "error", "took_s": 2.02, "attempts": (lost,), "reason": late}
        case 23:  # a 429, then an answer
            refused = attempt(1, None, 0.05, outcome="rate_limited", status=429, message="429 Too Many Requests")
            about["attempts"] = (refused, attempt(2, text, took, kind="retry", waited_s=0.4))
            about["took_s"] = took + 0.45
        case _:
            pass
    return answered(value, **about)


def hostile_run(text: str) -> EvalRun:
    """A run in which every name, id, tag, text, output and message is *text*."""
    case = Case(id=text, input={text: text}, expected={text: "something else"}, tags=(text,))
    fault = FieldError(path=text, type=text, message=text)
    broken = attempt(1, f'{{"{text}": "{text}"}}', 0.1, outcome="schema", message=text, errors=(fault,))
    result = answered(
        {text: text}, call=text, attempts=(broken, attempt(2, text, 0.1, model=text)),
        repairs=(Repair(kind=text, path="", before=text, after=text), Repair(kind="rule", path=text, by=text)),
        source="rules", reason=Reason(step="output", outcome="schema", message=text, errors=(fault,)),
    )  # fmt: skip
    row = Row(case=case, result=result, scores={text: Score(value=0.0, passed=False, reason=text)})
    return evaluated(
        [row], call=text, model=text, run_id=text, dataset=text, scorers={text: text}, versions={text: text}
    )
