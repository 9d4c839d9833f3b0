"""The running labkit as a wheel that a package brings along, made of its installed files: no network, no build tool."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import labkit
from labkit.errors import ExportRefused

__all__ = ["DISTRIBUTION", "runtime_wheel"]

DISTRIBUTION = "labkit-llm"
_PACKAGE = Path(labkit.__file__).parent
_TAG = "py3-none-any"
_OLDEST = (1980, 1, 1, 0, 0, 0)  # a zip file has no earlier time, and the same files shall give the same bytes


def runtime_wheel() -> tuple[str, bytes]:
    """Give the wheel's file name and its bytes, which are the same for the same labkit, however it was installed.

    Raises:
        ExportRefused: This labkit was put on the path without being installed, so that nothing says what it needs.
    """
    try:
        installed = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise ExportRefused(
            f"the package would carry a wheel of labkit, which cannot be made: {_PACKAGE} is not installed, only found "
            f"on the path. Install it, as with pip install --no-deps -e {_PACKAGE.parent}"
        ) from None
    stem = f"{DISTRIBUTION.replace('-', '_')}-{installed.version}"
    info = f"{stem}.dist-info"
    files = dict(_code())
    files |= {f"{info}/{path}": text for path, text in _metadata(installed)}
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: labkit\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    return f"{stem}-{_TAG}.whl", _zipped(files)


def _code() -> Iterator[tuple[str, bytes]]:
    for path in sorted(_PACKAGE.rglob("*")):
        inside = path.relative_to(_PACKAGE.parent)
        if path.is_file() and "__pycache__" not in inside.parts and path.suffix != ".pyc":
            yield inside.as_posix(), path.read_bytes()


def _metadata(installed: importlib.metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """What says name, needs, commands and licence; what pip notes about this very installation stays behind."""
    for file in installed.files or ():
        folder, _, inside = file.as_posix().partition(".dist-info/")
        if folder.startswith(DISTRIBUTION.replace("-", "_")) and inside.startswith(_KEPT):
            yield inside, Path(str(file.locate())).read_bytes()


_KEPT = ("METADATA", "entry_points.txt", "licenses/")


def _record(files: dict[str, bytes], itself: str) -> bytes:
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    return "".join([*lines, f"{itself},,\n"]).encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, date_time=_OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, content)
    return buffer.getvalue()
