"""Notebook 02 in a real JupyterLab: what a person sees and clicks, and what is left in the saved file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOTEBOOK = "notebooks/02_compare_prompts.ipynb"


def _shoot(target: Any, name: str) -> None:
    """Keep a screenshot where LABKIT_SCREENSHOTS says: how README's picture is made."""
    folder = os.environ.get("LABKIT_SCREENSHOTS")
    if folder:
        target.screenshot(path=str(Path(folder) / name))


def _ab_output(saved: dict[str, Any]) -> str:
    """The static HTML of the comparison in a saved notebook."""
    for cell in saved["cells"]:
        if "views.ab(" in "".join(cell["source"]):
            return "".join("".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"])
    raise AssertionError("the notebook has no cell that shows the comparison")


def test_a_case_is_opened_and_the_saved_notebook_still_shows_it(open_notebook: Callable[[str], Any], lab: Any):
    """Run, click a case, see both outputs; saved, the comparison is there without a kernel."""
    book = open_notebook(NOTEBOOK)
    assert book.run_all()
    view = book.page.locator(".labkit.lk-live").first
    view.locator(".lk-case").first.wait_for()

    third = view.locator(".lk-case").nth(2)
    case_id = third.get_attribute("data-case-id")
    third.click()
    view.locator(".lk-asked", has_text=case_id).wait_for()

    assert view.locator(".lk-pane.lk-a dd").first.text_content().strip()
    assert view.locator(".lk-pane.lk-b dd").first.text_content().strip()
    static = book.page.locator(".labkit-static", has_text=case_id).first
    assert not static.is_visible()

    view.scroll_into_view_if_needed()
    _shoot(view, "ab.png")
    book.theme("JupyterLab Dark")
    book.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    book.page.locator("#jupyterlab-splash").wait_for(state="detached")
    _shoot(view, "ab-dark.png")
    background = view.evaluate("element => getComputedStyle(element).backgroundColor")
    assert background == "rgb(22, 25, 29)"
    book.theme("JupyterLab Light")

    # the static twin follows within a fraction of a second: wait for it in the page, then read the file
    book.page.wait_for_function(
        "id => [...document.querySelectorAll('.labkit-static .lk-asked')].some(e => e.textContent.includes(id))",
        arg=case_id,
    )
    saved = _ab_output(book.save())
    assert "few-shot" in saved and "is better than" in saved
    assert f"{case_id} </span>" in saved
    assert "lk-pane lk-a" in saved and "lk-pane lk-b" in saved


def test_letters_typed_into_the_view_do_not_reach_the_notebook(open_notebook: Callable[[str], Any]):
    """An x after a click must not cut the cell; j and k step through the cases, / goes to the search."""
    book = open_notebook(NOTEBOOK)
    assert book.run_all()
    view = book.page.locator(".labkit.lk-live").first
    view.locator(".lk-case").first.wait_for()
    cells = book.page.locator(".jp-Cell").count()
    ids = [view.locator(".lk-case").nth(n).get_attribute("data-case-id") for n in range(2)]

    view.locator(".lk-case").first.click()
    view.locator(".lk-asked", has_text=ids[0]).wait_for()
    book.page.keyboard.press("x")
    book.page.keyboard.press("j")
    view.locator(".lk-asked", has_text=ids[1]).wait_for()
    book.page.keyboard.press("/")
    book.page.keyboard.type("top-up")

    view.locator("[data-region=found]", has_text="case").wait_for()
    book.page.wait_for_function(
        "() => [...document.querySelectorAll('.lk-live .lk-case')].every(e => /top-up|top_up/i.test(e.textContent))"
    )
    assert book.page.locator(".jp-Cell").count() == cells


def test_another_prompt_gives_another_result(lab: Any, open_notebook: Callable[[str], Any]):
    """Changing one line of a prompt and running again changes the comparison."""
    path = lab.root / "notebooks" / "changed.ipynb"
    text = (lab.root / NOTEBOOK).read_text()
    before = '\\"{{ example.text }}\\" -> {{ example.intent }}'
    assert before in text
    path.write_text(text.replace(before, "- {{ example.intent }}", 1))

    headlines = []
    for name in (NOTEBOOK, "notebooks/changed.ipynb"):
        book = open_notebook(name)
        assert book.run_all()
        heading = book.page.locator(".labkit.lk-live h2").first
        heading.wait_for(state="attached")
        headlines.append(heading.text_content())

    assert headlines[0].startswith("few-shot is better than labels-only by")
    assert headlines[1] != headlines[0]
