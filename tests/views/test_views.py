"""Views say what was measured, escape what was said, and do no more than they are asked by the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from desk import GOOD, STOLEN, Triage, support_desk
from scripted_runs import BANKING, answered, attempt, evaluated, hostile_run

import labkit as lk
from labkit import evals, views
from labkit.call.repairs import Repair
from labkit.call.result import FieldError, Reason
from labkit.evals.runs import Row
from labkit.views.display import Action, View
from labkit.views.markup import h, join, seconds, usd

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{7*7}}\u202e'


def run_of(
    replies: Any,
    tmp_path: Path,
    *,
    n: int = 4,
    name: str = "desk-a",
    text: str = "ticket",
    scorer: Any = None,
    **changes: Any,
) -> evals.EvalRun:
    cases = evals.Dataset(
        [
            evals.Case(id=f"c{i}", input={"text": f"{text} {i}"}, expected={"intent": "card_arrival"}, tags=("card",))
            for i in range(n)
        ],
        name="desk",
    )
    desk = support_desk(replies, **changes).replace(name=name)
    return evals.evaluate(
        desk,
        cases,
        scorers=[scorer or evals.ExactMatch("intent")],
        store=f"sqlite:///{tmp_path}/runs.db",
        concurrency=1,
        progress=False,
    )


def mixed(tmp_path: Path) -> tuple[evals.EvalRun, evals.EvalRun]:
    """A gets half right; B gets all but one right, one of them by its fallback."""
    default = lk.SafeDefault(Triage(intent="card_arrival", urgency=3))
    a = run_of([GOOD, STOLEN] * 20, tmp_path, n=40)
    b = run_of([GOOD] * 38 + [STOLEN, "no json"], tmp_path, n=40, name="desk-b", fallbacks=[default])
    return a, b


def some_cases(n: int) -> list[evals.Case]:
    return list(evals.Dataset.load(BANKING).cases[:n])


class _Markup(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.links: list[str] = []
        self.text = ""  # and what else is shown: titles, labels, placeholders
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.text += "".join(f" {value} " for name, value in attrs if name in ("title", "aria-label"))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(page: str) -> str:
    return _Markup(page).text


def act(view: View, name: str, value: str = "") -> dict[str, str]:
    view.act(Action(act=name, value=value))
    return {region: text_of(html) for region, html in view._regions().items()}


def test_the_comparison_leads_with_its_verdict(tmp_path: Path):
    """Who is better, by how much, with what certainty, and on how many cases."""
    a, b = mixed(tmp_path)

    page = text_of(views.ab(a, b).html())

    assert "desk-b is better than desk-a by 47.5 points" in page
    assert "McNemar's score test p =" in page and "95% interval" in page and "discordant" in page
    assert "changed: fallbacks" in page


def test_an_inconclusive_comparison_says_how_many_cases_would_settle_it(tmp_path: Path):
    """It is not dressed up as a result."""
    a, b = run_of([GOOD] * 9 + [STOLEN], tmp_path, n=10), run_of(GOOD, tmp_path, n=10, name="desk-b")

    page = text_of(views.ab(a, b).html())

    assert "cannot be told apart on 10 cases" in page
    assert "more cases would settle it" in page


def test_clicking_filters_and_opens(tmp_path: Path):
    """The matrix, the tags, the search and the list work together; a click on the same filter clears it."""
    view = views.ab(*mixed(tmp_path))

    assert act(view, "outcome", "only_a")["found"] == "1 case"
    assert "c38" in act(view, "open", "c38")["pair"]
    assert act(view, "outcome", "only_a")["found"] == "40 cases"
    assert act(view, "search", "TICKET 1")["found"] == "11 cases"
    assert act(view, "tag", "card")["found"] == "11 cases"
    assert "c10" in act(view, "step", "next")["pair"]
    assert act(view, "search", "nothing like it")["cases"] == "No case fits these filters."


def test_a_fallback_is_named_where_its_answer_is_shown(tmp_path: Path):
    """An answer that the model did not give never looks like one."""
    view = views.ab(*mixed(tmp_path))
    act(view, "outcome", "only_b")

    opened = act(view, "open", "c39")["pair"]

    assert "safe default" in opened
    assert "output ended with parse" in opened


def test_validation_counts_every_fate_of_an_output(tmp_path: Path):
    """Valid, mended, replaced, lost: the four add up."""
    default = lk.SafeDefault(Triage(intent="card_arrival", urgency=3))
    replies = [
        GOOD,
        '```json\n{"intent": "card_arrival", "urgency": 2}\n```',
        '{"intent": "card_arrival", "urgency": 9}',
        GOOD,
    ]
    run = run_of([*replies, "nothing", "nothing"], tmp_path, n=4, policy=lk.Policy(reask=1), fallbacks=[default])

    view = views.validation(run)
    page = text_of(view.html())

    assert (
        view.headline
        == "1 of 4 outputs valid at the first go, 2 after a repair or another attempt, 1 served by a fallback"
    )
    assert "repaired: fence" in page and "served by safe default" in page
    marked = act(view, "group", "urgency: less than equal")
    assert "Input should be less than or equal to 5" in marked["raw"]
    assert "<mark>9</mark>" in str(view._regions()["raw"])
    assert list(view.frame().columns) == [
        "status",
        "source",
        "attempts",
        "repairs",
        "why",
        "output.intent",
        "output.urgency",
    ]


def test_latency_is_held_against_the_budget(tmp_path: Path):
    """Percentiles with intervals where so few timings allow one, and the deadline as the budget."""
    run = run_of(GOOD, tmp_path, n=20)

    view = views.latency(run)
    page = text_of(view.html())

    assert view.headline.startswith("95 of 100 calls answer within") and view.headline.endswith("the budget is 30 s")
    assert "no upper end from so few" in page
    assert "p99 not estimable from 20 timings" in page
    assert "over budget" in text_of(views.latency(run, budget_s=1e-9).html())
    assert len(view.frame()) == 20
    assert "20 calls" in act(view, "cumulative")["charts"]
    assert "c0" in "".join(act(view, "bin", f"0:{n}")["calls"] for n in range(40))


@pytest.mark.parametrize(
    ("n", "source", "said"),
    [
        (4, "model", "p95 not estimable from 4 timings, the slowest of which took 200 ms; the budget is 2 s"),
        (40, "cache", "every answer came from the cache: how long the model takes was not measured; the budget is 2 s"),
        (40, "model", "95 of 100 calls answer within 200 ms; the budget is 2 s"),
    ],
)
def test_a_percentile_that_was_not_measured_is_not_claimed(n: int, source: str, said: str):
    """The slowest of four calls is not their p95, and no timing at all is not 0 ms."""
    run = evaluated(
        [Row(case=case, result=answered({"intent": "card_arrival"}, source=source)) for case in some_cases(n)], call="x"
    )

    view = views.latency(run)

    assert view.headline == said
    assert said in text_of(view.html())
    assert view.figure().get_suptitle() == said


def test_a_call_that_nobody_answered_is_not_counted_as_a_fallbacks():
    """The legend tells a rescue from a loss."""
    lost = answered(None, source="error", reason=Reason(step="model", outcome="deadline", message="2 s have passed"))
    run = evaluated([Row(case=case, result=lost) for case in some_cases(3)], call="x")

    page = str(views.latency(run).section())

    assert "no answer" in page and "fallback" not in page


def test_repeats_of_a_case_are_told_apart():
    """Each repeat has its own fate, and its own row to open."""
    rescued = answered({"a": 1}, source="rules", reason=Reason(step="output", outcome="schema", message="too long"))
    rows = [Row(case=case, result=answered({"a": 1})) for case in some_cases(2)]
    rows += [Row(case=case, result=rescued, repeat=1) for case in some_cases(2)]
    view = views.validation(evaluated(rows, call="x"))

    assert act(view, "group", "served by rules")["found"] == "4 cases"  # it was chosen: a click clears it
    act(view, "group", "served by rules")
    shown = act(view, "open", "t-002 #2")

    assert shown["found"] == "2 cases"
    assert "t-002 #2" in shown["cases"] and "t-001 #1" not in shown["cases"]
    assert "answered by rules, not the main path: output ended with schema: too long" in shown["raw"]


@pytest.mark.parametrize(
    ("text", "path", "marked"),
    [
        ('{"note": "urgency", "urgency": 9}', "urgency", "9"),
        ('{"reply": "a, b } c", "n": 1}', "reply", '"a, b } c"'),
        ('{"order": {"items": [1, [2]]}}', "order.items", "[1, [2]]"),
        ('{"items": [{"price": 1}, {"price": -2}]}', "items.1.price", None),
        ('{"urgency": nine, "n": 1}', "urgency", "nine"),
        ("no such field", "urgency", None),
    ],
)
def test_a_fault_is_marked_where_it_stands_or_not_at_all(text: str, path: str, marked: str | None):
    """The whole value and only it; where a name stands in two places, neither is accused."""
    fault = FieldError(path=path, type="wrong", message="is wrong")
    tries = (attempt(1, text, 0.1, outcome="schema", errors=(fault,)), attempt(2, "{}", 0.1))
    run = evaluated([Row(case=case, result=answered({}, attempts=tries)) for case in some_cases(1)], call="x")

    raw = str(views.validation(run)._regions()["raw"])

    assert re.findall("<mark>(.*?)</mark>", raw) == ([] if marked is None else [escape(marked)])


def test_what_was_done_to_the_whole_text_is_seen_beside_the_fields():
    """A fence that was taken off belongs to no field and is no secret."""
    mended = answered({"intent": "card_arrival"}, repairs=(Repair(kind="fence", path="", before="```"),))
    exact = evals.ExactMatch("intent")
    rows = [Row(case=c, result=mended, scores={exact.name: exact.score(c, mended)}) for c in some_cases(1)]
    run = evaluated(rows, call="x")

    assert "repaired: fence" in text_of(views.ab(run, run).html())


def test_hostile_text_stays_text(tmp_path: Path):
    """Cases, outputs, names: nothing of it becomes markup, in any view, static or live."""
    run = run_of(f'{{"a": "{EVIL}"', tmp_path, text=EVIL, output=str, scorer=lambda case, result: False)
    run = evals.EvalRun(**{**vars(run), "dataset": EVIL, "model": EVIL, "scorers": {EVIL: "0"}})
    gate = evals.Gate(floors={"fallback_rate": 1}).check(run)

    pages = [view.html() for view in (views.ab(run, run), views.validation(run), views.latency(run))]
    pages += [str(html) for view in (views.ab(run, run), views.validation(run)) for html in view._regions().values()]
    worst = hostile_run(EVIL)
    pages += [view.html() for view in (views.ab(worst, worst), views.validation(worst), views.latency(worst, worst))]
    pages += [views.report(run, baseline=run, gate=gate).html(), run._repr_html_(), gate._repr_html_()]

    for page in pages:
        seen = _Markup(page)
        assert not seen.tags & {"script", "img", "iframe", "object", "link", "form"}
        assert seen.handlers == [] and seen.links == []
        assert "\u202e" not in seen.text
    assert any("<script>alert(1)</script>" in text_of(page) for page in pages)


@pytest.mark.parametrize(
    "message",
    [
        {"act": "open", "value": "no such case"},
        {"act": "no such act"},
        {"act": "bin", "value": "9:9"},
        {"act": "bin", "value": "a:b"},
        {"act": "bin", "value": "\u00b2:1"},
        {"act": "outcome", "value": "all of them"},
        {"act": "tag", "value": "no such tag"},
        {"act": "group", "value": "no such group"},
        {"act": "step", "value": "sideways"},
    ],
)
def test_a_strange_action_changes_nothing(message: dict[str, str], tmp_path: Path):
    """The browser is not trusted."""
    run = run_of(GOOD, tmp_path)
    makers: list[Callable[[], View]] = [
        lambda: views.ab(run, run),
        lambda: views.validation(run),
        lambda: views.latency(run),
    ]
    for make in makers:
        view = make()
        before = view._regions()
        view.act(Action(**message))
        assert view._regions() == before


def test_messages_that_are_not_actions_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Too long, of another shape, or not a mapping at all."""
    view = views.latency(run_of(GOOD, tmp_path))

    for content in ({"act": "x" * 1000}, {"act": "log", "code": "1"}, [1, 2], None):
        view._receive(None, content)

    assert caplog.text.count("was ignored") == 4


