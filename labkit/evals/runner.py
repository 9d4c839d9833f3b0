"""Ask a call every case of a dataset, score the answers, and keep each one as soon as it is there."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict, Unpack, overload

from labkit.call.bridge import run_sync
from labkit.call.fingerprint import digest
from labkit.call.guarded import GuardedCall
from labkit.call.result import Result
from labkit.errors import OptionInvalid, StoreError
from labkit.evals.case import Case
from labkit.evals.cases import Dataset
from labkit.evals.contrast import PrimaryTest
from labkit.evals.crew import Asked, Crew, Limits, Unit
from labkit.evals.hiding import hidden_case
from labkit.evals.pacing import Rate
from labkit.evals.progress import Progress, progress_for
from labkit.evals.runs import EvalRun, Row, fact_of
from labkit.evals.scorers.output_fields import check_scorers
from labkit.evals.scorers.score import Scorer, as_scorer, scorer_hash
from labkit.evals.stored import StoredRows, about_of, planned, rows_in
from labkit.options import Bound, Count, Positive, checked, checked_names, shown
from labkit.store.opening import StoreLike, run_store
from labkit.store.units import StoredRun

if TYPE_CHECKING:
    from labkit.store.runs import RunStore

__all__ = ["aevaluate", "evaluate", "load_run"]

Content: TypeAlias = Literal["hidden", "clear"]

Scores = Sequence[Scorer | Callable[[Case, Result[Any]], Any]]


@checked(OptionInvalid, owner="evaluate")
@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What every arm of an evaluation shares."""

    scorers: Sequence[Any]
    concurrency: Count
    repeats: Count
    store: Any  # ``run_store`` looks at it
    run_id: str | None
    resume: str | None
    rate: Rate | None
    spend_usd: Positive | None
    patience_s: Annotated[float, Bound(0.0, endless=True)]
    progress: Any
    engine: Any
    content: Content | None
    primary: str | None

    def __post_init__(self) -> None:
        if self.run_id is not None and self.resume is not None:
            raise OptionInvalid("run_id names a new run, resume an old one: give one of them")
        if self.content not in (None, "hidden", "clear"):
            raise OptionInvalid(f"content={self.content!r}: there are 'hidden' and 'clear'")


class Options(TypedDict, total=False):
    """The keywords of ``evaluate``, where each is described."""

    scorers: Scores
    concurrency: int
    repeats: int
    store: StoreLike
    run_id: str | None
    resume: str | None
    rate: Rate | None
    spend_usd: float | None
    patience_s: float
    progress: bool | Progress | None
    engine: Any
    content: Content | None
    primary: str | None


