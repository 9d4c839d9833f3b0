"""Where pictures and documents go in a message: a template writes a mark, and the mark gives way to the part."""

from __future__ import annotations

import re
import secrets
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import pydantic

from labkit.models.media import Media
from labkit.models.protocol import Message

__all__ = ["holds_media", "mark_of", "media_in", "with_media"]

# Drawn anew for each process, so that no text from elsewhere can hold one. Digits only: filters may change the case.
_SALT = "".join(str(secrets.randbelow(10)) for _ in range(24))
_MARK = re.compile(rf"\ue000{_SALT}-(\d+)\ue001")
_marked: WeakValueDictionary[str, Media] = WeakValueDictionary()


def mark_of(medium: Media) -> str:
    """Give the text that stands for *medium* in a rendering, as long as it lives."""
    key = str(int(medium.sha256[:24], 16) * 2**32 + hash(medium) % 2**32)
    _marked[key] = medium
    return f"\ue000{_SALT}-{key}\ue001"


def with_media(role: Any, text: str) -> Message:
    """Make a message of a rendering: each mark becomes the part it stands for."""
    if _SALT not in text:
        return Message(role, text)
    parts: list[tuple[int, Media]] = []
    pieces = _MARK.split(text)
    text = pieces[0]
    for key, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        parts.append((len(text), _marked[key]))
        text += piece
    return Message(role, text, tuple(parts))


@lru_cache(maxsize=1024)
def holds_media(kind: Any) -> bool:
    """Say whether values of *kind*, a type or annotation, can hold a picture or document."""
    return _holds(kind, set())


def _holds(kind: Any, seen: set[Any]) -> bool:
    if isinstance(kind, type) and issubclass(kind, Media):
        return True
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        if kind in seen:
            return False
        seen.add(kind)
        return any(_holds(field.annotation, seen) for field in kind.model_fields.values())
    return any(_holds(part, seen) for part in typing.get_args(kind))


def media_in(value: Any) -> list[Media]:
    """Give the pictures and documents in *value*, in order."""
    if isinstance(value, Media):
        return [value]
    if isinstance(value, pydantic.BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    return [medium for part in value for medium in media_in(part)] if isinstance(value, (list, tuple)) else []
