"""Where a prompt finds the earlier turns of a conversation, and what messages they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
import jinja2.meta
from jinja2 import nodes

from labkit.call.templates.budget import Budget
from labkit.call.templates.environment import Compiled
from labkit.errors import CallInvalid
from labkit.models.protocol import Message

__all__ = ["History"]

_FIELD = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)
_EXPRESSION = re.compile(r"\s*\{\{(?P<expression>.*)\}\}\s*", re.DOTALL)
_ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where a prompt finds the turns that come before its user message."""

    compiled: Compiled

    @classmethod
    def compile(cls, source: str, values: Mapping[str, Any]) -> History:
        """Read ``history=``.

        Raises:
            CallInvalid: It is neither the name of a field nor one expression, or uses a name that it is not given.
        """
        written = _EXPRESSION.fullmatch(source)
        if written is not None:
            expression = written["expression"]
        elif _FIELD.fullmatch(source):
            expression = f"input.{source}"
        else:
            raise CallInvalid(
                f"history={source!r} is neither the name of an input field that holds list[lk.Turn] nor one "
                "expression: write history='turns' or history='{{ input.turns[-6:] }}'"
            )
        try:
            compiled = Compiled("{% set turns = (" + expression + ") %}", values)
        except jinja2.TemplateSyntaxError as error:
            raise CallInvalid(f"history={source!r}: {error.message}") from error
        unknown = jinja2.meta.find_undeclared_variables(compiled.tree) - set(values) - {"input", "context"}
        if unknown:
            raise CallInvalid(f"history={source!r} uses {sorted(unknown)[0]!r}, which it is not given")
        if any(not isinstance(node, nodes.Assign) for node in compiled.tree.body):
            raise CallInvalid(f"history={source!r} is more than one expression")
        return cls(compiled=compiled)

    def messages(self, given: Mapping[str, Any], budget: Budget) -> tuple[Message, ...]:
        """Give the turns, in order.

        Raises:
            TooMuch, TookTooLong: A bound was met.
            TypeError: What is found there holds no turns.
        """
        found = self.compiled.evaluate("turns", given, budget)
        if found is None:
            return ()
        if isinstance(found, (str, Mapping)) or not isinstance(found, Iterable):
            raise TypeError("it is no list: give turns, as list[lk.Turn]")
        return tuple(_message(n, turn) for n, turn in enumerate(found, 1))


def _message(n: int, turn: Any) -> Message:
    if not isinstance(turn, Mapping) or turn.get("role") not in _ROLES:
        raise TypeError(f"turn {n} is none: give lk.Turn(role='user' or 'assistant', text=...)")
    text = turn["text"] if "text" in turn else turn.get("content")
    if not isinstance(text, str):
        raise TypeError(f"turn {n} has no text: give lk.Turn(role={turn['role']!r}, text=...)")
    return Message(turn["role"], text)
