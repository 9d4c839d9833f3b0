"""One execution of a notebook with papermill's parts, put together anew.

papermill's own ``execute_notebook`` takes every error for a failure, also in a cell that is tagged as meant to raise.

This module imports papermill; it is imported where a notebook is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from papermill.engines import papermill_engines
from papermill.execute import (
    ERROR_ANCHOR_MSG,
    ERROR_MARKER_TAG,
    ERROR_MESSAGE_TEMPLATE,
    prepare_notebook_metadata,
    remove_error_markers,
)
from papermill.iorw import write_ipynb
from papermill.parameterize import parameterize_notebook
from papermill.utils import chdir
from traitlets.config import Config

from labkit.scheduled.engine import ENGINE, Watch
from labkit.scheduled.hiding import Hidden
from labkit.scheduled.kernel import Kernel

__all__ = ["Failure", "execute"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The cell that a notebook stopped at.

    Args:
        number: What stands beside the cell: 3 of In[3].
        error: Name of the exception.
        said: Its message.
    """

    number: int | None
    error: str
    said: str


def execute(
    book: NotebookNode,
    executed: Path,
    *,
    source: Path,
    kernel: Kernel,
    parameters: Mapping[str, Any],
    cwd: Path | None,
    watch: Watch | None,
    transport: Mapping[str, str],
) -> tuple[NotebookNode, Failure | None]:
    """Run every cell, and write the notebook with its outputs to *executed*, also after each cell.

    Passwords among the parameters are not written.

    Returns:
        The notebook with its outputs, and what it stopped at.

    Raises:
        nbclient.exceptions.DeadKernelError: The kernel died.
    """
    hidden = Hidden(parameters)
    if parameters:
        book = parameterize_notebook(
            book, dict(parameters), kernel_name=kernel.name, language=kernel.language, engine_name=ENGINE
        )
    book = remove_error_markers(prepare_notebook_metadata(book, str(source), str(executed)))
    try:
        place = hidden.place(executed)
        with chdir(None if cwd is None else str(cwd)):
            book = papermill_engines.execute_notebook_with_engine(
                ENGINE,
                book,
                input_path=str(source),
                output_path=place,
                kernel_name=kernel.name,
                progress_bar=False,
                watch=watch,
                config=Config({"KernelManager": transport}),
            )
        stopped = (n for n, cell in enumerate(book.cells) if cell.metadata["papermill"].get("exception"))
        stopped_at = next(stopped, None)
        failure = None if stopped_at is None else _failure(book.cells[stopped_at], hidden)
        if stopped_at is not None and failure is not None:
            book = _marked(book, stopped_at)
        write_ipynb(book, place)
    finally:
        hidden.done(executed)
    return book, failure


def _failure(cell: NotebookNode, hidden: Hidden) -> Failure | None:
    """Say how a cell failed; ``sys.exit(0)`` is no failure by itself, but what follows it never ran."""
    number, outputs = cell.execution_count, cell.get("outputs", ())
    for output in outputs:
        if output.output_type == "error":
            if output.ename == "SystemExit" and output.evalue in ("", "0"):
                return None
            return Failure(number=number, error=output.ename, said=hidden.text(_COLOUR.sub("", output.evalue)))
    # IPython prints some of its errors instead, such as that of a magic it does not know
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stderr")
    lines = [line.strip() for line in _COLOUR.sub("", printed).splitlines() if line.strip()]
    last = hidden.text(lines[-1]) if lines else "the cell gave no reason"
    error, colon, said = last.partition(": ")
    if colon and error.isidentifier():
        return Failure(number=number, error=error, said=said)
    return Failure(number=number, error="CellExecutionError", said=last)


def _marked(book: NotebookNode, stopped_at: int) -> NotebookNode:
    """Say at the top of the notebook, and above the cell, that it stopped there, as papermill does."""
    number = str(book.cells[stopped_at].execution_count)
    for at, text in ((stopped_at, ERROR_ANCHOR_MSG), (0, ERROR_MESSAGE_TEMPLATE % number)):
        cell = nbformat.v4.new_markdown_cell(text, metadata={"tags": [ERROR_MARKER_TAG]})  # type: ignore[no-untyped-call]
        book.cells.insert(at, cell)
    return book
