"""A SQLite file: where an address leads, whose tables are in it, and whether it is still the file that was opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from labkit.call.private_files import make_private
from labkit.errors import StoreError, StoreGone

__all__ = ["LOCK_WAIT_S", "SqliteFile", "file_named", "looks_like_a_file", "strangers", "url_of"]

LOCK_WAIT_S = 10.0

_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def file_named(place: str | os.PathLike[str]) -> Path:
    """Give the file that *place* names: a path, or a SQLite URL.

    ``sqlite:///runs.db`` is relative to the working directory; an absolute path has four slashes,
    ``sqlite:////srv/runs.db``. ``~`` is the home directory.

    Raises:
        StoreError: It names no file.
    """
    if not isinstance(place, str):
        return Path(place).expanduser()
    if not place.lower().startswith("sqlite:"):
        return Path(place).expanduser()
    scheme, slashes, name = place.partition(":///")
    if place != "sqlite://" and (not slashes or scheme.lower() not in ("sqlite", "sqlite+pysqlite")):
        raise StoreError(f"{place!r} is not a store: write sqlite:///runs.db, or sqlite:////srv/runs.db for /srv")
    if name in ("", ":memory:"):
        raise StoreError(f"{place} is in memory, where each thread would have its own: give a file")
    if "?" in name:
        raise StoreError(f"{place!r}: a store takes no options behind '?'; a file with such a name is given as a path")
    return Path(name).expanduser()


def url_of(path: Path) -> str:
    """Give the URL of a file: three slashes, and the one that an absolute path begins with."""
    return f"sqlite:///{path}"


class SqliteFile:
    """One SQLite file, and what is to be known of it before and while it is used.

    Args:
        shown: How messages name it.
    """

    def __init__(self, path: Path, shown: str) -> None:
        # absolute: whoever changes the working directory later still means this file
        self.path, self.shown = path.absolute(), shown
        self._was: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it holds anything: a new database begins as an empty file."""
        return self.path.is_file() and self.path.stat().st_size > 0

    @property
    def may_be_written(self) -> bool:
        """Whether SQLite can write it; it needs its folder too, for its log beside the file."""
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def look(self, refuse: Callable[[sqlite3.Connection, set[str]], None], *, wait_s: float = LOCK_WAIT_S) -> None:
        """Look at what is there without a trace; *refuse* is given it with its tables and raises if it is not ours.

        Raises:
            StoreError: There is no such folder, or the file is no database or damaged; it is left as it is.
        """
        try:
            if not self.path.parent.is_dir():
                raise StoreError(self._no_folder())
            if self.path.is_dir():
                raise StoreError(f"{self.shown} is a folder: give the name of a file in it")
            if not self.is_there:
                return
        except OSError as error:
            raise StoreError(self.unusable(error)) from error
        # Left as it was: without a log beside it, too. What a writer does that came just then is seen the second time.
        modes = ("ro",) if self._logged else ("ro&immutable=1", "ro")
        for last, mode in enumerate(modes, 1 - len(modes)):
            try:
                with contextlib.closing(self._connect(mode, wait_s=wait_s)) as db:
                    found = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                    refuse(db, {name for name in found if not name.startswith("sqlite_")})
                    (pages,), (page_bytes,) = (
                        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
                    )
                break
            except sqlite3.DatabaseError as error:
                if last == 0:
                    raise StoreError(self.unusable(error)) from error
        held = self.path.stat().st_size + self._logged
        if pages * page_bytes > held:
            raise StoreError(
                f"{self.shown} is damaged: it should have {pages * page_bytes:,} bytes and has {held:,}. "
                "Restore it from a copy, or give another file."
            )

    def connect_to_read(self, *, threads: bool = False) -> sqlite3.Connection:
        """Open it so that nothing is written, also where nothing can be; it is not made.

        Where it may be written, SQLite is let in to tidy its own log, which it would leave lying beside the file if it
        was opened with ``mode=ro``, and is told to refuse every write. Where it may not, and no log is beside it,
        nobody else can be writing either: ``immutable`` then does without the files that cannot be made.
        """
        mode = "rw" if self.may_be_written else "ro" if self._logged else "ro&immutable=1"
        return self._connect(mode, "PRAGMA query_only = ON", threads=threads)

    def connect_to_write(self, *, threads: bool = False, wait_s: float = LOCK_WAIT_S) -> sqlite3.Connection:
        """Open it to write; it is made once, and not again if it is gone later.

        Args:
            wait_s: How long to wait while another process has it locked.

        Raises:
            StoreGone: It was deleted or replaced since it was first opened.
        """
        first = self._was is None
        if first:
            make_private(self.path)
        else:
            self.check()
        pragmas = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")
        db = self._connect("rwc" if first else "rw", *pragmas, threads=threads, wait_s=wait_s)
        if first:
            self._was = self._identity()
        return db

    def check(self) -> None:
        """See that it is still the file that was opened. SQLite itself goes on writing into one that was deleted.

        Raises:
            StoreGone: It is not.
        """
        if (gone := self.gone()) is not None:
            raise gone

    def gone(self) -> StoreGone | None:
        """Give the error to raise where it is not the file any more that was opened to write."""
        if self._was is None or (now := self._identity()) == self._was:
            return None
        what = "deleted" if now is None else "replaced"
        return StoreGone(f"{self.shown} was {what} while it was in use: what had been written there is lost")

    def unusable(self, error: BaseException) -> str:
        """Say what a driver's error means, and what to do."""
        said = " ".join(str(error).split())
        if "locked" in said:
            return (
                f"{self.shown} was locked by another process for {LOCK_WAIT_S:g} s: end it, or use PostgreSQL for "
                "several writers"
            )
        if "unable to open" in said and self.path.exists() and self._logged and not self.may_be_written:
            return (
                f"{self.shown} cannot be read here: what was written last stands in {self._wal.name} beside it, which "
                "takes a folder that can be written: copy both there"
            )
        if "unable to open" in said and not self.path.exists() and os.access(self.path.parent, os.W_OK):
            return f"{self.shown} is not there: it was deleted, or never made"
        if "readonly" in said or ("unable to open" in said and not self.may_be_written):
            return f"{self.shown} may not be written ({said}): allow it, or give another"
        return f"{self.shown} cannot be used as a store: {said}. Check the address, or give another."

    @property
    def _wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    @property
    def _logged(self) -> int:
        """Bytes in the log beside it: what was committed and does not stand in the file itself yet."""
        return self._wal.stat().st_size if self._wal.is_file() else 0

    def _connect(
        self, mode: str, *pragmas: str, threads: bool = False, wait_s: float = LOCK_WAIT_S
    ) -> sqlite3.Connection:
        # isolation_level: the driver must not open transactions by itself
        db = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=wait_s, isolation_level=None,
            check_same_thread=not threads,
        )  # fmt: skip
        try:
            for pragma in pragmas:
                db.execute(pragma)
        except BaseException:
            db.close()
            raise
        return db

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _no_folder(self) -> str:
        folder = self.path.parent
        said = f"{self.shown}: the folder {folder} is not there, unable to open a file in it"
        with contextlib.suppress(ValueError):
            # sqlite:///srv/runs.db where /srv was meant
            meant = Path("/") / self.path.relative_to(Path.cwd())
            if meant.parent.is_dir() and len(meant.parts) > 2:
                return f"{said}; an absolute path has four slashes: {url_of(meant)}"
        return f"{said}: make it, or give another"


def strangers(shown: str, tables: set[str]) -> StoreError:
    """Give the error for a file that holds what another program wrote."""
    held = ", ".join(sorted(tables)[:3])
    return StoreError(f"{shown} holds another program's tables ({held}): give a file of labkit's own")


def looks_like_a_file(place: str) -> bool:
    """Say whether text that is no URL is meant as a file: by its suffix, or because it is there."""
    return place.lower().endswith(_SUFFIXES) or Path(place).expanduser().is_file()
