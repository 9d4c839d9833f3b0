"""Python code as data: equal for what does the same whatever its layout, and on every version of Python.

``ast.dump`` and ``ast.unparse`` give other text from one minor version to the next, bytecode all the more. What stands
here is taken from the tree itself, whose nodes have kept their meaning since 3.11.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from labkit.call.source_code import FunctionNode

__all__ = ["canonical", "names_read", "plain"]

_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def plain(node: FunctionNode) -> FunctionNode:
    """Give a copy of *node* without what does nothing.

    Docstrings go, and so do a function's annotations, unless it has a decorator, which may read them. The annotations
    of a class stay, they are its fields; so does its docstring, which a model is shown as the schema's description.
    """
    copied: FunctionNode = _Plain().visit(copy.deepcopy(node))
    return copied


def canonical(node: Any) -> Any:
    """Give *node*, a tree or a part of one, as JSON data."""
    match node:
        case ast.Constant():
            return _constant(node.value)
        case ast.Name():
            return ["Name", node.id]
        case ast.JoinedStr():
            return _f_string(node)
        case ast.AST():
            fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _NO_MEANING)
            # 3.12 and 3.13 have fields that 3.11 has not; empty, they say nothing
            return [type(node).__name__, {name: canonical(given) for name, given in fields if given not in (None, [])}]
        case list():
            return [canonical(item) for item in node]
    return node


def names_read(node: FunctionNode) -> frozenset[str]:
    """The names that a function, as ``plain`` gives it, looks up outside of itself, its decorators' among them.

    A name that it declares ``global`` is left out: what it keeps there changes as it runs, and defines nothing.
    """
    around = _Scope(is_class=False)
    around.visit(node)
    return frozenset(around.read | around.read_within)


# --- the tree as data -------------------------------------------------------------------------------------------------


def _constant(value: Any) -> Any:
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, int) and not isinstance(value, bool):
        return ["int", f"{value:x}"]  # a decimal number of 5,000 digits is more than Python writes
    if isinstance(value, (float, complex)):
        return [type(value).__name__, repr(value)]
    return ["..."] if value is ... else [type(value).__name__, value]


def _f_string(node: ast.JoinedStr) -> Any:
    """Its literal text in one piece: into how many it is cut depends on the version."""
    parts: list[Any] = []
    for part in node.values:
        if not isinstance(part, ast.Constant):
            parts.append(canonical(part))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += str(part.value)
        elif part.value:
            parts.append(str(part.value))
    return ["JoinedStr", parts] if any(isinstance(part, list) for part in parts) else ["str", "".join(parts)]


class _Plain(ast.NodeTransformer):
    """Takes out what does nothing."""

    def __init__(self) -> None:
        self._in_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        says_nothing = isinstance(node.value, ast.Constant) and not self._in_class
        return None if says_nothing else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._in_class:
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno))

    def _function(self, node: _Definition) -> ast.AST:
        if not node.decorator_list:
            node.returns = None
            args = node.args
            for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]:
                if arg is not None:
                    arg.annotation = None
        return self._inside(node, in_class=False)

    def _inside(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        before, self._in_class = self._in_class, in_class
        found = self.generic_visit(node)
        self._in_class = before
        return found


# --- names ------------------------------------------------------------------------------------------------------------


class _Scope(ast.NodeVisitor):
    """What one function, class or comprehension binds and reads.

    Attributes:
        read: Names that it reads itself.
        read_within: Names that functions inside of it look for in the scopes around them.
        bound: Names that are its own.
        outer: Names that it says are not its own.
        changed: Those of them that it declares ``global``.
        kept: Names that ":=" in a comprehension gives to the function around it.
    """

    def __init__(self, *, is_class: bool) -> None:
        self.is_class = is_class
        self.read: set[str] = set()
        self.read_within: set[str] = set()
        self.bound: set[str] = set()
        self.outer: set[str] = set()
        self.changed: set[str] = set()
        self.kept: set[str] = set()

    def free(self) -> set[str]:
        own = self.bound - self.outer
        within = self.read_within if self.is_class else self.read_within - own  # methods do not see their class's names
        return ((self.read - own) | within) - self.changed

    def visit_Name(self, node: ast.Name) -> None:
        (self.read if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)

    def visit_Global(self, node: ast.Global) -> None:
        self.outer.update(node.names)
        self.changed.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.outer.update(node.names)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._definition(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.bound.add(node.name)
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        inner = _Scope(is_class=True)
        inner._all([*getattr(node, "type_params", []), *node.body])
        self.read_within |= inner.free()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node.args, [node.body])

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node, [node.elt])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node, [node.key, node.value])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.kept.add(node.target.id)
        self.visit(node.value)

    def visit_alias(self, node: ast.alias) -> None:
        self.bound.add(node.asname or node.name.partition(".")[0])

    def visit_arg(self, node: ast.arg) -> None:
        self.bound.add(node.arg)

    def generic_visit(self, node: ast.AST) -> None:
        """Names that stand in a node as text: of an exception, of a captured pattern, of a type parameter."""
        for field in ("name", "rest"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                self.bound.add(name)
        super().generic_visit(node)

    def _all(self, nodes: list[Any]) -> None:
        for node in nodes:
            self.visit(node)
        self.bound |= self.kept

    def _definition(self, node: _Definition) -> None:
        self.bound.add(node.name)
        annotated = [node.returns, *(part.annotation for part in ast.walk(node.args) if isinstance(part, ast.arg))]
        self._visit_each([*node.decorator_list, *annotated])
        self._function(node.args, [*getattr(node, "type_params", []), *node.body])

    def _visit_each(self, nodes: list[Any]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _function(self, args: ast.arguments, body: list[Any]) -> None:
        self._visit_each([*args.defaults, *args.kw_defaults])
        inner = _Scope(is_class=False)
        inner._all([part for part in ast.walk(args) if isinstance(part, ast.arg)])
        inner._all(body)
        self.read_within |= inner.free()

    def _comprehension(self, node: _Comprehension, results: list[ast.expr]) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        inner = _Scope(is_class=False)
        inner._visit_each([first.target, *first.ifs, *rest, *results])
        self.kept |= inner.kept
        self.read_within |= inner.free()
