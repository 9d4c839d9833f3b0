"""What must not be written down: fields that are marked, and wherever else their values turn up."""

from __future__ import annotations

import dataclasses
import json
import logging
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

import pydantic
from pydantic_core import to_jsonable_python

from labkit.models.media import Media

__all__ = [
    "HIDDEN",
    "Sensitive",
    "hidden_in_logs",
    "hide_in_logs",
    "holds_sensitive",
    "redacted",
    "scrubbed",
    "secrets_in",
]

T = TypeVar("T")

HIDDEN = "[sensitive]"

# A value that is shorter turns up by chance in anything; it is hidden in its field and not looked for elsewhere.
_LEAST_CHARS = 4


class Sensitive:
    """Marks a field: ``iban: Annotated[str, lk.Sensitive]``; a ``SecretStr`` is marked by its type.

    The model is given the value where a template uses it, and so are scorers. Whatever is written down or shown is not:
    records, logs, traces, stored runs, reports, views, the result's own repr; neither the field nor the same text
    elsewhere in them, as in an error message that quotes it.
    """


_secrets: ContextVar[tuple[str, ...]] = ContextVar("labkit_secrets", default=())


@lru_cache(maxsize=1024)
def holds_sensitive(kind: Any) -> bool:
    """Say whether values of *kind*, a type or annotation, can hold anything that is marked."""
    return _holds(kind, set())


def _holds(kind: Any, seen: set[Any]) -> bool:
    if _is_marked(kind):
        return True
    if (members := _members(kind)) is not None:
        if kind in seen:
            return False
        seen.add(kind)
        return any(_holds(member.kind, seen) for member in members)
    return any(_holds(part, seen) for part in typing.get_args(kind))


def _is_marked(kind: Any) -> bool:
    if kind is Sensitive or kind in _secret_kinds():
        return True
    return any(mark is Sensitive or isinstance(mark, Sensitive) for mark in getattr(kind, "__metadata__", ()))


@lru_cache(maxsize=1)
def _secret_kinds() -> tuple[type, type]:
    # not at import: pydantic loads most of itself with them
    return pydantic.SecretStr, pydantic.SecretBytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """A field of a model, a dataclass, a typed dictionary or a named tuple.

    Args:
        kind: Its annotation, marks included.
        names: What it is called in data.
        is_hidden: As a whole: it is marked, or holds in some container what is.
    """

    name: str
    kind: Any
    names: frozenset[str]
    is_hidden: bool


def _members(kind: Any) -> tuple[_Member, ...] | None:
    """Give the fields of a type that has any by name; None for any other."""
    try:
        return _members_of(kind)
    except TypeError:  # not hashable, so no type
        return None


@lru_cache(maxsize=1024)
def _members_of(kind: Any) -> tuple[_Member, ...] | None:
    kind = _with_members(kind)
    if kind is None:
        return None
    if issubclass(kind, pydantic.BaseModel):
        kinds = {name: _annotated(field) for name, field in kind.model_fields.items()}
        names = {name: _aliases(name, field) for name, field in kind.model_fields.items()}
    else:
        try:
            kinds = typing.get_type_hints(kind, include_extras=True)
        except (NameError, TypeError):  # an annotation that names what is not here: what it says cannot be known
            kinds = dict(getattr(kind, "__annotations__", {}))
        names = {name: frozenset([name]) for name in kinds}
    return tuple(_Member(name, part, names[name], _is_all_hidden(part)) for name, part in kinds.items())


def _with_members(kind: Any) -> Any:
    """Give the class of a type that has fields by name; None for any other."""
    if not isinstance(kind, type):
        kind = typing.get_origin(kind)  # a generic dataclass or typed dictionary
        if not isinstance(kind, type):
            return None
    if issubclass(kind, pydantic.BaseModel) or dataclasses.is_dataclass(kind) or _is_typed_dict(kind):
        return kind
    return kind if issubclass(kind, tuple) and _has_fields(kind) else None


def _is_typed_dict(kind: type) -> bool:  # also of typing_extensions, which is another class
    return issubclass(kind, dict) and hasattr(kind, "__total__")


def _has_fields(kind: type) -> bool:
    return hasattr(kind, "_fields")


def _annotated(field: Any) -> Any:
    is_marked = any(mark is Sensitive or isinstance(mark, Sensitive) for mark in field.metadata)
    return typing.Annotated[field.annotation, Sensitive] if is_marked else field.annotation


def _aliases(name: str, field: Any) -> frozenset[str]:
    found = {name}
    for given in (field.alias, field.validation_alias, field.serialization_alias):
        for each in given.choices if isinstance(given, pydantic.AliasChoices) else (given,):
            if isinstance(each, pydantic.AliasPath):
                each = each.path[0]
            if isinstance(each, str):
                found.add(each)
    return frozenset(found)


