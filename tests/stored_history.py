"""Runs put into a store as an evaluation would have left them: how many passed, and what the call was made of."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from labkit.store.runs import RunStore
from labkit.store.units import PlannedUnit, StoredAnswer, StoredRow, StoredRun

PARTS = {"prompt": "p", "input_schema": "i", "output_schema": "o", "model": "m", "rules": "r", "policy": "y"}


def add_run(
    store: RunStore,
    day: int,
    passed: int,
    *,
    n: int = 40,
    call: str = "desk",
    run_id: str = "",
    fallbacks: int = 0,
    judged: int | None = None,
    finish: bool = True,
    cost_usd: float | None = 0.001,
    versions: dict[str, str] | None = None,
    **about: Any,
) -> str:
    """Store a run of the *day*-th day: of *n* rows the first *passed* pass, the last *fallbacks* are a fallback's."""
    run_id = run_id or f"{call}-{day:03d}"
    whole = {
        "model": "openai/a", "fingerprint": "f", "versions": PARTS | (versions or {}), "dataset": "tickets",
        "dataset_hash": "d", "scorers": {"exact": "1"}, "deadline_s": 2.0, "repeats": 1,
    } | about  # fmt: skip
    repeats = whole["repeats"]
    units = [
        PlannedUnit(case_id=f"c{at // repeats}", repeat=at % repeats, digest="x", content="{}", case_hash="h")
        for at in range(n)
    ]
    started = date(2026, 1, 1) + timedelta(days=day)
    store.begin([StoredRun(run_id=run_id, call=call, started_at=f"{started}T02:00:00.000+00:00", about=whole)], units)
    rows = [
        StoredRow(
            position=at, status="ok", source="rules" if at >= n - fallbacks else "model",
            passed=None if judged is not None and at >= judged else at < passed, degraded=at >= n - fallbacks,
            schema_valid=at != 0, elapsed_s=0.01 * (at + 1), cost_usd=cost_usd, requests=1,
            answer=StoredAnswer(finished_at="t", worker="w", result="{}", scores="{}"),
        )
        for at in range(n)
    ]  # fmt: skip
    store.add(run_id, rows)
    if finish:
        store.finish(run_id, 1.0)
    return run_id
