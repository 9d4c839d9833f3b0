"""A call over its runs: what became better or worse, since when, and what had changed by then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import GOOD, STOLEN, support_desk
from stored_history import PARTS, add_run

import labkit as lk
from labkit import evals
from labkit.errors import StoreError
from labkit.evals.history import Point
from labkit.evals.stats import change_chart, wilson
from labkit.store.runs import RunStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(f"sqlite:///{tmp_path}/runs.db") as opened:
        yield opened


def changes(store: RunStore) -> tuple[str, ...]:
    return evals.history("desk", store=store).points[-1].changes


def test_real_runs_come_in_the_order_in_which_they_were_made(tmp_path: Path):
    """Evaluate, change the prompt, evaluate again: the history has both, and names the prompt."""
    url = f"sqlite:///{tmp_path}/runs.db"
    cases = evals.Dataset(
        [evals.Case(id=f"c{n}", input={"text": f"t {n}"}, expected={"intent": "card_arrival"}) for n in range(4)]
    )
    exact = [evals.ExactMatch("intent")]
    before = support_desk([GOOD, STOLEN, GOOD, GOOD])
    after = before.replace(model=lk.ScriptedModel(GOOD), prompt=lk.Prompt(system="Triage.", user="{{ input.text }}"))
    old = evals.evaluate(before, cases, scorers=exact, store=url, concurrency=1, progress=False, run_id="z")
    new = evals.evaluate(after, cases, scorers=exact, store=url, concurrency=1, progress=False, run_id="a")

    seen = evals.history("triage", store=url)

    assert [point.run_id for point in seen.points] == ["z", "a"]
    assert [point.pass_rate for point in seen.points] == [0.75, 1.0]
    assert seen.points[0].pass_interval == old.pass_interval
    assert seen.points[0].changes == () and "prompt" in seen.points[1].changes
    assert seen.points[1].schema_valid_rate == new.schema_valid_rate
    assert repr(seen) == "History('triage', 2 runs)"


def test_a_run_is_known_by_its_rates_times_and_cost(store: RunStore):
    """What a fallback saved is in the pass rate, not in the model's own; cost is told for the run and for a call."""
    add_run(store, 1, 30, n=40, fallbacks=20)

    (point,) = evals.history("desk", store=store).points

    assert (point.cases, point.rows, point.judged) == (40, 40, 40)
    assert (point.pass_rate, point.model_pass_rate) == (0.75, 0.5)
    assert (point.schema_valid_rate, point.fallback_rate) == (39 / 40, 0.5)
    assert (point.p50_s, point.p95_s) == (pytest.approx(0.2), pytest.approx(0.38))
    assert (point.cost_usd, point.cost_per_row_usd) == (pytest.approx(0.04), pytest.approx(0.001))
    assert point.pass_interval == wilson(30, 40)


def test_what_was_not_measured_is_none(store: RunStore):
    """No verdict, no price, too few timings for a p95: never 0."""
    add_run(store, 1, 0, n=10, judged=0, cost_usd=None)

    seen = evals.history("desk", store=store)
    (point,) = seen.points

    assert (point.pass_rate, point.model_pass_rate, point.pass_interval) == (None, None, None)
    assert (point.p95_s, point.cost_usd, point.cost_per_row_usd) == (None, None, None)
    assert point.p50_s == pytest.approx(0.05)
    assert "not judged" in seen.text() and "unknown" in seen.text()


def test_repeats_do_not_narrow_the_interval(store: RunStore):
    """Four answers to each of ten cases are not forty cases."""
    add_run(store, 1, 20, n=40, repeats=4)

    (point,) = evals.history("desk", store=store).points

    assert point.cases == 10
    assert point.pass_interval == wilson(5, 10)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"versions": {"prompt": "2"}}, ("prompt",)),
        ({"versions": {"output_schema": "2", "rules": "2"}}, ("output schema", "rules")),
        ({"versions": {"flags": "1"}}, ("flags",)),
        ({"versions": {"model": "2"}, "model": "openai/b"}, ("model: openai/a → openai/b",)),
        ({"versions": {"model": "2"}}, ("model parameters",)),
        ({"dataset_hash": "2"}, ("data",)),
        ({"dataset_hash": "2", "dataset": "more tickets"}, ("data: tickets → more tickets",)),
        ({"scorers": {"exact": "2"}}, ("scorers",)),
        ({"repeats": 2}, ("repeats: 1 → 2",)),
        ({"fingerprint": "of the same parts"}, ()),
    ],
)
def test_a_change_is_named_in_words(store: RunStore, about: dict[str, object], said: tuple[str, ...]):
    """Which part, and from what to what where that has a name."""
    add_run(store, 1, 30)
    add_run(store, 2, 30, **about)

    assert changes(store) == said


def test_a_part_that_went_away_is_a_change(store: RunStore):
    """Flags that were taken out again."""
    add_run(store, 1, 30, versions={"flags": "1"})
    add_run(store, 2, 30)

    assert set(PARTS) < {*PARTS, "flags"} and changes(store) == ("flags",)


