"""A value as its schema means it. Every liberty is a Repair with its cost, and the least costly reading wins."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.call.reading.labels import label_in
from labkit.call.reading.lenient import Unreadable, read_lenient
from labkit.call.reading.numbers import number_in
from labkit.call.repairs import Repair

__all__ = ["Aligned", "Fault", "Schema", "align"]

Schema = Mapping[str, Any]

_MOST_DEPTH = 60
_TRUE = frozenset({"true", "yes"})
_FALSE = frozenset({"false", "no"})


class Fault(Exception):
    """A value that its schema cannot mean.

    Args:
        path: Dotted, "" for the whole.
        said: What was wanted and what was seen.
    """

    def __init__(self, path: str, said: str) -> None:
        super().__init__(f"{path or 'value'}: {said}")
        self.path = path
        self.said = said


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
        """Nothing was picked that could have been something else."""
        return not any(repair.alternatives or repair.kind in _UNSURE for repair in self.repairs)


# Of what has no end nobody knows how it would have gone on: "urgency": 1 may have been the beginning of 15.
_UNSURE = frozenset({"fraction", "percent", "separators", "unclosed", "words"})


class _Root:
    """The whole schema, whose ``$defs`` a ``$ref`` names, and what is known of values in unions already.

    Without that, unions within unions would be tried in every combination.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.known: dict[tuple[int, int], Aligned | Fault] = {}
        self.kept: list[Any] = []  # a value that is gone would leave its id to another


def align(value: Any, schema: Schema) -> Aligned:
    """Read *value*, JSON data, as *schema* means it.

    Raises:
        Fault: It cannot mean that; nothing that is required is ever made up.
    """
    return _align(value, schema, _Root(schema), "", 0)


def _align(value: Any, schema: Schema, root: _Root, path: str, depth: int) -> Aligned:
    if depth > _MOST_DEPTH:
        raise Fault(path, "nested too deeply to be read")
    schema = _resolved(schema, root)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _best(value, schema[union], root, path, depth)
    if isinstance(schema.get("type"), list):
        return _best(value, [{**schema, "type": kind} for kind in schema["type"]], root, path, depth)
    if "const" in schema:
        return _label(value, [schema["const"]], schema, path)
    if "enum" in schema:
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
        case "boolean":
            return _boolean(value, path)
        case "null":
            return _null(value, path)
        case _:
            return Aligned(value)


def _resolved(schema: Schema, root: _Root) -> Schema:
    for _ in range(20):
        if "$ref" in schema:
            target: Any = root.schema
            for part in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~"), {}) if part else target
            schema = {**target, **{key: rule for key, rule in schema.items() if key != "$ref"}}
        elif isinstance(schema.get("allOf"), list):
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                merged |= _resolved(part, root)
            schema = merged | {key: rule for key, rule in schema.items() if key != "allOf"}
        else:
            return schema
    return {}


def _best(value: Any, choices: Sequence[Schema], root: _Root, path: str, depth: int) -> Aligned:
    """Take the choice that costs least, the first of equals."""
    fits: list[Aligned] = []
    faults: list[Fault] = []
    for choice in choices:
        fit = _tried(value, choice, root, path, depth)
        if isinstance(fit, Fault):
            faults.append(fit)
        elif not fit.repairs:
            return fit
        else:
            fits.append(fit)
    if not fits:
        raise faults[0] if len(faults) == 1 else Fault(path, f"{_shown(value)} fits none of {len(choices)} choices")
    best = min(fits, key=lambda fit: fit.cost)
    others = tuple(fit.value for fit in fits if fit.cost == best.cost and fit.value != best.value)
    if not others:
        return best
    picked = Repair(kind="ambiguous", path=path, before=value, after=best.value, cost=1.0, alternatives=others)
    return Aligned(best.value, (*best.repairs, picked))


def _tried(value: Any, choice: Schema, root: _Root, path: str, depth: int) -> Aligned | Fault:
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
        if value == label and isinstance(value, bool) == isinstance(label, bool):
            return Aligned(label)
    if isinstance(value, list):
        return _only_item(value, path, lambda item: _label(item, labels, schema, path))
    texts = {str(label): label for label in labels if isinstance(label, str)}
    about = schema.get("x-values", {})
    names: dict[str, list[str]] = {}
    for text in texts:
        notes = about.get(text, {})
        alias, description = notes.get("alias"), notes.get("description")
        called = [text, *([alias] if alias else []), *([description] if description else [])]
        for name in (text, alias):
            if name and description:
                called += [f"{name}: {description}", f"{name} {description}", f"{name}. {description}"]
        names[text] = called
    said = _as_text(value)
    if said is not None and names and (found := label_in(said, names)) is not None:
        return _repaired(texts[found.label], found.kind if found.kind == "words" else "enum", path, value, found.cost)
    if isinstance(value, str):
        for label in labels:
            if isinstance(label, str):
                continue
            try:
                fit = _boolean(value, path) if isinstance(label, bool) else _number(value, "number", path)
            except Fault:
                continue
            if fit.value == label:
                return Aligned(label, fit.repairs)
    raise Fault(path, f"{_shown(value)} is none of {', '.join(map(str, labels[:20]))}")


