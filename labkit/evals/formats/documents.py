"""JSON and YAML documents: a list of entries, or a mapping that holds one, with the line where each entry begins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import MissingDependency
from labkit.evals.formats.entry import Entry, Fault, Format, NotACase, Rows, read_text
from labkit.evals.formats.plain import plain
from labkit.evals.formats.strict_json import value_at

__all__ = ["read_json", "read_yaml"]

# What holds the list in a mapping, and whose file it then is.
_LISTS: Mapping[str, Format] = {"samples": "inspect", "tests": "promptfoo"}
_NOT_READ = {
    "defaultTest": "write what it says into each test",
    "scenarios": "write each of their tests into tests",
}

# Aliases of aliases let a YAML file of a few lines stand for more values than a machine can hold.
_MAX_VALUES = 100_000

_BLANKS = re.compile(r"[ \t\n\r]*")

# YAML's own names of what a plain scalar may be.
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_READ_AS_MORE = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp"))

Placed = tuple[int, Any]
"""An entry and the line where it begins."""


def read_json(path: Path, faults: list[Fault]) -> Rows:
    """Read an array of objects, an Inspect log or a promptfoo configuration."""
    text = read_text(path, faults)
    if not text.strip():
        return Rows(entries=())
    head: dict[str, Any] = {}
    key = None
    try:
        at = _past_blanks(text, 0)
        if text[at] == "[":
            items, end = _array(text, at)
        elif text[at] == "{":
            head, key, items, end = _object(text, at)
        else:
            value, end = value_at(text, at)
            faults.append((1, f"{path}:1: a {type(value).__name__} holds no cases: write a JSON array of objects"))
            return Rows(entries=())
        if (end := _past_blanks(text, end)) != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except json.JSONDecodeError as error:
        faults.append((error.lineno, f"{path}:{error.lineno}: not JSON: {error.msg}"))
        return Rows(entries=())
    except RecursionError:
        faults.append((0, f"{path}: nested too deeply to be read: flatten it"))
        return Rows(entries=())
    return _rows(path, faults, head, key, items)


def read_yaml(path: Path, faults: list[Fault]) -> Rows:
    """Read a list of mappings or a promptfoo configuration; tags that would make objects are faults.

    What names a case is read as it is written: YAML would take the id 010 for 8, 12:30 for 750 and NO for false.

    Raises:
        MissingDependency: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingDependency("PyYAML", extra="evals", purpose="reading YAML") from error

    text = read_text(path, faults)
    # The reader in Python, not libyaml's: it ends a document that is nested too deeply with an exception.
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Rows(entries=())
        faults += [
            (line, f"{path}:{line}: the key {name!r} appears twice in a mapping: remove one")
            for line, name in _keys_twice(root)
        ]
        head: dict[str, Any] = {}
        key = None
        nodes: Sequence[Any] = ()
        if isinstance(root, yaml.SequenceNode):
            nodes = root.value
        elif isinstance(root, yaml.MappingNode):
            for name, value in root.value:
                if str(name.value) in _LISTS and isinstance(value, yaml.SequenceNode):
                    key, nodes = str(name.value), value.value
                else:
                    head[str(name.value)] = None
        else:
            faults.append((1, f"{path}:1: a single value holds no cases: write a list of mappings"))
            return Rows(entries=())
        items = [(node.start_mark.line + 1, _built(loader, node, yaml.YAMLError)) for node in nodes]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # a character that YAML does not allow is told by its position
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1 if mark is None else mark.line + 1
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        faults.append((line, f"{path}:{line}: not YAML: {said}"))
        return Rows(entries=())
    except RecursionError:
        faults.append((0, f"{path}: nested too deeply to be read: flatten it"))
        return Rows(entries=())
    return _rows(path, faults, head, key, items)


def _rows(path: Path, faults: list[Fault], head: Mapping[str, Any], key: str | None, items: Sequence[Placed]) -> Rows:
    for name, mend in _NOT_READ.items():
        if name in head:
            faults.append((0, f"{path}: {name!r} is not read: {mend}"))
    if key is None and head:
        faults.append(
            (
                1,
                f"{path}:1: a mapping without a list 'tests' (promptfoo) or 'samples' (Inspect) holds no cases: "
                "write a list of cases",
            )
        )
    # what labkit reads of a log is the same in every version but the first
    if key == "samples" and head.get("version", 2) != 2:
        faults.append((0, f"{path}: a log of version {head['version']!r}: write version 2 with 'inspect log convert'"))
    entries = []
    for line, item in items:
        where = f"{path}:{line}"
        if isinstance(item, NotACase):
            faults.append((line, f"{where}: {item}"))
        elif isinstance(item, dict):
            entries.append(Entry(source=str(path), number=line, data=item))
        else:
            said = f"a {type(item).__name__} is not a case: write a mapping; nothing else is opened"
            faults.append((line, f"{where}: {said}"))
    return Rows(entries=entries, format=_LISTS[key] if key is not None else None)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _next(text: str, at: int, closing: str) -> tuple[int, bool]:
    """Go past a comma or the end; say whether it was the end."""
    at = _past_blanks(text, at)
    if text[at : at + 1] == closing:
        return at + 1, True
    if text[at : at + 1] != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return _past_blanks(text, at + 1), False


