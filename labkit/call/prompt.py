"""Step 4: messages from sandboxed templates that are fixed when the call is made. Data is never a template."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jinja2
import jinja2.meta
import pydantic
from jinja2 import nodes

from labkit.call.placeholders import warn_of_slips
from labkit.call.result import Reason
from labkit.call.steps import StepFailed
from labkit.call.templates.budget import Budget, TookTooLong, TooMuch
from labkit.call.templates.data import readable_names
from labkit.call.templates.environment import Compiled
from labkit.call.templates.places import holds_media, media_in, with_media
from labkit.call.turns import History
from labkit.errors import CallInvalid
from labkit.models.protocol import Message
from labkit.options import checked

__all__ = ["Prompt"]

# A rendering that takes more, some five milliseconds, goes on in a thread: the loop has other calls to serve.
_STEPS_ON_THE_LOOP = 5_000


@checked()
@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A system and a user message as Jinja2 templates.

    A template sees ``input`` (the validated model), ``context`` (what the sources said) and the names in *values*;
    any other name is refused when the call is made. What these hold is put in as text and never read as a template,
    so ``{{ 7*7 }}`` in a ticket stays what it is. Give examples through *values*, not by formatting them into the
    template: they are data too.

    A picture or document (``lk.Image``, ``lk.File``) goes where the template names it, ``{{ input.photo }}``; those of
    the input that neither template names follow the user's text.

    A template sees data: fields, computed fields and properties by name, lists, mappings, dates; it reaches no method
    of a model and no other object. A rendering ends by itself: at a million steps, at five million characters, and
    at the call's deadline.

    Args:
        user: Template of the user message.
        system: Template of the system message, "" for none.
        history: Earlier turns of a conversation, placed between the two: the name of an input field that holds
            ``list[lk.Turn]``, or an expression, ``"{{ input.turns[-6:] }}"``; "" for none. They go out as messages of
            their own, as they were said.
        values: JSON data that both templates may use; part of the fingerprint.

    Raises:
        CallInvalid: A template that does not parse, with its line, or that uses a name it will not be given; one that
            depends on nothing a call brings and cannot be rendered, or not within bounds.
    """

    user: str
    system: str = ""
    history: str = ""
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    _templates: tuple[_Template, ...] = field(init=False, repr=False, compare=False)
    _history: History | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("input", "context"):
            if name in self.values:
                raise CallInvalid(
                    f"Prompt(values=...) may not hold {name!r}: templates see the call's own under that name"
                )
        templates = [_Template.compile("system", self.system, self.values)] if self.system else []
        templates.append(_Template.compile("user", self.user, self.values))
        object.__setattr__(self, "_templates", tuple(templates))
        history = History.compile(self.history, self.values) if self.history else None
        object.__setattr__(self, "_history", history)

    def __reduce__(self) -> tuple[Any, ...]:
        # templates are compiled anew where it is unpickled: jinja's own cannot travel
        return _made, (self.user, self.system, dict(self.values), self.history)

    def check(self, input_type: type[pydantic.BaseModel], context_names: frozenset[str]) -> None:
        """Refuse a template that reads a field or a source that is not there; warn of one that never uses the input.

        Raises:
            CallInvalid: Naming the template, the name, and what there is.
        """
        for template in self._templates:
            template.check(input_type, context_names)
        if self._history is not None:
            _check("history", self._history.compiled, input_type, context_names)
        compiled = [template.compiled for template in self._templates]
        compiled += [self._history.compiled] if self._history is not None else []
        warn_of_slips([each.tree for each in compiled], input_type, sends_itself=holds_media(input_type))

    def render(
        self, value: pydantic.BaseModel, context: Mapping[str, Any], budget: Budget | None = None
    ) -> tuple[Message, ...]:
        """Write the messages.

        Args:
            budget: What the rendering may take; by default what any may.

        Raises:
            StepFailed: A template met something undefined or forbidden, or a bound; outcome ``bug``.
        """
        budget = Budget() if budget is None else budget
        try:
            return self._written({"input": value, "context": context}, budget)
        except TookTooLong as error:
            raise _failed("a template", str(error)) from error

    def _written(self, given: Mapping[str, Any], budget: Budget) -> tuple[Message, ...]:
        messages = [template.written(given, budget) for template in self._templates]
        if self._history is not None:
            messages[-1:-1] = _turns(self._history, given, budget)
        return _with_the_rest(messages, given["input"])

    async def arender(self, value: pydantic.BaseModel, context: Mapping[str, Any]) -> tuple[Message, ...]:
        """Like ``render``; what takes long goes on in a thread, and ends there when this is cancelled."""
        try:
            return self._written({"input": value, "context": context}, Budget(steps=_STEPS_ON_THE_LOOP))
        except TookTooLong:
            budget = Budget()
        try:
            return await asyncio.to_thread(self.render, value, context, budget)
        finally:
            budget.stop()


