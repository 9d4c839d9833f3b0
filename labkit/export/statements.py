"""What one top-level statement does to names: binds, changes, reads now, reads later. Nothing is executed."""

from __future__ import annotations

import ast
import copy
import symtable
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labkit.export.cells import Cell

__all__ = ["Statement", "executed_now", "is_magic", "root_name", "statements_of"]

_CHANGING_METHODS = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "move_to_end", "pop"}
    | {"popitem", "popleft", "register", "remove", "reverse", "rotate", "setdefault", "sort", "subtract", "update"}
)
_CALL_WHAT_THEY_ARE_GIVEN = frozenset({"filter", "map", "max", "min", "reduce", "sorted"})
_MAGICS_THAT_RUN_PYTHON = frozenset({"capture", "memit", "mprun", "prun", "time"})
_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statement:
    """One top-level statement that has run; an import of several names counts as one statement a name.

    Args:
        order: Its place in the session's order of execution.
        node: The statement; for an import, with its one name.
        origin: The statement as it stands in the cell.
        binds: Names it gave a value (or took it away).
        changes: Names whose object it changed: ``x.a =``, ``x[k] =``.
        may_change: Names whose object it called to be changed: ``x.append(...)``, ``@x.step``.
        reads: Names that had to have a value when it ran.
        reads_before: Names whose earlier value can shine through: ``if ...: x = 1`` leaves the old x.
        reads_later: Names that its functions look up when they are called.
        hints: Names in quoted annotations of fields: resolved at once where they have a value, otherwise later.
        calls: Names that it called itself, decorators too.
    """

    cell: Cell
    order: int
    node: ast.stmt
    origin: ast.stmt
    binds: frozenset[str]
    changes: frozenset[str]
    may_change: frozenset[str]
    reads: frozenset[str]
    reads_before: frozenset[str]
    reads_later: frozenset[str]
    hints: frozenset[str]
    calls: frozenset[str]

    @property
    def first_line(self) -> int:
        """In the cell, from 1, decorators included."""
        return _first_line(self.origin)

    @property
    def last_line(self) -> int:
        return self.origin.end_lineno or self.origin.lineno

    @property
    def place(self) -> str:
        return f"{self.cell.label}, line {self.first_line}"

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, (ast.Import, ast.ImportFrom))


def statements_of(cells: Sequence[Cell]) -> list[Statement]:
    """Read every statement of *cells* that has run, in order; a cell that does not parse has run none."""
    found: list[Statement] = []
    lazy_annotations = False
    for cell in cells:
        for origin in _parsed(cell.source):
            if cell.running_line is not None and _not_yet_run(origin, cell.running_line):
                break
            lazy_annotations = lazy_annotations or _makes_annotations_lazy(origin)
            for node in _one_a_name(origin):
                found.append(_statement(cell, len(found), node, origin, lazy_annotations))
    return found