def test_the_latest_runs_still_know_what_changed_before_them(store: RunStore):
    """Cutting a history short does not hide a change at the cut."""
    for day in range(5):
        add_run(store, day, 30, versions={"prompt": str(day)})

    seen = evals.history("desk", store=store, last=2)

    assert [point.run_id for point in seen.points] == ["desk-003", "desk-004"]
    assert [point.changes for point in seen.points] == [("prompt",), ("prompt",)]
    assert len(evals.history("desk", store=store, last=99).points) == 5
    with pytest.raises(ValueError, match="last=0"):
        evals.history("desk", store=store, last=0)


def test_the_baseline_is_marked(store: RunStore):
    """The run that gates compare with, and no other."""
    first = add_run(store, 1, 30)
    add_run(store, 2, 30)
    store.bless(first)

    seen = evals.history("desk", store=store)

    assert [point.baseline for point in seen.points] == [True, False]
    assert seen.text().splitlines()[1].endswith("(baseline)")


def test_unfinished_runs_are_counted_and_left_out(store: RunStore):
    """Half a run has no rate; that it is there is said."""
    add_run(store, 1, 30)
    add_run(store, 2, 30, finish=False)

    seen = evals.history("desk", store=store)

    assert (len(seen.points), seen.unfinished) == (1, 1)
    assert "1 run not finished, left out" in seen.text()


def test_a_name_that_is_not_there_is_answered_with_those_that_are(store: RunStore):
    """A slip of the pen costs one look; a call that never finished is told from one that never ran."""
    add_run(store, 1, 30, call="desk")
    add_run(store, 1, 30, call="search")
    add_run(store, 1, 30, call="half", finish=False)

    with pytest.raises(StoreError, match=r"no run of 'dsk'; there are runs of: desk, half, search"):
        evals.history("dsk", store=store)
    with pytest.raises(StoreError, match=r"no finished run of 'half', 1 run not finished.*resume"):
        evals.history("half", store=store)


def test_a_store_that_was_given_stays_open(store: RunStore):
    """It belongs to who opened it."""
    add_run(store, 1, 30)
    evals.history("desk", store=store)

    assert len(store.headings()) == 1


def test_a_lasting_drop_is_reported_with_its_run(store: RunStore):
    """The sentence somebody wants on the morning after a provider changed something."""
    for day in range(12):
        add_run(store, day, 36)
    for day in range(12, 18):
        add_run(store, day, 20)

    seen = evals.history("desk", store=store)
    now = seen.drift["pass rate"].now

    assert now is not None and (now.since, now.before, now.recent) == (12, pytest.approx(0.9), pytest.approx(0.5))
    assert [at for at, point in seen.monitored("pass rate").items() if point.out] == [12, 13, 14, 15, 16, 17]
    said = seen.drifted[0]
    assert said.startswith("pass rate has drifted below its limit since run desk-012: 50.0% since then, limit ")
    assert "90.0% in the 12 runs before; nothing of the call had changed" in said
    assert "valid schema" not in " ".join(seen.drifted)
    assert said in seen.text()


def test_a_change_of_ones_own_is_no_drift_and_its_effect_is_told(store: RunStore):
    """The chart starts anew with a changed prompt; that the pass rate fell with it is said of the change."""
    for day in range(12):
        add_run(store, day, 36)
    for day in range(12, 18):
        add_run(store, day, 20, versions={"prompt": "2"})

    seen = evals.history("desk", store=store)

    assert list(seen.steady) == [12, 13, 14, 15, 16, 17] and seen.drifted == []
    fell = "with the change of prompt at run desk-012: pass rate fell by 40.0 points, 90.0% to 50.0%"
    since = "no drift over the 6 runs that can be compared since the call was changed at run desk-012"
    assert seen.effects == [fell] and fell in seen.text() and since in seen.text()


def test_a_drop_that_is_over_is_said_to_be_over(store: RunStore):
    """No alarm for last month's outage."""
    for day in range(30):
        add_run(store, day, 4 if day == 15 else 36)

    seen = evals.history("desk", store=store)

    assert seen.drifted == []
    assert "pass rate left its limits at run desk-015 and is back within them" in seen.notes()


def test_fallbacks_that_grow_are_drift_too(store: RunStore):
    """A call can keep its pass rate while its model fails ever more often."""
    for day in range(16):
        add_run(store, day, 40, fallbacks=0 if day < 10 else 12)

    drifted = evals.history("desk", store=store).drifted

    assert [said.split(" has drifted ")[0] for said in drifted] == [
        "pass rate of the model itself",
        "served by fallback",
    ]
    assert "served by fallback has drifted above its limit" in drifted[1]
    assert drifted[1].endswith("nothing of the call had changed")


@pytest.mark.parametrize("other", [{"dataset_hash": "2"}, {"scorers": {"exact": "2"}}])
def test_rates_over_other_cases_do_not_share_limits(store: RunStore, other: dict[str, object]):
    """A harder dataset is not a worse call: only runs like the latest are charted."""
    for day in range(10):
        add_run(store, day, 38)
    for day in range(10, 16):
        add_run(store, day, 20, **other)

    seen = evals.history("desk", store=store)

    assert list(seen.comparable) == [10, 11, 12, 13, 14, 15]
    assert list(seen.monitored("pass rate")) == [14, 15]
    assert seen.drifted == []
    assert "no drift over the 6 runs that can be compared (change-point charts)" in seen.notes()


