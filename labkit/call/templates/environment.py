"""The language of prompts: Jinja2 without whatever could reach an object, a file or another template, and counted.

It is a list of what there is, not of what is forbidden: names are read by ``operations.attribute_of`` only, and only
macros and what this package made can be called. Nothing is computed when a template is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import MAX_RANGE, SandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from labkit.call.templates.budget import MAX_DEPTH, Budget, TooMuch, fits
from labkit.call.templates.data import Fields, Items, plain
from labkit.call.templates.operations import FILTERS, MAPPING_METHODS, TESTS, Bound, attribute_of, computed, settled

__all__ = ["ENVIRONMENT", "Compiled"]

_LOOP_PARTS = frozenset(
    ["index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem"]
)
_MAX_SOURCE = 10_000_000
_CALL_STEPS = 4
_TURNS_AT_ONCE = 8  # of a loop, between looks at the clock

_REFUSED: Mapping[type[nodes.Node], str] = {
    nodes.Extends: "extends another template",
    nodes.Include: "includes another template",
    nodes.Import: "imports another template",
    nodes.FromImport: "imports from another template",
    nodes.Block: "has a block, which nothing extends",
    nodes.ScopedEvalContextModifier: "switches escaping, which a prompt has none of",
}


# --- what may be called -----------------------------------------------------------------------------------------------


class _Function:
    """A function of the language itself."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[Context, Any, Any], Any]) -> None:
        self.call = call


def _range(context: Context, args: Any, kwargs: Any) -> range:
    found = range(*args, **kwargs)
    if len(found) > MAX_RANGE:
        raise TooMuch(f"a range of over {MAX_RANGE:,} numbers is more than a prompt needs")
    return found


def _dict(context: Context, args: Any, kwargs: Any) -> dict[Any, Any]:
    made: dict[Any, Any] = settled(context, dict(*args, **kwargs))
    return made


_FUNCTIONS: Mapping[str, _Function] = {
    "range": _Function(_range),
    "dict": _Function(_dict),
    "namespace": _Function(lambda _, args, kwargs: Namespace(*args, **kwargs)),
    "cycler": _Function(lambda _, args, kwargs: Cycler(*args, **kwargs)),
    "joiner": _Function(lambda _, args, kwargs: Joiner(*args, **kwargs)),
}


# --- what is counted --------------------------------------------------------------------------------------------------


class _Counted:
    """Something to go through, each turn of which is counted."""

    __slots__ = ("_budget", "_items")

    def __init__(self, budget: Budget, items: Any) -> None:
        self._budget, self._items = budget, items

    def __iter__(self) -> Iterator[Any]:
        spend = self._budget.spend
        turn = 0
        for item in self._items:
            turn += 1
            if not turn % _TURNS_AT_ONCE:
                spend(_TURNS_AT_ONCE)
            yield item
        spend(turn % _TURNS_AT_ONCE)

    def __len__(self) -> int:
        return len(self._items)


@pass_context
def _each(context: _Context, items: Any) -> _Counted:
    return _Counted(context.budget, items)


@pass_context
def _built(context: _Context, made: Any) -> Any:
    context.budget.spend_on(made)
    return made


@pass_context
def _weighed(context: _Context, value: Any) -> Any:
    if not isinstance(value, Undefined):
        context.budget.spend_on(value)
    return value


@pass_context
def _concat(context: _Context, parts: Any) -> str:
    for part in parts:
        if isinstance(part, Undefined):
            str(part)  # says what is undefined
    fits(context.budget.spend_on(*parts))
    text = "".join(map(str, parts))
    fits(len(text))
    return text


@pass_context
def _written(context: _Context, value: Any) -> str:
    """What ``{{ value }}`` puts out."""
    if type(value) is str:
        if len(value) > 1_000:
            context.budget.spend_on(value)
        return value
    if isinstance(value, Undefined):
        return str(value)  # says what is undefined
    context.budget.spend_on(value)
    return str(value)


# Names that no template can write, for what is put around its parts.
_EACH, _BUILT, _WEIGHED, _CONCAT = "each!", "built!", "weighed!", "concat!"


