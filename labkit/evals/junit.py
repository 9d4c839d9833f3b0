"""A run as JUnit XML: what CI servers show of tests, they show of cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from labkit.evals.gate import GateResult
from labkit.evals.runs import EvalRun, Row
from labkit.store.facts import Fact

__all__ = ["write_junit"]

# What XML 1.0 has no way to write, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: str | Path, run: EvalRun | Sequence[EvalRun], *, gate: GateResult | None = None) -> Path:
    """Write one testcase for each case, in a suite for each run, and one for each check of the gate.

    A case fails when most of its repeats failed; one that a scorer could not judge, or that was never answered and not
    scored, is an error. A check without enough evidence is skipped, which no CI server takes for passed or failed.

    Args:
        path: Its folder is made.
        run: One run, or the arms of one evaluation.
        gate: Its verdict, None without one.

    Source: the schema of Jenkins' xUnit plugin, as pytest writes it.
    """
    suites = ET.Element("testsuites")
    for each in [run] if isinstance(run, EvalRun) else run:
        _suite(suites, each)
    if gate is not None:
        suite = ET.SubElement(suites, "testsuite", name=_legal(f"{gate.call}: gate"))
        for check in gate.checks:
            case = ET.SubElement(suite, "testcase", classname="gate", name=_legal(check.name), time="0")
            if check.verdict == "fail":
                ET.SubElement(case, "failure", message=_legal(check.message), type="QualityRegression")
            elif check.verdict == "inconclusive":
                ET.SubElement(case, "skipped", message=_legal(f"not enough evidence: {check.message}"))
    for suite in suites:
        for kind, name in (("testcase", "tests"), ("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(sum(1 for _ in suite.iter(kind))))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
    return path


def _suite(suites: ET.Element, run: EvalRun) -> None:
    suite = ET.SubElement(
        suites, "testsuite", name=_legal(run.call), time=f"{run.elapsed_s:.3f}", timestamp=_legal(run.started_at)
    )
    of_case: dict[str, list[int]] = {}
    for n, fact in enumerate(run.facts):
        of_case.setdefault(fact.case_id, []).append(n)
    for case_id, numbers in of_case.items():
        facts = [run.facts[n] for n in numbers]
        case = ET.SubElement(
            suite, "testcase", classname=_legal(f"{run.call}.{run.dataset}"), name=_legal(case_id),
            time=f"{sum(fact.elapsed_s for fact in facts):.3f}",
        )  # fmt: skip
        unjudged = [n for n, fact in zip(numbers, facts, strict=True) if _is_unjudged(run, fact)]
        failed = [n for n, fact in zip(numbers, facts, strict=True) if fact.passed is False]
        if unjudged:
            _tell(case, "error", run.rows[unjudged[0]])
        elif 2 * len(failed) >= len(facts) and failed:
            _tell(case, "failure", run.rows[failed[0]])
        if run.graded:
            element = ET.SubElement(case, "system-out")
            element.text = _legal("\n".join(_graded(fact) for fact in facts))


def _is_unjudged(run: EvalRun, fact: Fact) -> bool:
    if fact.scores:
        return any(grade.value is None and grade.passed is None for grade in fact.scores)
    return fact.passed is None and (bool(run.scorers) or fact.source == "error")


def _graded(fact: Fact) -> str:
    """The scores of a row: who says only how good an answer is fails no case."""
    values = ("not judged" if grade.value is None else f"{grade.value:.3f}" for grade in fact.scores)
    return ", ".join(f"{grade.name}: {value}" for grade, value in zip(fact.scores, values, strict=True))


def _tell(case: ET.Element, kind: str, row: Row) -> None:
    """Say what each scorer that did not pass the row had to say, and what was answered."""
    said = [f"{name}: {score.reason or 'not passed'}" for name, score in row.scores.items() if score.passed is not True]
    if row.result.reason is not None:
        said.append(f"{row.status}: {row.result.reason.message}")
    element = ET.SubElement(case, kind, message=_legal("; ".join(said)), type=row.status)
    element.text = _legal(f"source: {row.result.source}\nanswer: {str(row.result.data())[:2_000]}")


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
