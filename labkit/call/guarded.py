"""``GuardedCall``: a prompt, a model and everything that makes their answer one a product can rely on."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

# Written as pydantic.BaseModel throughout: pydantic loads it at its first use, a third of what `import labkit` took.
import pydantic

from labkit.addresses import from_environment, held_here, masked
from labkit.call import pipeline
from labkit.call.bridge import iterate_sync, run_sync
from labkit.call.context import Source
from labkit.call.definition import Fallback, Parts, define
from labkit.call.fallback import RulesBased
from labkit.call.flags import Flag
from labkit.call.policy import Policy
from labkit.call.prompt import Prompt
from labkit.call.result import Result
from labkit.call.rules import Confidence, Guard, Rule
from labkit.call.sinks import Sink
from labkit.call.streaming import StreamEvent, events_of
from labkit.call.tally import Firing
from labkit.errors import CallInvalid
from labkit.models.model import Model
from labkit.models.protocol import Client
from labkit.options import checked_names, no_option

__all__ = ["GuardedCall"]

Out = TypeVar("Out")

_NO_FLAGS: Mapping[str, Flag] = MappingProxyType({})


class GuardedCall(Generic[Out]):
    """One call to a model, with what comes before and after it. See the nine steps in the README.

    Args:
        name: Identifies the call in records and runs: letters, digits, "-" and "_", at most 64.
        input: A pydantic model; what is given to the call is normalized and validated against it.
        output: The type of the value: a pydantic model or anything pydantic validates.
        prompt: The templates; every name they use is checked now.
        model: By name ("openai/gpt-4o-mini"), as ``Model``, or a client such as ``ScriptedModel``.
        context: Trusted sources, asked side by side; templates see ``context.<name>``.
        shortcuts: Rules for simple cases, tried before context and model.
        guards: Functions of the model's text.
        rules: Functions of the value and the input.
        confidence: Accept only an answer that is sure enough.
        fallbacks: Who answers when the main path could not, in order.
        policy: The bounds of the call.
        flags: OpenFeature flags by key: True or False for a kill switch with that default, or variants such as
            ``{"control": {}, "short": {"prompt": Prompt(...)}}``, each a set of changes; the first is the default.
        sticky: The input field whose value keeps a person in one variant.
        sink: Where records go: a function, or "jsonl:PATH" and its like; by default what LABKIT_RECORDS says.

    Raises:
        CallInvalid: A definition that could not work, naming the part and the mend.
    """

    @checked_names(owner="GuardedCall")
    def __init__(
        self,
        name: str,
        *,
        input: type[pydantic.BaseModel],
        output: type[Out],
        prompt: Prompt,
        model: str | Model | Client,
        context: Sequence[Source] = (),
        shortcuts: Sequence[RulesBased] = (),
        guards: Sequence[Guard] = (),
        rules: Sequence[Rule] = (),
        confidence: Confidence | None = None,
        fallbacks: Sequence[str | Fallback | Client] = (),
        policy: Policy | None = None,
        flags: Mapping[str, Flag] = _NO_FLAGS,
        sticky: str | None = None,
        sink: Sink | str | None = None,
    ) -> None:
        self._parts = Parts(
            input=input,
            output=output,
            prompt=prompt,
            model=model,
            context=context,
            shortcuts=shortcuts,
            guards=guards,
            rules=rules,
            confidence=confidence,
            fallbacks=fallbacks,
            policy=policy,
            flags=flags,
            sticky=sticky,
            sink=sink,
        )
        self._plan = define(name, self._parts)

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def input(self) -> type[pydantic.BaseModel]:
        """The input model."""
        return self._plan.input_type

    @property
    def output(self) -> type[Out]:
        """The output type."""
        wanted: type[Out] = self._plan.output.wanted
        return wanted

    @property
    def model(self) -> str:
        """The primary model, as the user names it."""
        return self._plan.seat.name

    @property
    def prompt(self) -> Prompt:
        return self._plan.prompt

    @property
    def policy(self) -> Policy:
        return self._plan.policy

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ``versions``: equal wherever the call would behave the same."""
        return self._plan.fingerprint

    @property
    def versions(self) -> Mapping[str, str]:
        """SHA-256 of each part: prompt, schemas, model, context, rules, policy, fallbacks."""
        return self._plan.versions

    @property
    def output_schema(self) -> Mapping[str, Any] | None:
        """JSON Schema of the output with ``$defs`` inlined; None for plain text."""
        return self._plan.output.schema

    def asks_as(self, other: GuardedCall[Any]) -> bool:
        """Say whether both ask the same model the same, so that a cache would give either the other's answers."""
        mine, its = self._plan, other._plan
        return mine.cache_scope == its.cache_scope and all(
            mine.versions[part] == its.versions[part] for part in ("prompt", "context")
        )

    @property
    def counts(self) -> Mapping[Firing, int]:
        """How often each source has answered in this process, and why: ``Firing(source, reason)`` -> calls."""
        return self._plan.tally.counts()

    def __call__(self, *given: Any, **fields: Any) -> Result[Out]:
        """Answer, waiting for it; also inside a running event loop, as in a notebook.

        Args:
            given: One input model, or one mapping of its fields.
            fields: The input's fields as keywords instead.

        Raises:
            LoopMisuse: Called from within another call's async code, where it would wait for itself.
        """
        return run_sync(self.acall(*given, **fields))

    async def acall(self, *given: Any, **fields: Any) -> Result[Out]:
        """Answer, on the running loop; arguments as for calling."""
        return await pipeline.run(self._plan, given, fields)

    def astream(self, *given: Any, **fields: Any) -> AsyncGenerator[StreamEvent[Out], None]:
        """Give the answer while it is written: ``Partial`` and ``Retract``, then exactly one ``Final``.

        Arguments are those of calling. Everything applies as without streaming; what is shown before the ``Final`` is
        provisional. Closing the iterator early cancels the request, and the record says so.
        """
        return events_of(lambda emit: pipeline.run(self._plan, given, fields, emit))

    def stream(self, *given: Any, **fields: Any) -> Generator[StreamEvent[Out], None, None]:
        """Like ``astream``, waiting for each event; also inside a running event loop, as in a notebook.

        Raises:
            LoopMisuse: Used from within another call's async code, where it would wait for itself.
        """
        return iterate_sync(lambda: self.astream(*given, **fields))

    def replace(self, **changes: Any) -> Self:
        """Give a new call that differs in *changes*: arguments of ``GuardedCall``, ``name`` included.

        Raises:
            CallInvalid: An argument that GuardedCall does not have.
        """
        given = {field.name: getattr(self._parts, field.name) for field in dataclasses.fields(Parts)}
        unknown = changes.keys() - given.keys() - {"name"}
        if unknown:
            raise CallInvalid(no_option("GuardedCall", sorted(unknown)[0], ["name", *given]))
        return type(self)(**({"name": self.name} | given | changes))

    def __reduce__(self) -> tuple[Any, ...]:
        # as it was given: breakers, budgets and connections belong to the process that makes it anew
        given = {field.name: getattr(self._parts, field.name) for field in dataclasses.fields(Parts)}
        given |= {"name": self.name, "flags": dict(self._parts.flags)}
        if isinstance(self._parts.sink, str) and masked(self._parts.sink) != self._parts.sink:
            given["sink"] = from_environment(self._parts.sink)
        return _made, (type(self), given)

    def __repr__(self) -> str:
        return f"GuardedCall({self.name!r}, model={self.model!r}, fingerprint={self.fingerprint[:12]!r})"


def _made(kind: type[GuardedCall[Any]], given: Mapping[str, Any]) -> GuardedCall[Any]:
    return kind(**{name: held_here(value) for name, value in given.items()})
