"""A value as its schema means it. Every liberty is a Repair with its cost, and the least costly reading wins."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from labkit.call.reading.fault import Fault, excerpt, shown
from labkit.call.reading.json_text import EXACT, Exact, Plain, plain
from labkit.call.reading.labels import label_in
from labkit.call.reading.lenient import UNSURE, Lenient, Unreadable, read_lenient
from labkit.call.reading.numbers import number_in
from labkit.call.reading.references import Root, merged
from labkit.call.reading.validity import Validity, items_of, matches, same
from labkit.call.repairs import Repair

__all__ = ["Aligned", "Fault", "Schema", "align", "member_names"]

Schema = Mapping[str, Any]

_MOST_DEPTH = 60
_MOST_DIGITS = 1_000
_TRUE = frozenset({"true", "yes"})
_FALSE = frozenset({"false", "no"})
# A text of several things, which as one item would be another list than was meant.
_SEVERAL = re.compile(r"[,;|\n•·]|\s[-*/]\s|\band\b")


@dataclass(frozen=True, slots=True)
class Aligned:
    """A value that fits, and what was done to it."""

    value: Any
    repairs: tuple[Repair, ...] = ()

    @property
    def cost(self) -> float:
        return sum(repair.cost for repair in self.repairs)

    @property
    def is_sure(self) -> bool:
        """Nothing was done that could have made another value of it."""
        return not any(repair.alternatives or repair.kind in _UNSURE for repair in self.repairs)


# Liberties that could change what was meant, wherever the text stood:
# fraction, percent, separators   numbers that others read otherwise: 1,200 or 1.2
# words                           a label, number or yes among other words
# plain                           prose where a text was wanted: it may as well be a refusal
# several                         one text for a list, which may hold several items
# dumped                          an object or a list as the text that it was written in
# unrelated                       an object that has no member of the type
# picked                          one item of a list whose others do not fit
# aside, apart                    what looks like a note in prose; objects with prose between them as one list
_UNSURE = UNSURE | {
    "fraction", "percent", "separators", "plain", "several", "dumped", "unrelated", "picked", "aside", "apart",
}  # fmt: skip


class _Known(Root):
    """The whole schema, and what is known of values in unions already.

    Without that, unions within unions would be tried in every combination.
    """

    def __init__(self, schema: Any, *, fills: bool) -> None:
        super().__init__(schema)
        self.fills = fills
        self.validity = Validity(self)
        self.known: dict[tuple[int, int], Aligned | Fault] = {}
        self.kept: list[Any] = []  # a value that is gone would leave its id to another


def align(value: Any, schema: Schema | bool, *, fills: bool = True) -> Aligned:
    """Read *value*, JSON data, as *schema* means it.

    Args:
        fills: A member that may be null, has no default in the schema and is not there becomes null. False where a
            type knows a default that its schema does not say.

    Raises:
        Fault: It cannot mean that; nothing that is required is ever made up.
    """
    root = _Known(schema, fills=fills)
    try:
        fit = _align(value, schema, root, "", 0)
    except Fault:
        fit = None
        if not _stands(value, schema, root):
            raise
    if fit is None or (not _is_as_said(fit, fills=fills) and _stands(value, schema, root)):
        return Aligned(plain(value))  # whatever the schema says, the value is what it says
    return fit


def member_names(schema: Schema | bool) -> frozenset[str]:
    """Give the names that members of the value may have, those of all choices together."""
    root = Root(schema)
    names: set[str] = set()
    waiting: list[Any] = [schema]
    for _ in range(200):
        if not waiting:
            break
        part = root.resolved(waiting.pop())
        if not isinstance(part, Mapping):
            continue
        for name, member in _mapping(part.get("properties")).items():
            alias = member.get("x-alias") if isinstance(member, Mapping) else None
            names |= {name, alias} if isinstance(alias, str) else {name}
        waiting += [choice for union in ("anyOf", "oneOf") for choice in _listed(part.get(union))]
        if isinstance(part.get("items"), Mapping):
            waiting.append(part["items"])
    return frozenset(names)


def _stands(value: Any, schema: Schema | bool, root: _Known) -> bool:
    """Whether a value fits as it came, in ways that aligning does not follow: conditions, exclusions, oneOf."""
    return not isinstance(value, Plain) and root.validity.is_valid(value, schema)


def _is_as_said(fit: Aligned, *, fills: bool) -> bool:
    harmless = ("extra", "absent", "unrelated", "ambiguous") if fills else ("extra", "absent", "unrelated")
    return all(repair.kind in harmless for repair in fit.repairs)


def _align(value: Any, schema: Any, root: _Known, path: str, depth: int) -> Aligned:
    if depth > _MOST_DEPTH:
        raise Fault(path, "nested too deeply to be read")
    schema = root.resolved(schema)
    if schema is False:
        raise Fault(path, "nothing is allowed here")
    if not isinstance(schema, Mapping):
        return _untyped(value, path)
    for union in ("anyOf", "oneOf"):
        if choices := _listed(schema.get(union)):
            beside = {key: rule for key, rule in schema.items() if key != union}
            if beside.keys() & {"type", "properties", "items", "prefixItems"}:
                choices = [merged(beside, choice) for choice in choices]
            return _best(value, choices, root, path, depth)
    if isinstance(schema.get("type"), list):
        return _best(value, [{**schema, "type": kind} for kind in schema["type"]], root, path, depth)
    if "const" in schema:
        return _label(value, [schema["const"]], schema, path)
    if isinstance(schema.get("enum"), list):
        return _label(value, schema["enum"], schema, path)
    match schema.get("type"):
        case "object":
            return _object(value, schema, root, path, depth)
        case "array":
            return _array(value, schema, root, path, depth)
        case "string":
            return _string(value, path)
        case "integer" | "number" as kind:
            return _number(value, kind, path)
        case "decimal":
            return _decimal(value, path)
        case "boolean":
            return _boolean(value, path)
        case "null":
            return _null(value, path)
    if isinstance(value, dict) and schema.keys() & {"properties", "patternProperties", "additionalProperties"}:
        return _object(value, {"additionalProperties": True, **schema}, root, path, depth)
    if isinstance(value, list) and schema.keys() & {"items", "prefixItems"}:
        return _array(value, schema, root, path, depth)
    return _untyped(value, path)


def _untyped(value: Any, path: str) -> Aligned:
    if isinstance(value, Plain):
        return _repaired(str(value), "plain", path, str(value), 3.0)
    return Aligned(plain(value))


def _best(value: Any, choices: Sequence[Any], root: _Known, path: str, depth: int) -> Aligned:
    """Take the choice that costs least, the first of equals."""
    fits: list[tuple[Aligned, Any]] = []
    faults: list[Fault] = []
    for choice in choices:
        fit = _tried(value, choice, root, path, depth)
        if isinstance(fit, Fault):
            faults.append(fit)
        elif not fit.repairs:
            return fit
        else:
            fits.append((fit, choice))
    if not fits:
        raise faults[0] if len(faults) == 1 else Fault(path, f"{shown(value)} fits none of {len(choices)} choices")
    if len(fits) > 1:
        fits = [(fit, choice) for fit, choice in fits if _is_in_bounds(fit, choice, root)] or fits
    best = min((fit for fit, _ in fits), key=lambda fit: fit.cost)
    others = tuple(fit.value for fit, _ in fits if fit.cost == best.cost and not same(fit.value, best.value))
    if not others:
        return best
    picked = Repair(kind="ambiguous", path=path, before=plain(value), after=best.value, cost=1.0, alternatives=others)
    return Aligned(best.value, (*best.repairs, picked))


def _is_in_bounds(fit: Aligned, choice: Any, root: _Known) -> bool:
    """Whether a scalar is within its choice's bounds; of a whole tree that would be asked over and over."""
    if isinstance(fit.value, (dict, list)) or _mapping(choice).get("type") == "decimal":
        return True
    root.kept.append((fit.value, choice))
    return root.validity.is_valid(fit.value, choice)