class _Count(NodeTransformer):
    """Puts around loops, lists, comparisons and ``~`` what counts them, and refuses what the language has not."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if type(node) in _REFUSED:
            raise jinja2.TemplateSyntaxError(
                f"it {_REFUSED[type(node)]}: a prompt stands for itself. Write the text in its place",
                getattr(node, "lineno", 1),
            )
        return super().visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _around(_EACH, node.iter)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return _around(_BUILT, self.generic_visit(node))

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return node if node.ctx != "load" else _around(_BUILT, node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _around(_CONCAT, nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        holders: list[Any] = [node, *node.ops]
        for holder in holders:
            if not isinstance(holder.expr, nodes.Const):
                holder.expr = _around(_WEIGHED, holder.expr)
        return node


def _around(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


# --- the environment --------------------------------------------------------------------------------------------------


class _Context(Context):
    budget: Budget


class _Environment(SandboxedEnvironment):
    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "**", "%"])
    context_class = _Context

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:  # of a macro, a call block, a set block
        held = list(pieces)
        fits(sum(map(len, held)))
        return "".join(held)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is Fields:
            # of a mapping "items" is its method, as ever; a field of a model may be called so
            if attribute in obj.names and not (obj.is_mapping and attribute in MAPPING_METHODS):
                return plain(obj.read(attribute))
            if not attribute.startswith("__"):
                try:
                    return attribute_of(obj, attribute)
                except KeyError:
                    return self.undefined(obj.without(attribute), obj, attribute)
        return self._read(obj, attribute)

    def _read(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Undefined):
            return getattr(obj, attribute) if not attribute.startswith("_") else obj()  # both say what is undefined
        if attribute.startswith("__") or (attribute.startswith("_") and not isinstance(obj, Mapping)):
            return self.unsafe_undefined(obj, attribute)
        if isinstance(obj, Namespace):
            return getattr(obj, attribute, self.undefined(f"the namespace has no {attribute!r}", obj, attribute))
        if isinstance(obj, LoopContext):
            if attribute in _LOOP_PARTS:
                return getattr(obj, attribute)
            if attribute in ("cycle", "changed"):
                return _Function(lambda _, args, kwargs: getattr(obj, attribute)(*args, **kwargs))
        if isinstance(obj, Cycler) and attribute in ("next", "reset", "current"):
            if attribute == "current":
                return obj.current
            return _Function(lambda _, args, kwargs: getattr(obj, attribute)())
        try:
            return attribute_of(obj, attribute)
        except KeyError:
            if hasattr(type(obj), attribute) and not isinstance(obj, Mapping):
                return self.unsafe_undefined(obj, attribute)
            return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, (Fields, Items, dict, list, tuple, str, range)):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, Undefined):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        budget: Budget = __context.budget  # type: ignore[attr-defined]
        budget.spend(_CALL_STEPS)
        if isinstance(__obj, (_Function, Bound)):
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
            return __obj.call(__context, args, kwargs)
        if isinstance(__obj, Undefined):
            return __obj()
        if isinstance(__obj, LoopContext):
            args = tuple(_Counted(budget, each) for each in args)
        elif not isinstance(__obj, (Macro, Joiner)):
            raise SecurityError(
                f"a {type(__obj).__name__} cannot be called: a template calls its own macros and the methods of text, "
                "lists and mappings. Make what is needed a field, a computed field or a property"
            )
        budget.depth += 1
        if budget.depth > MAX_DEPTH:
            raise TooMuch(f"over {MAX_DEPTH} macros are within each other")
        try:
            return __context.call(__obj, *args, **kwargs)
        finally:
            budget.depth -= 1

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return computed(context, operator, left, right, self.binop_table[operator])


ENVIRONMENT = _Environment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # a prompt is plain text; views escape what they show
    trim_blocks=True,
    lstrip_blocks=True,
    optimized=False,  # the optimizer computes constants, 'x' * 10**9 too
    finalize=_written,
    cache_size=0,
)
ENVIRONMENT.globals.clear()
ENVIRONMENT.globals.update(_FUNCTIONS)
ENVIRONMENT.filters.clear()
ENVIRONMENT.filters.update(FILTERS)
ENVIRONMENT.filters.update({_EACH: _each, _BUILT: _built, _WEIGHED: _weighed, _CONCAT: _concat})
ENVIRONMENT.tests.clear()
ENVIRONMENT.tests.update(TESTS)


class Compiled:
    """A template, ready to be rendered any number of times, at once in several threads.

    Args:
        source: The template.
        values: What it is given each time, beside what ``render`` is given.

    Raises:
        jinja2.TemplateSyntaxError: It does not parse, or uses what the language has not.
    """

    __slots__ = ("_names", "_template", "tree")

    def __init__(self, source: str, values: Mapping[str, Any]) -> None:
        if len(source) > _MAX_SOURCE:
            raise jinja2.TemplateSyntaxError(f"it is longer than {_MAX_SOURCE:,} characters", 1)
        try:
            self.tree = ENVIRONMENT.parse(source)
            counted = _Count().visit(ENVIRONMENT.parse(source))
            counted.set_environment(ENVIRONMENT)
            code = ENVIRONMENT.compile(counted)
            self._template = jinja2.Template.from_code(ENVIRONMENT, code, ENVIRONMENT.make_globals(None))
        except (RecursionError, MemoryError, OverflowError) as error:
            raise jinja2.TemplateSyntaxError("its expressions are nested too deeply to be read", 1) from error
        except jinja2.TemplateSyntaxError:
            raise
        except (SyntaxError, ValueError, TypeError, LookupError) as error:  # Python's own, of the code jinja writes
            raise jinja2.TemplateSyntaxError(f"it cannot be compiled: {error}", 1) from error
        self._names = {**ENVIRONMENT.globals, **{name: _kept(value) for name, value in values.items()}}

    def render(self, given: Mapping[str, Any], budget: Budget) -> str:
        """Give the text.

        Args:
            given: What this rendering is given; it is seen as ``data.plain`` gives it.

        Raises:
            TooMuch, TookTooLong: A bound was met.
            Exception: Whatever else the template did wrong.
        """
        return ENVIRONMENT.concat(self._template.root_render_func(self._context(given, budget)))

    def evaluate(self, name: str, given: Mapping[str, Any], budget: Budget) -> Any:
        """Give what the template sets *name* to, as a template sees it; the rest is as for ``render``."""
        context = self._context(given, budget)
        ENVIRONMENT.concat(self._template.root_render_func(context))
        return context.vars[name]

    def _context(self, given: Mapping[str, Any], budget: Budget) -> Context:
        names = self._names.copy()
        for name, value in given.items():
            names[name] = plain(value)
        # what Template.render does, less the copying of names for every call: a third of its time
        context = self._template.new_context(names, shared=True)
        context.budget = budget  # type: ignore[attr-defined]
        return context


def _kept(value: Any) -> Any:
    """Give one of a prompt's values as every rendering sees it; the items of a list are seen once."""
    seen = plain(value)
    return Items(value, list(seen)) if isinstance(seen, Items) else seen
