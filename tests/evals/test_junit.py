"""What a CI server shows of tests it shows of cases."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from scored_runs import run_of
from scripted_runs import hostile_run

from labkit import evals
from labkit.evals.junit import write_junit


def test_there_is_a_testcase_for_each_case_and_each_check(tmp_path: Path):
    """Repeats are one testcase; what a scorer could not judge is an error, a check without evidence is skipped."""
    run = run_of([[True, True], [False, False], [True, None], [True, False], [True, True, False]])
    gate = evals.Gate(floors={"pass_rate": 0.9, "fallback_rate": 0.5, "cost_usd_per_call": 1.0}).check(run)

    cases, checks = ET.parse(write_junit(tmp_path / "deep" / "junit.xml", run, gate=gate)).getroot()

    assert {name: cases.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "5", "failures": "2", "errors": "1",
    }  # fmt: skip
    assert [(case.get("name"), [child.tag for child in case]) for case in cases] == [
        ("c0", []), ("c1", ["failure"]), ("c2", ["error"]), ("c3", ["failure"]), ("c4", []),
    ]  # fmt: skip
    assert [(case.get("name"), [child.tag for child in case]) for case in checks] == [
        ("pass_rate", ["skipped"]), ("fallback_rate", []), ("cost_usd_per_call", []), ("judged", ["skipped"]),
    ]  # fmt: skip
    failure = cases[1][0]
    assert failure.get("message") == "intent: exact: why" and "source: model" in (failure.text or "")


def test_whatever_a_model_says_the_file_is_xml(tmp_path: Path):
    """Markup, quotes and control characters are text, or replaced."""
    run = hostile_run("</failure>&\"'<![CDATA[\x01\x1b\uffff]]>")

    root = ET.parse(write_junit(tmp_path / "junit.xml", [run, run])).getroot()

    assert [suite.get("tests") for suite in root] == ["1", "1"]
    assert "</failure>&\"'<![CDATA[" in (root[0][0].get("name") or "")
