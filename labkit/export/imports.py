"""What an import means: the full name behind an alias, and which installed distribution a module comes from."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from labkit.export.statements import Statement
from labkit.export.timeline import Timeline

__all__ = ["distributions_of", "imported_modules", "local_file", "qualified"]


def qualified(node: ast.AST, statement: Statement, timeline: Timeline) -> str | None:
    """Spell *node*, a dotted name in *statement*, in full: ``pd.read_csv`` is "pandas.read_csv".

    Returns:
        A builtin's own name; None for what was neither imported nor built in.
    """
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    base = _imported_as(node.id, timeline.before(node.id, statement) or timeline.latest(node.id))
    return None if base is None else ".".join([base, *reversed(attributes)])


def _imported_as(name: str, binder: Statement | None) -> str | None:
    if binder is None:
        return name if hasattr(builtins, name) else None
    if isinstance(binder.node, ast.ImportFrom):
        imported = binder.node.names[0].name
        return f"{binder.node.module}.{name if imported == '*' else imported}"
    if isinstance(binder.node, ast.Import):
        alias = binder.node.names[0]
        return alias.name if alias.asname else name
    return None


def imported_modules(node: ast.AST) -> Iterator[str]:
    """The modules that *node* imports, also inside functions; a relative import begins with a dot."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield "." * part.level + (part.module or "")
        if _names(part) & _NEED_EMAIL_VALIDATOR:
            yield "email_validator"


def _names(node: ast.AST) -> set[str]:
    match node:
        case ast.ImportFrom(module="pydantic"):
            return {alias.name for alias in node.names}
        case ast.Attribute():
            return {node.attr}
    return set()


# pydantic imports it when a field of the type is defined, and does not require it.
_NEED_EMAIL_VALIDATOR = frozenset({"EmailStr", "NameEmail"})


def local_file(module: str) -> str | None:
    """The file of a module that no distribution installed: one beside the notebook; None for all others."""
    root = module.partition(".")[0]
    if module.startswith("."):
        return module
    if root in sys.stdlib_module_names or root == "labkit":
        return None
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None  # not installed; the import inside a function may be meant for somewhere else
    if spec is None or root in _providers():
        return None
    places = spec.submodule_search_locations or [spec.origin or ""]
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    if any(installed & set(Path(place).resolve().parents) for place in places):
        return None
    return str(next(iter(places), root))


def distributions_of(modules: Iterable[str]) -> list[str]:
    """The distributions that *modules* come from, sorted.

    labkit and the standard library are left out.
    """
    providers = _providers()
    found: set[str] = set()
    for module in modules:
        root = module.partition(".")[0]
        if root == "labkit" or root in sys.stdlib_module_names:
            continue
        candidates = set(providers.get(root, ()))
        if len(candidates) > 1:  # a namespace such as "google" is shared by many
            wanted = module.replace(".", "/")
            candidates = {name for name in candidates if _holds(name, wanted)} or candidates
        found |= candidates
    return sorted(found)


def _providers() -> Mapping[str, Sequence[str]]:
    """Which distributions provide each top-level module; a quarter of a second in a large environment, so kept."""
    places = (Path(place) for place in sys.path)
    return _read_providers(tuple((str(place), place.stat().st_mtime_ns) for place in places if place.is_dir()))


@functools.lru_cache(maxsize=1)
def _read_providers(_places_as_they_are: tuple[tuple[str, int], ...]) -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()


def _holds(distribution: str, path: str) -> bool:
    return any(str(file).startswith(path) for file in importlib.metadata.files(distribution) or ())
