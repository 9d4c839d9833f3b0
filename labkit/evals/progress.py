"""How far an evaluation is: one output updated in place, so that what a saved notebook shows is the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from labkit.call.record import in_notebook

__all__ = ["Progress", "Tally", "progress_for"]

_UPDATES_PER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is done so far; *cost_usd* is None when a price is unknown."""

    label: str
    done: int
    total: int
    fallbacks: int
    errors: int
    cost_usd: float | None
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the speed so far; None before the first is done."""
        return self.elapsed_s / self.done * (self.total - self.done) if self.done else None

    def said(self) -> str:
        parts = [f"{self.done} of {self.total} cases"]
        if self.fallbacks:
            parts.append(f"{self.fallbacks} by fallback")
        if self.errors:
            parts.append(f"{self.errors} without an answer")
        parts.append("cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}")
        if self.done < self.total:
            parts.append(f"{self.eta_s:.0f} s left" if self.eta_s is not None else "starting")
        else:
            parts.append(f"{self.elapsed_s:.1f} s")
        return " · ".join(parts)


class Progress(Protocol):
    """Shows tallies."""

    def show(self, tally: Tally) -> None: ...


class Silent:
    def show(self, tally: Tally) -> None:
        """Show nothing."""


class NotebookProgress:
    """One display that is updated in place. A tqdm bar would be saved at 0% wherever no live kernel redraws it."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, tally: Tally) -> None:
        share = 100 * tally.done / tally.total
        html = (
            "<div style='font:13px/1.5 system-ui,sans-serif'>"
            f"<b>{escape(tally.label)}</b> <span style='opacity:.75'>{escape(tally.said())}</span>"
            "<div style='height:4px;max-width:420px;background:rgba(128,128,128,.25);border-radius:2px'>"
            f"<div style='height:4px;width:{share:.1f}%;background:#3b6fb6;border-radius:2px'></div></div></div>"
        )
        self._handle.update({"text/html": html, "text/plain": f"{tally.label}: {tally.said()}"}, raw=True)


class TerminalProgress:
    """A line that is rewritten in a terminal; where output is not a terminal, the last line only."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def show(self, tally: Tally) -> None:
        finished = tally.done == tally.total
        if self._live:
            filled = int(24 * tally.done / tally.total)
            bar = "█" * filled + "░" * (24 - filled)
            print(
                f"\r\x1b[K{tally.label} {bar} {tally.said()}", end="\n" if finished else "", file=sys.stderr, flush=True
            )
        elif finished:
            print(f"{tally.label}: {tally.said()}", file=sys.stderr)


class Throttled:
    """Passes on at most five tallies a second, and always the first and the last: a front end drops a flood."""

    def __init__(self, inner: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock
        self._next = float("-inf")

    def show(self, tally: Tally) -> None:
        if self._clock() >= self._next or tally.done == tally.total:
            self._next = self._clock() + 1.0 / _UPDATES_PER_S
            self._inner.show(tally)


def progress_for(wanted: bool | Progress | None) -> Progress:
    """Choose how to show progress: True or None for what suits the place, False for nothing."""
    if wanted is False:
        return Silent()
    if wanted is None or wanted is True:
        return Throttled(NotebookProgress() if in_notebook() else TerminalProgress())
    return wanted
