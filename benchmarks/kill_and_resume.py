"""kill -9 at five random moments of a run of 400 cases, then resume: what is lost, and what is paid for twice?

The provider runs apart and counts. Each child says how many cases it has seen acknowledged; it is killed after a random
number of them, a random fraction of a request's time later.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fault_server import fault_server

CASES, WIDTH, KILLS = 400, 16, 5

CHILD = """
import sys
from typing import Literal
from pydantic import BaseModel
import labkit as lk
from labkit import evals

class Ticket(BaseModel):
    text: str

class Triage(BaseModel):
    intent: Literal["card_arrival", "exchange_rate"]
    urgency: int

class Acknowledged:
    def show(self, tally):
        print(tally.done, flush=True)

base_url, store, how = sys.argv[1:4]
call = lk.GuardedCall(
    "triage", input=Ticket, output=Triage, prompt=lk.Prompt(user="{{ input.text }}"),
    model=lk.Model("openai/m", base_url=base_url),
)
cases = evals.Dataset([evals.Case(id=f"c{i}", input={"text": f"t {i}"}) for i in range(int(sys.argv[4]))])
evals.evaluate(call, cases, store=store, concurrency=int(sys.argv[5]), progress=Acknowledged(), **{how: "mine"})
"""


def main() -> None:
    from labkit import evals
    from labkit.store.runs import RunStore

    chance = random.Random(7)
    moments = sorted(chance.sample(range(10, CASES - 20), KILLS))
    with tempfile.TemporaryDirectory() as folder, fault_server() as server:
        store = f"sqlite:///{folder}/runs.db"
        script = Path(folder) / "child.py"
        script.write_text(CHILD)

        def command(how: str) -> list[str]:
            return [sys.executable, str(script), server.base_url, store, how, str(CASES), str(WIDTH)]

        lost = 0
        for n, moment in enumerate(moments):
            child = subprocess.Popen(command("resume" if n else "run_id"), stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            seen = 0
            for line in child.stdout:
                seen = int(line)
                if seen >= moment:
                    time.sleep(chance.random() * 0.01)
                    os.kill(child.pid, signal.SIGKILL)
                    break
            seen = max([seen, *(int(line) for line in child.stdout if line.strip())])
            child.wait()
            with RunStore(store) as kept:
                stored = len(kept.done("mine"))
            lost += max(0, seen - stored)
            print(f"killed after {seen} acknowledged: {stored} stored")
        subprocess.run(command("resume"), stdout=subprocess.DEVNULL, check=True)
        run = evals.load_run("mine", store=store)
        ids = [row.case_id for row in run.rows]
        recorded = sum(len(row.result.attempts) for row in run.rows)
        requests = server.counts()["requests"]
    print(f"cases {len(set(ids))} of {CASES}, rows {len(ids)}, acknowledged and lost {lost}")
    print(
        f"requests the provider saw {requests}: {recorded} recorded and {requests - recorded} in flight at the kills; "
        f"noted as in flight {run.unaccounted}"
    )
    whole = len(set(ids)) == len(ids) == CASES and lost == 0
    accounted = recorded <= requests <= recorded + run.unaccounted
    print(
        "every case once, nothing acknowledged lost, every request accounted for" if whole and accounted else "BROKEN"
    )
    sys.exit(not (whole and accounted))


if __name__ == "__main__":
    main()
