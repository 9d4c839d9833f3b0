"""An evaluation notebook run unattended, and its verdict as an exit code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from labkit.scheduled.notebook import NotebookFailed, parameters_of, run_notebook

if TYPE_CHECKING:
    from labkit.scheduled.engine import Watch

__all__ = ["Exit", "Night", "run_night"]


class Exit(IntEnum):
    """What ``labkit run`` ends with."""

    PASS = 0
    HARNESS_ERROR = 1
    REGRESSION = 2
    INCONCLUSIVE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What came of a run.

    Args:
        verdict: The gate's, or "harness error".
        reason: Why, in a line or two.
        attention: What somebody should look at though nothing failed, a line each: what is not settled, drift, a loss
            within an allowed margin.
        executed: The notebook with its outputs.
        elapsed_s: Of the whole.
    """

    exit: Exit
    verdict: str
    reason: str
    executed: Path
    elapsed_s: float
    attention: tuple[str, ...] = ()


class _Gate(BaseModel):
    """What this needs of a gate.json."""

    judged_at: AwareDatetime
    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str = ""
    call: str = ""
    attention: tuple[str, ...] = ()


def run_night(
    notebook: str | Path,
    out: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    kernel: str | None = None,
    strict: bool = False,
    watch: Watch | None = None,
) -> Night:
    """Run *notebook* and read the verdict that it leaves in ``gate.json``.

    A run passes only if the notebook ran to its end *and* left a gate.json of this very run that says so: a notebook
    that forgot to judge must not look like one that passed.

    Args:
        notebook: Its parameter ``out``, where it has one, is set to *out*.
        out: Where it leaves gate.json, and where the executed copy goes.
        parameters: By name; they win over *out*.
        kernel: Its name, see ``run_notebook``.
        strict: Not enough evidence, which drift is too, is an exit code of its own.
    """
    out = Path(out).resolve()
    executed = out / Path(notebook).name
    began, began_at = time.perf_counter(), datetime.now(UTC)

    def night(code: Exit, verdict: str, reason: str, attention: tuple[str, ...] = ()) -> Night:
        took_s = time.perf_counter() - began
        return Night(
            exit=code, verdict=verdict, reason=reason, executed=executed, elapsed_s=took_s, attention=attention
        )

    try:
        given = dict(parameters or {})
        if "out" in parameters_of(notebook, kernel=kernel):
            given.setdefault("out", str(out))
        run_notebook(notebook, executed, parameters=given, kernel=kernel, watch=watch)
    except NotebookFailed as failure:
        gate = _fresh_gate(out / "gate.json", began_at)
        if failure.error == "QualityRegression" and isinstance(gate, _Gate) and gate.verdict == "fail":
            return night(Exit.REGRESSION, "regression", f"{gate.call}: {gate.reason}")
        return night(Exit.HARNESS_ERROR, "harness error", str(failure))
    except Exception as failure:  # no such kernel, no room on the disk: a night that broke is told like any other
        return night(Exit.HARNESS_ERROR, "harness error", f"{notebook}: {type(failure).__name__}: {failure}")
    gate = _fresh_gate(out / "gate.json", began_at)
    if isinstance(gate, str):
        return night(Exit.HARNESS_ERROR, "harness error", gate)
    said = f"{gate.call}: {gate.reason}"
    if gate.verdict == "fail":
        return night(Exit.REGRESSION, "regression", said)
    code = Exit.INCONCLUSIVE if gate.verdict == "inconclusive" and strict else Exit.PASS
    return night(code, gate.verdict, said, gate.attention)


def _fresh_gate(path: Path, since: datetime) -> _Gate | str:
    """Read the gate of this run, or say what is wrong with what is there."""
    if not path.is_file():
        return f"{path} is missing: the notebook judged nothing. Let it call Gate(...).check(...).write(...)"
    try:
        gate = _Gate.model_validate_json(path.read_bytes())
    except ValidationError as error:
        return f"{path} is no verdict: {error.errors()[0]['msg']}. Let GateResult.write write it"
    if gate.judged_at < since:
        return f"{path} is of an earlier run, of {gate.judged_at:%Y-%m-%d %H:%M}: this one judged nothing"
    return gate