def executed_now(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when *node* runs: class bodies, decorators and defaults, but no function bodies."""
    todo: list[ast.AST] = [node]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, _Function):
            todo += [*node.decorator_list, *_defaults(node.args)]
        elif isinstance(node, ast.Lambda):
            todo += _defaults(node.args)
        else:
            todo += ast.iter_child_nodes(node)


def root_name(node: ast.AST) -> str | None:
    """The name that a chain like ``x.a[0].b`` starts from; None when it starts from something else."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def is_magic(node: ast.AST) -> bool:
    """``%time x``, ``!ls`` and ``x?``, as IPython rewrites them."""
    return any(isinstance(part, ast.Name) and part.id == "get_ipython" for part in ast.walk(node))


def _parsed(source: str) -> list[ast.stmt]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warned of these when the cell ran
        try:
            return ast.parse(source).body
        except (SyntaxError, ValueError):
            return []


def _not_yet_run(node: ast.stmt, line: int) -> bool:
    """Whether *node* comes after *line*, or is a simple statement there, which has not bound anything yet."""
    unfinished = not isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match))
    return _first_line(node) > line or (unfinished and _first_line(node) <= line <= (node.end_lineno or line))


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _makes_annotations_lazy(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.names[0].name == "annotations"


def _one_a_name(node: ast.stmt) -> Iterator[ast.stmt]:
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
        return
    for alias in node.names:
        one = copy.copy(node)
        one.names = [alias]
        yield one


def _statement(cell: Cell, order: int, node: ast.stmt, origin: ast.stmt, lazy_annotations: bool) -> Statement:
    flow = _Flow(lazy_annotations)
    certain = flow.follow([node], frozenset())
    changes, may_change, calls = set(), set(), set()
    for part in executed_now(node):
        if isinstance(part, (ast.Attribute, ast.Subscript)) and isinstance(part.ctx, (ast.Store, ast.Del)):
            changes.add(root_name(part))
        if isinstance(part, ast.Call):
            calls.add(root_name(part.func))
            if isinstance(part.func, ast.Name) and part.func.id in _CALL_WHAT_THEY_ARE_GIVEN:
                calls |= {root_name(given) for given in [*part.args, *(keyword.value for keyword in part.keywords)]}
            if isinstance(part.func, ast.Attribute) and part.func.attr in _CHANGING_METHODS:
                may_change.add(root_name(part.func.value))
        for decorator in getattr(part, "decorator_list", []):
            calls.add(root_name(decorator))
            maker = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(maker, ast.Attribute):
                may_change.add(root_name(maker))
    shines_through = flow.binds - certain
    if isinstance(node, ast.Import):  # "import a.b" after "import a.c" adds to the same a
        shines_through = shines_through | {alias.name.partition(".")[0] for alias in node.names if not alias.asname}
    return Statement(
        cell=cell,
        order=order,
        node=node,
        origin=origin,
        binds=frozenset(flow.binds),
        changes=frozenset(name for name in changes if name),
        may_change=frozenset(name for name in may_change if name),
        reads=frozenset(flow.reads),
        reads_before=frozenset(shines_through),
        reads_later=frozenset(flow.later),
        hints=frozenset(flow.hints),
        calls=frozenset(name for name in calls if name),
    )


@dataclass(slots=True)
class _Flow:
    """Names along the paths through a statement; ``reads`` has those that may be read before they are bound here.

    A loop is taken to run at least once: otherwise the variables of every loop would drag in their namesakes from
    earlier cells.
    """

    lazy_annotations: bool
    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    hints: set[str] = field(default_factory=set)

    def follow(self, nodes: Sequence[ast.stmt], bound: frozenset[str]) -> frozenset[str]:
        """Go through *nodes*; what is surely bound after them."""
        for node in nodes:
            bound = self._step(node, bound)
        return bound

    def _step(self, node: ast.stmt, bound: frozenset[str]) -> frozenset[str]:
        match node:
            case ast.If():
                self._expression(node.test, bound)
                return self.follow(node.body, bound) & self.follow(node.orelse, bound)
            case ast.For() | ast.AsyncFor():
                self._expression(node.iter, bound)
                return self.follow([*node.body, *node.orelse], self._target(node.target, bound))
            case ast.While():
                self._expression(node.test, bound)
                return self.follow([*node.body, *node.orelse], bound)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self._expression(item.context_expr, bound)
                    if item.optional_vars is not None:
                        bound = self._target(item.optional_vars, bound)
                return self.follow(node.body, bound)
            case ast.Try() | ast.TryStar():
                return self._try(node, bound)
            case ast.Match():
                self._expression(node.subject, bound)
                ends = [self._case(case, bound) for case in node.cases]
                return frozenset.intersection(*ends) if _catches_all(node.cases[-1]) else bound
            case ast.ClassDef():
                return self._class(node, bound)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._simple(self._without_annotations(node, bound), bound)
            case ast.AnnAssign():
                self._annotation(node.annotation, bound, quoted_is_hint=True)
                if node.value is None:
                    return bound
                return self._simple(ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno), bound)
            case ast.AugAssign():
                target = {node.target.id} if isinstance(node.target, ast.Name) else set()
                self.reads |= target - bound
                return self._simple(node, bound)
            case ast.Delete():
                self.reads |= {t.id for t in node.targets if isinstance(t, ast.Name)} - bound
                return self._simple(node, bound)
            case ast.ImportFrom() if node.names[0].name == "*":
                return self._bind(_public_names(node.module), bound)
            case ast.ImportFrom() if node.module == "__future__":
                return bound
            case ast.Expr() if (bound_by_magic := _bound_by_magic(node.value)) is not None:
                self.reads.add("get_ipython")
                return self._bind(bound_by_magic, bound)
        return self._simple(node, bound)

    def _try(self, node: ast.Try | ast.TryStar, bound: frozenset[str]) -> frozenset[str]:
        ends = [self.follow([*node.body, *node.orelse], bound)]
        for handler in node.handlers:
            if handler.type is not None:
                self._expression(handler.type, bound)
            self.binds |= {handler.name} if handler.name else set()
            start = bound | {handler.name} if handler.name else bound
            ends.append(self.follow(handler.body, start) - {handler.name or ""})
        return self.follow(node.finalbody, frozenset.intersection(*ends))

    def _case(self, case: ast.match_case, bound: frozenset[str]) -> frozenset[str]:
        captured = {n.name for n in ast.walk(case.pattern) if isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name}
        captured |= {n.rest for n in ast.walk(case.pattern) if isinstance(n, ast.MatchMapping) and n.rest}
        self.reads |= {n.id for n in ast.walk(case.pattern) if isinstance(n, ast.Name)} - bound
        bound = self._bind(captured, bound)
        if case.guard is not None:
            self._expression(case.guard, bound)
        return self.follow(case.body, bound)

    def _class(self, node: ast.ClassDef, bound: frozenset[str]) -> frozenset[str]:
        for part in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self._expression(part, bound)
        inside = _Flow(self.lazy_annotations)
        inside.follow(node.body, frozenset())
        self.reads |= inside.reads - bound
        self.hints |= inside.hints - inside.binds - bound - {node.name}
        self.later |= inside.later
        return self._bind({node.name}, bound)

    def _without_annotations(self, node: _Function, bound: frozenset[str]) -> _Function:
        args = copy.copy(node.args)
        plain = copy.copy(node)
        plain.args, plain.returns = args, None
        annotations = [node.returns]
        for kind in ("posonlyargs", "args", "kwonlyargs"):
            annotations += [arg.annotation for arg in getattr(args, kind)]
            setattr(args, kind, [ast.arg(arg=arg.arg) for arg in getattr(args, kind)])
        for kind in ("vararg", "kwarg"):
            if (arg := getattr(args, kind)) is not None:
                annotations.append(arg.annotation)
                setattr(args, kind, ast.arg(arg=arg.arg))
        for annotation in annotations:
            if annotation is not None:
                self._annotation(annotation, bound, quoted_is_hint=False)
        return plain

    def _annotation(self, node: ast.expr, bound: frozenset[str], *, quoted_is_hint: bool) -> None:
        """A field's annotation is resolved when its class is made if it can be; a function's when somebody asks."""
        deferred = set(_quoted_names(node))
        if self.lazy_annotations:
            deferred |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        else:
            self._expression(node, bound)
        if quoted_is_hint:
            self.hints |= deferred - bound
        else:
            self.later |= deferred

    def _target(self, node: ast.expr, bound: frozenset[str]) -> frozenset[str]:
        return self._simple(ast.Assign(targets=[node], value=ast.Constant(None), lineno=node.lineno), bound)

    def _expression(self, node: ast.expr, bound: frozenset[str]) -> None:
        self._simple(ast.Expr(node), bound)

    def _simple(self, node: ast.stmt, bound: frozenset[str]) -> frozenset[str]:
        table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
        binds: set[str] = set()
        for inner, now in _tables(table):
            for symbol in inner.get_symbols():
                if not symbol.is_global():
                    continue
                if symbol.is_referenced():
                    (self.reads if now else self.later).update({symbol.get_name()} - (bound if now else frozenset()))
                if now and (symbol.is_assigned() or symbol.is_imported()):
                    binds.add(symbol.get_name())
        return self._bind(binds, bound)

    def _bind(self, names: set[str], bound: frozenset[str]) -> frozenset[str]:
        self.binds |= names
        return bound | names


