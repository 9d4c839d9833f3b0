"""Files that hold what was asked and answered are their owner's alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["PRIVATE", "make_private", "open_private"]

PRIVATE = 0o600


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open *path*, as the ``opener`` of ``open``: a file that is made by it only its owner can read."""
    return os.open(path, flags, PRIVATE)


def make_private(path: str | os.PathLike[str]) -> None:
    """Make an empty file for a library that would make one everybody can read; one that is there stays as it is.

    What stands in the way, such as a folder that is not there, is left to that library to say.
    """
    if not Path(path).exists():
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
