"""What an evaluation leaves: one row per case and repeat, and the run they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any, Literal

from labkit.call.result import Result
from labkit.errors import OptionInvalid
from labkit.evals.by_case import judged, units_of
from labkit.evals.case import Case
from labkit.evals.contrast import Judged, PrimaryTest, Units, mean_interval, mean_of
from labkit.evals.scorers.score import Score
from labkit.evals.stats import Interval, pass_at_k, pass_hat_k, wilson
from labkit.evals.stats.timings import Timings
from labkit.extras import needs
from labkit.store.facts import Fact, Grade, graded_in, judged_in, summary_of
from labkit.terminal import printable

__all__ = ["EvalRun", "Row", "Scored", "Status", "fact_of", "status_of"]

Status = Literal[
    "ok", "invalid_input", "invalid_schema", "rule_violation", "fallback_used", "deadline", "provider_error",
    "harness_error", "cancelled",
]  # fmt: skip


BROKEN_SCHEMA = frozenset({"parse", "schema", "truncated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case as one run answered it.

    Args:
        case: As it was asked.
        repeat: From 0.
        result: What the call gave; its value is JSON data when the row was read back from a store.
        scores: By scorer name.
        finished_at: UTC, ISO 8601.
        worker: Host and process that asked.
    """

    case: Case
    result: Result[Any]
    scores: Mapping[str, Score] = field(default_factory=dict)
    repeat: int = 0
    finished_at: str = ""
    worker: str = ""

    @property
    def case_id(self) -> str:
        return self.case.id

    @property
    def case_hash(self) -> str:
        return self.case.hash

    @property
    def status(self) -> Status:
        return status_of(self.result)

    @property
    def passed(self) -> bool | None:
        """Every scorer that says whether passed; None when one could not tell, or none says.

        Also when another one failed it: were that a failure, rows that fail would count where rows that pass do not.
        """
        if any(score.value is None and score.passed is None for score in self.scores.values()):
            return None
        verdicts = [score.passed for score in self.scores.values() if score.passed is not None]
        return all(verdicts) if verdicts else None


