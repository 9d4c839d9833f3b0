"""Pictures and documents of a dataset: files beside it, named by relative path, taken into the case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from labkit.call.inputs import media_fields
from labkit.models.media import File

__all__ = ["FileNotTaken", "with_files"]

_MOST_BYTES = 100 * 2**20


class FileNotTaken(Exception):
    """A file that a case names and that cannot be part of it; becomes a fault of the dataset."""


def with_files(given: Mapping[str, Any], input_type: type[pydantic.BaseModel], folder: Path) -> dict[str, Any]:
    """Give a case's input with the content of every file that it names in a field of media.

    A path is read from *folder* and nowhere else: rows are a stranger's. data: URLs and addresses stay as they are.

    Raises:
        FileNotTaken: A file is not there, too large, or lies outside of *folder*; names the field and the path.
    """
    wanted = media_fields(input_type)
    return {name: _taken(name, value, folder) if name in wanted else value for name, value in given.items()}


def _taken(field: str, value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_taken(field, part, folder) for part in value]
    if not isinstance(value, str) or value[:8].lower().startswith(("data:", "http://", "https://")):
        return value
    root = folder.resolve()
    path = (root / value).resolve()
    if not path.is_relative_to(root):
        raise FileNotTaken(f"input.{field}: {value!r} lies outside of the dataset's folder: copy the file into it")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FileNotTaken(f"input.{field}: {value!r} has over {_MOST_BYTES:,} bytes: give a smaller file")
        data = path.read_bytes()
    except OSError as error:
        raise FileNotTaken(
            f"input.{field}: {value!r} cannot be read: {error.strerror}. Give a path from {folder}, or a data: URL"
        ) from error
    # whatever it is: the field itself says which types it takes
    return File.packed(data, name=path.name)