def _tried(value: Any, choice: Any, root: _Known, path: str, depth: int) -> Aligned | Fault:
    known = root.known.get((id(value), id(choice)))
    if known is not None:
        return known
    found: Aligned | Fault
    try:
        found = _align(value, choice, root, path, depth + 1)
    except Fault as fault:
        found = fault
    if isinstance(value, (dict, list)):
        root.known[id(value), id(choice)] = found
        root.kept.append((value, choice))
    return found


# --- scalars ----------------------------------------------------------------------------------------------------------


def _label(value: Any, labels: Sequence[Any], schema: Schema, path: str) -> Aligned:
    for label in labels:
        if same(value, label):
            return Aligned(label)
    if isinstance(value, list):
        return _only_item(value, path, lambda item: _label(item, labels, schema, path))
    names = _names_of([label for label in labels if isinstance(label, str)], _mapping(schema.get("x-values")))
    said = _as_text(value)
    if said and names and (found := label_in(said, names)) is not None:
        return _repaired(found.label, found.kind if found.kind == "words" else "enum", path, value, found.cost)
    if isinstance(value, str):
        for label in labels:
            if (fit := _as_label(value, label, path)) is not None:
                return fit
    raise Fault(path, f"{shown(value)} is none of {', '.join(map(str, labels[:20]))}")


