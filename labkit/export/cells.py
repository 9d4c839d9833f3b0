"""Where the code stands that made an object: a notebook's executed cells, or the file of a module or script."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Cell", "Session", "sessions_holding", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One executed cell, or one source file.

    Args:
        label: What the person sees beside it: "In[5]", or the file's name.
        source: Python text; in a notebook as IPython ran it, with magics already turned into calls. Lines end with
            "\\n", as they do for Python whatever was typed.
        failed: It raised, so that it is not known how far it got.
        running_line: The line that is being executed, None once the cell has ended.
    """

    label: str
    source: str
    failed: bool = False
    running_line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What was executed, in order, and the names that it left.

    Args:
        module: What classes and functions made here say of their home: ``__main__`` in a notebook.
    """

    cells: tuple[Cell, ...]
    namespace: Mapping[str, Any]
    module: str


@dataclass(frozen=True, slots=True)
class _Ran:
    """One cell that IPython reported as ended; *number* is None where it keeps no history of it."""

    number: int | None
    source: str
    success: bool


_ran: weakref.WeakKeyDictionary[Any, list[_Ran]] = weakref.WeakKeyDictionary()


def watch() -> None:
    """Note from now on which cells IPython runs and how they end; harmless where there is no IPython.

    Without it the history still gives every cell, but IPython before 9 does not say there which ones failed.
    """
    shell = _shell()
    if shell is None or shell in _ran:
        return
    log = _ran.setdefault(shell, [])

    def note(result: Any) -> None:
        source = getattr(result.info, "transformed_cell", None) or shell.transform_cell(result.info.raw_cell or "")
        number = result.execution_count if result.info.store_history else None
        log.append(_Ran(number, source, result.success))

    shell.events.register("post_run_cell", note)


def sessions_holding(thing: object) -> Iterator[tuple[Session, list[str]]]:
    """Find where *thing* has a name, the likeliest place first.

    Yields:
        A session and the top-level names that are *thing* itself there, without IPython's own ``_`` and ``_5``.
    """
    shell = _shell()
    if shell is not None and (names := _names(thing, shell.user_ns)):
        yield Session(cells=_notebook_cells(shell), namespace=shell.user_ns, module=shell.user_ns["__name__"]), names
    for space in _namespaces():
        file = space.get("__file__")
        if not isinstance(file, str) or not file.endswith(".py") or (shell is not None and space is shell.user_ns):
            continue
        if (names := _names(thing, space)) and Path(file).is_file():
            source = Path(file).read_text(encoding="utf-8")
            cell = Cell(label=Path(file).name, source=source, running_line=_running_line(space))
            yield Session(cells=(cell,), namespace=space, module=str(space.get("__name__"))), names


def _names(thing: object, space: Mapping[str, Any]) -> list[str]:
    return [name for name, value in list(space.items()) if value is thing and not _is_history(name)]


def _is_history(name: str) -> bool:
    return name.strip("_0123456789i") == "" and name.startswith("_")


def _namespaces() -> Iterator[dict[str, Any]]:
    """The globals of everything that is being executed, innermost first, then every imported module's."""
    seen = set()
    spaces = [frame.f_globals for frame in _frames()]
    spaces += [vars(module) for name in ["__main__", *sys.modules] if (module := sys.modules.get(name)) is not None]
    for space in spaces:
        if id(space) not in seen:
            seen.add(id(space))
            yield space


def _notebook_cells(shell: Any) -> tuple[Cell, ...]:
    log = _ran.get(shell, [])
    history = list(shell.history_manager.input_hist_parsed)
    failures = getattr(shell.history_manager, "exceptions", {})
    reported = {ran.number for ran in log}
    first = min((ran.number for ran in log if ran.number is not None), default=len(history))
    cells = [
        Cell(label=f"In[{number}]", source=_with_newlines(history[number]), failed=number in failures)
        for number in range(1, min(first, len(history)))
    ]
    for ran in log:
        label = f"In[{ran.number}]" if ran.number is not None else "a cell run without history"
        cells.append(Cell(label=label, source=_with_newlines(ran.source), failed=not ran.success))
    line = _running_line(shell.user_ns)
    last = len(history) - 1
    if line is not None and last >= 1 and last not in reported:  # the cell that asks for the export
        if cells and cells[-1].label == f"In[{last}]":
            cells.pop()
        cells.append(Cell(label=f"In[{last}]", source=_with_newlines(history[last]), running_line=line))
    return tuple(cells)


def _with_newlines(source: str) -> str:
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _running_line(space: Mapping[str, Any]) -> int | None:
    """The line that the top level of *space* is executing, None when it is not."""
    frames = (frame for frame in _frames() if frame.f_globals is space and frame.f_code.co_name == "<module>")
    return next((frame.f_lineno for frame in frames), None)


def _frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _shell() -> Any:
    if "IPython" not in sys.modules:  # a service or a script: do not load it for this question
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
