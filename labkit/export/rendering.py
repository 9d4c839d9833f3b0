"""The kept statements as the text of a module: order and comments as they were, imports trimmed to what is used."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from labkit.export.closure import Closure
from labkit.export.statements import Statement

__all__ = ["Rendered", "render", "source_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A module's text, and which statement each of its lines came from.

    Args:
        origins: By line, from 1.
    """

    text: str
    origins: Mapping[int, Statement]


def render(closure: Closure, *, head: str, futures: list[str], data_of: Callable[[Statement], str | None]) -> Rendered:
    """Write the module.

    Args:
        head: Its docstring, as source.
        futures: Names imported from ``__future__``: IPython carries them into every later cell.
        data_of: The statement to write instead of one whose value is kept as data; None for all others.
    """
    lines = [head]
    if futures:
        lines += ["", f"from __future__ import {', '.join(futures)}"]
    if any(data_of(statement) for statement in closure.kept):
        lines += ["", f"from .data import load as {LOAD}"]
    lines = "\n".join(lines).split("\n")
    origins = {}
    previous: Statement | None = None
    for _, group in groupby(closure.kept, key=lambda statement: id(statement.origin)):
        statements = list(group)
        text = data_of(statements[0]) or _text(statements, closure)
        lines += [""] * _blank_lines(previous, statements[0])
        for line in text.split("\n"):
            lines.append(line)
            origins[len(lines)] = statements[0]
        previous = statements[-1]
    return Rendered(text="\n".join(lines) + "\n", origins=origins)


LOAD = "_load_embedded"


def source_of(statement: Statement) -> str:
    """The lines of *statement* with the comments right above and beside it."""
    lines = statement.cell.source.split("\n")
    first, last = statement.first_line, statement.last_line
    if statement.origin.col_offset or not _ends_its_line(statement, lines[last - 1]):  # "a = 1; b = 2"
        return ast.get_source_segment(statement.cell.source, statement.origin) or ast.unparse(statement.origin)
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    return "\n".join(lines[first - 1 : last]).rstrip()


def _ends_its_line(statement: Statement, line: str) -> bool:
    rest = line.encode()[statement.origin.end_col_offset or 0 :].decode().strip()
    return not rest or rest.startswith("#") or rest == ";"


def _text(statements: list[Statement], closure: Closure) -> str:
    origin = statements[0].origin
    if not isinstance(origin, (ast.Import, ast.ImportFrom)):
        text = source_of(statements[0])
        return text.removesuffix(";").rstrip()
    starred = origin.names[0].name == "*"
    if len(statements) == len(origin.names) and not starred:
        return source_of(statements[0]).removesuffix(";").rstrip()
    kept = copy.copy(origin)
    if starred:
        kept.names = [ast.alias(name=name) for name in sorted(closure.wanted[statements[0]])]
    else:
        kept.names = [alias for statement in statements for alias in _names(statement.node)]
    return ast.unparse(kept)


def _names(node: ast.stmt) -> list[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []


def _blank_lines(previous: Statement | None, statement: Statement) -> int:
    blocks = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if previous is None:
        return 1
    if isinstance(statement.node, blocks) or isinstance(previous.node, blocks):
        return 2
    together = previous.cell is statement.cell and statement.first_line - previous.last_line <= 1
    return 0 if together or (previous.is_import and statement.is_import) else 1
