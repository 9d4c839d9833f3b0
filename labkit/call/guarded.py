"""``GuardedCall``: a prompt, a model and everything that makes their answer one a product can rely on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

# Written as pydantic.BaseModel throughout: pydantic loads it at its first use, a third of what `import labkit` took.
import pydantic

from labkit.call import pipeline
from labkit.call.bridge import run_sync
from labkit.call.context import Source
from labkit.call.definition import Definition, Seat
from labkit.call.fallback import RulesBased, SafeDefault, Stale
from labkit.call.fingerprint import describe, digest
from labkit.call.output_type import OutputType
from labkit.call.policy import Policy
from labkit.call.prompt import Prompt
from labkit.call.record import Sink, open_sink, sink_from_environment
from labkit.call.result import Result
from labkit.call.rules import Confidence, Guard, Rule
from labkit.call.steps import StepFailed
from labkit.errors import CallInvalid
from labkit.models.model import Model
from labkit.models.protocol import Client, Sampling
from labkit.models.resolve import client_for

__all__ = ["GuardedCall"]

Out = TypeVar("Out")

Fallback = Model | Stale | RulesBased | SafeDefault
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


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
        sink: Where records go: a function, or "jsonl:PATH" and its like; by default what LABKIT_RECORDS says.

    Raises:
        CallInvalid: A definition that could not work, naming the part and the mend.
    """

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
        sink: Sink | str | None = None,
    ) -> None:
        self._given: dict[str, Any] = {
            "input": input, "output": output, "prompt": prompt, "model": model, "context": context,
            "shortcuts": shortcuts, "guards": guards, "rules": rules, "confidence": confidence,
            "fallbacks": fallbacks, "policy": policy, "sink": sink,
        }  # fmt: skip
        if not _NAME.fullmatch(name):
            raise CallInvalid(
                f"a call's name is a letter, then letters, digits, '-' or '_', at most 64: {name!r} is not"
            )
        if not (isinstance(input, type) and issubclass(input, pydantic.BaseModel)):
            raise CallInvalid(f"{name}: input={input!r} must be a pydantic model class, so that fields have names")
        if not isinstance(prompt, Prompt):
            raise CallInvalid(
                f"{name}: prompt={prompt!r} must be a Prompt: Prompt(system='...', user='{{{{ input.text }}}}')"
            )
        _check_names(name, context)
        prompt.check(input, frozenset(source.name for source in context))
        policy = policy or Policy()
        typed = OutputType(output)
        rungs = tuple(_rung(name, rung, typed, policy) for rung in fallbacks)
        seat = _seat(model)
        versions = {
            "prompt": digest([prompt.system, prompt.user, describe(prompt.values)]),
            "input_schema": digest(describe(input)),
            "output_schema": digest([describe(output), typed.schema]),
            "model": digest(_describe_seat(seat)),
            "context": digest(describe(tuple(context))),
            "rules": digest(describe([tuple(guards), tuple(rules), confidence])),
            "policy": digest(_describe_policy(policy)),
            "fallbacks": digest([describe(tuple(shortcuts)), [_describe_rung(rung, typed) for rung in rungs]]),
        }
        self._plan = Definition(
            name=name,
            input_type=input,
            output=typed,
            prompt=prompt,
            seat=seat,
            context=tuple(context),
            shortcuts=tuple(shortcuts),
            guards=tuple(guards),
            rules=tuple(rules),
            confidence=confidence,
            fallbacks=rungs,
            policy=policy,
            sink=open_sink(sink) if isinstance(sink, str) else sink or sink_from_environment(),
            versions=versions,
            fingerprint=digest(versions),
        )

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

    def replace(self, **changes: Any) -> Self:
        """Give a new call that differs in *changes*: arguments of ``GuardedCall``, ``name`` included.

        Raises:
            CallInvalid: An argument that GuardedCall does not have.
        """
        unknown = changes.keys() - self._given.keys() - {"name"}
        if unknown:
            raise CallInvalid(f"GuardedCall has no {sorted(unknown)[0]!r}; it has name, {', '.join(self._given)}")
        return type(self)(**({"name": self.name} | self._given | changes))

    def __repr__(self) -> str:
        return f"GuardedCall({self.name!r}, model={self.model!r}, fingerprint={self.fingerprint[:12]!r})"


def _check_names(name: str, context: Sequence[Source]) -> None:
    names = [source.name for source in context]
    twice = {source for source in names if names.count(source) > 1}
    if twice:
        raise CallInvalid(f"{name}: two sources are named {sorted(twice)[0]!r}: give one of them Source(..., name=)")


def _seat(model: str | Model | Client) -> Seat:
    if isinstance(model, str):
        model = Model(model)
    if isinstance(model, Model):
        return Seat(client=client_for(model), sampling=model.sampling, spec=model)
    return Seat(client=model, sampling=Sampling(), spec=None)


def _rung(
    name: str, rung: str | Fallback | Client, output: OutputType, policy: Policy
) -> Seat | Stale | RulesBased | SafeDefault:
    if isinstance(rung, Stale) and policy.cache is None:
        raise CallInvalid(f"{name}: Stale() serves kept answers, and none are kept: give Policy(cache=Cache(...))")
    if isinstance(rung, SafeDefault):
        try:
            return SafeDefault(output.validate(rung.value), message=rung.message)
        except StepFailed as failed:
            raise CallInvalid(
                f"{name}: SafeDefault's value does not fit the output: {failed.reason.message}"
            ) from failed
    if isinstance(rung, (Stale, RulesBased)):
        return rung
    if isinstance(rung, (str, Model, Client)):
        return _seat(rung)
    raise CallInvalid(f"{name}: {rung!r} is not a fallback: use Model, Stale, RulesBased or SafeDefault")


def _describe_seat(seat: Seat) -> Any:
    if seat.spec is None:
        return {"client": seat.name}
    return describe({"name": seat.spec.name, "base_url": seat.spec.base_url, "sampling": seat.sampling})


def _describe_policy(policy: Policy) -> Any:
    """The bounds that change behaviour; where a cache lies and what records hold does not."""
    cache = policy.cache and [policy.cache.ttl_s, policy.cache.stale_for_s]
    return [
        policy.deadline_s, policy.reserve_s, describe(policy.attempt), describe(policy.retry), policy.reask,
        policy.repair, describe(policy.normalize), cache,
    ]  # fmt: skip


def _describe_rung(rung: Seat | Stale | RulesBased | SafeDefault, output: OutputType) -> Any:
    if isinstance(rung, Seat):
        return {"model": _describe_seat(rung)}
    if isinstance(rung, SafeDefault):
        return {"default": output.dump(rung.value), "message": rung.message}
    return describe(rung)
