"""From a function back to the syntax tree that it was made from, whether it stands in a file or a notebook's cell."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["FunctionNode", "node_of"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# Where str.splitlines ends a line and Python does not.
_NO_LINE_ENDS = re.compile("[\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


def node_of(function: types.FunctionType) -> FunctionNode | None:
    """Find the definition of *function* in its source.

    Returns:
        None where there is no source to be had: the function came out of ``exec``, of a shell that keeps no lines, of
        a cell under ``%%time``, or of a .pyc without its .py.
    """
    code = function.__code__
    text = _text_of(function)
    found = [node for node in _functions(text).get(_place(code), ()) if _takes(node) == _parameters(code)]
    if len(found) > 1:
        found = list(_that_compile_to(code, text))
    return found[0] if found else None


def _text_of(function: types.FunctionType) -> str:
    file = function.__code__.co_filename
    linecache.checkcache(file)
    lines = linecache.getlines(file, function.__globals__) or _typed_lines(function.__code__)
    return _cell(lines) or "".join(lines)


def _typed_lines(code: types.CodeType) -> list[str]:
    """What was typed into the shell of Python 3.13 and newer, which keeps it."""
    try:
        return list(inspect.findsource(code)[0])
    except (OSError, IndexError, TypeError):
        return []


def _cell(lines: list[str]) -> str | None:
    """The notebook's cell with these lines, where IPython has cut it at what Python takes for a character of a string.

    U+2028 comes with text that was pasted from elsewhere; every line after it would be counted wrongly.
    """
    shell = _shell()
    if shell is None:
        return None
    wanted = [line.removesuffix("\n") for line in lines]
    for cell in reversed(shell.history_manager.input_hist_parsed):
        if _NO_LINE_ENDS.search(cell) and cell.splitlines() == wanted:
            return str(cell)
    return None


def _shell() -> types.SimpleNamespace | None:
    """The running IPython, which is not loaded for this question."""
    module = sys.modules.get("IPython.core.getipython")
    shell: types.SimpleNamespace | None = module.get_ipython() if module is not None else None
    return shell


@functools.lru_cache(maxsize=16)
def _functions(text: str) -> Mapping[tuple[str, int], Sequence[FunctionNode]]:
    """Every function in *text* by its code's name and first line."""
    found: dict[tuple[str, int], list[FunctionNode]] = {}
    for node in _function_nodes(_parsed(text)):
        found.setdefault(_name_and_line(node), []).append(node)
    return found


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warned of these when the code ran
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return ast.Module(body=[], type_ignores=[])


def _function_nodes(tree: ast.AST) -> Iterator[FunctionNode]:
    return (node for node in ast.walk(tree) if isinstance(node, FunctionNode))


def _name_and_line(node: FunctionNode) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _place(code: types.CodeType) -> tuple[str, int]:
    return code.co_name, code.co_firstlineno


def _takes(node: FunctionNode) -> tuple[int, int, bool, bool]:
    """A file that was edited since, or another text under the same name, has another function in that place."""
    args = node.args
    positional = len(args.posonlyargs) + len(args.args)
    return positional, len(args.kwonlyargs), args.vararg is not None, args.kwarg is not None


def _parameters(code: types.CodeType) -> tuple[int, int, bool, bool]:
    flags = code.co_flags
    return (
        code.co_argcount, code.co_kwonlyargcount,
        bool(flags & inspect.CO_VARARGS), bool(flags & inspect.CO_VARKEYWORDS),
    )  # fmt: skip


# --- several lambdas on one line --------------------------------------------------------------------------------------


def _that_compile_to(code: types.CodeType, text: str) -> Iterator[FunctionNode]:
    """The functions in *text* whose code, compiled by this very interpreter, is *code*.

    Columns would tell lambdas apart, but 3.12 keeps none for one that gives a constant, and -X no_debug_ranges none at
    all. Each lambda is given a line of its own instead, by which its code is known again.
    """
    tree = _parsed(text)
    on_the_line = [node for node in _function_nodes(tree) if _name_and_line(node) == _place(code)]
    candidates = dict(enumerate(on_the_line, start=1_000_000))
    for number, node in candidates.items():  # outer ones first, so that each ends where it should
        ast.increment_lineno(node, number - node.lineno)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = compile(tree, code.co_filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    for made in _inner(compiled):
        if made.co_firstlineno in candidates and _essence(made) == _essence(code):
            yield candidates[made.co_firstlineno]


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner(constant)


def _essence(code: types.CodeType) -> tuple[object, ...]:
    constants = tuple(_essence(c) if isinstance(c, types.CodeType) else _exactly(c) for c in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def _exactly(constant: object) -> tuple[object, ...]:
    """1, 1.0 and True are equal, and a set has no order."""
    return type(constant), sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)
