"""Where runs are kept: what was given, what LABKIT_STORE says, or the project's own labkit.db."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.call.sqlite_file import SqliteFile, file_named, looks_like_a_file, url_of
from labkit.errors import StoreError

__all__ = ["NAME", "SEARCHED", "Place", "default_url", "place_of"]

NAME = "labkit.db"

SEARCHED = f"the nearest folder upwards that has {NAME}, pyproject.toml or .git, else the working directory"

_MARKS = (NAME, "pyproject.toml", ".git")
_POSTGRES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One store.

    Args:
        url: What SQLAlchemy opens.
        file: Its file where it is SQLite.
        is_default: Nobody named it.
    """

    url: str
    file: SqliteFile | None
    is_default: bool = False


def place_of(given: str | os.PathLike[str] | None = None) -> Place:
    """Find the store.

    Args:
        given: ``sqlite:///runs.db``, ``sqlite:////srv/runs.db`` for an absolute path, a path as such (``runs.db``), or
            ``postgresql://user@host/name``; None: what LABKIT_STORE says, else ``labkit.db`` in the project's folder,
            see ``default_url``.

    Raises:
        StoreError: It is neither.
    """
    place = given if given is not None and given != "" else default_url()
    is_default = not given and not os.environ.get("LABKIT_STORE")
    if isinstance(place, str):
        scheme, is_url, _ = place.partition("://")
        if is_url and scheme.lower().partition("+")[0] in _POSTGRES:
            return Place(url=place, file=None)
        if is_url and scheme.lower().partition("+")[0] != "sqlite":
            # the scheme alone: what follows may hold a password
            raise StoreError(
                f"{scheme}://... is not a store: write a URL such as sqlite:///runs.db, or postgresql://user@host/name"
            )
        if not place.lower().startswith("sqlite:") and not looks_like_a_file(place):
            raise StoreError(
                f"{place!r} is not a store: write a URL such as sqlite:///runs.db, or a path such as runs.db"
            )
    path = file_named(place).absolute()
    return Place(url=url_of(path), file=SqliteFile(path, url_of(path)), is_default=is_default)


def default_url(start: Path | None = None) -> str:
    """LABKIT_STORE, or ``labkit.db`` in the folder of the project.

    That is the nearest folder, from *start* (the working directory) upwards, that has ``labkit.db``, ``pyproject.toml``
    or ``.git``; *start* itself where there is none. So a notebook in a folder below, the command line and a script see
    the same runs.
    """
    if named := os.environ.get("LABKIT_STORE"):
        return named
    start = (start or Path.cwd()).absolute()
    return url_of(next((folder for folder in _upwards(start) if _is_marked(folder)), start) / NAME)


def _is_marked(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _upwards(start: Path) -> Iterator[Path]:
    """Give *start* and the folders above it that are the same person's: a project's, not a machine's."""
    yield start
    whose = {start.stat().st_uid, os.getuid() if hasattr(os, "getuid") else 0}
    tops = {Path(start.anchor)}
    with contextlib.suppress(RuntimeError):  # nobody's home
        tops.add(Path.home())
    for folder in start.parents:
        # A home or / with a .git of its own keeps somebody's settings. In /tmp anybody could have put one.
        about = folder.stat()
        if folder in tops or about.st_uid not in whose or about.st_mode & stat.S_IWOTH:
            return
        yield folder