def test_a_view_draws_figures(tmp_path: Path):
    """For a paper or a slide: matplotlib figures that can be saved."""
    a, b = mixed(tmp_path)

    for figure in (views.ab(a, b).figure(), views.latency(a, b).figure()):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_a_name_is_no_formula(tmp_path: Path):
    """Half a formula in a call's name is drawn as it is written."""
    hostile = hostile_run(r"$\frac{$")

    for figure in (views.ab(hostile, hostile).figure(), views.latency(hostile).figure()):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_the_frame_has_a_row_for_every_case(tmp_path: Path):
    """For those who want to count themselves."""
    frame = views.ab(*mixed(tmp_path)).frame()

    assert frame["outcome"].value_counts().to_dict() == {"both": 19, "only_b": 20, "only_a": 1}
    assert frame.loc["c39", "b_source"] == "default"


def test_a_headless_run_is_static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a person at the other end no widget is made; LABKIT_DISPLAY overrules the guess."""
    from labkit.views.display import live_frontend

    assert live_frontend() is False
    monkeypatch.setenv("LABKIT_DISPLAY", "live")
    assert live_frontend() is True
    monkeypatch.setenv("LABKIT_DISPLAY", "static")
    assert live_frontend() is False


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 ms"),
        (0.00026, "0.26 ms"),
        (0.0123, "12 ms"),
        (1.306, "1.31 s"),
        (2.0, "2 s"),
        (30.0, "30 s"),
        (None, "–"),
    ],
)
def test_durations_are_written_in_the_unit_they_are_read_in(value: float | None, shown: str):
    """Nobody reads 0.00026 s."""
    assert seconds(value) == shown


def test_an_unknown_cost_is_not_nothing():
    """A price that is not known is said, not shown as 0."""
    assert (usd(None), usd(0.0)) == ("cost unknown", "$0")


def test_only_this_packages_markup_is_markup():
    """A string is text, whatever it holds; what is None is left out."""
    assert join(["<b>", h("i", "<b>", title='"'), None]) == '&lt;b&gt;<i title="&quot;">&lt;b&gt;</i>'


def test_what_each_view_gives_is_what_the_package_says():
    """The table at the top of ``labkit.views`` is what the classes have, and no more."""
    from labkit.views.ab import AbView
    from labkit.views.history import HistoryView
    from labkit.views.latency import LatencyView
    from labkit.views.report import Report
    from labkit.views.validation import ValidationView

    kinds = {"ab": AbView, "validation": ValidationView, "latency": LatencyView, "history": HistoryView}
    ways = ("frame", "figure", "html", "widget")

    said = {
        line.split()[0]: line.split()[1:]
        for line in (views.__doc__ or "").splitlines()
        if line.split()[1:] and set(line.split()[1:]) <= set(ways)
    }

    assert said == {
        name: [way for way in ways if hasattr(kind, way)] for name, kind in {**kinds, "report": Report}.items()
    }
