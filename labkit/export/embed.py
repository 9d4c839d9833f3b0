"""``export.embed``: keep a value as data in the package, instead of the code that read it from somewhere."""

from __future__ import annotations

import ast
import math
from typing import Any, TypeVar

from labkit.errors import ExportRefused
from labkit.export.imports import qualified
from labkit.export.statements import Statement
from labkit.export.timeline import Timeline

__all__ = ["check_json", "embed", "embedded_name", "is_embed"]

T = TypeVar("T")


def embed(value: T) -> T:
    """Give *value* back, checked to be JSON data; an export writes it into the package as a file.

    Write it as a statement of its own, ``examples = export.embed(json.loads(path.read_text()))``: what computes the
    value then stays in the notebook.

    Raises:
        ExportRefused: A part that JSON would lose or change, by its path: a tuple, a key that is no string, nan.
    """
    try:
        check_json(value, "value")
    except RecursionError:
        raise ExportRefused("export.embed(value): value is nested too deeply, or contains itself") from None
    return value


def check_json(value: Any, path: str) -> None:
    """Refuse what would not come back from JSON as it was.

    Raises:
        ExportRefused: Naming the first such part.
    """
    if isinstance(value, dict) and type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise ExportRefused(f"export.embed: a key of {path} is {key!r}, a {type(key).__name__}: use str(key)")
            check_json(item, f"{path}[{key!r}]")
    elif type(value) is list:
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]")
    elif type(value) is float and not math.isfinite(value):
        raise ExportRefused(f"export.embed: {path} is {value!r}, which JSON has no word for: use None")
    elif value is not None and type(value) not in (str, int, float, bool):
        kind = type(value)
        raise ExportRefused(
            f"export.embed: {path} is a {kind.__module__}.{kind.__qualname__}, which is not JSON data. "
            "Use dict, list, str, int, float, bool or None; embed a pydantic model as model.model_dump(mode='json')."
        )


def embedded_name(statement: Statement, timeline: Timeline) -> str | None:
    """The name in ``name = export.embed(...)``; None for any other statement."""
    node = statement.node
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if (
        len(targets) == 1
        and isinstance(targets[0], ast.Name)
        and is_embed(getattr(node, "value", None), statement, timeline)
    ):
        return targets[0].id
    return None


def is_embed(node: ast.AST | None, statement: Statement, timeline: Timeline) -> bool:
    """Whether *node* calls ``labkit.export.embed``, under whatever alias."""
    return isinstance(node, ast.Call) and qualified(node.func, statement, timeline) in _EMBED


_EMBED = frozenset({"labkit.export.embed", "labkit.export.embed.embed"})
