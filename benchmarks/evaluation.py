"""What an evaluation costs beside its requests: over HTTP, from a cache, and when stored runs are opened.

    throughput   1,000 cases, a server that answers after 200 ms, 64 at once: labkit scores and stores every answer as
                 it comes, the bare asyncio client (aiohttp) sends the same requests and parses the answers
    cached       100,000 cases whose answers are known are evaluated twice and compared, in a process of its own
    opening      the comparison of the two stored runs is opened in another process: load, compare, render

Rounds of the first are interleaved, and its ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from instant_server import ANSWER, instant_server
from pydantic import BaseModel, Field

import labkit as lk
from labkit import evals

ROUNDS = 5
CASES, WIDTH, DELAY_S = 1_000, 64, 0.2
MANY = 100_000


class Ticket(BaseModel):
    text: str = Field(min_length=1, max_length=4_000)


class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int = Field(ge=1, le=5)


def dataset(n: int) -> evals.Dataset:
    return evals.Dataset(
        [
            evals.Case(
                id=f"case-{i:06}", input={"text": f"Where is my card number {i}?"}, tags=(f"tag-{i % 5}",),
                expected={"intent": "card_arrival" if i % 10 else "exchange_rate"},
            )
            for i in range(n)
        ]
    )  # fmt: skip


def desk(model: Any, **changes: Any) -> lk.GuardedCall[Triage]:
    return lk.GuardedCall(
        "triage", input=Ticket, output=Triage,
        prompt=lk.Prompt(system="Triage the ticket.", user="Ticket: {{ input.text }}"), model=model, **changes,
    )  # fmt: skip


async def bare(base_url: str, cases: evals.Dataset) -> float:
    """Send the same requests with nothing around them; give the seconds."""
    import aiohttp

    waiting = iter(cases)

    async def work(session: aiohttp.ClientSession) -> None:
        for case in waiting:
            body = {
                "model": "instant", "temperature": 0.0,
                "messages": [
                    {"role": "system", "content": "Triage the ticket."},
                    {"role": "user", "content": f"Ticket: {case.input['text']}"},
                ],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "triage", "schema": Triage.model_json_schema(), "strict": False},
                },
            }  # fmt: skip
            async with session.post(f"{base_url}/chat/completions", json=body) as response:
                said = await response.json()
            assert json.loads(said["choices"][0]["message"]["content"]) == json.loads(ANSWER)

    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WIDTH)) as session:
        await asyncio.gather(*(work(session) for _ in range(WIDTH)))
    return time.perf_counter() - began


async def ours(base_url: str, cases: evals.Dataset, store: str) -> float:
    call = desk(lk.Model("openai/instant", base_url=base_url, api_key="none"))
    began = time.perf_counter()
    run = await evals.aevaluate(
        call, cases, scorers=[evals.ExactMatch("intent")], concurrency=WIDTH, store=store, progress=False
    )
    took = time.perf_counter() - began
    assert len(run.rows) == CASES and run.fallback_rate == 0.0
    return took


def throughput(folder: Path) -> None:
    cases = dataset(CASES)
    ratios, seconds = [], []
    with instant_server(DELAY_S) as base_url:
        for n in range(ROUNDS):
            theirs = asyncio.run(bare(base_url, cases))
            mine = asyncio.run(ours(base_url, cases, f"sqlite:///{folder}/throughput-{n}.db"))
            ratios.append(mine / theirs)
            seconds.append((mine, theirs))
    mine, theirs = (statistics.median(side) for side in zip(*seconds, strict=True))
    print(f"{CASES:,} cases, {DELAY_S * 1000:.0f} ms, {WIDTH} at once: {mine:.2f} s, bare client {theirs:.2f} s")
    print(f"  ratio {statistics.median(ratios):.2f} (of {min(ratios):.2f} to {max(ratios):.2f}), target at most 1.25")


def cached(folder: Path) -> Mapping[str, float]:
    """Evaluate every case twice from a cache and compare; give seconds and megabytes."""
    cases = dataset(MANY)
    cache = lk.Cache(path=str(folder / "answers.db"), ttl_s=1e9)
    call = desk(lk.ScriptedModel(ANSWER), policy=lk.Policy(cache=cache, deadline_s=60.0))
    other = call.replace(name="triage-b")
    fill_s = timed(
        lambda: evals.evaluate(call, cases, concurrency=64, store=f"sqlite:///{folder}/fill.db", progress=False)
    )
    store = f"sqlite:///{folder}/runs.db"
    began = time.perf_counter()
    runs = [
        evals.evaluate(
            each, cases, scorers=[evals.ExactMatch("intent")], concurrency=64, store=store, run_id=name, progress=False
        )
        for each, name in ((call, "a"), (other, "b"))
    ]
    evaluate_s = time.perf_counter() - began
    assert all(run.facts[0].source == "cache" for run in runs)
    compare_s = timed(lambda: evals.compare(*runs))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"fill_s": fill_s, "evaluate_s": evaluate_s, "compare_s": compare_s, "peak_mb": peak_mb}


def opening(folder: Path) -> Mapping[str, float]:
    """Open the comparison of the two stored runs; give seconds without the imports."""
    import numpy  # noqa: F401  # what a notebook has loaded anyway
    import scipy.special  # noqa: F401

    from labkit import views

    store = f"sqlite:///{folder}/runs.db"
    began = time.perf_counter()
    a, b = (evals.load_run(name, store=store) for name in "ab")
    load_s = time.perf_counter() - began
    view = views.ab(a, b)
    compare_s = time.perf_counter() - began
    page = view.html()
    assert view.comparison.contrast.n == MANY and "case-000000" in page
    return {"load_s": load_s, "compare_s": compare_s, "page_s": time.perf_counter() - began}


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def apart(what: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own, so that its memory is its own."""
    said = subprocess.run(
        [sys.executable, __file__, "--only", what, "--folder", str(folder)], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(said.stdout)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=["throughput", "cached", "opening"])
    arguments.add_argument("--folder", type=Path)
    given = arguments.parse_args()
    if given.only in ("cached", "opening"):
        print(json.dumps({"cached": cached, "opening": opening}[given.only](given.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughput(folder)
        if given.only:
            return
        seen = apart("cached", folder)
        each = seen["evaluate_s"] / 2
        print(
            f"{MANY:,} cached cases: evaluated in {each:.1f} s, compared in {seen['compare_s']:.1f} s, "
            f"peak {seen['peak_mb']:.0f} MB (two runs held); target 60 s and 1,000 MB"
        )
        seen = apart("opening", folder)
        print(
            f"opening the comparison of two stored runs of {MANY:,}: loaded after {seen['load_s']:.2f} s, compared "
            f"after {seen['compare_s']:.2f} s, page of the view after {seen['page_s']:.2f} s; target 2 s"
        )


if __name__ == "__main__":
    main()