@overload
def evaluate(call: GuardedCall[Any], dataset: Dataset, **options: Unpack[Options]) -> EvalRun: ...
@overload
def evaluate(call: Sequence[GuardedCall[Any]], dataset: Dataset, **options: Unpack[Options]) -> list[EvalRun]: ...
@checked_names(OptionInvalid)
def evaluate(
    call: GuardedCall[Any] | Sequence[GuardedCall[Any]],
    dataset: Dataset,
    *,
    scorers: Scores = (),
    concurrency: int = 8,
    repeats: int = 1,
    store: StoreLike = None,
    run_id: str | None = None,
    resume: str | None = None,
    rate: Rate | None = None,
    spend_usd: float | None = None,
    patience_s: float = 600.0,
    progress: bool | Progress | None = None,
    engine: Any = None,
    content: Content | None = None,
    primary: str | None = None,
) -> EvalRun | list[EvalRun]:
    """Ask *call* every case and score the answers; rows are stored as they finish.

    An interrupt, a crash, a spend cap or a provider that stays away leave a run that goes on where it stopped:
    ``evaluate(..., resume=run_id)``.

    Args:
        call: What is evaluated. Several calls, the arms, are asked case by case side by side and give a run each, with
            the call's name behind the run id.
        dataset: What it is asked.
        scorers: Scorers, or functions of (case, result) that give a bool or a number in [0, 1].
        concurrency: Most cases in flight. Fewer are while the provider answers 429 (not with *engine*).
        repeats: Times each case is asked. A repeat is never answered from what the call's cache kept of another, nor
            an arm from what it kept of an arm before it; what it kept of the same repeat in an earlier run counts.
        store: A store, its URL (``sqlite:///runs.db``, four slashes before an absolute path), or the path of its file;
            None: what LABKIT_STORE says, else ``labkit.db`` in the project's folder, see ``labkit.store.places``.
        run_id: One of your own, which must be new; None makes one.
        resume: A run that was not finished: what has no row yet is asked.
        rate: What the provider allows a minute.
        spend_usd: This session stops before it and its judges cost more, as far as the dearest answer so far tells.
        patience_s: How long to wait for a provider that is down (its breaker is open) or busy (429) until the run
            stops; 0 does not wait, and fallback answers are kept like any other.
        progress: False shows none; a ``Progress`` of your own is used as it is.
        engine: A ``dask.distributed.Client`` whose workers ask, see ``labkit.evals.shards``; None asks from here.
        content: "clear" keeps what the call marks as sensitive (``lk.Sensitive``) in the run and its store; "hidden"
            does not, once it was scored; None: what the store was opened with, hidden otherwise.
        primary: What comparisons and gates rest on: the name of a scorer, whose mean counts, or "pass", every scorer
            that says who passed. None: "pass" where each of them does, else the only scorer; of several, say it.

    Raises:
        StoreError: The store cannot be used, it holds *run_id* already, or *resume* was made of other parts; the
            message names them.
        RunStopped: The spend cap was reached, the provider stayed away or lets nobody in, or the first answers or
            scores all failed alike: then nothing is learnt of the cases, and none is asked further.
        OptionInvalid: Something else than calls or scorers, an option of another kind or out of its range, two scorers
            or arms of the same name, a scorer of a field that the output does not have or no case expects anything of.
    """
    options = _Options(
        scorers=scorers, concurrency=concurrency, repeats=repeats, store=store, run_id=_named(run_id, resume),
        resume=resume,
        rate=rate, spend_usd=spend_usd, patience_s=patience_s, progress=progress_for(progress), engine=engine,
        content=content, primary=primary,
    )  # fmt: skip
    try:
        return run_sync(_evaluate(call, dataset, options))
    except KeyboardInterrupt as interrupt:
        kept = resume or options.run_id
        interrupt.add_note(f"what was answered is stored: go on with evaluate(..., resume={kept!r})")
        raise


@overload
async def aevaluate(call: GuardedCall[Any], dataset: Dataset, **options: Unpack[Options]) -> EvalRun: ...
@overload
async def aevaluate(
    call: Sequence[GuardedCall[Any]], dataset: Dataset, **options: Unpack[Options]
) -> list[EvalRun]: ...
@checked_names(OptionInvalid)
async def aevaluate(
    call: GuardedCall[Any] | Sequence[GuardedCall[Any]],
    dataset: Dataset,
    *,
    scorers: Scores = (),
    concurrency: int = 8,
    repeats: int = 1,
    store: StoreLike = None,
    run_id: str | None = None,
    resume: str | None = None,
    rate: Rate | None = None,
    spend_usd: float | None = None,
    patience_s: float = 600.0,
    progress: bool | Progress | None = None,
    engine: Any = None,
    content: Content | None = None,
    primary: str | None = None,
) -> EvalRun | list[EvalRun]:
    """Like ``evaluate``, on the running loop."""
    options = _Options(
        scorers=scorers, concurrency=concurrency, repeats=repeats, store=store, run_id=_named(run_id, resume),
        resume=resume,
        rate=rate, spend_usd=spend_usd, patience_s=patience_s, progress=progress, engine=engine,
        content=content, primary=primary,
    )  # fmt: skip
    return await _evaluate(call, dataset, options)


