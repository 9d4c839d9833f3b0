"""Which parameters a notebook has: the names that its cell tagged ``parameters`` assigns."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["parameter_names"]


def parameter_names(book: NotebookNode, kernel_name: str, language: str) -> list[str]:
    """Give the names in order, none without such a cell; of Python by its syntax, of other languages by papermill.

    papermill itself reads Python line by line: a "=" in a value or a comment, an annotation or a second target hides a
    parameter from it.

    Raises:
        SyntaxError: The cell is not Python.
    """
    if not language.lower().startswith("python"):
        from papermill.inspection import _infer_parameters

        return [found.name for found in _infer_parameters(book, name=kernel_name, language=language)]
    for cell in book.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            statements = ast.parse(_without_magics(cell.source)).body
            return list(dict.fromkeys(_assigned(statements)))
    return []


def _without_magics(source: str) -> str:
    """Turn "%matplotlib inline" into the call that IPython makes of it."""
    from IPython.core.inputtransformer2 import TransformerManager

    plain: str = TransformerManager().transform_cell(source)
    return plain


def _assigned(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Give the names that are assigned where the cell runs; what a function assigns stays its own."""
    for statement in statements:
        match statement:
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from _names(target)
            case ast.AnnAssign(target=target):
                yield from _names(target)
            case ast.If() | ast.Try() | ast.With():
                for part in ("body", "handlers", "orelse", "finalbody"):
                    for inner in getattr(statement, part, ()):
                        yield from _assigned(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


def _names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _names(part)
        case ast.Starred(value=inner):
            yield from _names(inner)
