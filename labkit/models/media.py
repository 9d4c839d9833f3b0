"""Pictures and documents as values: fields of an input, and parts of a message."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

from labkit.errors import OptionInvalid

__all__ = ["File", "Image", "Media", "MediaLimits"]

_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<rest>(?:;[\w.+-]+=[^;,]*)*)(?P<base64>;base64)?,", re.ASCII
)
_MIB = 2**20
_SHOWN_HASH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What a field of media takes: ``photo: Annotated[lk.Image, lk.MediaLimits(max_bytes=2_000_000)]``.

    Args:
        max_bytes: Most bytes of one.
        types: Media types that are taken, "image/png"; empty: every one that the class takes.
        remote: Also take an http(s) address, which the provider then fetches. Nothing here ever does; whoever can
            choose the address chooses what the provider asks for, so it is off.
    """

    max_bytes: int = 20 * _MIB
    types: tuple[str, ...] = ()
    remote: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # the class's own schema would have refused by its own limits first
        return source._schema(self) if _is_media(source) else handler(source)


class Media:
    """Bytes with a type, or an address; equal where both are equal.

    Args:
        source: The bytes, a ``pathlib.Path``, a ``data:`` URL or, where *limits* allow it, an http(s) address. A text
            is never read as a path: it may be a stranger's.
        media_type: "image/png"; None: what the bytes, the path or the URL say.
        name: For the model and the reader; None: the path's.
        limits: See there.

    Raises:
        OptionInvalid: It is none of these, too large, of no known type, or of another type than it says.
    """

    _KIND: ClassVar[str] = "media"
    _TYPES: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        source: bytes | Path | str,
        *,
        media_type: str | None = None,
        name: str | None = None,
        limits: MediaLimits | None = None,
    ) -> None:
        limits = limits or MediaLimits(remote=True)  # who writes the address into code has allowed it
        self.data: bytes | None = None
        self.url: str | None = None
        if isinstance(source, str) and _is_address(source):
            self.url = source
        else:
            self.data, stated, stem = _read(source, self._KIND, limits.max_bytes)
            media_type, name = media_type or stated, name or stem
        self.name = name
        self.media_type = self._type_of(media_type)
        self._check(limits)

    def _type_of(self, stated: str | None) -> str:
        found = None if self.data is None else _sniffed(self.data)
        if stated and found and stated.lower() != found and _claims(stated.lower(), found):
            raise OptionInvalid(f"it says {stated} and its bytes are {found}: give the right type")
        return (stated or found or _by_name(self.name) or "application/octet-stream").lower()

    def _check(self, limits: MediaLimits) -> None:
        if self.data is None:
            if not limits.remote:
                raise OptionInvalid(
                    f"a remote address is not taken: give the {self._KIND} itself, or allow it with "
                    "MediaLimits(remote=True)"
                )
            return
        if len(self.data) > limits.max_bytes:
            raise _too_large(self._KIND, limits.max_bytes)
        allowed = limits.types or self._TYPES
        if not any(_fits(self.media_type, wanted) for wanted in allowed):
            raise OptionInvalid(f"{self.media_type} is not taken: give {', '.join(allowed)}")

    @staticmethod
    def packed(data: bytes, *, name: str) -> dict[str, str]:
        """Give bytes as the JSON data that any field of media reads back, whatever they are."""
        kind = _sniffed(data) or _by_name(name) or "application/octet-stream"
        url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        return {"data": url, "media_type": kind, "name": name}

    @cached_property
    def sha256(self) -> str:
        """Of the bytes, or of the address: what stands for it in keys and fingerprints."""
        return hashlib.sha256(self.data if self.data is not None else f"url:{self.url}".encode()).hexdigest()

    @property
    def size(self) -> int | None:
        """Bytes; None for an address."""
        return None if self.data is None else len(self.data)

    @property
    def data_url(self) -> str:
        """Itself as a URL: the address, or all of it in base64."""
        if self.url is not None:
            return self.url
        return f"data:{self.media_type};base64,{base64.b64encode(self.data or b'').decode()}"

    def data_of(self) -> Any:
        """Itself as JSON data, which any field of media reads back."""
        if self.name is None or self.url is not None:
            return self.data_url
        return {"data": self.data_url, "media_type": self.media_type, "name": self.name}

    @property
    def described(self) -> str:
        """Itself in a few words, without content: "image/png, 12,345 bytes, sha256 0a1b2c3d4e5f"."""
        size = "remote" if self.size is None else f"{self.size:,} bytes"
        return f"{self.media_type}, {size}, sha256 {self.sha256[:_SHOWN_HASH]}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.described})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Media) and type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str | None]:
        return self.sha256, self.media_type, self.name

    # --- as a field ---------------------------------------------------------------------------------------------------

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cls._schema(MediaLimits())

    @classmethod
    def _schema(cls, limits: MediaLimits) -> CoreSchema:
        from pydantic_core import core_schema  # a tenth of what `import labkit` may take

        return core_schema.no_info_plain_validator_function(
            cls._validator(limits),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.data_of, when_used="json"),
            metadata={"pydantic_js_functions": [cls._json_schema]},
        )

    @classmethod
    def _json_schema(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "data-url", "description": f"{cls._KIND} as a data: URL"}

    @classmethod
    def _validator(cls, limits: MediaLimits) -> Callable[[Any], Media]:
        def validated(value: Any) -> Media:
            try:
                return cls._taken(value, limits)
            except ValueError as error:
                raise PydanticCustomError("media", "{fault}", {"fault": str(error)}) from error

        return validated

    @classmethod
    def _taken(cls, value: Any, limits: MediaLimits) -> Self:
        if isinstance(value, Mapping) and {"data"} <= value.keys() <= {"data", "media_type", "name"}:
            return cls(value["data"], media_type=value.get("media_type"), name=value.get("name"), limits=limits)
        if isinstance(value, cls):
            value._check(limits)
            return value
        if isinstance(value, (bytes, bytearray, memoryview, Path, str)):
            return cls(value if isinstance(value, (Path, str)) else bytes(value), limits=limits)
        raise OptionInvalid(f"a {type(value).__name__} is no {cls._KIND}: give bytes, a pathlib.Path or a data: URL")


