"""What a store keeps of a value, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

from desk import support_desk
from pydantic import BaseModel, Field

from labkit import evals
from labkit.call.result import Result


class Step(BaseModel):
    scratch: str = Field("", exclude=True)
    said: str


class Thought(BaseModel):
    thinking: str = Field(exclude=True)
    steps: list[Step]


SAID = '{"thinking": "because", "steps": [{"scratch": "a", "said": "b"}]}'


def test_a_stored_row_says_which_fields_its_type_kept_out(tmp_path: Path):
    """Scores see the whole value; who loads the run sees what is missing, and where it went."""
    store = f"sqlite:///{tmp_path}/runs.db"
    seen: list[str] = []

    def saw(case: evals.Case, result: Result[Thought]) -> bool:
        seen.append(result.unwrap().thinking)
        return True

    cases = evals.Dataset([evals.Case(id="a", input={"text": "hello"})])
    evals.evaluate(support_desk(SAID, output=Thought), cases, scorers=[saw], store=store, run_id="r", progress=False)
    (row,) = evals.load_run("r", store=store).rows

    assert seen == ["because"]
    assert row.result.value == {"steps": [{"said": "b"}]}
    assert [note.message for note in row.result.notes] == [
        "stored without thinking, steps.0.scratch, which the output type excludes; scores saw the whole value"
    ]
