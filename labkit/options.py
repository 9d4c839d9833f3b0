"""What an option may hold, checked when the object is made: names and kinds, read from its own annotations.

    @checked()
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Policy:
        deadline_s: Positive = 30.0
        retry: Retry = field(default_factory=Retry)

``Policy(deadline=3)``, ``Policy(deadline_s="3")`` and ``Policy(retry=3)`` then say what to write instead. A range
stands in the annotation (``Positive``, ``Share``), and so does what a function is called with (``Called("value",
"input")``). What spans several options is left to ``__post_init__``.

Imports ``labkit.errors`` and what it takes to show a stranger's text.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar

from labkit.errors import CallInvalid, LabkitError
from labkit.terminal import printable

__all__ = [
    "Bound",
    "Called",
    "Count",
    "NotNegative",
    "Positive",
    "Seconds",
    "Share",
    "Whole",
    "checked",
    "checked_names",
    "fitted",
    "near",
    "no_option",
    "shown",
]

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_SHOWN_CHARS = 80

# What other libraries call it, where the letters alone would lead elsewhere.
_CALLED_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "timeout": ("timeout_s", "deadline_s", "total_s"),
    "retries": ("retry", "max_attempts"),
    "max_retries": ("retry", "max_attempts"),
    "api_base": ("base_url",),
    "url": ("base_url",),
    "response_model": ("output",),
    "schema": ("output",),
    "max_completion_tokens": ("max_tokens",),
    "metrics": ("scorers",),
    "google": ("gemini",),
    "claude": ("anthropic",),
    "gpt": ("openai",),
}
_UNKNOWN = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Bound:
    """The range of a number, both ends included but for *above*; infinity only where it is *endless*."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    endless: bool = False

    def holds(self, number: float) -> bool:
        if math.isinf(number) and not self.endless:
            return False
        return (self.low < number if self.above else self.low <= number) and number <= self.high


@dataclass(frozen=True, slots=True, init=False)
class Called:
    """What a function is called with, by position: the names it is told by."""

    names: tuple[str, ...]
    gives: Any

    def __init__(self, *names: str, gives: Any = Any) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "gives", gives)


Positive = Annotated[float, Bound(0.0, above=True)]
NotNegative = Annotated[float, Bound(0.0)]
Seconds = Annotated[float, Bound(0.0, above=True, endless=True)]
"""A limit; ``math.inf`` is none."""
Share = Annotated[float, Bound(0.0, 1.0)]
Count = Annotated[int, Bound(1)]
Whole = Annotated[int, Bound(0)]


