"""The live views in Chromium without a JupyterLab: real widgets, real ESM, their comm joined to a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from comm.base_comm import BaseComm
from playwright.sync_api import Browser, Page
from scripted_runs import banking_runs, hostile_run

from labkit import views
from labkit.views.display import View

VIEWS = ["ab", "validation", "latency"]
EVIL = '<script>window.hit=1</script>"><img src=x onerror="window.hit=2">{{7*7}}'

# What a front end gives a widget: a model whose messages go to the kernel and back. The page also plays JupyterLab's
# part in the keyboard: a letter that reaches the document from outside a suppressing element would cut a cell.
FRONT_END = """async ([esm, css, sid]) => {
  const style = document.createElement('style'); style.textContent = css; document.head.append(style);
  document.addEventListener('keydown', (event) => {
    if (!event.target.closest('[data-lm-suppress-shortcuts="true"]')) window.cut = (window.cut ?? '') + event.key;
  }, true);
  document.addEventListener('keydown', (event) => { (window.bubbled ??= []).push(event.key); });
  const listeners = new Set();
  window.fromKernel = (message) => listeners.forEach((listen) => listen(message, []));
  window.sent = [];
  const model = {
    get: (name) => ({ _sid: sid })[name], set() {}, save_changes() {},
    on: (name, listen) => name === 'msg:custom' && listeners.add(listen),
    off: (name, listen) => listeners.delete(listen),
    send: async (content) => {
      window.sent.push(content);
      (await window.toKernel(content)).forEach(window.fromKernel);
    },
  };
  const url = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
  const widget = (await import(url)).default;
  window.unmount = await widget.render({ model, el: document.getElementById('live') });
}"""


class PageComm(BaseComm):
    """Keeps what the widget sends until the page fetches it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        super().__init__()

    def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
        if msg_type == "comm_msg" and data["method"] == "custom":
            self.sent.append(data["content"])

    def tell(self, content: Any) -> list[Any]:
        """Hand a message of the page to the widget, and give its answers."""
        self.sent.clear()
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
        return list(self.sent)


@pytest.fixture
def mount(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Show a view live beside its static twin; a script that fails, or anything fetched, fails the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def show(view: View, *, scheme: Any = "light", lab_theme: str | None = None, width: int = 1100) -> Page:
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda sent: None if sent.url.startswith(("blob:", "about:", "data:")) else errors.append(sent.url),
        )
        widget, comm = view.widget(), PageComm()
        widget.comm = comm
        page.expose_function("toKernel", comm.tell)
        body = f'<div id="live"></div>{view._static()["text/html"]}'
        theme = f' data-jp-theme-light="{lab_theme}"' if lab_theme else ""
        page.set_content(f"<!doctype html><html><body{theme}>{body}</body></html>")
        page.evaluate(FRONT_END, [widget._esm, widget._css, widget._sid])
        page.locator(".lk-live .lk-head").wait_for()
        return page

    yield show
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="module")
def runs() -> Any:
    return banking_runs(96)


def test_clicking_a_case_shows_both_outputs(mount: Callable[..., Page], runs: Any):
    """Both panes hold the case that was clicked, with every field of both answers."""
    page = mount(views.ab(*runs))
    third = page.locator(".lk-live .lk-case[data-case-id]").nth(2)
    case_id = third.get_attribute("data-case-id")

    third.click()
    page.locator(".lk-live .lk-asked", has_text=str(case_id)).wait_for()

    for pane in (".lk-pane.lk-a", ".lk-pane.lk-b"):
        assert page.locator(f".lk-live {pane} dt").all_inner_texts() == ["intent", "urgency", "reply"]
        assert all(page.locator(f".lk-live {pane} dd").all_inner_texts())


def test_outcomes_tags_and_search_narrow_the_list(mount: Callable[..., Page], runs: Any):
    """The number beside the search box is that of the button, then falls with each filter."""
    view = views.ab(*runs)
    page = mount(view)
    table = view.comparison.table
    found = page.locator(".lk-live [data-region=found]")

    page.locator(".lk-live [data-act=outcome][data-value=neither]").click()
    page.locator(".lk-live [data-region=found]", has_text=f"{table.neither} case").wait_for()
    page.locator(".lk-live [data-act=outcome][data-value=neither]").click()
    page.locator(".lk-live [data-region=found]", has_text=f"{len(view.comparison.pairs)} case").wait_for()
    page.locator(".lk-live [data-act=tag][data-value=exchange]").click()
    of_tag = sum("exchange" in pair.a.case.tags for pair in view.comparison.pairs)
    page.locator(".lk-live [data-region=found]", has_text=f"{of_tag} case").wait_for()
    page.locator(".lk-live input[type=search]").fill("no such words")
    page.locator(".lk-live", has_text="No case fits these filters.").wait_for()

    assert found.inner_text() == "0 cases"


def test_every_press_of_j_is_a_step(mount: Callable[..., Page], runs: Any):
    """Twenty fast presses open the twenty-first case: none is lost while the kernel answers."""
    view = views.ab(*runs)
    page = mount(view)
    page.locator(".lk-live [data-act=outcome].lk-on").click()
    page.locator(".lk-live [data-region=found]", has_text="96 cases").wait_for()

    for _ in range(20):
        page.keyboard.press("j")

    page.locator(".lk-live .lk-asked", has_text="t-021").wait_for()
    page.keyboard.press("ArrowUp")
    page.locator(".lk-live .lk-asked", has_text="t-020").wait_for()