def _tables(table: symtable.SymbolTable) -> Iterator[tuple[symtable.SymbolTable, bool]]:
    """Every scope in *table*, and whether it runs now: function bodies wait, comprehensions do not."""
    todo = [(table, True)]
    while todo:
        table, now = todo.pop()
        yield table, now
        for child in table.get_children():
            waits = child.get_type() == "function" and child.get_name().strip("<>") not in _COMPREHENSIONS
            todo.append((child, now and not waits))


def _quoted_names(annotation: ast.expr) -> Iterator[str]:
    """Names inside quoted parts of an annotation; the strings of a Literal and of Annotated's metadata are values."""
    todo: list[ast.AST] = [annotation]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                todo.append(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                continue
            yield from (part.id for part in ast.walk(todo[-1]) if isinstance(part, ast.Name))
        elif isinstance(node, ast.Subscript) and _last_name(node.value) == "Literal":
            continue
        elif isinstance(node, ast.Subscript) and _last_name(node.value) == "Annotated":
            todo.append(node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice)
        else:
            todo += ast.iter_child_nodes(node)


def _last_name(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _catches_all(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def _public_names(module: str | None) -> set[str]:
    loaded = vars(sys.modules[module]) if module in sys.modules else {}
    return set(loaded.get("__all__", [name for name in loaded if not name.startswith("_")]))


def _bound_by_magic(node: ast.expr) -> set[str] | None:
    """Names that a magic's Python bound, ``%%time`` for one; None when *node* is no magic."""
    if not (isinstance(node, ast.Call) and is_magic(node.func)):
        return None
    given = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if not given or given[0] not in _MAGICS_THAT_RUN_PYTHON:
        return set()
    flow = _Flow(lazy_annotations=False)
    flow.follow(_parsed(given[-1]), frozenset())
    return flow.binds


def _defaults(args: ast.arguments) -> list[ast.AST]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]