def fact_of(row: Row) -> Fact:
    """Give the row in brief."""
    return Fact(
        case_id=row.case_id, repeat=row.repeat, case_hash=row.case_hash, tags=row.case.tags,
        cluster=row.case.cluster, weight=row.case.weight, status=row.status,
        source=row.result.source, passed=row.passed, degraded=row.result.degraded,
        schema_valid=not any(attempt.outcome in BROKEN_SCHEMA for attempt in row.result.attempts),
        elapsed_s=row.result.elapsed_s, cost_usd=row.result.cost_usd,
        scores=tuple(
            Grade(name, score.value, score.passed, score.cost_usd) for name, score in row.scores.items()
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one scorer came to in a run.

    Args:
        judged: Rows it could tell of.
        unjudged: Rows it could not.
        mean: Of its values in [0, 1], averaged within cases, by weight; None where it judged none.
        interval: 95%, of *mean*.
        passed: Rows that passed it; None where it says only how good they are.
        cost_usd: Of scoring; None where a price is unknown.
    """

    name: str
    judged: int
    unjudged: int
    mean: float | None
    interval: Interval | None
    passed: int | None
    cost_usd: float | None

    def __str__(self) -> str:
        if self.mean is None or self.interval is None:
            return f"{self.name} not judged"
        low, high = self.interval
        lost = f", {self.unjudged:,} not judged" if self.unjudged else ""
        return f"mean {self.name} {self.mean:.3f} (95% interval {low:.3f} to {high:.3f}{lost})"


@dataclass(frozen=True, kw_only=True, eq=False)
class EvalRun:
    """A finished evaluation.

    Args:
        run_id: Unique in its store.
        call: The call's name.
        model: Its primary model.
        versions: Hash of each of its parts.
        dataset: Name and hash of what it was asked.
        scorers: Name to hash of each scorer.
        rows: In the plan's order: case by case, and the repeats of each.
        started_at: UTC, ISO 8601.
        elapsed_s: Wall time of the evaluation, over its sessions.
        primary_test: What a comparison will rest on; fixed before the first answer.
        brief: What comparisons need of the rows, where it is known without reading them.
        primary: What it is compared by: "pass", or the name of a scorer; "" leaves it to ``metric``.
        unaccounted: Requests whose answers were not kept, because a session of the run was cut off; at most so many may
            have been billed beside ``cost_usd``.
    """

    run_id: str
    call: str
    model: str
    fingerprint: str
    versions: Mapping[str, str]
    dataset: str
    dataset_hash: str
    scorers: Mapping[str, str]
    rows: Sequence[Row]
    started_at: str
    elapsed_s: float
    deadline_s: float
    primary_test: PrimaryTest = "mcnemar"
    brief: Sequence[Fact] | None = None
    unaccounted: int = 0
    primary: str = ""

    @cached_property
    def facts(self) -> Sequence[Fact]:
        """Each row in brief, in the order of ``rows``."""
        return self.brief if self.brief is not None else [fact_of(row) for row in self.rows]

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """Counts over the rows; see ``labkit.store.facts.summary_of``."""
        return summary_of(self.facts)

    @cached_property
    def judged(self) -> list[Fact]:
        """The rows whose scorers could all tell, in brief."""
        return judged_in(self.facts)

    @cached_property
    def scores(self) -> Mapping[str, Scored]:
        """What each scorer came to, by its name."""
        found = {}
        for name in dict.fromkeys(grade.name for fact in self.facts for grade in fact.scores):
            values, units = self.by_case(lambda fact, name=name: fact.value_of(name))  # type: ignore[misc]
            grades = [grade for fact in self.facts for grade in fact.scores if grade.name == name]
            known, among = _known(values, units)
            costs = [grade.cost_usd for grade in grades]
            judged = sum(1 for grade in grades if grade.value is not None)
            found[name] = Scored(
                name=name, judged=judged, unjudged=len(self.facts) - judged,
                mean=mean_of(known.mean, among) if judged else None,
                interval=mean_interval(known.mean, among) if judged else None,
                passed=sum(1 for grade in grades if grade.passed) if name not in self.graded else None,
                cost_usd=None if None in costs else math.fsum(cost for cost in costs if cost is not None),
            )  # fmt: skip
        return found

    @cached_property
    def graded(self) -> frozenset[str]:
        """The scorers that say how good an answer is, and not whether it is good enough."""
        return graded_in(self.facts)

    @property
    def metric(self) -> str:
        """What the run is compared by: ``primary``, or "pass" where every scorer says who passed, or its only scorer.

        Raises:
            OptionInvalid: There are several scorers, and not all of them say who passed.
        """
        if self.primary:
            return self.primary
        if not self.graded:
            return "pass"
        names = list(dict.fromkeys(grade.name for fact in self.facts for grade in fact.scores))
        if len(names) == 1:
            return names[0]
        raise OptionInvalid(
            f"run {self.run_id} has scores by {', '.join(names)}, and not all of them say who passed: say what counts, "
            f"evaluate(..., primary={min(self.graded)!r}) or compare(a, b, primary={min(self.graded)!r}); 'pass' "
            "counts those that do"
        )

    @property
    def passed(self) -> int:
        passed: int = self.summary["passed"]
        return passed

    @cached_property
    def pass_rate(self) -> float | None:
        """Share of judged answers that passed, averaged within cases, by weight; None when none was judged."""
        if not self.judged:
            return None
        if self._is_plain:
            return self.passed / len(self.judged)
        verdicts, units = self._judged_cases
        return mean_of(verdicts.mean, units)

    @cached_property
    def pass_interval(self) -> Interval | None:
        """95% interval of ``pass_rate``: Wilson's; where cases repeat, cluster or weigh, see ``mean_interval``."""
        if not self.judged:
            return None
        if self._is_plain:
            return wilson(self.passed, len(self.judged))
        verdicts, units = self._judged_cases
        return mean_interval(verdicts.mean, units)

    @cached_property
    def pass_bounds(self) -> Interval | None:
        """What ``pass_rate`` would be if every row that could not be judged had failed, and if it had passed."""
        if self.pass_rate is None or len(self.judged) == len(self.facts):
            return None
        verdicts, units = self._all_cases
        return Interval(mean_of(verdicts.least, units), mean_of(verdicts.most, units))

    @cached_property
    def _is_plain(self) -> bool:
        """Every case was judged once, stands for itself and weighs the same: counts are all there is."""
        facts = self.judged
        return (
            len({fact.case_id for fact in facts}) == len(facts) == len({fact.case_hash for fact in facts})
            and all(fact.cluster is None for fact in facts)
            and len({fact.weight for fact in facts}) == 1
        )

    def by_case(self, measure: Callable[[Fact], float | None]) -> tuple[Judged, Units]:
        """Give each case's mean of a measure of its rows, None where a row has none, and what stands for itself."""
        with needs("numpy", "an interval"):
            import numpy as np

        values = (float("nan") if (value := measure(fact)) is None else float(value) for fact in self.facts)
        of_rows = np.fromiter(values, dtype=np.float64, count=len(self.facts))
        return judged(of_rows, self._case_of(self.facts), len(self._firsts)), self._units

    def metric_by_case(self, metric: str) -> tuple[Judged, Units]:
        """Give each case's mean of "pass" or of a scorer's values, and what stands for itself."""
        if metric == "pass":
            return self._all_cases
        return self.by_case(lambda fact: fact.value_of(metric))

    @cached_property
    def _all_cases(self) -> tuple[Judged, Units]:
        verdicts, units = self.by_case(lambda fact: fact.passed)
        return self._without_lost(verdicts), units

    @property
    def _judged_cases(self) -> tuple[Judged, Units]:
        return _known(*self._all_cases)

    def _without_lost(self, verdicts: Judged) -> Judged:
        """A row that one scorer failed cannot have passed, whatever another one could not tell."""
        if not any(fact.passed is None and not fact.may_pass for fact in self.facts):
            return verdicts
        lost, _ = self.by_case(lambda fact: fact.passed is None and not fact.may_pass)
        return replace(verdicts, most=verdicts.most - lost.mean)

    @cached_property
    def _units(self) -> Units:
        return units_of(self._firsts)[0]

    @cached_property
    def timings(self) -> Timings:
        """Seconds until the result, without cache hits, with the case or cluster that each belongs to."""
        with needs("numpy", "a percentile"):
            import numpy as np

        timed = [fact for fact in self.facts if fact.source != "cache"]
        case, clusters = self._case_of(timed), self._units.clusters
        return Timings(
            seconds=np.array([fact.elapsed_s for fact in timed], dtype=np.float64),
            units=case if clusters is None else clusters[case],
            n_units=len(self._firsts) if clusters is None else int(clusters.max()) + 1,
        )

    @cached_property
    def _firsts(self) -> list[Fact]:
        """The first row of each case."""
        return list({fact.case_id: fact for fact in reversed(self.facts)}.values())[::-1]

    def _case_of(self, facts: Sequence[Fact]) -> Any:
        """Give the place of each row's case among ``_firsts``."""
        with needs("numpy", "an interval"):
            import numpy as np

        index = {fact.case_id: n for n, fact in enumerate(self._firsts)}
        return np.fromiter((index[fact.case_id] for fact in facts), dtype=np.int64, count=len(facts))

    def pass_at(self, k: int) -> float | None:
        """Give the chance that at least one of *k* tries of a case passes; None where no case was judged so often.

        Raises:
            OptionInvalid: *k* is below 1.
        """
        return self._of_tries(k, pass_at_k)

    def pass_hat(self, k: int) -> float | None:
        """Give the chance that all of *k* tries of a case pass: what a user can rely on; None as ``pass_at``."""
        return self._of_tries(k, pass_hat_k)

    def _of_tries(self, k: int, chance: Callable[[float, float, float], float]) -> float | None:
        if k < 1:
            raise OptionInvalid(f"k={k}: give at least one try")
        tries: dict[str, list[bool]] = {}
        for fact in self.judged:
            tries.setdefault(fact.case_id, []).append(bool(fact.passed))
        found = [chance(len(passed), sum(passed), k) for passed in tries.values() if len(passed) >= k]
        return math.fsum(found) / len(found) if found else None

    @property
    def flaky(self) -> list[str]:
        """Ids of the cases that passed at some tries and failed at others."""
        passed: dict[str, set[bool]] = {}
        for fact in self.judged:
            passed.setdefault(fact.case_id, set()).add(bool(fact.passed))
        return [case_id for case_id, verdicts in passed.items() if len(verdicts) > 1]

    @property
    def model_pass_rate(self) -> float | None:
        """Share of judged rows that the main path itself answered, and passed: a fallback cannot hide in it."""
        return self.summary["model_passed"] / len(self.judged) if self.judged else None

    @property
    def schema_valid_rate(self) -> float:
        """Share of rows in which every answer of the model fitted the schema at the first go."""
        return float(self.summary["schema_valid"] / len(self.facts))

    @property
    def fallback_rate(self) -> float:
        """Share of rows that the main path did not answer."""
        return float(self.summary["fallbacks"] / len(self.facts))

    @property
    def latencies_s(self) -> list[float]:
        """Seconds until the result, by row, without cache hits: they would hide the model's own time."""
        return [fact.elapsed_s for fact in self.facts if fact.source != "cache"]

    @property
    def cost_usd(self) -> float | None:
        """Over all rows; None when any price is unknown."""
        cost: float | None = self.summary["cost_usd"]
        return cost

    def why_unjudged(self) -> str:
        """Quote the scorer that could not judge the first row without a verdict; "" where there is none."""
        for n, fact in enumerate(self.facts):
            if any(grade.value is None for grade in fact.scores) if fact.scores else fact.passed is None:
                for name, score in self.rows[n].scores.items():
                    if score.value is None and score.passed is None:
                        return f"{name}: {score.reason}"
        return ""

    def row(self, case_id: str) -> Row:
        """Give the first row of a case.

        Raises:
            KeyError: The run has no such case.
        """
        return self.rows[self._first[case_id]]

    @cached_property
    def _first(self) -> dict[str, int]:
        return {self.facts[n].case_id: n for n in range(len(self.facts) - 1, -1, -1)}

    def __repr__(self) -> str:
        return printable(f"EvalRun({self.run_id!r}, {self.call}: {self._said()})")

    def _repr_html_(self) -> str:
        return (
            f"<div><b>{escape(self.call)}</b> · {escape(self._said())} "
            f"<span style='opacity:.6'>run {escape(self.run_id)}</span></div>"
        )

    def _tries(self) -> str:
        """What repeats add to a rate."""
        k = max(fact.repeat for fact in self.facts) + 1
        every, one = (self.pass_hat(k), self.pass_at(k)) if k > 1 else (None, None)
        if every is None or one is None:
            return ""
        return f"; all {k} tries pass in {every:.1%} of cases, one of {k} in {one:.1%}, {len(self.flaky)} flaky"

    def _said(self) -> str:
        if self.graded and not self.judged:
            rate = "; ".join(str(score) for score in self.scores.values())
        elif self.pass_rate is None or self.pass_interval is None:
            rate = f"{len(self.facts)} rows, not scored" + (f" ({self.why_unjudged()})" if self.scorers else "")
        else:
            low, high = self.pass_interval
            interval = f"95% interval {low:.1%} to {high:.1%}"
            rate = f"{self.passed} of {len(self.judged)} passed, {self.pass_rate:.1%} ({interval})"
            rate += self._tries()
            rate += "".join(f"; {self.scores[name]}" for name in sorted(self.graded))
        lost = len(self.facts) - len(self.judged)
        if self.pass_bounds is not None:
            least, most = self.pass_bounds
            rate += f", {lost} not judged: {least:.1%} to {most:.1%} whatever they are"
        return f"{rate}, {self.fallback_rate:.1%} by fallback"


def _known(values: Judged, units: Units) -> tuple[Judged, Units]:
    """The cases that were judged."""
    with needs("numpy", "an interval"):
        import numpy as np

    places = np.flatnonzero(~np.isnan(values.mean))
    return values.at(places), units.at(places)


def status_of(result: Result[Any]) -> Status:
    """Say in a word how a case went."""
    if result.reason is None:
        return "ok"
    if result.ok:
        return "fallback_used"
    if result.reason.step in ("input", "validate"):
        return "invalid_input"
    match result.reason.outcome:
        case "parse" | "schema" | "truncated":
            return "invalid_schema"
        case "guard" | "rule" | "low_confidence" | "refused":
            return "rule_violation"
        case "deadline":
            return "deadline"
        case "cancelled":
            return "cancelled"
        case "bug":
            return "harness_error"
        case _:
            return "provider_error"