def _names_of(labels: Sequence[str], about: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give what each label may be called."""
    names: dict[str, list[str]] = {}
    for label in labels:
        notes = _mapping(about.get(label))
        alias, description = notes.get("alias"), notes.get("description")
        called = [label, *([alias] if alias else []), *([description] if description else [])]
        for name in (label, alias):
            if name and description:
                called += [f"{name}: {description}", f"{name} {description}", f"{name}. {description}"]
        names[label] = called
    return names


def _as_label(said: str, label: Any, path: str) -> Aligned | None:
    """Read a text as a label that is a number, true, false or null."""
    if isinstance(label, str):
        return None
    try:
        if label is None:
            return _null(said, path)
        fit = _boolean(said, path) if isinstance(label, bool) else _number(said, "number", path)
    except Fault:
        return None
    return Aligned(label, fit.repairs) if same(fit.value, label) else None


def _string(value: Any, path: str) -> Aligned:
    if isinstance(value, Plain):
        return _untyped(value, path)
    if isinstance(value, str):
        return Aligned(value)
    if value is None:
        raise Fault(path, "null is no text")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return _repaired(value[0], "dumped", path, value, 2.0)
    if (text := _as_text(value)) is not None:
        return _repaired(text, "text", path, value, 2.0)
    return _repaired(json.dumps(plain(value), ensure_ascii=False), "dumped", path, value, 6.0)


def _number(value: Any, kind: str, path: str) -> Aligned:
    if isinstance(value, list):
        return _only_item(value, path, lambda item: _number(item, kind, path))
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Fault(path, f"{shown(value)} is no number")
    if isinstance(value, str):
        read = number_in(value)
        if read is None:
            raise Fault(path, f"{shown(value)} is no number")
        return _repaired(_whole(read.value, kind, path), read.kind, path, value, read.cost)
    return Aligned(_whole(value, kind, path))


def _whole(number: float, kind: str, path: str) -> float:
    if isinstance(number, int):
        return number
    if kind == "number":
        return float(number)
    # 1e23 is ten to the 23rd, which no float is
    exact: Fraction | None = None
    if math.isfinite(number) and (not isinstance(number, Exact) or len(number.text) < _MOST_DIGITS):
        exact = Fraction(number.text if isinstance(number, Exact) else number)
    if exact is None or exact.denominator != 1:
        # rounding would be inventing: whoever wants 3 for 3.6 must say so in the type
        said = number.text[:60] if isinstance(number, Exact) else number
        raise Fault(path, f"{said} is no whole number")
    return exact.numerator


def _decimal(value: Any, path: str) -> Aligned:
    """Read a number with all its digits: as text, where JSON's own number would lose some."""
    if isinstance(value, Exact):
        return Aligned(value.text if math.isfinite(value) else float(value))
    if isinstance(value, str) and (read := number_in(value)) is not None:
        if read.kind == "number":
            return Aligned(read.digits)
        return _repaired(read.digits, read.kind, path, value, read.cost)
    return _number(value, "number", path)


def _boolean(value: Any, path: str) -> Aligned:
    if isinstance(value, bool):
        return Aligned(value)
    if isinstance(value, list):
        return _only_item(value, path, lambda item: _boolean(item, path))
    if isinstance(value, str) and len(value) < 2_000:
        said = value.strip().strip("\"'`*.!").casefold()
        if said in ("true", "false"):
            return _repaired(said == "true", "boolean", path, value, 1.0)
        words = set(re.findall(r"[a-z]+", value.casefold()))
        is_true, is_false = bool(words & _TRUE), bool(words & _FALSE)
        if is_true != is_false and "not" not in words:
            return _repaired(is_true, "words", path, value, 3.0)
    raise Fault(path, f"{shown(value)} is neither true nor false")


def _null(value: Any, path: str) -> Aligned:
    if value is None:
        return Aligned(None)
    if isinstance(value, str) and value.strip().casefold() in ("null", "none", "n/a", ""):
        # a lone "none" may be a refusal too
        return _repaired(None, "plain" if isinstance(value, Plain) else "null", path, value, 4.0)
    raise Fault(path, f"{shown(value)} is not null")


# --- containers -------------------------------------------------------------------------------------------------------


def _object(value: Any, schema: Schema, root: _Known, path: str, depth: int) -> Aligned:
    if isinstance(value, str) and (inner := _json_within(value, "{")) is not None:
        return _nested(value, _object(inner.value, schema, root, path, depth + 1), inner, path)
    members = _mapping(schema.get("properties"))
    if isinstance(value, list):
        objects = [item for item in value if isinstance(item, dict)]
        if objects:
            return _fitting_item(objects, value, schema, root, path, depth)
    if not isinstance(value, dict):
        return _sole_member(value, schema, root, path, depth)
    said: dict[str, Any] = {}
    repairs: list[Repair] = []
    left = dict(value)
    required = frozenset(_listed(schema.get("required")))
    missing: list[str] = []
    for name, member in members.items():
        key = _key_of(name, member, left)
        if key is None:
            missing.append(name)
            continue
        where = _within(path, name)
        part = left.pop(key)
        if key != name:
            repairs.append(Repair(kind="alias", path=where, before=key, after=name, cost=0.5))
        if part is None and name not in required and not _allows_null(member, root):
            # "not given", as models write it: the type's default is what it stands for
            repairs.append(Repair(kind="default", path=where, before=None, cost=0.5))
            continue
        fit = _align(part, member, root, where, depth + 1)
        said[name] = fit.value
        repairs += fit.repairs
    is_unrelated = len(missing) == len(members) > 0
    for name in missing:
        is_needed = name in required
        if (is_needed or root.fills) and "default" not in _mapping(members[name]) and _allows_null(members[name], root):
            said[name] = None
            repairs.append(Repair(kind="absent", path=_within(path, name), after=None, cost=0.5))
        elif is_needed:
            raise Fault(_within(path, name), "it is missing")
    repairs += _others(left, said, schema, root, path, depth)
    if is_unrelated and repairs:  # made of nothing that was said
        repairs.append(Repair(kind="unrelated", path=path, before=excerpt(shown(value)), cost=5.0))
    return Aligned(said, tuple(repairs))


def _others(
    left: Mapping[str, Any], said: dict[str, Any], schema: Schema, root: _Known, path: str, depth: int
) -> list[Repair]:
    """Put members that have no name in the schema into *said*, as its rules for such have it."""
    members, patterns = _mapping(schema.get("properties")), _mapping(schema.get("patternProperties"))
    extra = schema.get("additionalProperties")
    repairs: list[Repair] = []
    for key, part in left.items():
        where = _within(path, key)
        rules = [rule for pattern, rule in patterns.items() if matches(pattern, key)]
        if not rules and isinstance(extra, Mapping):
            rules = [extra]
        if not rules and members and extra is not True:
            repairs.append(Repair(kind="extra", path=where, before=excerpt(shown(part)), cost=1.0))
            continue
        for rule in rules or [True]:
            fit = _align(part, rule, root, where, depth + 1)
            part = fit.value
            repairs += fit.repairs
        said[key] = part
    return repairs


def _key_of(name: str, member: Any, given: Mapping[str, Any]) -> str | None:
    """Find the key that *name* goes by: itself, its alias, or another spelling that only it has."""
    for key in (_mapping(member).get("x-alias"), name):
        if isinstance(key, str) and key in given:
            return key
    folded = _folded(name)
    same_name = [key for key in given if _folded(key) == folded]
    return same_name[0] if len(same_name) == 1 and folded else None


@lru_cache(maxsize=2_048)
def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name[:200]).casefold()


