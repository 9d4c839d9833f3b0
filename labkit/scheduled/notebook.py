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

from labkit.errors import MissingDependency, NotebookFailed
from labkit.scheduled.kernel import Kernel, NoKernel, kernel_of
from labkit.scheduled.parameters import parameter_names

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from labkit.scheduled.engine import Watch

__all__ = ["NotebookFailed", "NotebookRun", "parameters_of", "run_notebook"]

_log = logging.getLogger("labkit.scheduled")

# Of sun_path's 104 bytes on macOS, with room for Jupyter's "-5".
_LONGEST_SOCKET_PATH = 96


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
    kernel: str | None = None,
    cwd: str | Path | None = None,
    watch: Watch | None = None,
) -> NotebookRun:
    """Run *source* and write it, with its outputs, to *executed*; also when it fails.

    A cell tagged ``raises-exception`` may raise, and the notebook goes on.

    Args:
        source: A notebook; where parameters are given it has a cell tagged ``parameters``.
        executed: Where the executed copy goes; its folder is made.
        parameters: By the names that the tagged cell assigns. Passwords in addresses, and what is named as a key or a
            password, reach the notebook and are shown as "***" in the copy.
        kernel: The kernel's name. None: the one that the notebook names; this Python's own where it names none, or one
            of Python that is not here, which is logged.
        cwd: Working directory of the notebook; the caller's own by default.
        watch: Told in a line which kernel had to stand in, how far an evaluation in the notebook is, and whether that
            is final.

    Raises:
        NotebookFailed: A parameter the notebook does not have, a cell that raised, a task that failed and was
            never awaited, cells that never ran, no such kernel, or no notebook.
        MissingDependency: papermill is not installed.
    """
    source, executed = Path(source), Path(executed)
    read = _read(source, kernel)
    from nbclient.exceptions import DeadKernelError

    from labkit.scheduled.execution import execute

    parameters = dict(parameters or {})
    unknown = sorted(parameters.keys() - set(read.parameters))
    if unknown:
        known = ", ".join(read.parameters) or "none"
        raise NotebookFailed(f"{source} has no parameter {unknown[0]!r}; its cell tagged 'parameters' has {known}")
    if executed.resolve() == source.resolve():
        raise NotebookFailed(f"{executed}: the executed copy would take the notebook's own place: give another folder")
    if (missing := read.kernel.instead_of) != "":
        said = f"{source}: its kernel {missing!r} is not here: {read.kernel.name!r}, this Python's own, runs it instead"
        _log.warning(said) if watch is None else watch(f"{said} (another: --kernel NAME)", True)
    executed.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    try:
        with _transport() as transport:
            finished, failure = execute(
                read.book, executed, source=source, kernel=read.kernel, parameters=parameters,
                cwd=None if cwd is None else Path(cwd), watch=watch, transport=transport,
            )  # fmt: skip
    except DeadKernelError as error:
        raise NotebookFailed(f"{source}: the kernel died (see {executed})") from error
    if failure is not None:
        said = f"{failure.error}: {failure.said}" if failure.said else failure.error
        raise NotebookFailed(f"{source}, cell {failure.number}: {said} (see {executed})", error=failure.error)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notebook:
    """A notebook as it is before it runs."""

    book: NotebookNode
    kernel: Kernel
    parameters: list[str]


def parameters_of(source: str | Path, *, kernel: str | None = None) -> list[str]:
    """Give the names that the notebook's cell tagged ``parameters`` assigns, in order.

    Raises:
        NotebookFailed: No notebook is there, its cell is not Python, or there is no kernel for it.
        MissingDependency: papermill is not installed.
    """
    return _read(Path(source), kernel).parameters


def _read(source: Path, kernel: str | None) -> _Notebook:
    try:
        from papermill.iorw import load_notebook_node
    except ModuleNotFoundError as error:
        raise MissingDependency("papermill", extra="lab", purpose="running a notebook") from error
    logging.getLogger("papermill").setLevel(logging.ERROR)
    if not source.is_file():
        raise NotebookFailed(f"{source.resolve()} is not there: give the notebook's path")
    try:
        book = load_notebook_node(str(source))
    except Exception as error:  # nbformat raises what it likes on a file that is no notebook
        raise NotebookFailed(f"{source} cannot be read as a notebook: {' '.join(str(error).split())[:200]}") from error
    try:
        chosen = kernel_of(book, kernel)
        names = parameter_names(book, chosen.name, chosen.language)
    except NoKernel as error:
        raise NotebookFailed(f"{source}: {error}") from error
    except SyntaxError as error:
        said = f"line {error.lineno}: {error.msg}"
        raise NotebookFailed(f"{source}: its cell tagged 'parameters' is not Python: {said}") from error
    return _Notebook(book=book, kernel=chosen, parameters=names)


def _has_code(cell: Any) -> bool:
    return bool(
        cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", ())
    )
