"""Does labkit say "better" no more often than it may, and does its interval hold the truth as often as it says?

    python benchmarks/evidence_simulation.py [--runs 300] [--seed 0] [--only compare,arms,gate,latency]

Runs are drawn whose truth is known and handed to ``compare``, ``compare_arms`` and ``Gate`` as an evaluation would hand
them. For each cell:

    covered         how often the 95% interval of the difference holds the true one; should be 93.5% to 96.5%. With few
                    cases that differ no interval can be so narrow, and with rows that were not judged it allows for
                    whatever they would have been: more is then right.
    false           how often a difference is told where there is none; at most 5%
    contradictions  how often verdict, interval, row and headline do not say the same; should be 0
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.evals import Gate
from labkit.evals.arms import compare_arms
from labkit.evals.compare import Comparison, compare
from labkit.evals.runs import EvalRun
from labkit.store.facts import Fact, Grade

Array = NDArray[Any]
Missing = Literal["", "random", "failures"]

SIZES = (20, 50, 200, 1000)
CLUSTERS = ("equal", "lognormal", "zipf", "one with 30%")


@dataclass(slots=True)
class Count:
    """What came of the runs of a cell."""

    runs: int = 0
    covered: int = 0
    told: int = 0
    contradictions: int = 0

    def add(self, *, covered: bool, told: bool, contradicts: bool) -> None:
        self.runs += 1
        self.covered += covered
        self.told += told
        self.contradictions += contradicts

    def share(self, what: str) -> float:
        return float(getattr(self, what) / self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How two versions are asked.

    Args:
        lost: By how much B is worse, of each case's chance to pass.
        fixed: Cases nearly always pass or nearly always fail.
        clusters: "" or one of ``CLUSTERS``; a cluster goes one way or the other.
        missing: Rows of B that were not judged: 15% at random, or 30% of those that failed.
        numeric: Cases get grades, one in ten of them 0, and B's are smaller by the share *lost*.
    """

    n: int
    repeats: int = 1
    lost: float = 0.0
    fixed: bool = False
    clusters: str = ""
    count: int = 0
    missing: Missing = ""
    numeric: bool = False


def run_of(
    call: str, answers: Array, clusters: Array | None = None, seconds: Array | None = None, *, graded: bool = False
) -> EvalRun:
    """Give the run whose n-th case was answered as ``answers[n]`` says: 1 passed, 0 failed, nan not judged."""
    n, repeats = answers.shape
    facts = [
        Fact(
            case_id=f"c{case}", repeat=repeat, case_hash=f"h{case}", tags=(), status="ok", source="model", weight=1.0,
            cluster=None if clusters is None else f"k{clusters[case]}",
            passed=None if graded or math.isnan(answers[case, repeat]) else bool(answers[case, repeat]),
            scores=(Grade("s", float(answers[case, repeat]), None),) if graded else (),
            degraded=False, schema_valid=True, cost_usd=0.001,
            elapsed_s=1.0 if seconds is None else float(seconds[case, repeat]),
        )
        for case in range(n)
        for repeat in range(repeats)
    ]  # fmt: skip
    return EvalRun(
        run_id=f"sim/{call}", call=call, model="m", fingerprint="f", versions={}, dataset="d", dataset_hash="d",
        scorers={"s": "1"}, rows=_NoRows(len(facts)), started_at="", elapsed_s=1.0, deadline_s=9.0, brief=facts,
        primary_test="mcnemar" if repeats == 1 and clusters is None else "paired_t",
    )  # fmt: skip