def _is_all_hidden(kind: Any) -> bool:
    # within a container, as in list[Annotated[str, Sensitive]]: the whole is hidden
    return _is_marked(kind) or (not _has_members(kind) and _holds(kind, set()))


def _has_members(kind: Any) -> bool:
    # whether, not which: a model may hold itself
    return _with_members(kind) is not None or any(_has_members(part) for part in typing.get_args(kind))


def redacted(value: Any, kind: Any = None) -> Any:
    """Give *value* as JSON data with what is marked hidden.

    Args:
        kind: Its type or annotation, where the value does not tell: data that nobody has validated, plain text.
    """
    return _walk(value, () if kind is None else (kind,), None)


def secrets_in(kind: Any, value: Any) -> tuple[str, ...]:
    """Give the texts in *value* that must not be written down.

    Args:
        kind: Its type or annotation.
        value: An instance, or data that nobody has validated yet.
    """
    marked: list[Any] = []
    _walk(value, (kind,), marked)
    found = {text for each in marked for text in _texts(each) if len(text) >= _LEAST_CHARS}
    # as it would stand within JSON, in either way to write it
    found |= {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in found for ascii_only in (False, True)}
    return tuple(sorted(found, key=len, reverse=True))


def _walk(value: Any, kinds: tuple[Any, ...], marked: list[Any] | None) -> Any:
    """Give *value*, of one of *kinds*, as JSON data with what is marked hidden, and add that to *marked*."""
    if value is None:
        return None
    if isinstance(value, _secret_kinds()) or any(map(_is_all_hidden, kinds)):
        if marked is not None:
            marked.append(value)
        return HIDDEN
    if isinstance(value, pydantic.RootModel):
        return _walk(value.root, (_annotated(type(value).model_fields["root"]),), marked)
    own = _members(type(value))
    if own is not None:
        items = dict(value) if isinstance(value, pydantic.BaseModel) else _items_of(value, own)
        return _walk_members(items, own, marked)
    parts = tuple(dict.fromkeys(part for kind in kinds for part in _parts(kind)))
    if isinstance(value, Mapping):
        known = [member for part in parts for member in _members(part) or ()]
        return _walk_members({str(key): part for key, part in value.items()}, known, marked, parts)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_walk(item, parts, marked) for item in value]
    if isinstance(value, Media):
        return value.data_of()
    return to_jsonable_python(value, fallback=repr)


def _items_of(value: Any, members: Iterable[_Member]) -> dict[str, Any]:
    return {member.name: getattr(value, member.name) for member in members if hasattr(value, member.name)}


def _walk_members(
    items: Mapping[str, Any], members: Iterable[_Member], marked: list[Any] | None, parts: tuple[Any, ...] = ()
) -> dict[str, Any]:
    by_name: dict[str, tuple[Any, ...]] = {}
    for member in members:
        for name in member.names:
            by_name[name] = (*by_name.get(name, ()), member.kind)
    # in a mapping of models, as in dict[str, Account], its values are of one of the parts
    return {name: _walk(part, by_name.get(name, parts), marked) for name, part in items.items()}


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
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _texts({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, Media):
        yield value.data_url
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def scrubbed(thing: T, secrets: tuple[str, ...]) -> T:
    """Give *thing* with every secret in its texts hidden: JSON data, and frozen dataclasses of it."""
    if not secrets:
        return thing
    # the longest first: once a part of one is hidden, the rest of it would not be found
    return _scrubbed(thing, sorted(set(secrets), key=len, reverse=True))


def _scrubbed(thing: T, secrets: list[str]) -> T:
    clean: Any = thing
    if isinstance(thing, str):
        for secret in secrets:
            clean = clean.replace(secret, HIDDEN)
    elif isinstance(thing, Mapping):
        clean = {key: _scrubbed(part, secrets) for key, part in thing.items()}
    elif isinstance(thing, list):
        clean = [_scrubbed(part, secrets) for part in thing]
    elif isinstance(thing, tuple):
        clean = tuple(_scrubbed(part, secrets) for part in thing)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        changes = {field.name: _scrubbed(getattr(thing, field.name), secrets) for field in dataclasses.fields(thing)}
        clean = dataclasses.replace(thing, **changes)
    return clean  # type: ignore[no-any-return]


# --- logs -------------------------------------------------------------------------------------------------------------


def hide_in_logs(secrets: tuple[str, ...]) -> None:
    """Hide *secrets* in what this task logs and records from now on; others have their own."""
    _secrets.set(secrets)


def hidden_in_logs() -> tuple[str, ...]:
    """Give what is hidden now: also by whoever made this call, as a judge is asked about another call's answer."""
    return _secrets.get()


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
