"""Which kernel runs a notebook: the one that is asked for, its own, or this Python's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Kernel", "NoKernel", "kernel_of"]


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
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager()
    installed: Mapping[str, str] = manager.find_kernel_specs()
    spec = _mapping(book.metadata.get("kernelspec"))
    named, said = str(spec.get("name") or ""), _language(book)
    chosen = wanted or named
    if chosen.lower() in installed:
        return Kernel(name=chosen, language=manager.get_kernel_spec(chosen).language or said)
    known = f"there are {', '.join(sorted(installed))}" if installed else "there is none: install ipykernel"
    if wanted:
        raise NoKernel(f"kernel {wanted!r} is not here; {known}")
    if not said.lower().startswith("python") or not installed:
        raise NoKernel(f"its kernel {named!r} ({said}) is not here; {known}. Install it, or give --kernel NAME")
    return Kernel(name=_own(manager, installed), language="python", instead_of=named)


def _language(book: NotebookNode) -> str:
    """Give what the notebook says of its language; Python where it says nothing."""
    info, spec = _mapping(book.metadata.get("language_info")), _mapping(book.metadata.get("kernelspec"))
    return str(info.get("name") or spec.get("language") or "python")


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _own(manager: Any, installed: Mapping[str, str]) -> str:
    """Give the kernel that is this Python: where labkit is, the notebook finds it."""
    from jupyter_client.kernelspec import NATIVE_KERNEL_NAME

    names = sorted(installed, key=lambda name: name != NATIVE_KERNEL_NAME)
    # Jupyter takes a bare "python" for its own interpreter
    own = {"python", "python3", f"python3.{sys.version_info[1]}", os.path.realpath(sys.executable)}
    for name in names:
        command = manager.get_kernel_spec(name).argv[0]
        if command in own or os.path.realpath(command) in own:
            return name
    return names[0]