def _sole_member(value: Any, schema: Schema, root: _Known, path: str, depth: int) -> Aligned:
    """Read a bare value as the one member of an object; of a text nobody knows that it is meant."""
    members = _mapping(schema.get("properties"))
    if len(members) == 1 and value is not None:
        ((name, member),) = members.items()
        fit = _align(value, member, root, _within(path, name), depth + 1)
        if not isinstance(value, str) or not same(fit.value, value):
            bare = Repair(kind="bare", path=path, before=plain(value), cost=2.0)
            return Aligned({name: fit.value}, (bare, *fit.repairs))
    raise Fault(path, f"{shown(value)} is no object")


def _array(value: Any, schema: Schema, root: _Known, path: str, depth: int) -> Aligned:
    if isinstance(value, str) and (inner := _json_within(value, "[")) is not None:
        return _nested(value, _array(inner.value, schema, root, path, depth + 1), inner, path)
    first, rest = items_of(schema)
    if isinstance(value, list):
        rules = [first[n] if n < len(first) else rest for n in range(len(value))]
        if rest is False:
            rules = [True if rule is False else rule for rule in rules]  # one too many: counting is for the validator
        fits = [
            _align(item, rule, root, _within(path, str(n)), depth + 1)
            for n, (item, rule) in enumerate(zip(value, rules, strict=True))
        ]
        return Aligned([fit.value for fit in fits], tuple(repair for fit in fits for repair in fit.repairs))
    if value is None or first:
        raise Fault(path, f"{shown(value)} is no list")
    fit = _align(value, rest, root, _within(path, "0"), depth + 1)
    is_several = isinstance(value, str) and same(fit.value, value) and _SEVERAL.search(value) is not None
    kind = "several" if is_several else "list"
    return Aligned([fit.value], (Repair(kind=kind, path=path, before=excerpt(shown(value)), cost=2.0), *fit.repairs))


