"""What must not be written down: fields that are marked, and wherever else their values turn up."""

from __future__ import annotations

import dataclasses
import json
import logging
import typing
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

import pydantic
from pydantic_core import to_jsonable_python

from labkit.models.media import Media

__all__ = ["HIDDEN", "Sensitive", "hide_in_logs", "holds_sensitive", "redacted", "scrubbed", "secrets_in"]

T = TypeVar("T")

HIDDEN = "[sensitive]"

# A value that is shorter turns up by chance in anything; it is hidden in its field and not looked for elsewhere.
_LEAST_CHARS = 4


class Sensitive:
    """Marks a field: ``iban: Annotated[str, lk.Sensitive]``; a ``SecretStr`` is marked by its type.

    The model is given the value where a template uses it. Records, logs, traces and metrics are not: neither the field
    nor the same text elsewhere in them, as in an error message that quotes it.
    """


_secrets: ContextVar[tuple[str, ...]] = ContextVar("labkit_secrets", default=())


@lru_cache(maxsize=1024)
def holds_sensitive(kind: Any) -> bool:
    """Say whether values of *kind*, a type or annotation, can hold anything that is marked."""
    return _holds(kind, set())


def _holds(kind: Any, seen: set[Any]) -> bool:
    if kind is Sensitive or kind in (pydantic.SecretStr, pydantic.SecretBytes):
        return True
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        if kind in seen:
            return False
        seen.add(kind)
        return any(_is_marked(field) or _holds(field.annotation, seen) for field in kind.model_fields.values())
    metadata = getattr(kind, "__metadata__", ())
    if any(mark is Sensitive or isinstance(mark, Sensitive) for mark in metadata):
        return True
    return any(_holds(part, seen) for part in typing.get_args(kind))


def _is_marked(field: Any) -> bool:
    if any(mark is Sensitive or isinstance(mark, Sensitive) for mark in field.metadata):
        return True
    # within a container, as in list[Annotated[str, Sensitive]]: the whole field is hidden
    return not _has_models(field.annotation) and _holds(field.annotation, set())


def _has_models(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return True
    return any(_has_models(part) for part in typing.get_args(kind))


def redacted(value: Any) -> Any:
    """Give *value* as JSON data with what is marked hidden."""
    if isinstance(value, pydantic.BaseModel):
        fields = type(value).model_fields
        return {
            name: HIDDEN if name in fields and _is_marked(fields[name]) and part is not None else redacted(part)
            for name, part in value
        }
    if isinstance(value, Mapping):
        return {str(key): redacted(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(part) for part in value]
    if isinstance(value, (pydantic.SecretStr, pydantic.SecretBytes)):
        return HIDDEN
    if isinstance(value, Media):
        return value.data_of()
    return to_jsonable_python(value, fallback=repr)


def secrets_in(kind: Any, value: Any) -> tuple[str, ...]:
    """Give the texts in *value* that must not be written down.

    Args:
        kind: The model class.
        value: An instance, or a mapping of its fields that nobody has validated yet.
    """
    found = {text for text in _marked_texts(kind, value) if len(text) >= _LEAST_CHARS}
    # as it would stand within JSON, in either way to write it
    found |= {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in found for ascii_only in (False, True)}
    return tuple(sorted(found, key=len, reverse=True))


def _marked_texts(kind: Any, value: Any) -> Iterator[str]:
    if isinstance(value, pydantic.BaseModel):
        kind, value = type(value), dict(value)
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel) and isinstance(value, Mapping):
        for name, field in kind.model_fields.items():
            for given in (name, field.alias, field.validation_alias):
                if isinstance(given, str) and given in value:
                    if _is_marked(field):
                        yield from _texts(value[given])
                    else:
                        yield from _marked_texts(field.annotation, value[given])
        return
    if isinstance(value, (pydantic.SecretStr, pydantic.SecretBytes)):
        yield from _texts(value)
        return
    models = [part for part in _parts(kind) if isinstance(part, type) and issubclass(part, pydantic.BaseModel)]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    for item in items:
        for model in models:
            if isinstance(item, (Mapping, pydantic.BaseModel)):
                yield from _marked_texts(model, item)


def _parts(kind: Any) -> Iterator[Any]:
    yield kind
    for part in typing.get_args(kind):
        yield from _parts(part)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, pydantic.SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, pydantic.SecretBytes):
        yield value.get_secret_value().decode("utf-8", "replace")
    elif isinstance(value, pydantic.BaseModel):
        yield from _texts(dict(value))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def scrubbed(thing: T, secrets: tuple[str, ...]) -> T:
    """Give *thing* with every secret in its texts hidden: JSON data, and frozen dataclasses of it."""
    if not secrets:
        return thing
    clean: Any = thing
    if isinstance(thing, str):
        for secret in secrets:
            clean = clean.replace(secret, HIDDEN)
    elif isinstance(thing, Mapping):
        clean = {key: scrubbed(part, secrets) for key, part in thing.items()}
    elif isinstance(thing, list):
        clean = [scrubbed(part, secrets) for part in thing]
    elif isinstance(thing, tuple):
        clean = tuple(scrubbed(part, secrets) for part in thing)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        changes = {field.name: scrubbed(getattr(thing, field.name), secrets) for field in dataclasses.fields(thing)}
        clean = dataclasses.replace(thing, **changes)
    return clean  # type: ignore[no-any-return]


# --- logs -------------------------------------------------------------------------------------------------------------


def hide_in_logs(secrets: tuple[str, ...]) -> None:
    """Hide *secrets* in what this call logs from now on; other calls have their own."""
    _secrets.set(secrets)


class _Hide(logging.Filter):
    """Rewrites a log record that quotes a secret, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        secrets = _secrets.get()
        if secrets:
            record.msg, record.args = scrubbed(record.getMessage(), secrets), ()
            if record.exc_info:
                # as text, once and for all: whoever formats it from the exception would quote it again
                record.exc_text = scrubbed(logging.Formatter().formatException(record.exc_info), secrets)
                record.exc_info = None
        return True


logging.getLogger("labkit.call").addFilter(_Hide())
