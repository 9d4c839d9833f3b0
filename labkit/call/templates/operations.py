"""What a template may do with data: methods, filters, tests and operators, each bounded before it begins.

Whatever is not listed here is not there. An operation that can give more than it is given says beforehand how much.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from jinja2 import Undefined, filters, pass_context
from jinja2 import tests as jinja_tests
from jinja2.runtime import Context
from jinja2.utils import _PassArg, htmlsafe_json_dumps

from labkit.call.templates.budget import MAX_CHARS, TooMuch, fits, weight_of
from labkit.call.templates.data import Fields, Items, Member, MemberNumber, Secret, Text

__all__ = ["FILTERS", "MAPPING_METHODS", "TESTS", "Bound", "attribute_of", "computed", "formatted", "settled"]

_MAX_WIDTH = 1_000
_MAX_BITS = 14_000  # as many digits as Python writes out
_LARGEST = Decimal("1e4000")
_TOO_MANY_DIGITS = "a number of more than 4,000 digits is none that a prompt may work with"
_MAX_SLOW = 200_000  # for what looks at each character in Python
_MISSING = object()

Grows = Callable[..., int]
"""From the arguments of an operation to the most characters, or weight, of what it gives."""


class Bound:
    """A method of a value, to be called: ``input.text.strip``."""

    __slots__ = ("_operation", "_value")

    def __init__(self, operation: Callable[..., Any], value: Any) -> None:
        self._operation, self._value = operation, value

    def call(self, context: Context, args: Any, kwargs: Any) -> Any:
        return self._operation(context, self._value, *args, **kwargs)


def _bounded(
    func: Callable[..., Any], *, grows: Grows | None = None, heaviest: int = MAX_CHARS, light: bool = False
) -> Any:
    """Make of *func* a filter that counts, refuses what is too heavy, and gives no iterator.

    Args:
        grows: Where it can give more than it is given.
        heaviest: Most weight of its arguments, less for what is slow.
        light: It does not go through what it is given.
    """
    needs = _PassArg.from_obj(func)

    @pass_context
    def operation(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = context.budget  # type: ignore[attr-defined]
        if light:
            budget.spend()
        elif budget.spend_on(value, *args, *kwargs.values()) > heaviest < MAX_CHARS:
            raise TooMuch(f"a text of over {heaviest:,} characters is too long for {_name(func)}")
        if grows is not None:
            fits(grows(value, *args, **kwargs))
        if needs is None:
            result = func(value, *args, **kwargs)
        else:
            passed = {
                _PassArg.context: context,
                _PassArg.environment: context.environment,
                _PassArg.eval_context: context.eval_ctx,
            }[needs]
            result = func(passed, value, *args, **kwargs)
        return settled(context, result)

    return operation


def _name(func: Callable[..., Any]) -> str:
    return str(getattr(func, "__name__", "this")).removeprefix("sync_").removeprefix("do_")


def settled(context: Context, result: Any) -> Any:
    """Give *result* as what it is when it is whole, and small enough to be worked on."""
    if isinstance(result, Iterator):
        gathered = []
        for item in result:
            context.budget.spend()  # type: ignore[attr-defined]
            gathered.append(item)
        result = gathered
    if isinstance(result, str):
        fits(len(result))
    elif isinstance(result, (list, tuple, dict)):
        weight_of(result)
    return result


# --- how much more an operation may give ------------------------------------------------------------------------------


def _width(width: Any) -> int:
    if isinstance(width, str):
        return len(width)
    if not isinstance(width, int):
        raise TypeError(f"a width is a whole number, not {type(width).__name__}")
    return abs(width)


def _padded(value: Any, width: Any = 80, *_: Any) -> int:
    return _width(width)


def _indented(value: Any, width: Any = 4, *_: Any, **__: Any) -> int:
    return (str(value).count("\n") + 2) * _width(width) if isinstance(value, str) else _width(width)


def _joined(values: Any, by: Any = "", attribute: Any = None) -> int:
    return len(values) * len(str(by)) + weight_of(values) if hasattr(values, "__len__") else 0


def _joined_by(by: Any, values: Any) -> int:
    return _joined(values, by)


def _replaced(value: Any, old: Any, new: Any, count: Any = None) -> int:
    text = str(value)
    return len(text) + (text.count(str(old)) if str(old) else len(text) + 1) * len(str(new))


def _wrapped(value: Any, width: Any = 79, break_long_words: Any = True, wrapstring: Any = None, *_: Any) -> int:
    return (len(str(value)) // max(1, _width(width)) + str(value).count("\n") + 2) * len(wrapstring or "\n") * 2


def _batched(value: Any, n: Any, fill: Any = None) -> int:
    return 50 * _width(n)


def _rounded(value: Any, precision: Any = 0, method: Any = "common") -> int:
    if _width(precision) > 100:
        raise TooMuch("a number is rounded to at most 100 places")
    return 0


def _as_int(value: Any, default: Any = 0, base: Any = 10) -> int:
    if (isinstance(value, str) and len(value) > 4_000) or (isinstance(value, Decimal) and abs(value) > _LARGEST):
        raise TooMuch(_TOO_MANY_DIGITS)
    return 0


def _stripped(value: Any, chars: Any = None) -> int:
    if chars is not None and len(chars) > _MAX_WIDTH:
        raise TooMuch(f"over {_MAX_WIDTH:,} kinds of characters to strip")
    return 0


def _json_indented(value: Any, indent: Any = None) -> int:
    if indent is not None and _width(indent) > 16:
        raise TooMuch("JSON is indented by at most 16")
    return 0


def _tabbed(value: str, tabsize: int = 8) -> int:
    return len(value) + value.count("\t") * _width(tabsize)


# --- formats ----------------------------------------------------------------------------------------------------------

_PERCENT = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d*)(?:\.(\*|\d*))?[hlL]?.", re.S)
_DIGITS = re.compile(r"\d+")


def formatted(context: Context, template: str, values: Any) -> str:
    """Give ``template % values``.

    Raises:
        TooMuch: A width, or the whole, is too large.
    """
    weight = context.budget.spend_on(template, values)  # type: ignore[attr-defined]
    places = _PERCENT.findall(template)
    for width in (size for place in places for size in place if size):
        _check_width(width)
    fits(len(template) + len(places) * (2 * _MAX_WIDTH if any(map(any, places)) else 400) + len(places) * weight)
    if isinstance(values, (Fields, Items)) and not isinstance(values, tuple):
        values = dict(values) if isinstance(values, Fields) else tuple(values)
    text: str = str(template) % values
    fits(len(text))
    return text


def _check_width(width: str) -> None:
    if not width.isdecimal() or int(width[:6]) > _MAX_WIDTH:
        raise TooMuch(f"a width of {width[:20]} is not one that a prompt may ask for: at most {_MAX_WIDTH}")


@pass_context
def _percent(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise TypeError("the format filter takes values by place or by name, not both")
    return formatted(context, str(value), kwargs or args)


class _Formatter(string.Formatter):
    """``str.format`` whose fields are read as a template reads them, and whose widths are bounded."""

    def __init__(self, context: Context) -> None:
        self._context, self._chars = context, 0

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        name, dot, rest = field_name.partition(".")
        if "[" in field_name:
            raise TypeError("a format's field may not have brackets: give the item itself")
        found = self.get_value(int(name) if name.isdecimal() else name, args, kwargs)
        for part in rest.split(".") if dot else ():
            found = self._context.environment.getattr(found, part)
        return found, name

    def convert_field(self, value: Any, conversion: Any) -> Any:
        weight_of(value)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        self._context.budget.spend_on(value)  # type: ignore[attr-defined]
        for width in _DIGITS.findall(format_spec):
            _check_width(width)
        text = format(value, format_spec) if format_spec else str(value)
        self._chars += len(text)
        fits(self._chars)
        return text


@pass_context
def _format(context: Context, template: str, *args: Any, **kwargs: Any) -> str:
    return _Formatter(context).vformat(str(template), args, kwargs)


@pass_context
def _format_map(context: Context, template: str, mapping: Mapping[str, Any]) -> str:
    return _Formatter(context).vformat(str(template), (), mapping)


# --- operators --------------------------------------------------------------------------------------------------------


def computed(context: Context, operator: str, left: Any, right: Any, native: Callable[[Any, Any], Any]) -> Any:
    """Give ``left operator right``.

    Raises:
        TooMuch: It would be larger than a prompt may hold.
    """
    for side in (left, right):
        if isinstance(side, Undefined):
            return native(left, right)  # says what is undefined
    if operator == "%" and isinstance(left, str):
        return formatted(context, left, right)
    numbers = [side for side in (left, right) if isinstance(side, (int, float, Decimal, complex))]
    if len(numbers) == 2:
        context.budget.spend()  # type: ignore[attr-defined]
        if all(isinstance(side, int) for side in numbers):
            _check_bits(operator, left, right)
        return native(left, right)
    left, right = (list(side) if isinstance(side, Items) else side for side in (left, right))
    weight = context.budget.spend_on(*(side for side in (left, right) if side not in numbers))  # type: ignore[attr-defined]
    if operator == "*" and numbers and isinstance(numbers[0], int):
        fits(weight * max(numbers[0], 1))
    return settled(context, native(left, right))


def _check_bits(operator: str, left: int, right: int) -> None:
    bits = max(left.bit_length(), right.bit_length())
    if operator == "*":
        bits = left.bit_length() + right.bit_length()
    elif operator == "**" and right > 0 and abs(left) > 1:
        bits = left.bit_length() * min(right, _MAX_BITS + 1)
    if bits > _MAX_BITS:
        raise TooMuch(_TOO_MANY_DIGITS)


# --- methods ----------------------------------------------------------------------------------------------------------

_STRIPS = ("strip", "lstrip", "rstrip")
_PADS = ("center", "ljust", "rjust", "zfill")
_PLAIN_METHODS = [
    "capitalize",
    "casefold",
    "count",
    "endswith",
    "find",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "lower",
    "partition",
    "removeprefix",
    "removesuffix",
    "rfind",
    "rindex",
    "rpartition",
    "rsplit",
    "split",
    "splitlines",
    "startswith",
    "swapcase",
    "title",
    "upper",
]

_TEXT_METHODS: Mapping[str, Any] = {
    **{name: _bounded(getattr(str, name)) for name in _PLAIN_METHODS},
    **{name: _bounded(getattr(str, name), grows=_stripped) for name in _STRIPS},
    **{name: _bounded(getattr(str, name), grows=_padded) for name in _PADS},
    "expandtabs": _bounded(str.expandtabs, grows=_tabbed),
    "replace": _bounded(str.replace, grows=_replaced),
    "join": _bounded(str.join, grows=_joined_by),
    "format": _format,
    "format_map": _format_map,
}


def _items(mapping: Mapping[Any, Any]) -> list[Any]:
    return list(mapping.items())


def _keys(mapping: Mapping[Any, Any]) -> list[Any]:
    return list(mapping)


def _values(mapping: Mapping[Any, Any]) -> list[Any]:
    return list(mapping.values())


def _get(mapping: Mapping[Any, Any], key: Any, default: Any = None) -> Any:
    return mapping.get(key, default)


def _count(values: Sequence[Any], item: Any) -> int:
    return list(values).count(item)


def _index(values: Sequence[Any], item: Any) -> int:
    return list(values).index(item)


def _reveal(secret: Secret) -> Any:
    return secret.reveal()


MAPPING_METHODS: Mapping[str, Any] = {
    "items": _bounded(_items),
    "keys": _bounded(_keys),
    "values": _bounded(_values),
    "get": _bounded(_get, light=True),
}
_LIST_METHODS: Mapping[str, Any] = {"count": _bounded(_count), "index": _bounded(_index)}
_SECRET_METHODS: Mapping[str, Any] = {"get_secret_value": _bounded(_reveal, light=True)}

_TIME_PARTS = frozenset(
    ["year", "month", "day", "hour", "minute", "second", "microsecond", "days", "seconds", "microseconds"]
)
_TIME_METHODS = frozenset(
    [
        "date",
        "time",
        "isoformat",
        "strftime",
        "weekday",
        "isoweekday",
        "timestamp",
        "total_seconds",
        "toordinal",
        "utcoffset",
        "tzname",
    ]
)


def _of_time(name: str) -> Any:
    def ask(value: Any, *args: Any) -> Any:
        return getattr(value, name)(*args)

    return _bounded(ask)


_TIME = {name: _of_time(name) for name in _TIME_METHODS}


def attribute_of(value: Any, name: str) -> Any:
    """Give what a template may read of *value* under *name*: a field, or a method that only computes.

    Raises:
        KeyError: There is no such thing.
    """
    if isinstance(value, str):
        if isinstance(value, Member) and name in ("name", "value"):
            return getattr(value, name)
        return Bound(_TEXT_METHODS[name], value)
    if isinstance(value, Mapping):
        return Bound(MAPPING_METHODS[name], value) if name in MAPPING_METHODS else value[name]
    if isinstance(value, (list, tuple, Items, range)):
        if isinstance(value, tuple) and name in getattr(value, "_fields", ()):  # of jinja's own groups
            return getattr(value, name)
        if isinstance(value, Items) and (found := value.named(name, _MISSING)) is not _MISSING:
            return found
        return Bound(_LIST_METHODS[name], value)
    if isinstance(value, (date, time, timedelta)):
        if name in _TIME_PARTS and hasattr(value, name):
            return getattr(value, name)
        if not hasattr(value, name):
            raise KeyError(name)
        return Bound(_TIME[name], value)
    if isinstance(value, Secret):
        return Bound(_SECRET_METHODS[name], value)
    if isinstance(value, MemberNumber) and name in ("name", "value"):
        return getattr(value, name)
    if isinstance(value, Text):
        return value.named(name)
    raise KeyError(name)


# --- filters ----------------------------------------------------------------------------------------------------------


@pass_context
def _attr(context: Context, value: Any, name: str) -> Any:
    return context.environment.getattr(value, str(name))


@pass_context
def _sum(context: Context, values: Any, attribute: Any = None, start: Any = 0) -> Any:
    read = filters.make_attrgetter(context.environment, attribute) if attribute is not None else None
    total = start
    for value in values:
        each = read(value) if read is not None else value
        total = context.environment.call_binop(context, "+", total, each)  # type: ignore[attr-defined]
    return total


def _tojson(value: Any, indent: Any = None) -> Any:
    return htmlsafe_json_dumps(value, default=_json_of, sort_keys=True, indent=indent)


def _json_of(value: Any) -> Any:
    if isinstance(value, Fields):
        return dict(value)
    if isinstance(value, Items):
        return list(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Undefined):
        raise TypeError(f"{value}")
    return str(value)


_AS_JINJA_HAS_THEM = [
    "capitalize",
    "dictsort",
    "e",
    "escape",
    "forceescape",
    "groupby",
    "items",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "reverse",
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "title",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
]
_LIGHT = ["abs", "count", "d", "default", "filesizeformat", "first", "float", "last", "length", "random"]

FILTERS: Mapping[str, Any] = {
    **{name: _bounded(filters.FILTERS[name]) for name in _AS_JINJA_HAS_THEM},
    **{name: _bounded(filters.FILTERS[name], light=True) for name in _LIGHT},
    "attr": _attr,
    "batch": _bounded(filters.FILTERS["batch"], grows=_batched),
    "center": _bounded(filters.FILTERS["center"], grows=_padded),
    "format": _percent,
    "indent": _bounded(filters.FILTERS["indent"], grows=_indented),
    "int": _bounded(filters.FILTERS["int"], grows=_as_int, light=True),
    "join": _bounded(filters.FILTERS["join"], grows=_joined),
    "pprint": _bounded(filters.FILTERS["pprint"], heaviest=_MAX_SLOW),
    "replace": _bounded(filters.FILTERS["replace"], grows=_replaced),
    "round": _bounded(filters.FILTERS["round"], grows=_rounded, light=True),
    "slice": _bounded(filters.FILTERS["slice"], grows=_batched),
    "striptags": _bounded(filters.FILTERS["striptags"], heaviest=_MAX_SLOW),
    "sum": _sum,
    "tojson": _bounded(_tojson, grows=_json_indented),
    "trim": _bounded(filters.FILTERS["trim"], grows=_stripped),
    "wordwrap": _bounded(filters.FILTERS["wordwrap"], grows=_wrapped, heaviest=_MAX_SLOW),
}


# --- tests ------------------------------------------------------------------------------------------------------------

_COMPARE = frozenset(
    ["!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lt", "ne"]
)


def _test(name: str, func: Any) -> Any:
    needs_environment = _PassArg.from_obj(func) is _PassArg.environment

    @pass_context
    def test(context: Context, value: Any, *args: Any) -> bool:
        if name in _COMPARE:
            context.budget.spend_on(value, *args)  # type: ignore[attr-defined]
        else:
            context.budget.spend()  # type: ignore[attr-defined]
        return bool(func(context.environment, value, *args) if needs_environment else func(value, *args))

    return test


TESTS: Mapping[str, Any] = {
    name: _test(name, func) for name, func in jinja_tests.TESTS.items() if name not in ("callable", "escaped")
}
