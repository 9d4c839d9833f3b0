"""What ``import labkit`` costs beside ``import pydantic, jinja2``: CPU seconds of fresh processes, taken in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

ROUNDS = 9


def cpu_s(statement: str) -> float:
    """User and system seconds of a fresh interpreter that runs *statement*."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    pairs = [(cpu_s("import pydantic, jinja2"), cpu_s("import labkit")) for _ in range(ROUNDS)]
    base, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"import pydantic, jinja2  {base:.3f} s")
    print(f"import labkit            {ours:.3f} s")
    print(f"ratio                    {ratio:.2f}")


if __name__ == "__main__":
    main()
