"""Running a notebook without anybody at the keys, and judging whether it really ran to its end.

papermill alone cannot be trusted with that: an unknown parameter is only a warning, and after ``sys.exit(0)`` or a dead
kernel it reports success with the remaining cells never run.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError, MissingDependency

__all__ = ["NotebookFailed", "NotebookRun", "run_notebook"]


class NotebookFailed(LabkitError):
    """A notebook did not run to its end; the message names the cell and the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookRun:
    """A notebook that ran to its end: where its executed copy is, and how long it took."""

    source: Path
    executed: Path
    elapsed_s: float


def run_notebook(
    source: str | Path,
    executed: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    cwd: str | Path | None = None,
) -> NotebookRun:
    """Run *source* and write it, with its outputs, to *executed*; also when it fails.

    Args:
        source: A notebook; where parameters are given it has a cell tagged ``parameters``.
        executed: Where the executed copy goes; its folder is made.
        parameters: By the names that the tagged cell assigns.
        cwd: Working directory of the notebook; the caller's own by default.

    Raises:
        NotebookFailed: A parameter the notebook does not have, a cell that raised, or cells that never ran.
        MissingDependency: papermill is not installed.
    """
    try:
        import nbclient.exceptions
        import papermill
        from traitlets.config import Config
    except ModuleNotFoundError as error:
        raise MissingDependency("papermill", extra="lab", purpose="running a notebook") from error
    logging.getLogger("papermill").setLevel(logging.ERROR)
    source, executed = Path(source), Path(executed)
    parameters = dict(parameters or {})
    known = papermill.inspect_notebook(str(source)) if parameters else {}
    unknown = sorted(parameters.keys() - known.keys())
    if unknown:
        raise NotebookFailed(
            f"{source} has no parameter {unknown[0]!r}; its cell tagged 'parameters' has {', '.join(known) or 'none'}"
        )
    executed.parent.mkdir(parents=True, exist_ok=True)
    # Sockets in the file system where there are such: over TCP the kernel warns, rightly, that others could listen.
    transport = "tcp" if sys.platform == "win32" else "ipc"
    began = time.perf_counter()
    try:
        finished = papermill.execute_notebook(
            str(source), str(executed), parameters=parameters, cwd=None if cwd is None else str(cwd),
            progress_bar=False, log_output=False,
            config=Config({"KernelManager": {"transport": transport}}),
        )  # fmt: skip
    except nbclient.exceptions.DeadKernelError as error:
        raise NotebookFailed(f"{source}: the kernel died (see {executed})") from error
    except papermill.exceptions.PapermillExecutionError as error:
        raise NotebookFailed(
            f"{source}, cell {error.exec_count}: {error.ename}: {error.evalue} (see {executed})"
        ) from error
    skipped = [n for n, cell in enumerate(finished.cells) if _has_code(cell) and cell.execution_count is None]
    if skipped:
        raise NotebookFailed(
            f"{source}: cell {skipped[0]} and what follows never ran: the kernel ended before them (see {executed})"
        )
    return NotebookRun(source=source, executed=executed, elapsed_s=time.perf_counter() - began)


def _has_code(cell: Any) -> bool:
    return bool(cell.cell_type == "code" and cell.source.strip())