def _nested(value: str, fit: Aligned, inner: Lenient, path: str) -> Aligned:
    """What a string held that was written where an object or a list was wanted."""
    kinds = ("nested", *(kind for kind in inner.kinds if kind in UNSURE))
    found = tuple(Repair(kind=kind, path=path, before=excerpt(value), cost=2.0) for kind in kinds)
    return Aligned(fit.value, (*found, *fit.repairs))


def _only_item(value: list[Any], path: str, read: Callable[[Any], Aligned]) -> Aligned:
    """Read a list where one value is wanted: its only item, or the first that fits beside others."""
    fits: list[Aligned] = []
    for item in value[:50]:
        try:
            fits.append(read(item))
        except Fault:
            continue
    if not fits or isinstance(value[0], list):
        raise Fault(path, f"{shown(value)} is a list")
    others = tuple(fit.value for fit in fits[1:] if not same(fit.value, fits[0].value))
    return _picked(fits[0], others, value, path)


def _fitting_item(objects: Sequence[Any], value: Any, schema: Schema, root: _Known, path: str, depth: int) -> Aligned:
    fits: list[Aligned] = []
    first: Fault | None = None
    for item in objects[:50]:
        try:
            fits.append(_object(item, schema, root, path, depth + 1))
        except Fault as fault:
            first = first or fault
    if not fits:
        if len(_mapping(schema.get("properties"))) == 1:
            return _sole_member(value, schema, root, path, depth)
        raise first or Fault(path, "there is no object in the list")
    best = min(fits, key=lambda fit: fit.cost)
    others = tuple(fit.value for fit in fits if not same(fit.value, best.value))
    return _picked(best, others, value, path)


def _picked(fit: Aligned, others: tuple[Any, ...], value: list[Any], path: str) -> Aligned:
    """One of a list, where one was wanted; what did not fit may have been the one that was meant."""
    kind = "ambiguous" if others else "single" if len(value) == 1 else "picked"
    picked = Repair(
        kind=kind, path=path, before=excerpt(shown(value)), after=fit.value, cost=2.0 + len(others), alternatives=others
    )
    return Aligned(fit.value, (*fit.repairs, picked))


# --- odds -------------------------------------------------------------------------------------------------------------


def _allows_null(schema: Any, root: _Known, depth: int = 0) -> bool:
    schema = root.resolved(schema)
    if not isinstance(schema, Mapping) or depth > 5:
        return False
    if schema.get("type") == "null" or "null" in _listed(schema.get("type")):
        return True
    choices = [choice for union in ("anyOf", "oneOf") for choice in _listed(schema.get(union))]
    return any(_allows_null(choice, root, depth + 1) for choice in choices)


def _json_within(text: str, opening: str) -> Lenient | None:
    """Give the object or list that a string holds, None when it holds none."""
    said = text.strip()
    if not said.startswith(opening) or len(said) > 1_000_000:
        return None
    try:
        return Lenient(value=EXACT.decode(said), end=len(said), kinds=())
    except (ValueError, RecursionError):
        pass
    try:
        read = read_lenient(said, 0, 100_000)
    except (Unreadable, RecursionError):
        return None
    return read if read.is_whole and not said[read.end :].strip() else None


def _as_text(value: Any) -> str | None:
    """Give the characters of a scalar, as it was written."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Exact):
        return value.text
    return json.dumps(value) if isinstance(value, (int, float)) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _repaired(value: Any, kind: str, path: str, before: Any, cost: float) -> Aligned:
    return Aligned(value, (Repair(kind=kind, path=path, before=plain(before), after=value, cost=cost),))
