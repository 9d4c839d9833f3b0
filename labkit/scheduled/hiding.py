"""What a run was given and must not leave behind: passwords in the parameters, in the executed copy and in messages.

The kernel needs them, and papermill writes them into the notebook, which is uploaded, mailed and kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from papermill.iorw import papermill_io

from labkit.addresses import masked

__all__ = ["Hidden"]

_SCHEME = "labkit-hidden://"
_SECRET_NAME = re.compile(r"api[-_]?key|secret|token|passw(?:or)?d|passphrase", re.IGNORECASE)
_MASK = "***"


class Hidden:
    """Shows parameters without their passwords wherever a run writes them.

    Args:
        parameters: Of the run. An address is shown without its password, and what is named as a key or a password not
            at all.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._shown: dict[str, str] = {}
        for name, text in _texts(parameters):
            shown = _MASK if _SECRET_NAME.search(name) and len(text) >= 4 else masked(text)
            if shown != text:
                self._shown[text] = shown

    def text(self, said: str) -> str:
        """Give a message without them."""
        for raw, shown in self._shown.items():
            said = said.replace(raw, shown)
        return said

    def place(self, path: Path) -> str:
        """Give what papermill can write to, so that no copy ever holds them, not even one that a crash leaves."""
        place = _SCHEME + str(path.resolve())
        _writer.hidden[place] = self
        return place

    def done(self, path: Path) -> None:
        """Forget a place that is written."""
        _writer.hidden.pop(_SCHEME + str(path.resolve()), None)

    def source(self, notebook: str) -> str:
        """Give the text of a notebook's file without them."""
        for raw, shown in self._shown.items():
            for form in _forms(raw):
                written, instead = (json.dumps(each, ensure_ascii=False)[1:-1] for each in (form, shown))
                notebook = notebook.replace(written, instead)
        return notebook


class _Writer:
    """Where papermill writes the copies of runs."""

    def __init__(self) -> None:
        self.hidden: dict[str, Hidden] = {}

    def write(self, text: str, place: str) -> None:
        Path(place.removeprefix(_SCHEME)).write_text(self.hidden[place].source(text), encoding="utf-8")


_writer = _Writer()
papermill_io.register(_SCHEME, _writer)


def _forms(text: str) -> set[str]:
    """Give a text as it stands in code and outputs: as it is, and as Python, papermill and JSON write it."""
    escaped = text.encode("unicode_escape").decode()
    as_json = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {text, escaped, escaped.replace('"', '\\"'), repr(text)[1:-1]} | as_json


def _texts(given: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Give every text in the parameters with the name it goes by."""
    if isinstance(given, str):
        yield name, given
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _texts(value, str(key))
    elif isinstance(given, (list, tuple)):
        for value in given:
            yield from _texts(value, name)
