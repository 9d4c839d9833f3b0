"""Which statement gave a name its value, at any moment of a session."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from labkit.export.statements import Statement

__all__ = ["Timeline"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Timeline:
    """The executed statements, with every version that each name has had.

    Args:
        statements: In order of execution; ``order`` is the index.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self._binders: dict[str, list[int]] = defaultdict(list)
        for statement in statements:
            for name in statement.binds:
                self._binders[name].append(statement.order)
        self._changers: dict[tuple[str, int], list[int]] = defaultdict(list)
        for statement in statements:
            for name in statement.changes | statement.may_change:
                binder = self.before(name, statement)
                # json.dumps or @functools.cache do not change the module that they are looked up in
                if binder is not None and (name in statement.changes or not binder.is_import):
                    self._changers[name, binder.order].append(statement.order)
        self._known_inputs: dict[int, tuple[dict[str, Statement], set[str]]] = {}
        self._same_as = self._first_of_its_kind()
        self._ancestors: dict[int, frozenset[int]] = {}

    def before(self, name: str, statement: Statement) -> Statement | None:
        """The version of *name* that *statement* met; None when there was none."""
        orders = self._binders.get(name, [])
        index = bisect_left(orders, statement.order)
        return self.statements[orders[index - 1]] if index else None

    def latest(self, name: str) -> Statement | None:
        """The version of *name* that the session has now."""
        orders = self._binders.get(name)
        return self.statements[orders[-1]] if orders else None

    def changers(self, name: str, binder: Statement) -> list[Statement]:
        """The statements that changed the object which *binder* had bound to *name*."""
        return [self.statements[order] for order in self._changers.get((name, binder.order), [])]

    def first_like(self, statement: Statement) -> Statement:
        """The earliest statement that did the same: a cell that was run twice counts once."""
        return self.statements[self._same_as[statement.order]]

    def inputs(self, statement: Statement) -> Mapping[str, Statement]:
        """The versions that *statement* was made from, by name.

        What its functions look up belongs to it only where it called them itself, and then as it was at that moment.
        """
        return self._inputs(statement)[0]

    def called(self, statement: Statement) -> list[Statement]:
        """The session's own functions that may have run while *statement* ran, as they were at that moment."""
        found, functions = self._inputs(statement)
        return [found[name] for name in sorted(functions & found.keys()) if isinstance(found[name].node, _FUNCTIONS)]

    def _inputs(self, statement: Statement) -> tuple[dict[str, Statement], set[str]]:
        if statement.order not in self._known_inputs:
            self._known_inputs[statement.order] = self._find_inputs(statement)
        return self._known_inputs[statement.order]

    def _find_inputs(self, statement: Statement) -> tuple[dict[str, Statement], set[str]]:
        found: dict[str, Statement] = {}
        todo = sorted(statement.reads | statement.hints)
        functions = {name for name in statement.calls if name in statement.reads}
        while todo:
            name = todo.pop()
            binder = self.before(name, statement)
            if binder is None or name in found:
                continue
            found[name] = binder
            if name in functions and not binder.is_import:
                inner = binder.reads_later - found.keys()
                functions |= inner
                todo += sorted(inner)
        return found, functions

    def superseded(self, statement: Statement) -> Iterator[tuple[str, Statement, Statement]]:
        """The names whose meaning has changed since *statement* was made from them.

        A name that the same cell binds again, or that was made from *statement* in turn, is a step in a chain, which
        replaying in order gets right; a name that another cell has bound anew is a stale object.

        Yields:
            The name, the version that *statement* has, and the version that the session has.
        """
        for name, used in self.inputs(statement).items():
            now = self.latest(name)
            if now is None or self.first_like(now) is self.first_like(used) or now.cell is statement.cell:
                continue
            if statement.order not in self._made_from(now):
                yield name, used, now

    def _made_from(self, statement: Statement) -> frozenset[int]:
        if statement.order not in self._ancestors:
            found: set[int] = set()
            todo = [statement]
            while todo:
                at = todo.pop()
                if at.order in found:
                    continue
                found.add(at.order)
                for name in at.reads | at.reads_before:
                    if (binder := self.before(name, at)) is not None:
                        todo += [binder, *(c for c in self.changers(name, binder) if c.order < at.order)]
            self._ancestors[statement.order] = frozenset(found)
        return self._ancestors[statement.order]

    def _first_of_its_kind(self) -> list[int]:
        """For each statement the first with the same code and inputs; itself where it acts on others."""
        seen: dict[object, list[Statement]] = defaultdict(list)
        same_as: list[int] = []
        for statement in self.statements:
            acts = statement.changes or statement.may_change or statement.cell.failed
            if acts or any((name, statement.order) in self._changers for name in statement.binds):
                same_as.append(statement.order)
                continue
            inputs = dict(self.inputs(statement))
            for name in statement.reads_before:
                if (binder := self.before(name, statement)) is not None:
                    inputs.setdefault(name, binder)
            made_from = sorted((name, same_as[binder.order]) for name, binder in inputs.items())
            alike = seen[ast.dump(statement.node), tuple(made_from)]
            found = next((other for other in alike if self._met_the_same(statement, other, same_as)), statement)
            if found is statement:
                alike.append(statement)
            same_as.append(found.order)
        return same_as

    def _met_the_same(self, statement: Statement, other: Statement, same_as: list[int]) -> bool:
        """Whether the functions within reach of both would have looked up the same.

        A guarded call fingerprints the constants that its rules read at the moment when it is made, so that making it
        again after one of them has changed is another version of it. A definition alone looks nothing up.
        """
        if isinstance(statement.node, (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)):
            return True
        return self._looked_up(statement, same_as) == self._looked_up(other, same_as)

    def _looked_up(self, statement: Statement, same_as: list[int]) -> set[tuple[str, int]]:
        found: set[tuple[str, int]] = set()
        seen: set[int] = set()
        todo = [*self.inputs(statement).values(), statement]
        while todo:
            at = todo.pop()
            if at.order in seen:
                continue
            seen.add(at.order)
            todo += self.inputs(at).values()
            for name in at.reads_later:
                if (binder := self.before(name, statement)) is not None:
                    found.add((name, same_as[binder.order]))
                    todo.append(binder)
        return found
