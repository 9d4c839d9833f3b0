"""How a view is shown: live in a notebook, static everywhere else, and static in the saved notebook too.

Shown live, a view emits two outputs: a widget, and the same view as static HTML under a display id. The widget hides
the static output while it is mounted, and every action updates it. So it is the static one that is saved, printed,
converted and seen without a kernel. One output with both types would not do: a trusted notebook with a new kernel
prefers the widget and shows an error in its place.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import uuid
from abc import ABC, abstractmethod
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.call.record import in_notebook
from labkit.extras import needs
from labkit.views.markup import Safe, document, h, stylesheet

__all__ = ["STATIC_ROWS", "Action", "View", "live_frontend"]

log = logging.getLogger("labkit.views")

STATIC_ROWS = 20
"""Rows of a list in static output: a notebook is no place for a whole dataset."""

_UPDATE_EVERY_S = 0.2


class Action(BaseModel):
    """What the browser says was done; the browser is not trusted, so this is all it can say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    act: str = Field(max_length=40)
    value: str = Field(default="", max_length=1_000)


class View(ABC):
    """What all views share. A view renders itself in regions and changes its state when told of an action."""

    title = "labkit"

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        self._handle: Any = None
        self._update_waits = False

    def html(self, *, rows: int = STATIC_ROWS) -> str:
        """Give the view as a page of its own: no script, nothing fetched, everything escaped.

        Args:
            rows: Most rows of each list; what is left out is counted.
        """
        return document(self.title, self.section(rows=rows))

    def section(self, *, rows: int = STATIC_ROWS) -> Safe:
        """Give the view as one static element, for a page that holds several."""
        return h("div", self._page(live=False, rows=rows), class_="labkit labkit-static")

    @abstractmethod
    def act(self, action: Action) -> None:
        """Do what the person did: change the state. An unknown action changes nothing."""

    @abstractmethod
    def _page(self, *, live: bool, rows: int) -> Safe:
        """The whole view; a live one marks its parts with data-region and what can be clicked with data-act."""

    @abstractmethod
    def _regions(self) -> dict[str, Safe]:
        """The parts of the live view that the state changes, by name."""

    def widget(self) -> Any:
        """Give the live view as an anywidget, to be shown by whoever asks.

        Raises:
            MissingDependency: anywidget is not installed.
        """
        widget = _live_view()(_sid=self._id)
        widget.on_msg(lambda _, content, __: self._receive(widget, content))
        return widget

    def _receive(self, widget: Any, content: Any) -> None:
        try:
            action = Action.model_validate(content)
        except ValidationError as error:
            log.warning("a message from the browser was ignored: %s", error)
            return
        if action.act == "ready":
            widget.send({"type": "page", "html": self._page(live=True, rows=STATIC_ROWS)})
            return
        self.act(action)
        widget.send({"type": "regions", "html": self._regions()})
        self._update_static()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if live_frontend():
            widget = self.widget()
            view = widget._repr_mimebundle_()
            bundle = view[0] if isinstance(view, tuple) else view
            display({**bundle, "text/plain": ""}, raw=True)
        self._handle = display(self._static(), raw=True, display_id=self._id)

    def _static(self) -> dict[str, str]:
        page = h(
            "div", self._page(live=False, rows=STATIC_ROWS), class_=f"labkit labkit-static labkit-static-{self._id}"
        )
        return {"text/html": f"<style>{stylesheet()}</style>{page}", "text/plain": repr(self)}

    def _update_static(self) -> None:
        """Bring the saved output up to date, at most five times a second: a front end drops a flood of messages."""
        if self._handle is None or self._update_waits:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._handle.update(self._static(), raw=True)
            return
        self._update_waits = True
        loop.call_later(_UPDATE_EVERY_S, self._update_now)

    def _update_now(self) -> None:
        self._update_waits = False
        self._handle.update(self._static(), raw=True)


def live_frontend() -> bool:
    """Whether somebody is at the other end: LABKIT_DISPLAY=live or static, else what the running cell's request says.

    A front end with a person allows input from the cell; papermill and nbconvert do not.
    """
    wanted = os.environ.get("LABKIT_DISPLAY", "")
    if wanted in ("live", "static"):
        return wanted == "live"
    if not in_notebook():
        return False
    from IPython import get_ipython

    parent = get_ipython().kernel.get_parent("shell")
    return bool(parent.get("content", {}).get("allow_stdin", False))


@functools.cache
def _live_view() -> Any:
    """The widget class, made when it is first needed: anywidget takes 0.2 s to import."""
    with needs("anywidget", "a live view"):
        import anywidget
        import traitlets

    static = files("labkit.views") / "static"

    class LiveView(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = (static / "view.js").read_text(encoding="utf-8")
        _css = (static / "labkit.css").read_text(encoding="utf-8")
        _sid = traitlets.Unicode().tag(sync=True)

    return LiveView