class Image(Media):
    """A picture: PNG, JPEG, GIF or WebP.

    A field of an input: it goes to the model where the template names it (``{{ input.photo }}``), else after the text.
    """

    _KIND = "image"
    _TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class File(Media):
    """A document: PDF, or text.

    A field of an input: it goes to the model where the template names it (``{{ input.contract }}``), else after the
    text.
    """

    _KIND = "file"
    _TYPES = ("application/pdf", "text/*", "application/json")


def _is_media(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Media)


def _is_address(text: str) -> bool:
    scheme = text[:8].lower()
    return scheme.startswith(("http://", "https://")) and bool(urlsplit(text).hostname)


def _read(source: bytes | Path | str, kind: str, max_bytes: int) -> tuple[bytes, str | None, str | None]:
    """Give the bytes, the type that is stated, and the name."""
    if isinstance(source, Path):
        try:
            with source.open("rb") as opened:
                data = opened.read(max_bytes + 1)
        except OSError as error:
            raise OptionInvalid(f"{source} cannot be read: {error.strerror or error}") from error
        stated, name = None, source.name
    elif isinstance(source, str):
        # base64 takes four characters for three bytes
        if len(source) > max_bytes * 4 // 3 + 1_000:
            raise _too_large(kind, max_bytes)
        data, stated = _decoded(source, kind)
        name = None
    else:
        data, stated, name = source, None, None
    if len(data) > max_bytes:
        raise _too_large(kind, max_bytes)
    if not data:
        raise OptionInvalid(f"the {kind} is empty")
    return data, stated, name


def _too_large(kind: str, max_bytes: int) -> OptionInvalid:
    return OptionInvalid(f"over {max_bytes:,} bytes: give a smaller {kind}, or raise MediaLimits(max_bytes=)")


def _decoded(text: str, kind: str) -> tuple[bytes, str | None]:
    head = _DATA_URL.match(text)
    if head is None:
        raise OptionInvalid(f"a text is no {kind}: give bytes, a pathlib.Path or a data: URL")
    if not head["base64"]:
        raise OptionInvalid(f"a data: URL of a {kind} has to be in base64")
    try:
        return base64.b64decode(text[head.end() :], validate=True), head["type"]
    except binascii.Error as error:
        raise OptionInvalid(f"the data: URL is no base64: {error}") from error


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_ENDINGS = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
}


def _sniffed(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def _claims(stated: str, found: str) -> bool:
    """Whether *stated* says that the bytes are something else that can be told from its first bytes."""
    known = {kind for _, kind in _MAGIC} | {"image/webp"}
    return stated in known or stated.split("/")[0] != found.split("/")[0]


def _by_name(name: str | None) -> str | None:
    return _ENDINGS.get(Path(name).suffix.lower()) if name else None


def _fits(media_type: str, wanted: str) -> bool:
    return media_type == wanted or (wanted.endswith("/*") and media_type.startswith(wanted[:-1]))
