"""Everything that an object of the session was made from: the statements to keep, in the order in which they ran."""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.export.statements import Statement
from labkit.export.timeline import Timeline

__all__ = ["Closure", "close_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The statements that *name* needs.

    Args:
        kept: In order of execution, each once.
        wanted: By statement, the names that something asked it for.
        needed_by: By statement, the name that led to it and the statement that needs that name; None at the start.
        unbound: By name that no statement binds, the first statement that reads it.
    """

    name: str
    kept: tuple[Statement, ...]
    wanted: Mapping[Statement, frozenset[str]]
    needed_by: Mapping[Statement, tuple[str, Statement | None]]
    unbound: Mapping[str, Statement]

    def path(self, statement: Statement) -> list[str]:
        """The names that lead from *statement* to the object, nearest first."""
        names = []
        at: Statement | None = statement
        while at is not None:
            name, at = self.needed_by[at]
            names.append(name)
        return names


def close_over(name: str, timeline: Timeline, *, is_given: Callable[[Statement], bool]) -> Closure | None:
    """Find what *name* needs: what is read now as it was when the statement ran, what is read later as it is now.

    Args:
        is_given: Statements whose value is written out as data, so that what they were made from is not needed.

    Returns:
        None when no executed statement binds *name*.
    """
    start = timeline.latest(name)
    if start is None:
        return None
    search = _Search(timeline)
    search.need(name, start, None)
    while search.todo:  # a worklist: a chain of a few hundred cells would overflow recursion
        statement = search.todo.pop()
        if not is_given(statement):
            search.follow(statement)
    kept = sorted(search.needed_by, key=lambda statement: statement.order)
    wanted = {statement: frozenset(search.wanted[statement]) for statement in kept}
    return Closure(name=name, kept=tuple(kept), wanted=wanted, needed_by=search.needed_by, unbound=search.unbound)


class _Search:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.todo: list[Statement] = []
        self.needed_by: dict[Statement, tuple[str, Statement | None]] = {}
        self.wanted: dict[Statement, set[str]] = defaultdict(set)
        self.unbound: dict[str, Statement] = {}

    def need(self, name: str, binder: Statement, needed_by: Statement | None) -> None:
        binder = self.timeline.first_like(binder)
        for statement in [binder, *self.timeline.changers(name, binder)]:
            if statement not in self.needed_by:
                self.needed_by[statement] = (name, needed_by)
                self.todo.append(statement)
        self.wanted[binder].add(name)

    def follow(self, statement: Statement) -> None:
        now = self.timeline.inputs(statement)
        for name, binder in now.items():
            self.need(name, binder, statement)
        for name in statement.reads_before:
            earlier = self.timeline.before(name, statement)
            if earlier is not None and (not statement.is_import or earlier.is_import):
                self.need(name, earlier, statement)
        for name in statement.reads - now.keys():
            self._look_up(name, statement)
        for name in statement.reads_later | (statement.hints - now.keys()):
            self._look_up(name, statement)

    def _look_up(self, name: str, statement: Statement) -> None:
        """Resolve a name that is read later, or that no statement had bound."""
        latest = self.timeline.latest(name)
        if latest is not None and (name in statement.reads_later or name in statement.hints):
            self.need(name, latest, statement)
        elif not hasattr(builtins, name) or name in _ONLY_IN_IPYTHON:
            self.unbound.setdefault(name, statement)


_ONLY_IN_IPYTHON = frozenset({"display", "get_ipython"})
"""IPython adds these to the builtins while a cell runs."""
