"""What cannot leave the notebook, each with its cell and line and the mend. Nothing is executed to find it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.export.closure import Closure
from labkit.export.credentials import secrets_in_code
from labkit.export.embed import embedded_name, is_embed
from labkit.export.imports import imported_modules, local_file
from labkit.export.outside import reaches_outside
from labkit.export.rendering import source_of
from labkit.export.statements import Statement, executed_now, is_magic
from labkit.export.timeline import Timeline

__all__ = ["Refusal", "refusals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason, as a sentence that says what was seen and what to do."""

    statement: Statement
    path: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.statement.place} ({' needs '.join(self.path)}): {self.reason}"


def refusals(closure: Closure, timeline: Timeline, namespace: Mapping[str, Any]) -> list[Refusal]:
    """Look through the kept statements; empty when they can become a module."""
    found = []
    for statement in closure.kept:
        path = tuple(reversed(closure.path(statement)))
        given = embedded_name(statement, timeline)
        reasons = _embedded(given, statement, timeline) if given else _executed(statement, closure, timeline, namespace)
        found += [Refusal(statement=statement, path=path, reason=reason) for reason in reasons]
    return found


def _executed(
    statement: Statement, closure: Closure, timeline: Timeline, namespace: Mapping[str, Any]
) -> Iterator[str]:
    if statement.cell.failed:
        yield (
            f"{statement.cell.label} raised an exception, so it is not known which of its statements count. "
            "Mend it and run it again."
        )
    yield from _stale(statement, closure, timeline)
    yield from _not_python(statement)
    yield from _names_from_nowhere(statement, closure, namespace)
    yield from _reads(statement, timeline)
    yield from _local_modules(statement)
    yield from _secrets(statement)


def _embedded(name: str, statement: Statement, timeline: Timeline) -> Iterator[str]:
    later = timeline.latest(name)
    changed = [*timeline.changers(name, statement), *([later] if later and later is not statement else [])]
    changed = [other for other in changed if timeline.first_like(other) is not timeline.first_like(statement)]
    if changed:
        yield (
            f"`{name}` is embedded as data, and {changed[0].place} changes it afterwards. "
            "Change it first and embed the result, or give the changed one a name of its own."
        )


def _stale(statement: Statement, closure: Closure, timeline: Timeline) -> Iterator[str]:
    for name, used, now in timeline.superseded(statement):
        if used.cell is statement.cell:
            mend = f"Put the new `{name}` into {statement.cell.label}"
        else:
            mend = f"The one in {statement.cell.label} still has the old one"
        again = ", then ".join(_cells_downstream(statement, closure, timeline))
        yield (
            f"built from the `{name}` of {used.cell.label}, which {now.cell.label} has replaced since. {mend}: "
            f"re-run {again}; or give one of the two `{name}` another name."
        )


def _cells_downstream(statement: Statement, closure: Closure, timeline: Timeline) -> list[str]:
    """The cells to run again, in order, once *statement* has changed."""
    touched = {statement}
    for other in closure.kept:
        if any(binder in touched for binder in timeline.inputs(other).values()):
            touched.add(other)
    ordered = sorted(touched, key=lambda other: other.order)
    return list(dict.fromkeys(other.cell.label for other in ordered))


def _not_python(statement: Statement) -> Iterator[str]:
    if is_magic(statement.node):
        yield "uses a magic (%, %% or !), which only a notebook has. Write it as plain Python in a cell of its own."
    asynchronous = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    for part in executed_now(statement.node):
        if isinstance(part, asynchronous) or (isinstance(part, ast.comprehension) and part.is_async):
            yield (
                "awaits at the top level, which a module cannot. Keep what it gave as data: "
                "name = export.embed(await ...); or await it inside a function."
            )
            break
    compared = statement.node.test if isinstance(statement.node, ast.If) else None
    if compared is not None and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(compared)):
        yield 'stands under `if __name__ == "__main__"`, which is not run on import. Move it out of the block.'


def _names_from_nowhere(statement: Statement, closure: Closure, namespace: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(name for name, reader in closure.unbound.items() if reader is statement):
        if _HISTORY.fullmatch(name):
            yield f"reads `{name}`, IPython's memory of earlier cells. Assign that value to a name, and use the name."
        elif name == "display":
            yield "uses `display`, which only a notebook has. Leave it out, or: from IPython.display import display"
        elif name == "__file__":
            yield "reads `__file__`, the place of this file. Keep what it led to as data: name = export.embed(...)."
        elif name in namespace and not name.startswith("__") and name != "get_ipython":
            yield (
                f"reads `{name}`, which no executed statement binds: exec, %run, a magic or another object made it. "
                f"Bind `{name}` in a cell."
            )


def _reads(statement: Statement, timeline: Timeline) -> Iterator[str]:
    """What reaches outside while the statement runs, itself or through the session's functions that it calls."""
    where = [(statement, statement.node, "")]
    for function in timeline.called(statement):
        body = function.node.body if isinstance(function.node, (ast.FunctionDef, ast.AsyncFunctionDef)) else []
        name = getattr(function.node, "name", "")
        where += [(function, node, f" through {name}() of {function.cell.label}") for node in body]
    for owner, root, how in where:
        for call in executed_now(root):
            if not isinstance(call, ast.Call):
                continue
            if is_embed(call, owner, timeline):
                yield "uses export.embed inside an expression. Give it its own statement: name = export.embed(...)."
                return
            what = reaches_outside(call.func, owner, timeline)
            if what is not None:
                yield (
                    f"{what}{how} while the module is imported, where that may be missing or different. "
                    f"Keep the value as data: {_example_name(statement)} = export.embed(...)."
                )
                return


def _example_name(statement: Statement) -> str:
    return min(statement.binds, default="name")


def _local_modules(statement: Statement) -> Iterator[str]:
    for module in imported_modules(statement.node):
        file = local_file(module)
        if file is not None:
            yield (
                f"imports `{module}`, which is a file beside the notebook ({file}) and would not be installed with the "
                "package. Put its code into a cell, or make it a distribution and pip install it."
            )


def _secrets(statement: Statement) -> Iterator[str]:
    source = source_of(statement)
    first_line = statement.last_line - source.count("\n")
    for suspect in secrets_in_code(statement.node, source, first_line):
        yield (
            f"holds what looks like a secret ({suspect.what}, line {suspect.line}), which would be published with the "
            "package. Read it where it is used, as with os.environ[...]; if it was real, replace it at the provider."
        )
        return


_HISTORY = re.compile(r"_(\d+|i\d*|ii|iii|ih|oh|dh|_|__)?|In|Out")