class _NoRows(Sequence[Any]):
    """Rows that nobody reads: what a comparison needs is in the facts."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        return _Row()


@dataclass(frozen=True, slots=True)
class _Row:
    scores: dict[str, Any] = field(default_factory=dict)


def sizes_of(kind: str, count: int, n: int, rng: np.random.Generator) -> Array:
    """Give how many of about *n* cases each of *count* clusters has."""
    shares = {
        "equal": lambda: np.ones(count),
        "lognormal": lambda: rng.lognormal(0, 1, count),
        "zipf": lambda: 1 / np.arange(1, count + 1),
        "one with 30%": lambda: np.r_[0.3, np.full(count - 1, 0.7 / (count - 1))],
    }[kind]()
    sizes: Array = np.maximum(1, np.round(shares / shares.sum() * n)).astype(int)
    return sizes


def drawn(setting: Setting, rng: np.random.Generator, arms: int = 2) -> tuple[list[EvalRun], float]:
    """Draw the runs of a comparison, the first of which stands, and how far the others are from it in truth."""
    clusters, tilt, n = None, np.zeros(setting.n), setting.n
    if setting.clusters:
        sizes = sizes_of(setting.clusters, setting.count, n, rng)
        clusters = np.repeat(np.arange(len(sizes)), sizes)
        n, tilt = len(clusters), np.repeat(rng.choice([-0.15, 0.15], len(sizes)), sizes)
    ease = np.where(rng.random(n) < 0.8, 0.97, 0.03) if setting.fixed else rng.beta(2, 0.7, n)
    if setting.clusters:
        ease = 0.15 + 0.7 * ease
    chances = [np.clip(ease - tilt, 0, 1)] + [np.clip(ease + tilt - setting.lost, 0, 1)] * (arms - 1)
    runs = []
    if setting.numeric:
        for at in range(arms):
            answers = _grades(ease, setting.repeats, rng) * (1 - setting.lost if at else 1)
            runs.append(run_of(f"arm{at}", answers, clusters, graded=True))
        return runs, true_difference(setting)
    for at, chance in enumerate(chances):
        answers = (rng.random((n, setting.repeats)) < chance[:, None]).astype(float)
        if at and setting.missing:
            lost = 0.15 if setting.missing == "random" else 0.3 * (answers == 0)
            answers[rng.random(answers.shape) < lost] = np.nan
        runs.append(run_of(f"arm{at}", answers, clusters))
    return runs, true_difference(setting)


def _grades(ease: Array, repeats: int, rng: np.random.Generator) -> Array:
    """Skewed grades about each case's ease, one in ten of them 0."""
    grades = np.clip(ease[:, None] + rng.normal(0, 0.15, (len(ease), repeats)), 0, 1)
    return np.where(rng.random(grades.shape) < 0.1, 0.0, grades)


@lru_cache
def true_difference(setting: Setting) -> float:
    """Give how far B's mean lies from A's over all cases there could be."""
    if not setting.lost:
        return 0.0
    if setting.numeric:
        rng = np.random.default_rng(1)
        return -setting.lost * float(np.mean(_grades(rng.beta(2, 0.7, 1_000_000), 1, rng)))
    if setting.fixed:
        return 0.8 * (max(0.0, 0.97 - setting.lost) - 0.97) + 0.2 * (max(0.0, 0.03 - setting.lost) - 0.03)
    ease = np.random.default_rng(1).beta(2, 0.7, 1_000_000)
    return float(np.mean(np.clip(ease - setting.lost, 0, 1) - ease))


def contradicts(seen: Comparison) -> bool:
    """Whether headline, verdict, interval and row do not say the same."""
    by_interval = "better" if seen.interval.low > 0 else "worse" if seen.interval.high < 0 else "inconclusive"
    row = seen.measures[0]
    told = by_interval != "inconclusive"
    return (
        not (seen.verdict == by_interval == row.verdict)
        or row.interval != seen.interval
        or (f"is {by_interval}" if told else "cannot be told apart") not in seen.headline
        or not seen.interval.low <= seen.difference <= seen.interval.high
        or (not seen.contrast.unjudged and told != (seen.adjusted_p <= 0.05))
        or any(
            measure.interval is not None
            and measure.estimate is not None
            and not measure.interval.low <= measure.estimate <= measure.interval.high
            for measure in seen.measures
        )
    )


def compared(setting: Setting, runs: int, rng: np.random.Generator) -> Count:
    """Compare so many pairs of runs."""
    found = Count()
    for _ in range(runs):
        (a, b), truth = drawn(setting, rng)
        seen = compare(a, b)
        found.add(
            covered=seen.interval.low <= truth <= seen.interval.high,
            told=seen.verdict == ("better" if setting.missing == "failures" else seen.verdict) != "inconclusive",
            contradicts=contradicts(seen),
        )
    return found


def among_arms(setting: Setting, runs: int, rng: np.random.Generator) -> Count:
    """Compare four arms with a first one: covered is whether all four intervals hold the truth at once."""
    found = Count()
    for _ in range(runs):
        drawn_runs, truth = drawn(setting, rng, arms=5)
        seen = compare_arms(drawn_runs).comparisons
        found.add(
            covered=all(each.interval.low <= truth <= each.interval.high for each in seen),
            told=any(each.verdict != "inconclusive" for each in seen),
            contradicts=any(contradicts(each) for each in seen),
        )
    return found


def latency(n: int, repeats: int, q: str, runs: int, rng: np.random.Generator) -> Count:
    """Compare latencies of versions that are equally fast, on cases some of which take longer in both."""
    found = Count()
    for _ in range(runs):
        case = rng.lognormal(0, 0.5, (n, 1))
        a, b = (
            run_of(name, np.ones((n, repeats)), None, case * rng.lognormal(0, 0.3, (n, repeats))) for name in ("a", "b")
        )
        seen = next(measure for measure in compare(a, b).measures if measure.name == q)
        inside = seen.interval is None or seen.interval.low <= 0 <= seen.interval.high
        outside = seen.interval is not None and not seen.interval.low <= (seen.estimate or 0) <= seen.interval.high
        found.add(covered=inside, told=seen.verdict != "inconclusive", contradicts=outside)
    return found


