"""The view of a history shows every run, says what changed, and trusts no name in the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from stored_history import add_run

from labkit import evals, views
from labkit.errors import StoreError
from labkit.store.runs import RunStore

EVIL = '$\\frac{$<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(f"sqlite:///{tmp_path}/runs.db") as opened:
        yield opened


class _Page(HTMLParser):
    """What a reader sees, and what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.acting: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.classes += [style for name, value in attrs if name == "class" for style in (value or "").split()]
        self.acting += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def dropped(store: RunStore) -> views.HistoryView:
    """A new model after two runs, ten good ones, then six bad ones though nothing was changed."""
    for day in range(18):
        changed = {"versions": {"model": "2"}, "model": "openai/b"} if day >= 2 else {}
        add_run(store, day, 20 if day >= 12 else 36, **changed)
    store.bless("desk-003")
    return views.history("desk", store=store)


def test_the_view_leads_with_how_it_is_now(store: RunStore):
    """The latest rate, whether it drifts, and since when."""
    view = dropped(store)

    page = _Page(view.html())

    assert view.headline == "desk: 50.0% passed in the latest of 18 runs; it is drifting"
    assert view.headline in page.text
    assert "! pass rate has drifted below its limit since run desk-012" in page.text


def test_a_change_is_marked_in_every_chart_and_listed_in_words(store: RunStore):
    """A number at the mark leads to what it was."""
    page = _Page(dropped(store).html())

    assert page.classes.count("lk-mark") == 5
    assert "1model: openai/a → openai/b 2026-01-03, run desk-002" in page.text
    assert "something changed" in page.text


def test_the_charts_show_intervals_limits_and_what_is_out_of_them(store: RunStore):
    """Two limits in each of the three rates; the runs out of control stand out."""
    page = _Page(dropped(store).html())

    assert page.classes.count("lk-band") == 1
    assert page.classes.count("lk-limit") == 6
    assert page.classes.count("lk-ewma") == 3
    assert page.classes.count("lk-dot") == 5 * 18
    assert page.classes.count("lk-out") == 6


def test_every_place_lies_inside_its_drawing(store: RunStore):
    """No coordinate leaves the 100 by 100, nan included."""
    html = dropped(store).html()

    places = [pair.split(",") for points in re.findall(r'points="([^"]+)"', html) for pair in points.split()]

    assert len(places) > 100
    assert all(0 <= float(x) <= 100 and 0 <= float(y) <= 100 for x, y in places)


def test_long_lists_are_cut_and_counted_but_the_charts_are_whole(store: RunStore):
    """What is left out of a list is said."""
    for day in range(9):
        add_run(store, day, 30, versions={"prompt": str(day)})
    view = views.history("desk", store=store)

    page = _Page(view.html(rows=3))

    assert page.tags.count("tr") == 1 + 3
    assert "6 older runs not listed" in page.text and "5 earlier changes not listed" in page.text
    assert page.classes.count("lk-dot") == 5 * 9
    assert _Page(view.html()).tags.count("tr") == 1 + 9


def test_one_run_is_shown_without_a_claim(store: RunStore):
    """A bar for its interval, and no limits."""
    add_run(store, 1, 30)
    view = views.history("desk", store=store)

    page = _Page(view.html())

    assert view.headline == "desk: 75.0% passed in its only run; drift not estimable"
    assert page.classes.count("lk-bar-of-one") == 1
    assert not {"lk-limit", "lk-ewma", "lk-key-limit", "lk-mark"} & set(page.classes)


def test_what_was_not_measured_is_not_drawn(store: RunStore, tmp_path: Path):
    """No verdicts and no prices: empty charts that say so, in HTML and in the figure."""
    for day in range(3):
        add_run(store, day, 0, n=5, judged=0, cost_usd=None)
    view = views.history("desk", store=store)

    page = _Page(view.html())

    assert view.headline == "desk: nothing judged in the latest of 3 runs; drift not estimable"
    assert "cost unknown" in page.text
    assert page.classes.count("lk-dot") == 2 * 3  # valid schema, served by fallback
    view.figure().savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_hostile_names_stay_text(store: RunStore, tmp_path: Path):
    """Call, run, model, dataset: nothing of it becomes markup in a page, or a formula in a figure."""
    for day in range(8):
        late = day >= 4
        add_run(
            store, day, 2 if late else 38, call=EVIL, run_id=f"{day}{EVIL}", model=f"{EVIL}{late}", dataset=EVIL,
            versions={"model": str(late), EVIL: str(day)},
        )  # fmt: skip
    history = evals.history(EVIL, store=store)
    view = views.history(history)

    for page in (view.html(), str(view.section()), view._repr_html_()):
        seen = _Page(page)
        assert not set(seen.tags) & {"script", "img", "iframe", "object", "link", "form"}
        assert seen.acting == []
        assert "\u202e" not in seen.text
        assert "<script>alert(1)</script>" in seen.text
    view.figure().savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_the_figure_draws_a_panel_for_each_measure(store: RunStore):
    """For a paper or a slide, with the change in words above its mark."""
    figure = dropped(store).figure()

    assert [axis.get_ylabel() for axis in figure.axes] == [
        "pass rate, %", "valid schema, %", "served by fallback, %", "p95 latency, s", "cost per call, USD",
    ]  # fmt: skip
    assert figure.get_suptitle() == "desk: 50.0% passed in the latest of 18 runs; it is drifting"
    assert [text.get_text() for text in figure.axes[0].texts] == ["model: openai/a → opena…"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["run", "95% interval", "since the likeliest change", "its limits"]


def test_a_notebook_gets_the_static_page_and_a_terminal_the_table(store: RunStore):
    """No widget, no script: what is saved is what was seen."""
    view = dropped(store)

    assert view._repr_html_().startswith("<style>") and "<script" not in view._repr_html_()
    assert repr(view) == view.history.text()
    assert len(view.frame()) == 18


def test_a_history_or_a_name_will_do(store: RunStore):
    """Whatever is at hand."""
    view = dropped(store)

    assert views.history(view.history).html() == view.html()
    assert len(views.history("desk", store=store, last=4).history.points) == 4
    with pytest.raises(StoreError, match="there are runs of: desk"):
        views.history("dsk", store=store)