async def _evaluate(
    call: GuardedCall[Any] | Sequence[GuardedCall[Any]], dataset: Dataset, options: _Options
) -> EvalRun | list[EvalRun]:
    arms = _arms(call)
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names) or not arms:
        raise OptionInvalid(f"arms {names}: give at least one call, and each a name of its own: call.replace(name=...)")
    if not isinstance(dataset, Dataset):
        raise OptionInvalid(
            f"a {type(dataset).__name__} is no Dataset: Dataset.load(path), or Dataset([Case(...), ...])"
        )
    judges = [as_scorer(scorer) for scorer in options.scorers]
    hashes = {judge.name: scorer_hash(judge) for judge in judges}
    if len(hashes) < len(judges):
        raise OptionInvalid("two scorers have the same name: rename one, their scores could not be told apart")
    check_scorers(judges, arms, dataset)
    primary = _primary(judges, options.primary)
    kept = run_store(options.store)
    hides = (options.content or kept.content) != "clear"
    shown = [(case, _shown(case, arms) if hides else case) for case in dataset]
    try:
        group = options.resume if options.resume is not None else options.run_id or ""
        run_ids = [group if isinstance(call, GuardedCall) else f"{group}/{name}" for name in names]
        headings = [
            _heading(arm, dataset, hashes, options.repeats, run_id, group, primary)
            for arm, run_id in zip(arms, run_ids, strict=True)
        ]
        started = _begun(kept, headings, shown, options.repeats) if options.resume is None else _resumed(kept, headings)
        # case by case over the arms: whatever the hour does to the provider, it does to all of them
        twins = _twins(arms)
        units = [
            Unit(arm=n, position=position, case=case, repeat=repeat, twin=twins[n])
            for case in dataset
            for repeat in range(options.repeats)
            for n, run in enumerate(started)
            if (position := run.positions[case.id, repeat]) not in run.done
        ]
        crew = Crew(
            calls=arms,
            run_ids=run_ids,
            group=group,
            judges=judges,
            store=kept,
            limits=Limits(
                concurrency=options.concurrency, rate=options.rate, spend_usd=options.spend_usd,
                patience_s=options.patience_s,
            ),
            progress=progress_for(options.progress),
            label=" / ".join(names),
            before=sum(len(run.done) for run in started),
            hides=hides,
        )  # fmt: skip
        asked = await crew.run(units, engine=options.engine)
        runs = []
        for n, run in enumerate(started):
            kept.finish(run.heading.run_id, asked.elapsed_s)
            runs.append(_finished(kept, run, asked, n))
        return runs[0] if isinstance(call, GuardedCall) else runs
    finally:
        if kept is not options.store:
            kept.close()


def _primary(judges: Sequence[Scorer], named: str | None) -> str:
    """Say what the run will be compared by, as far as that is known before the first answer; "" leaves it open.

    Raises:
        OptionInvalid: There is no such scorer, or several of which one only says how good an answer is.
    """
    names = [judge.name for judge in judges]
    if named is not None:
        if named not in ("pass", *names):
            raise OptionInvalid(f"primary={named!r}: give 'pass' or the name of a scorer: {', '.join(names) or 'none'}")
        return named
    graded = [judge.name for judge in judges if getattr(judge, "is_graded", False)]
    if graded and len(judges) > 1:
        raise OptionInvalid(
            f"scorers {', '.join(names)}: {graded[0]!r} says how good an answer is and not whether it passed, so that "
            f"it must be said what counts: primary={graded[0]!r}, or primary='pass' for those that do"
        )
    return graded[0] if graded else ""


def _twins(arms: Sequence[GuardedCall[Any]]) -> list[int]:
    """Count for each arm those before it that ask the same: their answers could be kept, and given again as its own."""
    return [sum(arm.asks_as(other) for other in arms[:n]) for n, arm in enumerate(arms)]


def _shown(case: Case, arms: Sequence[GuardedCall[Any]]) -> Case:
    for arm in arms:  # they share a plan: what one of them hides is hidden
        case = hidden_case(case, arm)
    return case


def _arms(call: Any) -> list[GuardedCall[Any]]:
    """Give the calls to ask.

    Raises:
        OptionInvalid: Something else is to be asked.
    """
    if isinstance(call, GuardedCall):
        return [call]
    given = list(call) if isinstance(call, Sequence) and not isinstance(call, (str, bytes)) else [call]
    for each in given:
        if not isinstance(each, GuardedCall):
            what = f"the function {shown(each)}" if inspect.isroutine(each) else shown(each)
            if inspect.iscoroutine(each):
                each.close()
            raise OptionInvalid(
                f"evaluate asks a GuardedCall, or a list of them, not {what}: give lk.GuardedCall('name', input=..., "
                "output=..., prompt=lk.Prompt(...), model=...)"
            )
    return given


