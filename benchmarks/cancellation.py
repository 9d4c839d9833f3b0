"""How long a connection outlives whoever waited for it: a cancelled task, and Ctrl-C in another process.

Milliseconds from the signal to the server seeing the connection close.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time

from pydantic import BaseModel

import labkit as lk
from labkit.models.faults import Faults
from labkit.models.server import ModelServer

ROUNDS = 20

PROGRAM = """
import sys
import labkit as lk
from pydantic import BaseModel
class Question(BaseModel):
    text: str
ask = lk.GuardedCall("ask", input=Question, output=str, prompt=lk.Prompt(user="{{ input.text }}"),
                     model=lk.Model("openai/m", base_url=sys.argv[1]))
ask(text="hello")
"""


class Question(BaseModel):
    text: str


def closed_client(server: ModelServer) -> float:
    ask = lk.GuardedCall(
        "ask",
        input=Question,
        output=str,
        prompt=lk.Prompt(user="{{ input.text }}"),
        model=lk.Model("openai/m", base_url=server.base_url),
    )

    async def scenario() -> float:
        hung, aborted = server.counts.faults.get("hang", 0), server.counts.aborted
        task = asyncio.create_task(ask.acall(text="hello"))
        await asyncio.to_thread(server.wait_until, lambda counts: counts.faults.get("hang", 0) > hung)
        began = time.perf_counter()
        task.cancel()
        assert await asyncio.to_thread(server.wait_until, lambda counts: counts.aborted > aborted)
        took = time.perf_counter() - began
        await asyncio.gather(task, return_exceptions=True)
        return took

    return asyncio.run(scenario())


def ctrl_c(server: ModelServer) -> float:
    hung, aborted = server.counts.faults.get("hang", 0), server.counts.aborted
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, server.base_url], stderr=subprocess.DEVNULL)
    assert server.wait_until(lambda counts: counts.faults.get("hang", 0) > hung)
    began = time.perf_counter()
    os.kill(process.pid, signal.SIGINT)
    assert server.wait_until(lambda counts: counts.aborted > aborted)
    took = time.perf_counter() - began
    process.wait()
    return took


def main() -> None:
    with ModelServer(faults=Faults(hang=1.0)) as server:
        for name, measure in (("cancelled task", closed_client), ("Ctrl-C", ctrl_c)):
            took = [measure(server) * 1_000 for _ in range(ROUNDS)]
            print(f"{name:<15} median {statistics.median(took):.1f} ms, longest {max(took):.1f} ms (target <= 100)")


if __name__ == "__main__":
    main()