def _string(value: Any, path: str) -> Aligned:
    if isinstance(value, str):
        return Aligned(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return _repaired(value[0], "single", path, value, 2.0)
    text = _as_text(value)
    if text is not None:
        return _repaired(text, "text", path, value, 2.0)
    if value is None:
        raise Fault(path, "null is no text")
    return _repaired(json.dumps(value, ensure_ascii=False), "text", path, value, 6.0)


def _number(value: Any, kind: str, path: str) -> Aligned:
    if isinstance(value, list):
        return _only_item(value, path, lambda item: _number(item, kind, path))
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Fault(path, f"{_shown(value)} is no number")
    if isinstance(value, str):
        read = number_in(value)
        if read is None:
            raise Fault(path, f"{_shown(value)} is no number")
        whole = _whole(read.value, kind, path)
        return _repaired(whole, read.kind, path, value, read.cost)
    whole = _whole(value, kind, path)
    return Aligned(whole)


def _whole(number: float, kind: str, path: str) -> float:
    if kind == "number" or isinstance(number, int):
        return number
    if number != int(number):
        # rounding would be inventing: whoever wants 3 for 3.6 must say so in the type
        raise Fault(path, f"{number} is no whole number")
    return int(number)


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
    raise Fault(path, f"{_shown(value)} is neither true nor false")


def _null(value: Any, path: str) -> Aligned:
    if value is None:
        return Aligned(None)
    if isinstance(value, str) and value.strip().casefold() in ("null", "none", "n/a", ""):
        return _repaired(None, "null", path, value, 4.0)
    raise Fault(path, f"{_shown(value)} is not null")


# --- containers -------------------------------------------------------------------------------------------------------


def _object(value: Any, schema: Schema, root: _Root, path: str, depth: int) -> Aligned:
    if isinstance(value, str) and (inner := _json_within(value, "{")) is not None:
        fit = _object(inner, schema, root, path, depth + 1)
        return Aligned(fit.value, (Repair(kind="nested", path=path, before=_excerpt(value), cost=2.0), *fit.repairs))
    members: Schema = schema.get("properties", {})
    if isinstance(value, list):
        objects = [item for item in value if isinstance(item, dict)]
        if objects:
            return _fitting_item(objects, value, schema, root, path, depth)
    if not isinstance(value, dict):
        return _sole_member(value, schema, root, path, depth)
    shown: dict[str, Any] = {}
    repairs: list[Repair] = []
    given = dict(value)
    for name, member in members.items():
        key = _key_of(name, member, given)
        if key is None:
            continue
        where = f"{path}.{name}".lstrip(".")
        fit = _align(given.pop(key), member, root, where, depth + 1)
        if key != name:
            repairs.append(Repair(kind="alias", path=where, before=key, after=name, cost=0.5))
        shown[name] = fit.value
        repairs += fit.repairs
    for name, member in members.items():
        if name in shown:
            continue
        where = f"{path}.{name}".lstrip(".")
        if "default" not in member and _allows_null(member, root):
            shown[name] = None
            repairs.append(Repair(kind="absent", path=where, after=None, cost=0.5))
        elif name in schema.get("required", ()):
            raise Fault(where, "it is missing")
    extra = schema.get("additionalProperties")
    for key, part in given.items():
        where = f"{path}.{key}".lstrip(".")
        if isinstance(extra, Mapping):
            fit = _align(part, extra, root, where, depth + 1)
            shown[str(key)] = fit.value
            repairs += fit.repairs
        elif not members or extra is True:
            shown[str(key)] = part
        else:
            repairs.append(Repair(kind="extra", path=where, before=_excerpt(_shown(part)), cost=1.0))
    return Aligned(shown, tuple(repairs))


def _key_of(name: str, member: Schema, given: Mapping[str, Any]) -> str | None:
    """Find the key that *name* goes by: itself, its alias, or another spelling that only it has."""
    for key in (member.get("x-alias"), name):
        if key in given:
            return str(key)
    folded = re.sub(r"[\W_]", "", name).casefold()
    same = [key for key in given if re.sub(r"[\W_]", "", str(key)).casefold() == folded]
    return same[0] if len(same) == 1 and folded else None


def _sole_member(value: Any, schema: Schema, root: _Root, path: str, depth: int) -> Aligned:
    """Read a bare value as the one member of an object; of plain text nobody knows that it is meant."""
    members: Schema = schema.get("properties", {})
    if len(members) == 1 and value is not None:
        ((name, member),) = members.items()
        is_text = _resolved(member, root).get("type") == "string"
        if not (isinstance(value, str) and is_text):
            fit = _align(value, member, root, f"{path}.{name}".lstrip("."), depth + 1)
            return Aligned({name: fit.value}, (Repair(kind="bare", path=path, before=value, cost=2.0), *fit.repairs))
    raise Fault(path, f"{_shown(value)} is no object")


def _array(value: Any, schema: Schema, root: _Root, path: str, depth: int) -> Aligned:
    items: Schema = schema.get("items", {})
    if isinstance(value, str) and (inner := _json_within(value, "[")) is not None:
        fit = _array(inner, schema, root, path, depth + 1)
        return Aligned(fit.value, (Repair(kind="nested", path=path, before=_excerpt(value), cost=2.0), *fit.repairs))
    if isinstance(value, list):
        fits = [_align(item, items, root, f"{path}.{n}".lstrip("."), depth + 1) for n, item in enumerate(value)]
        return Aligned([fit.value for fit in fits], tuple(repair for fit in fits for repair in fit.repairs))
    if value is None:
        raise Fault(path, "null is no list")
    fit = _align(value, items, root, f"{path}.0".lstrip("."), depth + 1)
    return Aligned(
        [fit.value], (Repair(kind="list", path=path, before=_excerpt(_shown(value)), cost=2.0), *fit.repairs)
    )


def _only_item(value: list[Any], path: str, read: Any) -> Aligned:
    """Read a list where one value is wanted: its only item, or the first that fits beside others."""
    fits: list[Aligned] = []
    for item in value[:50]:
        try:
            fits.append(read(item))
        except Fault:
            continue
    if not fits or isinstance(value[0], list):
        raise Fault(path, f"{_shown(value)} is a list")
    others = tuple(fit.value for fit in fits[1:] if fit.value != fits[0].value)
    single = Repair(
        kind="ambiguous" if others else "single", path=path, before=value, after=fits[0].value, cost=2.0 + len(others),
        alternatives=others,
    )  # fmt: skip
    return Aligned(fits[0].value, (*fits[0].repairs, single))


def _fitting_item(objects: Sequence[Any], value: Any, schema: Schema, root: _Root, path: str, depth: int) -> Aligned:
    fits: list[Aligned] = []
    first: Fault | None = None
    for item in objects[:50]:
        try:
            fits.append(_object(item, schema, root, path, depth + 1))
        except Fault as fault:
            first = first or fault
    if not fits:
        sole = schema.get("properties", {})
        if len(sole) == 1:
            return _sole_member(value, schema, root, path, depth)
        raise first or Fault(path, "there is no object in the list")
    best = min(fits, key=lambda fit: fit.cost)
    others = tuple(fit.value for fit in fits if fit.value != best.value)
    kind = "ambiguous" if others else "single"
    picked = Repair(kind=kind, path=path, before=_excerpt(_shown(value)), cost=2.0 + len(others), alternatives=others)
    return Aligned(best.value, (*best.repairs, picked))


# --- odds -------------------------------------------------------------------------------------------------------------


def _allows_null(schema: Schema, root: _Root) -> bool:
    schema = _resolved(schema, root)
    if schema.get("type") == "null" or (isinstance(schema.get("type"), list) and "null" in schema["type"]):
        return True
    return any(_allows_null(choice, root) for union in ("anyOf", "oneOf") for choice in schema.get(union, ()))


def _json_within(text: str, opening: str) -> Any:
    """Give the object or list that a string holds, None when it holds none."""
    said = text.strip()
    if not said.startswith(opening) or len(said) > 1_000_000:
        return None
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        pass
    try:
        value, end, is_whole = read_lenient(said, 0, 100_000)
    except (Unreadable, RecursionError):
        return None
    return value if is_whole and not said[end:].strip() else None


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, (int, float)) else None


def _repaired(value: Any, kind: str, path: str, before: Any, cost: float) -> Aligned:
    return Aligned(value, (Repair(kind=kind, path=path, before=before, after=value, cost=cost),))


def _shown(value: Any) -> str:
    return _excerpt(json.dumps(value, ensure_ascii=False, default=repr) if not isinstance(value, str) else repr(value))


def _excerpt(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "…"
