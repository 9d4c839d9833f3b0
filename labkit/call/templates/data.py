"""What a template sees: text, numbers, dates, and read-only views of whatever holds them; never an object that acts.

A prompt may come from a file or a registry, so a template is not trusted with a pydantic model, whose methods open
files, nor with any other object. Views are made as they are looked at: a call pays for the fields its prompt names.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pydantic

from labkit.call.templates.places import mark_of
from labkit.models.media import Media

__all__ = ["Fields", "Items", "Member", "MemberNumber", "Placed", "Secret", "Text", "plain", "readable_names"]


# Written out, such a number has more digits than anybody reads, and more than fit.
_LONGEST_EXPONENT = 1_000


def plain(value: Any) -> Any:
    """Give *value* as a template may see it.

    Raises:
        TypeError: It is something that acts: a function, a class, a module, an iterator, an open file.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    see = _SEEN.get(kind)
    if see is None:
        see = _how_to_see(kind)
        if len(_SEEN) < _MOST_KINDS:
            _SEEN[kind] = see
    return see(value)


_MOST_KINDS = 2_048
_SEEN: dict[type, Callable[[Any], Any]] = {}


def _how_to_see(kind: Any) -> Callable[[Any], Any]:
    for bases, see in _by_base():
        if issubclass(kind, bases):
            return see
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__"):
        return _of_object
    return _refuse if hasattr(kind, "fileno") else Text


def _of_mapping(value: Any) -> Fields:
    return Fields(value, value.__getitem__, value)


def _of_items(value: Any) -> Items:
    return Items(value, value if isinstance(value, (list, tuple)) else list(value))


def _of_number(value: Any) -> Any:  # numpy's are no int, and an int may be another's kind
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _of_decimal(value: Decimal) -> Any:
    return value if not value.is_finite() or abs(value.adjusted()) <= _LONGEST_EXPONENT else str(value)


def _refuse(value: Any) -> Any:
    raise TypeError(
        f"a {type(value).__name__} is no data, and a template is given nothing else: "
        "give it what comes of it, as text, numbers, lists or mappings"
    )


def _of_object(value: Any) -> Fields:
    kind: Any = type(value)
    fields, others = _names_of(kind)
    extra = getattr(value, "model_extra", None) if isinstance(value, pydantic.BaseModel) else None
    return Fields(value, functools.partial(getattr, value), (*fields, *extra) if extra else fields, others)


def readable_names(kind: Any) -> tuple[str, ...]:
    """Give what templates may read of a model or dataclass: fields, computed fields, properties, class constants."""
    fields, others = _names_of(kind)
    return (*fields, *others)