@pytest.mark.parametrize("make", [views.ab, lambda a, b: views.validation(b)], ids=["ab", "validation"])
def test_the_open_case_stays_in_sight(make: Callable[..., View], mount: Callable[..., Page], runs: Any):
    """Stepping on scrolls the list, and stepping back does not hide the case under the column names."""
    page = mount(make(*runs))
    for act in ("outcome", "group"):
        for chosen in page.locator(f".lk-live [data-act={act}].lk-on").all():
            chosen.click()
    page.locator(".lk-live [data-region=found]", has_text="96 cases").wait_for()
    in_sight = """() => { const open = document.querySelector('.lk-live [data-case-id].lk-sel');
      const [box, around] = [open, open.closest('.lk-scroll')].map((e) => e.getBoundingClientRect());
      const head = open.closest('.lk-scroll').querySelector('.lk-casehead, thead').getBoundingClientRect().height;
      return box.top >= around.top + head - 1 && box.bottom <= around.bottom + 1; }"""

    for key, last in (("j", "t-031"), ("k", "t-011")):
        for _ in range(30 if key == "j" else 20):
            page.keyboard.press(key)
        page.locator(f".lk-live .lk-sel[data-case-id={last}]").wait_for(state="attached")
        assert page.evaluate(in_sight)


@pytest.mark.parametrize("make", [views.ab, lambda a, b: views.validation(b), views.latency], ids=VIEWS)
def test_no_letter_reaches_the_notebook(make: Callable[..., View], mount: Callable[..., Page], runs: Any):
    """After a click an x cuts no cell, handled or not; handled keys do not even bubble."""
    page = mount(make(*runs))
    page.locator(".lk-live [data-act]:not(input)").first.click()
    page.wait_for_function("window.sent.length > 1")

    for key in ("x", "d", "d", "m", "j", "ArrowDown", "l", "/", "x"):
        page.keyboard.press(key)

    handled = page.evaluate("[...document.querySelectorAll('[data-key]')].flatMap((e) => e.dataset.key.split(' '))")
    assert handled
    assert page.evaluate("window.cut ?? ''") == ""
    assert not set(handled) & set(page.evaluate("window.bubbled ?? []"))


@pytest.mark.parametrize(
    "make",
    [lambda run: views.ab(run, run), views.validation, lambda run: views.latency(run, run)],
    ids=VIEWS,
)
def test_hostile_text_runs_nothing(make: Callable[[Any], View], mount: Callable[..., Page]):
    """Outputs, ids, tags, names and fields full of markup are shown as text in every region."""
    page = mount(make(hostile_run(EVIL)))
    page.keyboard.press("Tab")
    for act in page.locator(".lk-live [data-act]:not(input)").all():
        if act.is_visible():
            act.dispatch_event("click")
    page.keyboard.press("r")
    page.wait_for_function("window.sent.length > 2")

    assert "<img src=x onerror=" in page.locator(".lk-live").inner_text()
    assert page.locator(".lk-live img, .lk-live script, .labkit-static img, .labkit-static script").count() == 0
    assert page.evaluate("window.hit") is None


def test_markup_that_no_view_writes_is_not_built(mount: Callable[..., Page], runs: Any):
    """Were escaping ever to fail in the kernel, the page would still build no script, picture, link or handler."""
    page = mount(views.latency(runs[1]))
    slipped = (
        '<div class="lk-slipped" onclick="window.hit=1" style="color:red;background:url(data:,)">'
        'kept<script>window.hit=2</script><img src="data:," onerror="window.hit=3"><a href="javascript:1">link</a>'
        '<iframe srcdoc="x"></iframe><svg><a href="x"></a><rect width="1" onload="window.hit=4"></rect></svg></div>'
    )

    page.evaluate("html => window.fromKernel({type: 'page', html})", slipped)
    page.locator(".lk-slipped").click()

    assert page.locator(".lk-live img, .lk-live script, .lk-live a, .lk-live iframe").count() == 0
    assert page.locator(".lk-slipped").get_attribute("onclick") is None
    assert page.locator(".lk-slipped").evaluate("e => getComputedStyle(e).backgroundImage") == "none"
    assert page.locator(".lk-slipped").inner_text().startswith("kept")
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize(
    ("scheme", "lab_theme", "background"),
    [
        ("light", None, "rgb(255, 255, 255)"),
        ("dark", None, "rgb(22, 25, 29)"),
        ("light", "false", "rgb(22, 25, 29)"),
        ("dark", "true", "rgb(255, 255, 255)"),
    ],
)
def test_the_theme_is_the_labs_else_the_systems(
    scheme: str, lab_theme: str | None, background: str, mount: Callable[..., Page], runs: Any
):
    """Inside JupyterLab its theme decides, elsewhere the system's."""
    page = mount(views.validation(runs[1]), scheme=scheme, lab_theme=lab_theme)

    assert page.locator(".lk-live").evaluate("e => getComputedStyle(e).backgroundColor") == background


def test_the_static_twin_is_hidden_while_the_view_is_mounted(mount: Callable[..., Page], runs: Any):
    """Shown twice it would be noise; gone with the widget it would be lost."""
    page = mount(views.ab(*runs))
    static = page.locator(".labkit-static")

    assert not static.is_visible()
    page.evaluate("window.unmount()")
    assert static.is_visible()


@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("make", [views.ab, lambda a, b: views.validation(b), views.latency], ids=VIEWS)
def test_no_view_is_wider_than_its_screen(make: Callable[..., View], width: int, mount: Callable[..., Page], runs: Any):
    """On a phone, tables scroll inside the view and the page does not; what is written can be read."""
    page = mount(make(*runs), width=width)

    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    letters = page.locator(".lk-live :is(span, text, td, p)").evaluate_all(
        "all => Math.min(...all.filter(e => e.textContent.trim() && e.getClientRects().length)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM?.().a ?? 1)))"
    )
    assert wider == 0
    assert letters >= 10
