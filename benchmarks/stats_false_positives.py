"""How often does each paired test cry "different" when nothing is? At 5% it should be about 5%, and never more.

    python benchmarks/stats_false_positives.py [--runs 5000] [--seed 0]

Two versions that are equally good answer n cases, three times each. "Alone" draws every case for itself. "In fives"
draws topics of five cases: in each topic one version is the better one, which one is a coin toss, so that there is no
difference on average but cases of a topic go the same way. The test functions are labkit's own.

pass or fail, the first repeat of each case:
    mcnemar_exact      once, at the end
    ... every look     after every case, until it says so: what not to do
    e_value peeking    after every case, until it reaches 20
scores, the mean of three repeats:
    paired_t           every case for itself
    ... by topic       clusters = topics of five, whether or not they mean anything
    sign_flip          2,000 random flips where not all are counted

Look for: counts make the exact tests and the e-value cautious on few cases; looking again ruins a p-value, not the
e-value; topics ruin every test but the one that knows them, and four topics (n = 20) are too few even for that one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import TooFewCases
from labkit.evals.stats import e_value, mcnemar_exact, paired_t, sign_flip

Array = NDArray[Any]

ALPHA = 0.05
REPEATS = 3
TOPIC = 5
TESTS = ("mcnemar_exact", "... every look", "e_value peeking", "paired_t", "... by topic", "sign_flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How cases come: *n* of them, alone or in topics."""

    n: int
    in_topics: bool


def simulate(setting: Setting, runs: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw passes of two equally good versions, each of shape (runs, n, repeats)."""
    shape = (runs, setting.n, REPEATS)
    ease = rng.beta(2, 1, size=(runs, setting.n))  # two cases in three pass; some nearly always, some nearly never
    tilt = np.zeros((runs, setting.n))
    if setting.in_topics:
        tilt = np.repeat(rng.choice([-0.3, 0.3], size=(runs, setting.n // TOPIC)), TOPIC, axis=1)
    a, b = (rng.random(shape) < np.clip(ease + side * tilt, 0, 1)[:, :, None] for side in (-0.5, 0.5))
    return a, b


def false_alarms(setting: Setting, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Give the share of runs in which each test finds a difference."""
    a, b = simulate(setting, runs, rng)
    improved = np.cumsum(b[:, :, 0] & ~a[:, :, 0], axis=1)
    regressed = np.cumsum(a[:, :, 0] & ~b[:, :, 0], axis=1)
    # The p- and e-value hang on two counts only: each pair of counts is asked once, then looked up.
    p, e = (_table(test, int(improved.max()), int(regressed.max())) for test in (mcnemar_exact, e_value))
    at_looks = p[improved, regressed] <= ALPHA
    scores_a, scores_b = a.mean(axis=2), b.mean(axis=2)
    topics = [case // TOPIC for case in range(setting.n)]
    found = {
        "mcnemar_exact": at_looks[:, -1],
        "... every look": at_looks.any(axis=1),
        "e_value peeking": (e[improved, regressed] >= 1 / ALPHA).any(axis=1),
        "paired_t": [_t_rejects(x, y, None) for x, y in zip(scores_a, scores_b, strict=True)],
        "... by topic": [_t_rejects(x, y, topics) for x, y in zip(scores_a, scores_b, strict=True)],
        "sign_flip": [sign_flip(d, flips=2_000) <= ALPHA for d in np.round(scores_b - scores_a, 9)],
    }
    return {name: float(np.mean(found[name])) for name in TESTS}


def _table(test: Callable[[int, int], float], improved: int, regressed: int) -> Array:
    """Values by (improved, regressed); both tests are the same with the two swapped."""
    return np.array([[test(i, r) for r in range(regressed + 1)] for i in range(improved + 1)])


def _t_rejects(a: Array, b: Array, topics: list[int] | None) -> bool:
    try:
        return paired_t(a.tolist(), b.tolist(), topics).p <= ALPHA
    except TooFewCases:  # all differences alike: no verdict is no alarm
        return False


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=5_000, help="simulated comparisons per row")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rng = np.random.default_rng(given.seed)

    print(f"False alarms at {ALPHA:.0%} in {given.runs:,} comparisons of equally good versions, ± Monte Carlo error\n")
    print("| cases | n | " + " | ".join(TESTS) + " |")
    print("|---|---:|" + "---:|" * len(TESTS))
    for in_topics in (False, True):
        for n in (20, 50, 200):
            shares = false_alarms(Setting(n=n, in_topics=in_topics), given.runs, rng)
            cells = [f"{p:.1%} ± {(p * (1 - p) / given.runs) ** 0.5:.1%}" for p in shares.values()]
            print(f"| {'in fives' if in_topics else 'alone'} | {n} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
