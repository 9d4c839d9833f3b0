"""Inputs as people see them: pictures as thumbnails, documents in a few words, never as base64."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from labkit.models.media import File, Image, Media, MediaLimits
from labkit.views.markup import Safe, h, join

__all__ = ["thumbnails", "without_media"]

_SIDE_PX = 96
_MOST_PIXELS = 50_000_000
_MOST_SHOWN = 8
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


def without_media(value: Any) -> Any:
    """Give JSON data with each picture and document described: "image/png, 12,345 bytes, sha256 …"."""
    return _walk(value, [])


def thumbnails(value: Any) -> Safe | None:
    """Show the pictures in JSON data, the first eight of them; None where there are none.

    They are made small here, in the kernel: no page holds a picture whole, and none asks for one from elsewhere.
    """
    found: list[Media] = []
    _walk(value, found)
    small = [
        h("img", src=source, alt=medium.described, title=medium.described, class_="lk-thumb")
        for medium in found[:_MOST_SHOWN]
        if isinstance(medium, Image) and medium.data is not None and (source := _small(medium.data)) is not None
    ]
    return h("span", join(small), class_="lk-thumbs") if small else None


def _walk(value: Any, found: list[Media]) -> Any:
    medium = _medium(value)
    if medium is not None:
        found.append(medium)
        return f"{medium.name}: {medium.described}" if medium.name else medium.described
    if isinstance(value, Mapping):
        return {key: _walk(part, found) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk(part, found) for part in value]
    return value


def _medium(value: Any) -> Media | None:
    named = isinstance(value, Mapping) and {"data"} <= value.keys() <= {"data", "media_type", "name"}
    source = value["data"] if named else value
    if not (isinstance(source, str) and source.startswith("data:")):
        return None
    return _read(source, value.get("name") if named else None)


@lru_cache(maxsize=64)
def _read(source: str, name: str | None) -> Media | None:
    for kind in (Image, File):
        try:
            return kind(source, name=name, limits=MediaLimits(max_bytes=2**30))
        except ValueError:
            continue
    return None


@lru_cache(maxsize=256)
def _small(data: bytes) -> str | None:
    """Give a small copy as a data: URL; None where Pillow is not there or cannot read it."""
    try:
        import PIL.Image
    except ImportError:
        return None
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            picture.thumbnail((_SIDE_PX, _SIDE_PX))
            written = io.BytesIO()
            picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "RGBA" else "RGB").save(
                written, "PNG"
            )
    except Exception:  # whatever a stranger's bytes make of a decoder; the description stands in its place
        return None
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