def gated(setting: Setting, margin: float, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Gate so many nights; give the share of each verdict, and of what ``Gate.plan`` said beforehand."""
    verdicts: list[str] = []
    wrong = 0
    for _ in range(runs):
        (a, b), _ = drawn(setting, rng)
        result = Gate(margin=margin).check(b, baseline=a)
        check, seen = result.checks[0], compare(a, b)
        verdicts.append(check.verdict)
        low, high = seen.interval
        says = "fail" if high < 0 or high < -margin else "pass" if low > -margin else "inconclusive"
        wrong += check.verdict != says
    (a, again), _ = drawn(Setting(n=setting.n, repeats=setting.repeats, fixed=setting.fixed), rng)
    plan = Gate.plan(a, margin=margin, again=again).now
    planned = plan.loss_fails if setting.lost == margin else plan.twice_fails if setting.lost else plan.unchanged_passes
    return {
        "pass": verdicts.count("pass") / runs, "inconclusive": verdicts.count("inconclusive") / runs,
        "fail": verdicts.count("fail") / runs, "planned": planned, "contradictions": wrong / runs,
    }  # fmt: skip


def cells() -> Iterator[tuple[str, Setting]]:
    """The settings of ``compare``, by name."""
    for repeats in (1, 3):
        for n in SIZES:
            yield f"sampling noise, x{repeats}, n = {n}", Setting(n=n, repeats=repeats)
            yield f"nearly fixed, x{repeats}, n = {n}", Setting(n=n, repeats=repeats, fixed=True)
            yield f"B loses 7, x{repeats}, n = {n}", Setting(n=n, repeats=repeats, lost=0.07)
            yield f"grades, x{repeats}, n = {n}", Setting(n=n, repeats=repeats, numeric=True)
            yield f"grades, B loses 7, x{repeats}, n = {n}", Setting(n=n, repeats=repeats, numeric=True, lost=0.07)
    for kind in CLUSTERS:
        for count in (17, 20, 40):
            yield f"{count} clusters, {kind}", Setting(n=10 * count, clusters=kind, count=count)
    for missing in ("random", "failures"):
        for repeats in (1, 3):
            for n in (50, 200, 1000):
                setting = Setting(n=n, repeats=repeats, missing=missing)  # type: ignore[arg-type]
                yield f"not judged: {missing}, x{repeats}, n = {n}", setting


def _line(name: str, found: Count, is_null: bool) -> str:
    def share(what: str) -> str:
        p = found.share(what)
        return f"{p:.1%} ± {math.sqrt(p * (1 - p) / found.runs):.1%}"

    told = share("told") if is_null else f"({found.share('told'):.0%} found)"
    return f"| {name} | {share('covered')} | {told} | {found.contradictions} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=300, help="simulated comparisons per row")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", default="compare,arms,latency,gate")
    given = arguments.parse_args()
    rng, only = np.random.default_rng(given.seed), given.only.split(",")
    tables: list[tuple[str, Callable[[], Iterator[str]]]] = [
        ("compare", lambda: (_line(name, compared(s, given.runs, rng), not s.lost) for name, s in cells())),
        ("arms", lambda: _arms(given.runs, rng)),
        ("latency", lambda: _latencies(given.runs, rng)),
    ]
    for name, lines in tables:
        if name in only:
            print(f"\n| {name} | covered | false | contradictions |\n|---|---:|---:|---:|")
            for line in lines():
                print(line, flush=True)
    if "gate" in only:
        print(
            "\n| gate, margin 5 | pass | inconclusive | fail | planned | contradictions |\n"
            + "|---"
            + "|---:" * 5
            + "|"
        )
        for repeats in (1, 3):
            for n in (100, 200, 1000):
                for lost in (0.0, 0.05, 0.1):
                    found = gated(Setting(n=n, repeats=repeats, lost=lost), 0.05, max(50, given.runs // 3), rng)
                    shares = " | ".join(f"{share:.0%}" for share in found.values())
                    print(f"| n = {n}, x{repeats}, lost {lost * 100:.0f} | {shares} |", flush=True)


def _arms(runs: int, rng: np.random.Generator) -> Iterator[str]:
    for n in SIZES:
        for lost in (0.0, 0.07):
            found = among_arms(Setting(n=n, lost=lost), max(50, runs // 3), rng)
            yield _line(f"four arms, each lost {lost * 100:.0f}, n = {n}", found, not lost)


def _latencies(runs: int, rng: np.random.Generator) -> Iterator[str]:
    for q in ("p50 latency", "p95 latency"):
        for n, repeats in ((50, 1), (200, 1), (1000, 1), (100, 3), (60, 10)):
            yield _line(f"{q}, n = {n}, x{repeats}", latency(n, repeats, q, runs, rng), True)


if __name__ == "__main__":
    main()