@functools.lru_cache(maxsize=1024)
def _names_of(kind: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the names of fields, computed ones among them, and of what else can be read."""
    if issubclass(kind, pydantic.BaseModel):
        fields = [*kind.model_fields, *kind.model_computed_fields]
        others = list(kind.__class_vars__)
    else:
        fields = [*getattr(kind, "__dataclass_fields__", ()), *(each.name for each in _attrs_of(kind))]
        others = []
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] not in ("pydantic", "builtins", "typing", "abc"):
            others += [name for name, value in vars(each).items() if isinstance(value, _PROPERTIES)]
    return tuple(dict.fromkeys(_open(fields))), tuple(dict.fromkeys(_open(set(others) - set(fields))))


_PROPERTIES = (property, functools.cached_property)


def _open(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith("_"))


def _attrs_of(kind: type) -> Sequence[Any]:
    attributes: Sequence[Any] = getattr(kind, "__attrs_attrs__", ())
    return attributes


class Fields(Mapping[str, Any]):
    """A mapping, a model or another object that has fields: they can be read by name, and that is all.

    Args:
        source: What is looked at; its text is this one's text.
        read: Gives the value of one of *names*.
        names: What it consists of, in order.
        others: What can be read of it beside these: properties.
    """

    __slots__ = ("_others", "_source", "is_mapping", "names", "read", "weight")

    def __init__(self, source: Any, read: Callable[[Any], Any], names: Any, others: Sequence[str] = ()) -> None:
        self._source, self.read, self.names, self._others = source, read, names, others
        self.is_mapping = not isinstance(read, functools.partial)
        self.weight: int | None = None

    def __getitem__(self, name: Any) -> Any:
        if name not in self.names and name not in self._others:
            raise KeyError(name)
        return plain(self.read(name))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def without(self, name: str) -> str:
        """Say that there is no *name*."""
        if self.is_mapping:
            return f"a mapping has no key {name!r}"
        has = ", ".join(map(str, self.names)) or "none"
        return f"{type(self._source).__name__} has no field {name!r}; it has {has}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        source = self._source
        if isinstance(source, pydantic.BaseModel) and type(source).__str__ is pydantic.BaseModel.__str__:
            return " ".join(f"{name}={value!r}" for name, value in self._shown())
        if self.is_mapping:
            return repr(dict(self))
        return str(source)

    def __repr__(self) -> str:
        if self.is_mapping:
            return repr(dict(self))
        return f"{type(self._source).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def _shown(self) -> Iterator[tuple[str, Any]]:
        """What is part of a text: fields, without properties; those that the model keeps out of its text stay out."""
        fields = getattr(type(self._source), "model_fields", None) or {}
        for name in fields or self.names:
            if getattr(fields.get(name), "repr", True):
                yield name, self[name]


class Items(Sequence[Any]):
    """A list, tuple or set: it can be counted, read and gone through.

    Args:
        source: What is looked at.
        held: Its items, as they are.
    """

    __slots__ = ("_held", "_source", "weight")

    def __init__(self, source: Any, held: Sequence[Any]) -> None:
        self._source, self._held = source, held
        self.weight: int | None = None

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [plain(item) for item in self._held[index]]
        return plain(self._held[index])

    def __iter__(self) -> Iterator[Any]:
        return map(plain, self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Items, list, tuple)) and list(self) == list(other)

    def __lt__(self, other: Any) -> bool:
        return list(self) < list(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        if names := self._names():
            return f"{type(self._source).__name__}({', '.join(f'{n}={v!r}' for n, v in zip(names, self, strict=True))})"
        if isinstance(self._source, tuple):
            return repr(tuple(self))
        if isinstance(self._source, Set):
            return "{" + ", ".join(map(repr, self)) + "}" if self._held else repr(self._source)
        return repr(list(self))

    __repr__ = __str__

    def named(self, name: str, default: Any) -> Any:
        """Give the item that a named tuple calls *name*; *default* where it calls none so."""
        names = self._names()
        return self[names.index(name)] if name in names else default

    def _names(self) -> tuple[str, ...]:
        names = getattr(self._source, "_fields", None)
        return tuple(names) if isinstance(names, Sequence) and len(names) == len(self._held) else ()


class Text:
    """An object of no known kind: its text, what it publicly holds, and its items where it has some."""

    __slots__ = ("_source",)

    def __init__(self, source: Any) -> None:
        self._source = source

    def __str__(self) -> str:
        kind: Any = type(self._source)
        if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
            raise TypeError(f"a {kind.__name__} has no text of its own: let the source give its fields as a mapping")
        return str(self._source)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return (self._source == other._source) is True if isinstance(other, Text) else str(self) == other

    def __hash__(self) -> int:
        return hash(str(self))

    def __iter__(self) -> Iterator[Any]:
        if not (hasattr(type(self._source), "__iter__") and hasattr(type(self._source), "__len__")):
            raise TypeError(f"a {type(self._source).__name__} cannot be gone through: let the source give a list")
        return map(plain, self._source)

    def __len__(self) -> int:
        if not hasattr(type(self._source), "__len__"):
            raise TypeError(f"a {type(self._source).__name__} has no length: let the source give a list")
        return len(self._source)

    def __bool__(self) -> bool:
        return True

    def named(self, name: str) -> Any:
        """Give what the object holds under *name*.

        Raises:
            KeyError: It holds no such thing in the open.
        """
        held = getattr(self._source, "__dict__", {})
        if name.startswith("_") or name not in held:
            raise KeyError(name)
        return plain(held[name])


class Placed(Text):
    """A picture or document: its text marks where in the message it goes."""

    __slots__ = ()

    def __str__(self) -> str:
        return mark_of(self._source)

    __repr__ = __str__


class Secret:
    """A ``SecretStr``: its text is stars; a template that means the value writes ``.get_secret_value()``."""

    __slots__ = ("_source",)

    def __init__(self, source: Any) -> None:
        self._source = source

    def __str__(self) -> str:
        return str(self._source)

    def __repr__(self) -> str:
        return repr(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._source == other._source)

    def __hash__(self) -> int:
        return hash(self._source)

    def reveal(self) -> Any:
        """Give the value."""
        return plain(self._source.get_secret_value())


class Member(str):
    """A member of an enumeration: the text of its value, with ``name`` and ``value`` beside."""

    __slots__ = ("name", "value")
    name: str
    value: str


class MemberNumber(int):
    """A member of an enumeration of whole numbers."""

    name: str
    value: int


def _member(member: Enum) -> Any:
    value = plain(member.value)
    if type(value) is int:
        number = MemberNumber(value)
        number.name, number.value = member.name, value
        return number
    text = Member(value if type(value) is str else member.name)
    text.name, text.value = member.name, value
    return text


# --- by kind ----------------------------------------------------------------------------------------------------------

_AS_THEY_ARE = frozenset(
    {
        *(str, int, float, bool, type(None), bytes, datetime, date, time, timedelta),
        *(Fields, Items, Text, Secret, Member, MemberNumber),
    }
)


@functools.lru_cache(maxsize=1)
def _by_base() -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
    # not at import: pydantic loads most of itself with its first class
    return (
        (Media, Placed),
        (Enum, _member),
        (pydantic.BaseModel, _of_object),
        ((pydantic.SecretStr, pydantic.SecretBytes), Secret),
        (Decimal, _of_decimal),
        (str, str.__str__),
        (bytes, bytes),
        ((float, numbers.Integral), _of_number),
        (numbers.Rational, Text),
        (numbers.Real, _of_number),
        ((date, time, timedelta), lambda value: value),  # another library's own kind, read through the same names
        (Mapping, _of_mapping),
        ((Sequence, Set, ValuesView, deque), _of_items),
        (
            # an object that merely happens to be callable is read like any other
            (
                *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType),
                *(types.CoroutineType, functools.partial, Iterator, AsyncIterator),
            ),
            _refuse,
        ),
    )
