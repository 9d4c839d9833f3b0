"""``labkit.models.server`` with faults, in a process of its own, that says what it has seen."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from labkit.models.faults import Faults
from labkit.models.server import ModelServer

ANSWER = '{"intent": "card_arrival", "urgency": 2}'


class FaultServer:
    """The running server's address and counts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.base_url = self._line()

    def counts(self) -> dict[str, Any]:
        """Give ``ServerCounts`` as they are now."""
        assert self._process.stdin is not None
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        counts: dict[str, Any] = json.loads(self._line())
        return counts

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def fault_server(**faults: float) -> Iterator[FaultServer]:
    """Run a server with ``Faults(**faults)`` until the block ends."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(faults)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield FaultServer(process)
    finally:
        process.terminate()
        process.wait()


def _serve() -> None:
    from labkit.models.scripted import ScriptedModel

    with ModelServer(ScriptedModel(ANSWER), faults=Faults(**json.loads(sys.argv[1]))) as server:
        print(server.base_url, flush=True)
        for _ in sys.stdin:
            seen = server.counts
            print(
                json.dumps({"requests": seen.requests, "aborted": seen.aborted, "faults": dict(seen.faults)}),
                flush=True,
            )


if __name__ == "__main__":
    _serve()
