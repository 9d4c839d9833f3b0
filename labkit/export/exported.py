"""What an export gives back: where the package is, and what to type next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["Exported"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Exported:
    """A package that was written and found to be the same as the live call.

    Args:
        directory: Absolute.
        module: What to import.
        name: The call's name in it.
        fingerprint: The call's.
        files: Paths below *directory*, sorted.
    """

    directory: Path
    module: str
    name: str
    fingerprint: str
    files: tuple[str, ...]

    @property
    def install_command(self) -> str:
        """It brings labkit along, in ``wheels``."""
        wheels, directory = shlex.quote(str(self.directory / "wheels")), shlex.quote(str(self.directory))
        return f"pip install --find-links {wheels} {directory}"

    @property
    def import_line(self) -> str:
        return f"from {self.module} import {self.name}"

    def __repr__(self) -> str:
        return (
            f"Exported to {self.directory} ({len(self.files)} files), verified: fingerprint {self.fingerprint[:12]}\n"
            f"  {self.install_command}\n  {self.import_line}"
        )

    def _repr_html_(self) -> str:
        return (
            f"<div><b>Exported</b> to <code>{escape(str(self.directory))}</code> ({len(self.files)} files), "
            f"verified: fingerprint <code>{escape(self.fingerprint[:12])}</code>"
            f"<pre>{escape(self.install_command)}\n{escape(self.import_line)}</pre></div>"
        )