def _array(text: str, at: int) -> tuple[list[Placed], int]:
    """Read the array at *at* item by item: its items with their lines, and where it ends."""
    line = text.count("\n", 0, at) + 1
    counted = at
    items: list[Placed] = []
    at = _past_blanks(text, at + 1)
    done = text[at : at + 1] == "]"
    if done:
        return items, at + 1
    while not done:
        line, counted = line + text.count("\n", counted, at), at
        value, at = value_at(text, at)
        items.append((line, value))
        at, done = _next(text, at, "]")
    return items, at


def _object(text: str, at: int) -> tuple[dict[str, Any], str | None, list[Placed], int]:
    """Read the object at *at*: its members, the name and the items of the list of entries, and where it ends."""
    head: dict[str, Any] = {}
    key: str | None = None
    items: list[Placed] = []
    at = _past_blanks(text, at + 1)
    done = text[at : at + 1] == "}"
    if done:
        return head, key, items, at + 1
    while not done:
        named_at = at
        name, at = value_at(text, at)
        at = _past_blanks(text, at)
        if name == key or name in head:
            raise json.JSONDecodeError(f"the key {name!r} appears twice in an object: remove one", text, named_at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting property name and ':'", text, at)
        at = _past_blanks(text, at + 1)
        if name in _LISTS and text[at : at + 1] == "[":
            key = name
            items, at = _array(text, at)
        else:
            head[name], at = value_at(text, at)
        at, done = _next(text, at, "}")
    return head, key, items, at


# --- YAML -------------------------------------------------------------------------------------------------------------


def _built(loader: Any, node: Any, refusal: type[Exception]) -> Any:
    """Give what an entry's node stands for as JSON data, or why it is no case."""
    try:
        if _count(node, {}, set()) > _MAX_VALUES:
            raise NotACase(f"its aliases stand for over {_MAX_VALUES:,} values: write them out, or fewer")
        _keep_names(node)
        return plain(loader.construct_object(node, deep=True))
    except NotACase as error:
        return error
    except refusal as error:
        return NotACase(f"not YAML: {getattr(error, 'problem', None) or error}")
    except ValueError as error:  # 2024-13-45 looks like a date and is none
        return NotACase(f"not YAML: {error}: put it in quotes")


def _count(node: Any, known: dict[int, int], open_: set[int]) -> int:
    """Count the values under *node*, those behind an alias each time it is used."""
    if id(node) in open_:
        raise NotACase("an alias stands within what it names: write it out")
    if id(node) not in known:
        open_.add(id(node))
        known[id(node)] = 1 + sum(_count(part, known, open_) for part in _parts(node))
        open_.remove(id(node))
    return known[id(node)]


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node.value, list):
        for part in node.value:
            yield from part if isinstance(part, tuple) else (part,)


def _keys_twice(root: Any) -> list[tuple[int, str]]:
    """Give the keys that a mapping has had before, and their lines; "<<" only fills in what a mapping lacks."""
    found = []
    seen: set[int] = set()
    queue = [root]
    while queue:
        node = queue.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        queue.extend(_parts(node))
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value if _is_mapping(node) else ():
            if not isinstance(key.value, str) or key.tag == _MERGE:
                continue
            if (key.tag, key.value) in keys:
                found.append((key.start_mark.line + 1, key.value))
            keys.add((key.tag, key.value))
    return found


def _keep_names(entry: Any) -> None:
    """Let id, cluster and tags of an entry, and the id within its metadata, be the texts that are written."""
    for key, value in entry.value if _is_mapping(entry) else ():
        if key.value in ("id", "cluster", "tags"):
            for named in value.value if isinstance(value.value, list) and not _is_mapping(value) else [value]:
                if getattr(named, "tag", None) in _READ_AS_MORE:
                    named.tag = _TEXT
        elif key.value == "metadata":
            for inner, named in value.value if _is_mapping(value) else ():
                if inner.value == "id" and named.tag in _READ_AS_MORE:
                    named.tag = _TEXT


def _is_mapping(node: Any) -> bool:
    return isinstance(node.value, list) and bool(node.value) and isinstance(node.value[0], tuple)
