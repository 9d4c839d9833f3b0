"""What a service pays before its first answer: a fresh process to one answer over HTTP, and the size of an install.

The size is counted from the metadata of what is installed here: labkit's core dependencies with theirs, and litellm
with its own, each file once.
"""

from __future__ import annotations

import importlib.metadata
import re
import statistics
import subprocess
import sys
import time

from instant_server import instant_server

ROUNDS = 7

LABKIT = """
import sys
from typing import Literal
from pydantic import BaseModel
import labkit as lk
class Ticket(BaseModel):
    text: str
class Triage(BaseModel):
    intent: Literal["card_arrival", "lost_or_stolen_card", "exchange_rate"]
    urgency: int
triage = lk.GuardedCall("triage", input=Ticket, output=Triage, prompt=lk.Prompt(user="{{ input.text }}"),
                        model=lk.Model("openai/instant", base_url=sys.argv[1]))
assert triage(text="Where is my card?").source == "model"
"""
LITELLM = """
import os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
said = litellm.completion(model="openai/instant", api_base=sys.argv[1], api_key="none", max_retries=0, num_retries=0,
                          messages=[{"role": "user", "content": "Where is my card?"}])
assert said.choices[0].message.content
"""


def first_answer_s(code: str, base_url: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, base_url], check=True)
    return time.perf_counter() - began


def installed_mb(*roots: str, extras: frozenset[str] = frozenset()) -> tuple[float, int]:
    """Megabytes and number of the distributions that *roots* need, themselves included."""
    from packaging.requirements import Requirement

    seen: dict[str, int] = {}
    queue = [(root, extras) for root in roots]
    while queue:
        name, wanted = queue.pop()
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if canonical in seen:
            continue
        found = importlib.metadata.distribution(name)
        seen[canonical] = sum(
            file.locate().stat().st_size
            for file in found.files or ()
            if file.locate().is_file()  # type: ignore[attr-defined]
        )
        for line in found.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in ("", *wanted)):
                queue.append((needed.name, frozenset(needed.extras)))
    return sum(seen.values()) / 1e6, len(seen)


def labkit_mb() -> tuple[float, int]:
    """labkit is installed as a link to its source here: its own files are counted where they are."""
    from pathlib import Path

    import labkit

    own = sum(f.stat().st_size for f in Path(labkit.__file__).parent.rglob("*") if f.is_file()) / 1e6
    others, count = installed_mb("labkit")
    return own + others, count


def main() -> None:
    with instant_server() as base_url:
        pairs = [(first_answer_s(LABKIT, base_url), first_answer_s(LITELLM, base_url)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"first answer of a fresh process: labkit {ours:.2f} s (target <= 0.45), litellm {theirs:.2f} s")
    (our_mb, our_n), (their_mb, their_n) = labkit_mb(), installed_mb("litellm")
    print(f"installed: labkit's core {our_mb:.0f} MB in {our_n} distributions (target <= 40), ", end="")
    print(f"litellm {their_mb:.0f} MB in {their_n}")


if __name__ == "__main__":
    main()
