"""A papermill engine that sees more than papermill's own: tasks that failed unawaited, how far an evaluation is.

This module imports papermill; it is imported where a notebook is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from labkit.evals.progress import PROGRESS_MIME

__all__ = ["ENGINE", "Watch"]

ENGINE = "labkit"

Watch = Callable[[str, bool], None]
"""Told what goes on in a line, and whether that line is final."""

# A task that nobody holds is collected with its failure; the loop is told, and would only log it.
_LISTEN = """\
import asyncio as _asyncio
def _listener(_loop, _context):
    if _context.get("exception") is not None and "never retrieved" in _context["message"]:
        _listener.heard.append(_context["exception"])
    _loop.default_exception_handler(_context)
_listener.heard = []
_asyncio.get_running_loop().set_exception_handler(_listener)
"""

# A task that is still running gets ten seconds: what it was to do may be what the notebook is about.
_CHECK = """\
# Added when the notebook was run unattended: a task that failed and was never awaited would go unseen.
import asyncio as _asyncio, gc as _gc
_gc.collect()
_loop = _asyncio.get_running_loop()
_failures = list(getattr(_loop.get_exception_handler(), "heard", ()))
_tasks = [_found for _found in _gc.get_objects() if issubclass(type(_found), _asyncio.Task)]
_own = [_task for _task in _tasks if not _task.done() and _task.get_loop() is _loop]
_own = [_task for _task in _own if "ipykernel_" in getattr(getattr(_task.get_coro(), "cr_code", 0), "co_filename", "")]
if _own:
    await _asyncio.wait(_own, timeout=10)
for _task in _tasks:
    if _task.done() and not _task.cancelled() and _task._log_traceback:
        _failures.append(_task.exception())
if _failures:
    _said = f"a task that was never awaited failed: {type(_failures[0]).__name__}: {_failures[0]}"
    raise RuntimeError(_said) from _failures[0]
"""


class _Kernel(AsyncKernelManager):
    """A kernel that is not interrupted at its end while it is idle: ipykernel would say that it caught an ERROR."""

    is_idle = False

    async def _async_interrupt_kernel(self) -> None:
        if not (self.shutting_down and self.is_idle):
            await super()._async_interrupt_kernel()


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    def __init__(self, nb_man: Any, watch: Watch | None = None, **options: Any) -> None:
        super().__init__(nb_man, kernel_manager_class=_Kernel, **options)
        self._watch = watch

    def _run_unseen(self, source: str) -> None:
        """Run code that is in the notebook only meanwhile."""
        self.nb.cells.insert(0, nbformat.v4.new_code_cell(source))  # type: ignore[no-untyped-call]
        try:
            super().execute_cell(self.nb.cells[0], 0, store_history=False)
        finally:
            del self.nb.cells[0]

    def papermill_execute_cells(self) -> None:
        self._run_unseen(_LISTEN)
        super().papermill_execute_cells()
        cells = self.nb.cells
        if not any(cell.metadata["papermill"].get("exception") for cell in cells):
            self._look_for_failed_tasks()
        self.km.is_idle = True

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        seen = message["content"].get("data", {}).get(PROGRESS_MIME) if self._watch is not None else None
        if seen is not None and self._watch is not None:
            self._watch(f"{seen['label']}: {seen['said']}", seen["done"] == seen["total"])
        return super().process_message(message, cell, cell_index)

    def _look_for_failed_tasks(self) -> None:
        cell = nbformat.v4.new_code_cell(_CHECK)  # type: ignore[no-untyped-call]
        # papermill looks this up in every cell once the notebook is done
        fate = {"exception": True, "start_time": None, "end_time": None, "duration": None, "status": "failed"}
        cell.metadata["papermill"] = NotebookNode(fate)  # type: ignore[no-untyped-call]
        self.nb.cells.append(cell)
        try:
            self.execute_cell(cell, len(self.nb.cells) - 1)
        except CellExecutionError:
            return  # papermill finds the error in the cell's outputs, and a reader of the notebook does
        self.nb.cells.remove(cell)


class _Engine(NBClientEngine):  # type: ignore[misc]
    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        start_timeout: int = 60,
        watch: Watch | None = None,
        **options: Any,
    ) -> Any:
        return _Client(
            nb_man,
            watch=watch,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            config=options["config"],
        ).execute()


papermill_engines.register(ENGINE, _Engine)
