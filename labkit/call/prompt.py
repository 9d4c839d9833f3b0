"""Step 4: messages from sandboxed templates that are fixed when the call is made. Data is never a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jinja2
import jinja2.meta
import pydantic
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from labkit.call.result import Reason
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid
from labkit.models.protocol import Message

__all__ = ["Prompt"]

_JINJA = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # a prompt is plain text; views escape what they show
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A system and a user message as Jinja2 templates.

    A template sees ``input`` (the validated model), ``context`` (what the sources said) and the names in *values*;
    any other name is refused when the call is made. What these hold is put in as text and never read as a template,
    so ``{{ 7*7 }}`` in a ticket stays what it is. Give examples through *values*, not by formatting them into the
    template: they are data too.

    Args:
        user: Template of the user message.
        system: Template of the system message, "" for none.
        values: JSON data that both templates may use; part of the fingerprint.

    Raises:
        CallInvalid: A template that does not parse, with its line, or that uses a name it will not be given.
    """

    user: str
    system: str = ""
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    _templates: tuple[_Template, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("input", "context"):
            if name in self.values:
                raise CallInvalid(
                    f"Prompt(values=...) may not hold {name!r}: templates see the call's own under that name"
                )
        templates = [_Template.compile("system", self.system, self.values)] if self.system else []
        templates.append(_Template.compile("user", self.user, self.values))
        object.__setattr__(self, "_templates", tuple(templates))

    def __reduce__(self) -> tuple[Any, ...]:
        # templates are compiled anew where it is unpickled: jinja's own cannot travel
        return _made, (self.user, self.system, dict(self.values))

    def check(self, input_type: type[pydantic.BaseModel], context_names: frozenset[str]) -> None:
        """Refuse a template that reads a field or a source that is not there.

        Raises:
            CallInvalid: Naming the template, the name, and what there is.
        """
        for template in self._templates:
            template.check(input_type, context_names)

    def render(self, value: pydantic.BaseModel, context: Mapping[str, Any]) -> tuple[Message, ...]:
        """Write the messages.

        Raises:
            StepFailed: A template met something undefined or forbidden; outcome ``bug``.
        """
        return tuple(template.render(value, context) for template in self._templates)


def _made(user: str, system: str, values: dict[str, Any]) -> Prompt:
    return Prompt(user=user, system=system, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    role: Any
    tree: nodes.Template
    compiled: jinja2.Template
    names: Mapping[str, Any]  # jinja's own functions, and the prompt's values
    fixed: Message | None  # written once when it depends on nothing that a call brings

    @classmethod
    def compile(cls, role: str, source: str, values: Mapping[str, Any]) -> _Template:
        try:
            tree = _JINJA.parse(source)
            compiled = _JINJA.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise CallInvalid(f"{role} template, line {error.lineno}: {error.message}") from error
        used = jinja2.meta.find_undeclared_variables(tree)
        unknown = used - set(values) - {"input", "context"}
        if unknown:
            raise CallInvalid(
                f"{role} template uses {sorted(unknown)[0]!r}, which it is not given. It may use 'input', 'context'"
                + "".join(f", {name!r}" for name in sorted(values))
                + "; add it to Prompt(values={...}) or write input.<field>"
            )
        fixed = None
        if not {"input", "context"} & used:
            try:
                fixed = Message(role, compiled.render(values))  # type: ignore[arg-type]
            except (jinja2.TemplateError, TypeError, ValueError) as error:
                raise CallInvalid(f"{role} template: {error}") from error
        return cls(role=role, tree=tree, compiled=compiled, names={**_JINJA.globals, **values}, fixed=fixed)

    def check(self, input_type: type[pydantic.BaseModel], context_names: frozenset[str]) -> None:
        for reference in self.tree.find_all(nodes.Getattr):
            if not isinstance(reference.node, nodes.Name):
                continue
            if reference.node.name == "input" and not _has_attribute(input_type, reference.attr):
                raise CallInvalid(
                    f"{self.role} template, line {reference.lineno}: {input_type.__name__} has no field "
                    f"{reference.attr!r}; it has {', '.join(input_type.model_fields)}"
                )
            if reference.node.name == "context" and reference.attr not in context_names:
                raise CallInvalid(
                    f"{self.role} template, line {reference.lineno}: no source is named {reference.attr!r}; "
                    + (
                        f"there are {', '.join(sorted(context_names))}"
                        if context_names
                        else "give context=[Source(...)]"
                    )
                )

    def render(self, value: pydantic.BaseModel, context: Mapping[str, Any]) -> Message:
        if self.fixed is not None:
            return self.fixed
        try:
            # What Template.render does, less the copying of names for every call: a third of its time.
            names = self.compiled.new_context({**self.names, "input": value, "context": context}, shared=True)
            return Message(self.role, "".join(self.compiled.root_render_func(names)))
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise StepFailed(
                Reason(step="prompt", outcome="bug", message=f"{self.role} template: {type(error).__name__}: {error}")
            ) from error


def _has_attribute(input_type: type[pydantic.BaseModel], name: str) -> bool:
    return name in input_type.model_fields or name in input_type.model_computed_fields or hasattr(input_type, name)