class _Misfit(Exception):
    """A value is not of its kind. Never leaves this module.

    Args:
        depth: 0 where the value is something else altogether, 1 where it is nearly of the kind.
        item: Which item of a list or a dict it is, and its value.
    """

    def __init__(self, said: str, depth: int = 0, item: tuple[int | str, Any] | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.depth = depth
        self.item = item


# --- at the door ------------------------------------------------------------------------------------------------------


def checked(error: type[LabkitError] = CallInvalid, *, owner: str | None = None) -> Callable[[C], C]:
    """Make a class refuse, with *error*, options that it does not have and values of another kind.

    Args:
        owner: What messages call it; the class's own name by default.
    """

    def decorate(cls: C) -> C:
        made: Any = cls.__init__  # type: ignore[misc]
        called = owner or cls.__name__

        # Looked up at the first use: annotations may name what stands further down in the module.
        @functools.cache
        def plan() -> tuple[inspect.Signature, Mapping[str, Any]]:
            source = cls if dataclasses.is_dataclass(cls) else made
            return inspect.signature(made), typing.get_type_hints(source, include_extras=True)

        @functools.wraps(made)
        def __init__(self: Any, *given: Any, **named: Any) -> None:
            signature, kinds = plan()
            bound = _bound(called, signature, lambda: kinds, (self, *given), named, error)
            for name, value in list(bound.arguments.items())[1:]:  # the first is self
                hidden = _is_hidden(cls, name)
                bound.arguments[name] = fitted(name, value, kinds.get(name, Any), f"{called}({{}})", error, hidden)
            made(*bound.args, **bound.kwargs)

        cls.__init__ = __init__  # type: ignore[misc]
        return cls

    return decorate


def checked_names(error: type[LabkitError] = CallInvalid, *, owner: str | None = None) -> Callable[[F], F]:
    """Make a function refuse, with *error*, arguments that it does not have; kinds are its own to look at."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        name = owner or function.__name__

        @functools.cache
        def kinds() -> Mapping[str, Any]:
            try:
                return typing.get_type_hints(function, include_extras=True)
            except NameError:  # names that only a type checker sees: the mend then names no part
                return {}

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            _bound(name, signature, kinds, given, named, error)
            return function(*given, **named)

        @functools.wraps(function)
        async def acall(*given: Any, **named: Any) -> Any:
            _bound(name, signature, kinds, given, named, error)
            return await function(*given, **named)

        return typing.cast(F, acall if inspect.iscoroutinefunction(function) else call)

    return decorate


def fitted(
    name: str, value: Any, kind: Any, place: str, error: type[LabkitError] = CallInvalid, hidden: bool = False
) -> Any:
    """Give *value* as its *kind*, an annotation, has it: numbers of NumPy and their like become Python's own.

    Args:
        name: The option's.
        place: For the message, ``{}`` where ``name=value`` is to stand: "Policy({})".
        hidden: The value may not be shown.

    Raises:
        LabkitError: As *error*, naming the place, what was given and the mend.
    """
    try:
        return _fit(kind, value, name)
    except _Misfit as misfit:
        where = name if misfit.item is None else f"{name}[{misfit.item[0]!r}]"
        what = value if misfit.item is None else misfit.item[1]
        given = f"{where}={'...' if hidden else shown(what)}"
        raise error(printable(f"{place.format(given)}: {misfit.said}")) from None


def no_option(owner: str, name: str, names: Sequence[str]) -> str:
    """Say that *owner* has no option *name*, and which of *names* was probably meant."""
    meant = near(name, names)
    return f"{owner} has no {name!r}: {f'write {meant}=; ' if meant else ''}it has {', '.join(names)}"


def near(name: str, names: Sequence[str]) -> str | None:
    """Give the one of *names* that was probably meant by *name*; None where none is near."""
    for ours in _CALLED_ELSEWHERE.get(name, ()):
        if ours in names:
            return ours
    import difflib  # most programs never make a slip

    folded = {each.casefold(): each for each in names}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.65)
    if found:
        return folded[found[0]]
    begins = [each for each in names if len(name) > 2 and name.casefold() in each.casefold().split("_")]
    return begins[0] if len(begins) == 1 else None


def _bound(
    owner: str,
    signature: inspect.Signature,
    kinds: Callable[[], Mapping[str, Any]],
    given: tuple[Any, ...],
    named: Mapping[str, Any],
    error: type[LabkitError],
) -> inspect.BoundArguments:
    parameters = [name for name in signature.parameters if name != "self"]
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
    for name in () if takes_any else named:
        if name not in parameters:
            said = _of_a_part(owner, name, named[name], kinds()) or no_option(owner, name, parameters)
            raise error(printable(said))
    try:
        return signature.bind(*given, **named)
    except TypeError as unbound:
        by_name = [n for n, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        if "too many positional" in str(unbound) and by_name:
            by_place = [n for n, p in signature.parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
            stray, hints = given[len(by_place)], kinds()
            fits = next((name for name in by_name if name in hints and _takes(hints[name], stray)), by_name[0])
            more = ", ..." if given[len(by_place) + 1 :] or named else ""
            written = "..." if fits == "api_key" else shown(stray)
            raise error(printable(f"{owner}: options are given by name: {owner}({fits}={written}{more})")) from None
        raise error(f"{owner}(): {unbound}; it takes {', '.join(parameters)}") from None


def _of_a_part(owner: str, name: str, value: Any, kinds: Mapping[str, Any]) -> str | None:
    """Say where option *name* belongs, if it is one of what *owner* is made of: ``Policy(max_attempts=3)``."""
    for option, kind in kinds.items():
        for part in _classes_in(kind):
            if name in (each.name for each in dataclasses.fields(part) if each.init):
                others = [f"{each.name}=..." for each in dataclasses.fields(part) if each.init and _is_needed(each)]
                written = f"{owner}({option}={part.__name__}({', '.join([*others, f'{name}={shown(value)}'])}))"
                return f"{owner} has no {name!r}, {part.__name__} has: write {written}"
    return None


def _is_hidden(cls: type, name: str) -> bool:
    """A key is not shown where somebody made a slip either."""
    return dataclasses.is_dataclass(cls) and name == "api_key"


# --- kinds ------------------------------------------------------------------------------------------------------------


def _fit(kind: Any, value: Any, name: str) -> Any:
    """Give *value* as *kind* has it.

    Raises:
        _Misfit: It is of another kind.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return value
    if origin is Annotated:
        return _fit_annotated(parts[0], parts[1:], value, name)
    if origin in (typing.Union, types.UnionType):
        return _fit_one_of(parts, value, name)
    if kind is None or kind is types.NoneType:
        if value is not None:
            raise _Misfit("give None")
        return None
    if origin is Literal:
        alike = [each for each in parts if isinstance(value, type(each)) and not isinstance(value, bool)]
        if not (value in alike or any(value is each for each in parts)):
            raise _Misfit(_give(kind, value, name))
        return value
    if kind in (float, int):
        return _number(kind, value, name)
    if origin is Callable or kind is Callable or origin is typing.get_origin(Callable[..., Any]):
        count = len(parts[0]) if parts and isinstance(parts[0], list) else None
        return _called_with(value, None if count is None else Called(*(f"argument {n + 1}" for n in range(count))))
    if origin is typing.get_origin(Sequence[Any]):
        return _fit_sequence(parts[0] if parts else Any, value, name)
    if origin is typing.get_origin(Mapping[str, Any]):
        return _fit_mapping(parts[1], value, kind, name)
    return _fit_class(origin or kind, value, kind, name)


def _fit_class(cls: Any, value: Any, kind: Any, name: str) -> Any:
    if cls is type:
        if not isinstance(value, type):
            raise _Misfit("give the class itself" if value is not None else "give a class")
        return value
    if not isinstance(cls, type):  # a form of typing that this module does not read
        return value
    if isinstance(value, type) and (value is cls or (cls is not object and _is_subclass(value, cls))):
        made = f"{value.__name__}()" if _needs_nothing(value) else f"{value.__name__}(...)"
        raise _Misfit(f"{value.__name__} is a class: write {made}", 1)
    if isinstance(value, type) and getattr(cls, "_is_protocol", False):
        raise _Misfit(_give(kind, value, name))  # a class has its instances' methods, and is not one of them
    if not isinstance(value, cls) or (isinstance(value, bool) and cls is not bool):
        raise _Misfit(_give(kind, value, name))
    return value


def _fit_annotated(kind: Any, said: tuple[Any, ...], value: Any, name: str) -> Any:
    for each in said:
        if isinstance(each, Called):
            return _called_with(value, each)
    bounds = [each for each in said if isinstance(each, Bound)]
    whole = Annotated[(kind, *said)]
    try:
        value = _fit(kind, value, name)
    except _Misfit as misfit:
        raise _Misfit(_give(whole, value, name) if bounds else misfit.said, misfit.depth) from None
    if not all(bound.holds(value) for bound in bounds):
        raise _Misfit(_give(whole, value, name), 1)
    return value


def _fit_one_of(kinds: Sequence[Any], value: Any, name: str) -> Any:
    misfits = []
    for kind in kinds:
        try:
            return _fit(kind, value, name)
        except _Misfit as misfit:
            misfits.append(misfit)
    nearest = max(misfits, key=lambda misfit: misfit.depth)
    if nearest.depth:
        tail = ", or None" if types.NoneType in kinds and len(kinds) == 2 and "give" in nearest.said else ""
        raise _Misfit(nearest.said + tail, nearest.depth, nearest.item)
    raise _Misfit(_give(typing.Union[tuple(kinds)], value, name))  # noqa: UP007


def _fit_sequence(kind: Any, value: Any, name: str) -> Any:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        if isinstance(value, (set, frozenset, Mapping)) or hasattr(value, "__next__"):
            raise _Misfit(f"a {type(value).__name__} has no order that lasts: write {name}=[...]")
        if value is None:
            raise _Misfit(f"give a list, {name}=[] for none")
        raise _Misfit(f"give a list, also of one: {name}=[{shown(value)}]", int(_takes(kind, value)))
    items = []
    for n, item in enumerate(value):
        try:
            items.append(_fit(kind, item, name))
        except _Misfit as misfit:
            raise _Misfit(misfit.said, 1, (n, item)) from None
    return value if all(a is b for a, b in zip(items, value, strict=True)) else tuple(items)


def _fit_mapping(kind: Any, value: Any, whole: Any, name: str) -> Any:
    _fit_class(Mapping, value, whole, name)
    items = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _Misfit(f"give a dict by names: its key {shown(key)} is no text, write {str(key)!r}", 1)
        try:
            items[key] = _fit(kind, item, name)
        except _Misfit as misfit:
            raise _Misfit(misfit.said, 1, (key, item)) from None
    return value if all(items[key] is value[key] for key in items) else items


def _number(kind: type, value: Any, name: str) -> Any:
    wanted: Any = Integral if kind is int else (Real, Decimal)
    if isinstance(value, bool) or not isinstance(value, wanted):
        if kind is int and isinstance(value, float) and value.is_integer():
            raise _Misfit(f"give a whole number: {int(value)}")
        raise _Misfit(_give(kind, value, name))
    try:
        number = kind(value)
    except (OverflowError, ValueError):  # longer than any float, or a Decimal that signals
        number = math.nan
    if number != number:
        raise _Misfit(_give(kind, value, name))
    return value if type(value) in (int, float) else number


def _called_with(function: Any, wanted: Called | None) -> Any:
    """Give *function*, once it is known that it can be called as *wanted*; None looks only whether it can be called.

    Raises:
        _Misfit: It cannot, or it is a class of labkit's or one whose instances are the functions.
    """
    listed = ", ".join(wanted.names) if wanted is not None else "..."
    if inspect.isawaitable(function) or hasattr(function, "__next__"):
        name = getattr(function, "__name__", "it")
        if inspect.iscoroutine(function):
            function.close()  # else Python warns, somewhere else, that it was never awaited
        raise _Misfit(f"{name} was called already: give the function itself, without its parentheses", 1)
    if not callable(function):
        what = "None" if function is None else _a(type(function).__name__)
        raise _Misfit(f"{what} cannot be called: give a function of ({listed})")
    if isinstance(function, type):
        _check_class(function, wanted)
    if wanted is None:
        return function
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _Misfit(f"{_named(function)} yields, and is to give one answer: write return", 1)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some of C have none
        return function
    try:
        signature.bind(*wanted.names)
    except TypeError:
        raise _Misfit(
            f"{_named(function)} takes {_parameters(signature)} and is called with ({listed}): "
            f"write {_header(function, listed)}",
            1,
        ) from None
    return function


def _check_class(cls: type, wanted: Called | None) -> None:
    made = f"{cls.__name__}()" if _needs_nothing(cls) else f"{cls.__name__}(...)"
    is_recipe = cls.__module__.partition(".")[0] == "labkit" or "__call__" in _methods(cls)
    gives = None if wanted is None or wanted.gives is Any else wanted.gives
    if is_recipe or (gives is not None and not _is_subclass(cls, gives)):
        raise _Misfit(f"{cls.__name__} is a class: give what is made of it, {made}", 1)


def _methods(cls: type) -> set[str]:
    return {name for each in cls.__mro__ for name in vars(each)}


def _parameters(signature: inspect.Signature) -> str:
    names = ", ".join(str(each.replace(annotation=_UNKNOWN)) for each in signature.parameters.values())
    return f"({names})"


# --- words ------------------------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """Write *value* into a message: functions and classes by their names, cut where it is long."""
    if isinstance(value, type) or inspect.isroutine(value):
        return _named(value)
    try:
        said = f"[{', '.join(map(shown, value))}]" if type(value) is list else repr(value)
    except Exception:  # the message is about its kind, whatever its repr does
        said = f"<{type(value).__name__}>"
    if len(said) > _SHOWN_CHARS and dataclasses.is_dataclass(value):
        return f"{type(value).__name__}(...)"
    return said if len(said) <= _SHOWN_CHARS else f"{said[: _SHOWN_CHARS - 1]}…"


def _named(function: Any) -> str:
    return getattr(function, "__qualname__", getattr(function, "__name__", type(function).__name__)).rpartition(
        "<locals>."
    )[2]


def _header(function: Any, parameters: str) -> str:
    name = getattr(function, "__name__", "__call__")
    return f"def {name}({parameters})" if name.isidentifier() else f"lambda {parameters}: ..."


def _a(name: str) -> str:
    return f"an {name}" if name[:1] in "AEIOUaeiou" else f"a {name}"


def _any_of(said: Sequence[str], *, or_none: bool = False) -> str:
    joined = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
    return f"{joined}, or None" if or_none else joined


def _give(kind: Any, value: Any, name: str) -> str:
    said = f"give {_words(kind, name)}"
    if (instead := _instead(kind, value)) is not None:
        said += f": write {instead}"
    return said


def _words(kind: Any, name: str) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        bounds = [each for each in parts[1:] if isinstance(each, Bound)]
        called = [each for each in parts[1:] if isinstance(each, Called)]
        if called:
            return f"a function of ({', '.join(called[0].names)})"
        return _range_words(parts[0], bounds[0], name) if bounds else _words(parts[0], name)
    if origin in (typing.Union, types.UnionType):
        said = list(dict.fromkeys(_words(part, name) for part in parts if part is not types.NoneType))
        return _any_of(said, or_none=types.NoneType in parts)
    if origin is Literal:
        return _any_of([repr(part) for part in parts])
    if origin is typing.get_origin(Callable[..., Any]):
        return "a function"
    if origin is typing.get_origin(Sequence[Any]):
        return "a list"
    if kind in (float, int):
        return _range_words(kind, Bound(), name)
    plain = {str: "a text", bool: "True or False", bytes: "bytes", type: "a class", types.NoneType: "None"}
    named = origin or kind
    if named in plain:
        return plain[named]
    if isinstance(named, type) and issubclass(named, Mapping):
        return "a dict"
    return _a(getattr(named, "__name__", str(named)))


def _range_words(kind: Any, bound: Bound, name: str) -> str:
    unit = " of seconds" if name.endswith("_s") else " of US dollars" if name.endswith("usd") else ""
    if (bound.low, bound.high) == (0.0, 1.0) and not bound.above:
        return "a share from 0 to 1"
    number = f"whole number{unit}" if kind is int else f"number{unit}"
    if bound.low == -math.inf:
        return f"a {number}"
    if bound.high != math.inf:
        return (
            f"a {number} above {bound.low:g}, at most {bound.high:g}"
            if bound.above
            else (f"a {number} from {bound.low:g} to {bound.high:g}")
        )
    return f"a positive {number}" if bound.above else f"a {number}, {bound.low:g} or more"


def _instead(kind: Any, value: Any) -> str | None:
    """Give what was probably meant by *value*: ``Retry(max_attempts=3)`` for 3 or ``{"max_attempts": 3}``."""
    if isinstance(value, (bool, type)) or value is None:
        return None
    in_any = None
    for cls in _classes_in(kind):
        hints = typing.get_type_hints(cls, include_extras=True)
        options = [each for each in dataclasses.fields(cls) if each.init]
        if isinstance(value, Mapping) and value and set(value) <= {each.name for each in options}:
            return f"{cls.__name__}({', '.join(f'{key}={shown(item)}' for key, item in value.items())})"
        for option in options:
            if not _is_needed(option) and any(_is_needed(each) for each in options):
                continue
            if hints[option.name] is Any and not isinstance(value, (str, int, float)) and not callable(value):
                in_any = in_any or f"{cls.__name__}({shown(value)})"
            elif hints[option.name] is not Any and _takes(hints[option.name], value):
                others = [f"{each.name}=..." for each in options if each is not option and _is_needed(each)]
                first = shown(value) if not option.kw_only else f"{option.name}={shown(value)}"
                return f"{cls.__name__}({', '.join([first, *others])})"
    return in_any


def _is_needed(option: dataclasses.Field[Any]) -> bool:
    return option.default is dataclasses.MISSING and option.default_factory is dataclasses.MISSING


def _takes(kind: Any, value: Any) -> bool:
    try:
        _fit(kind, value, "")
    except _Misfit:
        return False
    return True


def _classes_in(kind: Any) -> list[Any]:
    """Give the classes of options that *kind* names."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return [kind]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [cls for part in typing.get_args(kind) for cls in _classes_in(part)]
    return []


def _is_subclass(cls: type, of: Any) -> bool:
    try:
        return issubclass(cls, of)
    except TypeError:  # a protocol with members that are no methods
        return False


def _needs_nothing(cls: type) -> bool:
    try:
        inspect.signature(cls).bind()
    except (ValueError, TypeError):
        return False
    return True