def load_run(run_id: str, *, store: StoreLike = None) -> EvalRun:
    """Open a finished run. Its rows are read when they are looked at; values of their results are JSON data.

    Args:
        run_id: All of it, or its end as comparisons print it, "035004-39a14f".
        store: As for ``evaluate``; it is only read.

    Raises:
        StoreError: There is no such run, or it was not finished, or it is damaged.
    """
    kept = run_store(store, reading=True)
    try:
        run_id = kept.find(run_id)
        heading, facts = kept.heading(run_id), kept.facts(run_id)
        if heading.finished_at is None:
            total = len(kept.units(run_id))
            raise StoreError(
                f"run {run_id!r} was not finished: {total - len(facts)} of {total} cases have no row; go on with "
                f"evaluate(..., resume={heading.about.get('group', run_id)!r})"
            )
        lost = kept.unaccounted(run_id)
    finally:
        if kept is not store:
            kept.close()
    return replace(_run(heading, StoredRows(kept, run_id, len(facts), is_own=kept is not store), lost), brief=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """An arm's run as it is before anything is asked."""

    heading: StoredRun
    positions: dict[tuple[str, int], int]
    done: set[int]


def _begun(
    kept: RunStore, headings: Sequence[StoredRun], cases: Sequence[tuple[Case, Case]], repeats: int
) -> list[_Started]:
    """Write the plan of each arm, all of them or none."""
    plan = [unit for case, shown in cases for unit in planned(case, shown, repeats)]
    kept.begin(headings, plan)
    positions = {(unit.case_id, unit.repeat): position for position, unit in enumerate(plan)}
    return [_Started(heading=heading, positions=positions, done=set()) for heading in headings]


def _resumed(kept: RunStore, headings: Sequence[StoredRun]) -> list[_Started]:
    """Find what each arm has done, once it is known to be the same arm."""
    found = []
    for heading in headings:
        old = kept.heading(heading.run_id)
        _refuse_other_parts(old, heading)
        positions = {unit: position for position, unit in enumerate(kept.units(heading.run_id))}
        found.append(_Started(heading=old, positions=positions, done=kept.done(heading.run_id)))
    return found


def _refuse_other_parts(old: StoredRun, new: StoredRun) -> None:
    before, after = dict(old.about), dict(new.about)
    versions = before.pop("versions"), after.pop("versions")
    differ = [part for part in versions[1] if versions[0].get(part) != versions[1][part]]
    differ += [
        said
        for key, said in (("dataset_hash", "dataset"), ("scorers", "scorers"), ("repeats", "repeats"))
        if before.get(key) != after.get(key)
    ]
    if "plan" in before and before["plan"] != after["plan"] and "dataset" not in differ:
        differ.append("dataset")  # the same cases with other tags, clusters or weights
    if old.call != new.call:
        differ.insert(0, "call")
    if not differ and before["fingerprint"] != after["fingerprint"]:
        differ = ["fingerprint"]
    if differ:
        raise StoreError(
            f"run {old.run_id!r} was begun with another {', '.join(differ).replace('_', ' ')}: its rows would not "
            "belong together. Put that back, or evaluate anew without resume."
        )


def _named(run_id: str | None, resume: str | None) -> str | None:
    if run_id is not None or resume is not None:
        return run_id
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _heading(
    call: GuardedCall[Any],
    dataset: Dataset,
    scorers: dict[str, str],
    repeats: int,
    run_id: str,
    group: str,
    primary_metric: str,
) -> StoredRun:
    # Named before the first answer: choosing a test by its outcome would make any difference significant.
    clustered = any(case.cluster for case in dataset)
    primary: PrimaryTest = "mcnemar" if repeats == 1 and not clustered else "paired_t"
    return StoredRun(
        run_id=run_id,
        call=call.name,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        about={
            "model": call.model,
            "fingerprint": call.fingerprint,
            "versions": dict(call.versions),
            "dataset": dataset.name,
            "dataset_hash": dataset.hash,
            "scorers": scorers,
            "deadline_s": call.policy.deadline_s,
            "repeats": repeats,
            "primary_test": primary,
            "primary": primary_metric,
            "group": group,
            "plan": digest([[case.id, case.cluster, case.weight, list(case.tags)] for case in dataset]),
        },
    )


def _finished(kept: RunStore, run: _Started, asked: Asked, arm: int) -> EvalRun:
    run_id = run.heading.run_id
    rows = dict(asked.rows[arm])
    if run.done:  # part of it was asked in another process
        for position, row in enumerate(rows_in(kept, run_id)):
            if position not in rows:
                rows[position] = (row, fact_of(row))
    found = [rows[position] for position in sorted(rows)]
    whole = _run(kept.heading(run_id), [row for row, _ in found], kept.unaccounted(run_id))
    return replace(whole, brief=[fact for _, fact in found])


def _run(heading: StoredRun, rows: Sequence[Row], unaccounted: int) -> EvalRun:
    about = about_of(heading)
    return EvalRun(
        run_id=heading.run_id,
        call=heading.call,
        model=about["model"],
        fingerprint=about["fingerprint"],
        versions=about["versions"],
        dataset=about["dataset"],
        dataset_hash=about["dataset_hash"],
        scorers=about["scorers"],
        rows=rows,
        started_at=heading.started_at,
        elapsed_s=heading.elapsed_s or 0.0,
        deadline_s=about["deadline_s"],
        primary_test=about.get("primary_test", "mcnemar"),
        unaccounted=unaccounted,
        primary=about.get("primary", ""),
    )
