"""How far an evaluation is: one output updated in place, so that what a saved notebook shows is the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from labkit.call.record import in_notebook
from labkit.call.result import Result
from labkit.terminal import printable

__all__ = ["PROGRESS_MIME", "Count", "Progress", "Tally", "progress_for"]

PROGRESS_MIME = "application/vnd.labkit.progress+json"
"""Beside the text of a notebook's progress, for a program that runs the notebook; no front end shows it."""

_UPDATES_PER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is done so far.

    Args:
        cost_usd: Of this session; None when a price is unknown.
        before: How many of *done* an earlier session did.
        note: What it waits for, "" when it does not.
    """

    label: str
    done: int
    total: int
    fallbacks: int
    errors: int
    cost_usd: float | None
    elapsed_s: float
    before: int = 0
    note: str = ""

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the speed of this session; None before its first is done."""
        now = self.done - self.before
        return self.elapsed_s / now * (self.total - self.done) if now else None

    def said(self) -> str:
        parts = [f"{self.done} of {self.total} cases"]
        if self.fallbacks:
            parts.append(f"{self.fallbacks} by fallback")
        if self.errors:
            parts.append(f"{self.errors} without an answer")
        if self.cost_usd is not None:
            parts.append(f"${self.cost_usd:.4f}")
        else:  # what mends it is said once, at the end
            parts.append(f"cost unknown{' (give Model(price=lk.Price(...)))' if self.done == self.total else ''}")
        if self.done < self.total:
            parts.append(f"{self.eta_s:.0f} s left" if self.eta_s is not None else "starting")
        else:
            parts.append(f"{self.elapsed_s:.1f} s")
        if self.note:
            parts.append(self.note)
        return " · ".join(parts)


class Count:
    """Counts results as they come, so that a tally costs the same for the last case as for the first."""

    def __init__(self, label: str, total: int, *, done: int = 0) -> None:
        self.total = total
        self.done = self._before = done
        self._label = label
        self._began = time.perf_counter()
        self._fallbacks = self._errors = 0
        self._cost_usd: float | None = 0.0

    def with_one_more(self, result: Result[Any], cost_usd: float | None) -> Tally:
        """Count *result*, and what it cost with its judges."""
        self.done += 1
        self._fallbacks += result.degraded and result.ok
        self._errors += not result.ok
        if self._cost_usd is not None:
            self._cost_usd = None if cost_usd is None else self._cost_usd + cost_usd
        return self._tally("")

    def waiting(self, note: str) -> Tally:
        """Count nothing, say what it waits for."""
        return self._tally(note)

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    def _tally(self, note: str) -> Tally:
        return Tally(
            label=self._label, done=self.done, total=self.total, fallbacks=self._fallbacks, errors=self._errors,
            cost_usd=self._cost_usd, elapsed_s=self.elapsed_s(), before=self._before, note=note,
        )  # fmt: skip


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
        seen = {"label": tally.label, "done": tally.done, "total": tally.total, "said": tally.said()}
        bundle = {"text/html": html, "text/plain": printable(f"{tally.label}: {tally.said()}"), PROGRESS_MIME: seen}
        self._handle.update(bundle, raw=True)


class TerminalProgress:
    """A line that is rewritten in a terminal; where output is not a terminal, the last line only."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def show(self, tally: Tally) -> None:
        finished = tally.done == tally.total
        if self._live:
            filled = int(24 * tally.done / tally.total)
            bar = "█" * filled + "░" * (24 - filled)
            said = printable(f"{tally.label} {bar} {tally.said()}").replace("\n", " ")
            print(f"\r\x1b[K{said}", end="\n" if finished else "", file=sys.stderr, flush=True)
        elif finished:
            print(printable(f"{tally.label}: {tally.said()}"), file=sys.stderr)


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