def _with_the_rest(messages: list[Message], value: pydantic.BaseModel) -> tuple[Message, ...]:
    """Let the user's message end with the input's pictures and documents that no template has named."""
    if holds_media(type(value)):
        placed = {medium for message in messages for _, medium in message.media}
        last = messages[-1]
        rest = tuple((len(last.content), medium) for medium in media_in(value) if medium not in placed)
        messages[-1] = Message(last.role, last.content, last.media + rest)
    return tuple(messages)


def _made(user: str, system: str, values: dict[str, Any], history: str = "") -> Prompt:
    return Prompt(user=user, system=system, values=values, history=history)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    role: Any
    compiled: Compiled
    fixed: Message | None  # written once when it depends on nothing that a call brings

    @classmethod
    def compile(cls, role: str, source: str, values: Mapping[str, Any]) -> _Template:
        try:
            compiled = Compiled(source, values)
        except jinja2.TemplateSyntaxError as error:
            raise CallInvalid(f"{role} template, line {error.lineno}: {error.message}") from error
        except TypeError as error:
            raise CallInvalid(f"Prompt(values=...): {error}") from error
        used = jinja2.meta.find_undeclared_variables(compiled.tree)
        unknown = used - set(values) - {"input", "context"}
        if unknown:
            raise CallInvalid(
                f"{role} template uses {sorted(unknown)[0]!r}, which it is not given. It may use 'input', 'context'"
                + "".join(f", {name!r}" for name in sorted(values))
                + "; add it to Prompt(values={...}) or write input.<field>"
            )
        template = cls(role=role, compiled=compiled, fixed=None)
        if {"input", "context"} & used:
            return template
        try:
            return cls(role=role, compiled=compiled, fixed=template.render({}, Budget()))
        except StepFailed as failed:
            raise CallInvalid(failed.reason.message) from failed

    def check(self, input_type: type[pydantic.BaseModel], context_names: frozenset[str]) -> None:
        _check(f"{self.role} template", self.compiled, input_type, context_names)

    def render(self, given: Mapping[str, Any], budget: Budget) -> Message:
        """Write the message.

        Raises:
            StepFailed: It cannot be; outcome ``bug``.
        """
        try:
            return self.written(given, budget)
        except TookTooLong as error:
            raise _failed(f"{self.role} template", str(error)) from error

    def written(self, given: Mapping[str, Any], budget: Budget) -> Message:
        """Like ``render``, but lets ``TookTooLong`` through: the budget was perhaps a small one."""
        if self.fixed is not None:
            return self.fixed
        try:
            return with_media(self.role, self.compiled.render(given, budget))
        except TookTooLong:
            raise
        except TooMuch as error:
            raise _failed(f"{self.role} template", str(error)) from error
        except RecursionError as error:
            raise _failed(f"{self.role} template", "it is nested too deeply to be written") from error
        except Exception as error:  # a property that a template reads may raise whatever it likes
            raise _failed(f"{self.role} template", f"{type(error).__name__}: {error}") from error


def _turns(history: History, given: Mapping[str, Any], budget: Budget) -> tuple[Message, ...]:
    try:
        return history.messages(given, budget)
    except TookTooLong:
        raise
    except TooMuch as error:
        raise _failed("history", str(error)) from error
    except Exception as error:  # a property may raise whatever it likes
        raise _failed("history", f"{type(error).__name__}: {error}") from error


def _failed(where: str, said: str) -> StepFailed:
    return StepFailed(Reason(step="prompt", outcome="bug", message=f"{where}: {said}"))


def _check(where: str, compiled: Compiled, input_type: type[pydantic.BaseModel], context_names: frozenset[str]) -> None:
    for reference in compiled.tree.find_all(nodes.Getattr):
        if not isinstance(reference.node, nodes.Name):
            continue
        if reference.node.name == "input" and not _has_attribute(input_type, reference.attr):
            raise CallInvalid(
                f"{where}, line {reference.lineno}: {input_type.__name__} has no field "
                f"{reference.attr!r}; it has {', '.join(input_type.model_fields)}"
            )
        if reference.node.name == "context" and reference.attr not in context_names:
            raise CallInvalid(
                f"{where}, line {reference.lineno}: no source is named {reference.attr!r}; "
                + (f"there are {', '.join(sorted(context_names))}" if context_names else "give context=[Source(...)]")
            )


def _has_attribute(input_type: type[pydantic.BaseModel], name: str) -> bool:
    return name in readable_names(input_type) or input_type.model_config.get("extra") == "allow"