def test_a_run_without_verdicts_leaves_a_gap_in_the_chart_of_the_pass_rate_only(store: RunStore):
    """The chart knows each run by its place among all of them."""
    for day in range(7):
        add_run(store, day, 36, judged=0 if day == 4 else None)

    seen = evals.history("desk", store=store)

    assert list(seen.monitored("pass rate")) == [5, 6]
    assert list(seen.monitored("valid schema")) == [4, 5, 6]


def _steady(source: random.Random, n: int, mean: float, rho: float) -> int:
    """A night's count with the ordinary variation of a provider's better and worse days."""
    scale = 1 / rho - 1
    rate = source.betavariate(mean * scale, (1 - mean) * scale)
    return sum(source.random() < rate for _ in range(n))


@pytest.mark.parametrize("n", [100, 480])
def test_sixty_steady_nights_hardly_ever_cry_out(n: int):
    """A fallback rate that goes up and down as providers do, looked at every night: one series in ten at most."""
    source = random.Random(n)

    alarms = 0
    for _ in range(40):
        fallbacks = [_steady(source, n, 0.03, 0.02) for _ in range(60)]
        passed = [sum(source.random() < 0.85 for _ in range(n)) for _ in range(60)]
        charts = (change_chart(fallbacks, [n] * 60, below=4.6, above=4.2), change_chart(passed, [n] * 60, below=3.5))
        alarms += any(chart.first_out is not None for chart in charts)

    assert alarms <= 4


def test_five_points_less_are_found_within_ten_nights():
    """A hundred cases a night, thirty nights of history: half of the falls by five points are told by then."""
    source = random.Random(2)
    delays = []
    for _ in range(41):
        rates = [0.85] * 30 + [0.8] * 30
        passed = [sum(source.random() < rate for _ in range(100)) for rate in rates]
        told = [point.run for point in change_chart(passed, [100] * 60, below=3.5).points if point.out == "below"]
        delays.append(next((run - 29 for run in told if run >= 30), 99))

    assert sorted(delays)[20] <= 10


def test_one_run_has_no_drift_and_says_so(store: RunStore):
    """Not estimable is not the same as none."""
    add_run(store, 1, 30)

    seen = evals.history("desk", store=store)

    assert seen.drift == {} and seen.drifted == []
    assert seen.notes() == ["drift: not estimable from 1 run over the same cases with the same scorers; it takes 5"]


def test_the_table_for_a_terminal_is_aligned(store: RunStore):
    """Columns start below their names, whatever the length of an id."""
    add_run(store, 1, 30, run_id="a-run-with-a-rather-long-name")
    add_run(store, 2, 31, versions={"prompt": "2"})

    lines = evals.history("desk", store=store).text().splitlines()

    for name, first, second in [
        ("started", "2026-01-02 02:00", "2026-01-03 02:00"),
        ("passed", "75.0%", "77.5%"),
        ("95% interval", "59.8 to 85.8", "62.5 to 87.7"),
        ("schema", "97.5%", "97.5%"),
        ("p95", "0.380 s", "0.380 s"),
        ("cost a call", "$0.00100", "$0.00100"),
        ("changed", "", "prompt"),
    ]:
        at = lines[0].index(name)
        assert lines[1][at:].startswith(first) and lines[2][at:].startswith(second), name


def test_a_name_cannot_write_to_the_terminal(store: RunStore):
    """Escape sequences and line breaks in ids and models are shown, not obeyed."""
    evil = "\x1b[2J\n\u202eok"
    add_run(store, 1, 38, run_id=f"1{evil}")
    add_run(store, 2, 38, run_id=f"2{evil}", model=evil, versions={"model": "2"})
    for day in range(3, 9):
        add_run(store, day, 2, run_id=f"{day}{evil}", model=evil, versions={"model": "2"})

    said = evals.history("desk", store=store).text()

    assert "\x1b" not in said and "\u202e" not in said
    assert len(said.splitlines()) == 1 + 8 + 1 + len(evals.history("desk", store=store).notes())
    assert "\\u001b[2J\\u000a\\u202eok" in said


def test_the_frame_has_a_row_for_every_run(store: RunStore):
    """For those who draw their own charts."""
    add_run(store, 1, 30)
    add_run(store, 2, 40, versions={"prompt": "2"})

    frame = evals.history("desk", store=store).frame()

    assert list(frame.index) == ["desk-001", "desk-002"]
    assert frame["pass_rate"].tolist() == [0.75, 1.0]
    assert frame.loc["desk-002", "changes"] == "prompt"
    assert frame.loc["desk-001", "pass_rate_low"] == pytest.approx(wilson(30, 40).low)


def test_a_point_does_not_change():
    """A history is a value."""
    point = Point(run_id="r", started_at="", model="m", repeats=1, summary={}, changes=(), baseline=False)

    with pytest.raises(AttributeError):
        point.run_id = "other"  # type: ignore[misc]
