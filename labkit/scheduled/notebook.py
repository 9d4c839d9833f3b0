"""Running a notebook without anybody at the keys, and judging whether it really ran to its end.

papermill alone cannot be trusted with that: an unknown parameter is only a warning, and after ``sys.exit(0)`` or a dead
kernel it reports success with the remaining cells never run.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError, MissingDependency

if TYPE_CHECKING:
    from labkit.scheduled.engine import Watch

__all__ = ["NotebookFailed", "NotebookRun", "parameters_of", "run_notebook"]


# Of sun_path's 104 bytes on macOS, with room for Jupyter's "-5".
_LONGEST_SOCKET_PATH = 96


class NotebookFailed(LabkitError):
    """A notebook did not run to its end; the message names the cell and the error.

    Args:
        error: Name of the exception that ended it, "" where it was none.
    """

    def __init__(self, message: str, *, error: str = "") -> None:
        super().__init__(message)
        self.error = error


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
    watch: Watch | None = None,
) -> NotebookRun:
    """Run *source* and write it, with its outputs, to *executed*; also when it fails.

    Args:
        source: A notebook; where parameters are given it has a cell tagged ``parameters``.
        executed: Where the executed copy goes; its folder is made.
        parameters: By the names that the tagged cell assigns.
        cwd: Working directory of the notebook; the caller's own by default.
        watch: Told in a line how far an evaluation in the notebook is, and whether that is final.

    Raises:
        NotebookFailed: A parameter the notebook does not have, a cell that raised, a task that failed and was
            never awaited, cells that never ran, or no notebook.
        MissingDependency: papermill is not installed.
    """
    known = parameters_of(source)
    import nbclient.exceptions
    import papermill
    from traitlets.config import Config

    from labkit.scheduled.engine import ENGINE

    source, executed = Path(source), Path(executed)
    parameters = dict(parameters or {})
    unknown = sorted(parameters.keys() - set(known))
    if unknown:
        raise NotebookFailed(
            f"{source} has no parameter {unknown[0]!r}; its cell tagged 'parameters' has {', '.join(known) or 'none'}"
        )
    if executed.resolve() == source.resolve():
        raise NotebookFailed(f"{executed}: the executed copy would take the notebook's own place: give another folder")
    executed.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    try:
        with _transport() as transport:
            finished = papermill.execute_notebook(
                str(source), str(executed), parameters=parameters, cwd=None if cwd is None else str(cwd),
                progress_bar=False, log_output=False, engine_name=ENGINE, watch=watch,
                config=Config({"KernelManager": transport}),
            )  # fmt: skip
    except nbclient.exceptions.DeadKernelError as error:
        raise NotebookFailed(f"{source}: the kernel died (see {executed})") from error
    except papermill.exceptions.PapermillExecutionError as error:
        raise NotebookFailed(
            f"{source}, cell {error.exec_count}: {error.ename}: {error.evalue} (see {executed})", error=error.ename
        ) from error
    skipped = [n for n, cell in enumerate(finished.cells) if _has_code(cell) and cell.execution_count is None]
    if skipped:
        raise NotebookFailed(
            f"{source}: cell {skipped[0]} and what follows never ran: the kernel ended before them (see {executed})"
        )
    return NotebookRun(source=source, executed=executed, elapsed_s=time.perf_counter() - began)


@contextmanager
def _transport() -> Iterator[dict[str, str]]:
    """Give sockets in a folder of this run's own: over TCP the kernel warns, rightly, that others could listen.

    Left to itself, Jupyter makes them in the working directory, where two runs at once take each other's.
    """
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        address = str(Path(folder) / "kernel")
        if sys.platform == "win32" or len(address) > _LONGEST_SOCKET_PATH:
            yield {"transport": "tcp"}
        else:
            yield {"transport": "ipc", "ip": address}


def parameters_of(source: str | Path) -> list[str]:
    """Give the names that the notebook's cell tagged ``parameters`` assigns.

    Raises:
        NotebookFailed: No notebook is there.
        MissingDependency: papermill is not installed.
    """
    try:
        import papermill
    except ModuleNotFoundError as error:
        raise MissingDependency("papermill", extra="lab", purpose="running a notebook") from error
    logging.getLogger("papermill").setLevel(logging.ERROR)
    if not Path(source).is_file():
        raise NotebookFailed(f"{Path(source).resolve()} is not there: give the notebook's path")
    try:
        return list(papermill.inspect_notebook(str(source)))
    except Exception as error:  # nbformat raises what it likes on a file that is no notebook
        raise NotebookFailed(f"{source} cannot be read as a notebook: {' '.join(str(error).split())[:200]}") from error


def _has_code(cell: Any) -> bool:
    return bool(
        cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", ())
    )
