"""Which kernel runs a notebook: the one that is asked for, its own, or this Python's."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Kernel", "NoKernel", "kernel_of"]

_log = logging.getLogger("labkit.scheduled")

# Jupyter takes each of them for its own interpreter.
_BARE = ("python", "python3", f"python3.{sys.version_info[1]}")


class NoKernel(LabkitError):
    """No kernel here can run the notebook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What runs a notebook.

    Args:
        name: As Jupyter knows it.
        language: Of the notebook's code: "python", "R", ...
        instead_of: The kernel that the notebook names and that is not here; "" where it is, or where none is named.
    """

    name: str
    language: str
    instead_of: str = ""


def kernel_of(book: NotebookNode, wanted: str | None) -> Kernel:
    """Choose the kernel.

    A notebook that names none is Python's: VS Code writes no kernel before the first run. One that names a kernel of
    another machine is run by this Python if that is its language.

    Args:
        wanted: A kernel's name; None leaves it to the notebook.

    Raises:
        NoKernel: *wanted*, or the kernel of another language than Python, is not here.
    """
    installed = _installed()
    spec = _mapping(book.metadata.get("kernelspec"))
    named, said = str(spec.get("name") or ""), _language(book)
    chosen = wanted or named
    if (found := installed.get(chosen.lower())) is not None:
        return Kernel(name=chosen, language=found.language or said)
    known = f"there are {', '.join(sorted(installed))}" if installed else "there is none: install ipykernel"
    if wanted:
        raise NoKernel(f"kernel {wanted!r} is not here; {known}")
    if not said.lower().startswith("python") or not installed:
        raise NoKernel(f"its kernel {named!r} ({said}) is not here; {known}. Install it, or give --kernel NAME")
    return Kernel(name=_own(installed), language="python", instead_of=named)


def _installed() -> dict[str, Any]:
    """Give the kernels that can start here; one whose environment was deleted is still listed by Jupyter."""
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import TraitError

    manager = KernelSpecManager()
    found = {}
    for name in manager.find_kernel_specs():
        try:
            spec = manager.get_kernel_spec(name)
        except (OSError, ValueError, TypeError, KeyError, TraitError) as error:
            _log.debug("kernel %r is not used: %r", name, error)
            continue
        if not spec.argv or spec.argv[0] in _BARE or shutil.which(spec.argv[0]) is not None:
            found[name] = spec
    return found


def _language(book: NotebookNode) -> str:
    """Give what the notebook says of its language; Python where it says nothing."""
    info, spec = _mapping(book.metadata.get("language_info")), _mapping(book.metadata.get("kernelspec"))
    return str(info.get("name") or spec.get("language") or "python")


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _own(installed: Mapping[str, Any]) -> str:
    """Give the kernel that is this Python: where labkit is, the notebook finds it."""
    from jupyter_client.kernelspec import NATIVE_KERNEL_NAME

    names = sorted(installed, key=lambda name: name != NATIVE_KERNEL_NAME)
    for name in names:
        command = installed[name].argv[0] if installed[name].argv else ""
        # not resolved: a venv's interpreter is a link to one that does not have the venv's packages
        if command in _BARE or os.path.abspath(command) == os.path.abspath(sys.executable):
            return name
    return names[0]
