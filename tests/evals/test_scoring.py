"""What becomes of a scorer's opinion before it is kept: crashes, exits and foreign types are data, not the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from scripted_runs import answered

from labkit.call.result import Reason
from labkit.evals import Case, Score
from labkit.evals.scorers.score import as_scorer, ascore_case

LATE = Reason(step="model", outcome="timeout", message="late")


def scored(scorer: Any, value: Any) -> Score:
    result = answered(value) if value is not ... else answered(None, source="error", reason=LATE)
    return asyncio.run(ascore_case(as_scorer(scorer), Case(id="a", input={}), result))


def test_a_score_is_made_of_pythons_own_types():
    """NumPy's would be refused by the store, after the answer was paid for."""
    import numpy as np

    found = scored(lambda case, result: Score(value=np.float32(0.5), passed=np.bool_(True)), "x")

    assert (found.value, found.passed, type(found.value), type(found.passed)) == (0.5, True, float, bool)


def test_a_scorer_that_gives_no_score_or_exits_is_named():
    """The reason says what was given, and what to give."""

    class Odd:
        name = "odd"

        def score(self, case: Case, result: Any) -> Any:
            return True

    def leaves(case: Case, result: Any) -> bool:
        raise SystemExit(1)

    assert "scorer odd gave True, which is no score: give a Score" in scored(Odd(), "x").reason
    assert (scored(leaves, "x").passed, scored(leaves, "x").reason) == (None, "scorer failed: SystemExit: 1")


def test_a_scorer_that_crashes_on_no_answer_has_met_a_failure_of_the_call():
    """A model that stopped answering does not leave the pass rate by way of its scorers."""
    found = scored(lambda case, result: result.value.intent == "x", ...)

    assert (found.value, found.passed) == (0.0, False) and "AttributeError" in found.reason


def test_a_slow_function_does_not_hold_up_the_others():
    """Two that wait for each other both get through: each has a thread."""
    meeting = threading.Barrier(2, timeout=10)

    def meets(case: Case, result: Any) -> bool:
        meeting.wait()
        return True

    async def both() -> list[Score]:
        case, result = Case(id="a", input={}), answered("x")
        return list(await asyncio.gather(*(ascore_case(as_scorer(meets), case, result) for _ in range(2))))

    assert [score.passed for score in asyncio.run(both())] == [True, True]
