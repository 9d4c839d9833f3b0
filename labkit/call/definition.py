"""What a call is made of, checked and compiled once; the pipeline reads it and changes nothing."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import pydantic

from labkit.call.breaker import Circuit
from labkit.call.context import Source
from labkit.call.description import describe
from labkit.call.fallback import Apology, RulesBased, SafeDefault, Stale
from labkit.call.fingerprint import digest
from labkit.call.flags import Flags
from labkit.call.health import Health, health_of
from labkit.call.limiter import Limiter
from labkit.call.output_type import OutputType
from labkit.call.policy import Policy
from labkit.call.prompt import Prompt
from labkit.call.redaction import holds_sensitive
from labkit.call.rules import Confidence, Guard, Rule
from labkit.call.sinks import Sink, open_sink, sink_from_environment
from labkit.call.steps import StepFailed
from labkit.call.tally import Tally
from labkit.call.write_behind import WriteBehind, behind
from labkit.errors import CallInvalid
from labkit.models.model import Model, Price
from labkit.models.prices import price_of
from labkit.models.protocol import Client, Sampling
from labkit.models.resolve import client_for
from labkit.options import fitted, no_option, shown

__all__ = ["Definition", "Fallback", "Parts", "Seat", "define"]

Fallback = Model | Stale | RulesBased | SafeDefault | Apology

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a user gives to ``GuardedCall``, as it was given."""

    input: type[pydantic.BaseModel]
    output: Any
    prompt: Prompt
    model: str | Model | Client
    context: Sequence[Source]
    shortcuts: Sequence[RulesBased]
    guards: Sequence[Guard]
    rules: Sequence[Rule]
    confidence: Confidence | None
    fallbacks: Sequence[str | Fallback | Client]
    policy: Policy | None
    flags: Mapping[str, Any]  # a ``Flag`` each, which ``Flags`` looks at
    sticky: str | None
    sink: Sink | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A model's place in a call: who answers, how it is asked, and what holds it back.

    Args:
        spec: None where a client was given itself, as in tests; its price is then unknown.
        circuit: None where the policy has no breaker.
        limiter: None where the policy does not limit concurrency.
    """

    client: Client
    name: str
    sampling: Sampling
    spec: Model | None
    health: Health
    circuit: Circuit | None
    limiter: Limiter | None

    @classmethod
    def of(cls, model: str | Model | Client, policy: Policy) -> Seat:
        model = Model(model) if isinstance(model, str) else model
        client = client_for(model)
        health = health_of(model)
        return cls(
            client=client,
            name=client.name,
            sampling=model.sampling if isinstance(model, Model) else Sampling(),
            spec=model if isinstance(model, Model) else None,
            health=health,
            circuit=health.circuit(policy.breaker) if policy.breaker is not None else None,
            limiter=health.limiter(policy.max_concurrency) if policy.max_concurrency is not None else None,
        )

    def price(self) -> Price | None:
        return None if self.spec is None else price_of(self.spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The parts of a ``GuardedCall``, ready to run.

    Args:
        variant: Gives the definition that the chosen variants make, by their flags' keys; made once for each.
        is_sensitive: Input or output can hold fields that are marked.
        records: Where records go, None for nowhere.
        tally: What the call has answered with in this process.
        cache_scope: Whatever an accepted answer depends on beside the messages.
    """

    name: str
    input_type: type[pydantic.BaseModel]
    output: OutputType
    prompt: Prompt
    seat: Seat
    context: tuple[Source, ...]
    shortcuts: tuple[RulesBased, ...]
    guards: tuple[Guard, ...]
    rules: tuple[Rule, ...]
    confidence: Confidence | None
    fallbacks: tuple[Seat | Stale | RulesBased | SafeDefault | Apology, ...]
    policy: Policy
    flags: Flags | None
    variant: Callable[[Mapping[str, str]], Definition]
    is_sensitive: bool
    records: WriteBehind | None
    tally: Tally
    versions: Mapping[str, str]
    fingerprint: str
    cache_scope: str


def define(name: str, parts: Parts) -> Definition:
    """Check *parts* and make of them what the pipeline runs.

    Raises:
        CallInvalid: A definition that could not work, naming the part and the mend.
    """
    _check(name, parts)
    policy = parts.policy or Policy()
    output = OutputType(parts.output)
    if policy.cache is not None:
        output.check_keepable(name)
    seat = Seat.of(parts.model, policy)
    _check_confidence(name, parts.confidence, output, seat)
    rungs = tuple(_rung(name, rung, output, policy) for rung in parts.fallbacks)
    _check_prices(name, policy, [seat, *(rung for rung in rungs if isinstance(rung, Seat))])
    flags = Flags.checked(name, parts.flags, parts.sticky, parts.input)
    versions = _versions(parts, policy, output, seat, rungs)
    return Definition(
        name=name,
        input_type=parts.input,
        output=output,
        prompt=parts.prompt,
        seat=seat,
        context=tuple(parts.context),
        shortcuts=tuple(parts.shortcuts),
        guards=tuple(parts.guards),
        rules=tuple(parts.rules),
        confidence=parts.confidence,
        fallbacks=rungs,
        policy=policy,
        flags=flags,
        variant=_variants(name, parts, flags),
        is_sensitive=holds_sensitive(parts.input) or holds_sensitive(parts.output),
        records=_records(parts.sink),
        tally=Tally(),
        versions=versions,
        fingerprint=digest(versions),
        cache_scope=digest([versions[part] for part in ("output_schema", "model", "rules")] + [policy.repair]),
    )


# --- checks -----------------------------------------------------------------------------------------------------------


def _check(name: str, parts: Parts) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise CallInvalid(f"a call's name is a letter, then letters, digits, '-' or '_', at most 64: {name!r} is not")
    if not (isinstance(parts.input, type) and issubclass(parts.input, pydantic.BaseModel)):
        given: Any = parts.input
        mend = f"; give the class itself, input={type(given).__name__}" if isinstance(given, pydantic.BaseModel) else ""
        raise CallInvalid(
            f"{name}: input={shown(given)} must be a pydantic model class, so that fields have names{mend}"
        )
    if parts.input is pydantic.BaseModel:
        raise CallInvalid(f"{name}: input=BaseModel has no field: give a model of your own, class Question(BaseModel)")
    for part, kind in _kinds().items():
        fitted(part, getattr(parts, part), kind, f"{name}: {{}}")
    for n, rule in enumerate(parts.rules):
        _check_rule(f"{name}: rules[{n}]={shown(rule)}", _annotated(rule), parts)
    for n, guard in enumerate(parts.guards):
        _check_guard(f"{name}: guards[{n}]={shown(guard)}", _annotated(guard), parts)
    names = [source.name for source in parts.context]
    twice = {source for source in names if names.count(source) > 1}
    if twice:
        raise CallInvalid(f"{name}: two sources are named {sorted(twice)[0]!r}: give one of them Source(..., name=)")
    _check_output(name, parts.output)
    parts.prompt.check(parts.input, frozenset(names))


@functools.cache
def _kinds() -> Mapping[str, Any]:
    """What each part may be, but for those that are told with more to say: below, and where they are used."""
    hints = get_type_hints(Parts, include_extras=True)
    return {part: kind for part, kind in hints.items() if part not in ("input", "output", "model")}


def _check_output(name: str, output: Any) -> None:
    """Refuse what pydantic might take for a type, and nobody can have meant."""
    if output is pydantic.BaseModel:
        raise CallInvalid(f"{name}: output=BaseModel has no field: give a model of your own, class Answer(BaseModel)")
    if isinstance(output, type) or output is None:
        return
    said = f"{name}: output={shown(output)} "
    if isinstance(output, str):
        raise CallInvalid(f"{said}is a text and no type: give the class itself, without quotes")
    if isinstance(output, pydantic.BaseModel) or dataclasses.is_dataclass(output):
        made = type(output).__name__
        raise CallInvalid(f"{said}is a {made}, no type: give the class itself, output={made}")
    if isinstance(output, Mapping):
        raise CallInvalid(f"{said}is a dict: give a pydantic model, class Answer(BaseModel): ..., output=Answer")
    if isinstance(output, (list, tuple, set)):
        raise CallInvalid(f"{said}is a {type(output).__name__}: write output=list[...], or Literal[...] for labels")
    if inspect.isroutine(output):
        raise CallInvalid(f"{said}is a function: give the type of its answer")


def _annotated(function: Callable[..., Any]) -> list[Any]:
    """Give the annotations of the first two parameters, as far as there are any."""
    try:
        signature, hints = inspect.signature(function), get_type_hints(function)
    except (TypeError, ValueError, NameError, AttributeError):  # names that only a type checker sees
        return [None, None]
    return [*(hints.get(each) for each in signature.parameters), None, None][:2]


def _check_rule(place: str, kinds: list[Any], parts: Parts) -> None:
    if kinds == [parts.input, parts.output] and parts.input is not parts.output:
        raise CallInvalid(
            f"{place} takes the {parts.input.__name__} first: a rule is called with (value, input), turn its "
            "parameters round"
        )


def _check_guard(place: str, kinds: list[Any], parts: Parts) -> None:
    if kinds[0] in (parts.output, parts.input) and isinstance(kinds[0], type) and not issubclass(kinds[0], str):
        raise CallInvalid(
            f"{place} takes a {kinds[0].__name__}: a guard is called with the model's text. What looks at the value is "
            "a rule: def rule(value, input), in rules=[...]"
        )


def _check_confidence(name: str, confidence: Confidence | None, output: OutputType, seat: Seat) -> None:
    if confidence is None:
        return
    if confidence.score == "logprob" and seat.spec is not None and not seat.spec.logprobs:
        raise CallInvalid(
            f"{name}: Confidence(score='logprob') needs log probabilities, and none are asked for: write "
            f"Model({seat.spec.name!r}, logprobs=True), or give score='consistency' or a function"
        )
    if confidence.on is None:
        return
    fields = (output.schema or {}).get("properties")
    if fields is not None and confidence.on not in fields:
        raise CallInvalid(f"{name}: {no_option(output.name, confidence.on, list(fields))} (Confidence(on=...))")
    if fields is None and output.schema is None:
        raise CallInvalid(f"{name}: Confidence(on={confidence.on!r}): a text has no fields, leave on= out")


def _rung(
    name: str, rung: str | Fallback | Client, output: OutputType, policy: Policy
) -> Seat | Stale | RulesBased | SafeDefault | Apology:
    if isinstance(rung, Stale) and policy.cache is None:
        raise CallInvalid(f"{name}: Stale() serves kept answers, and none are kept: give Policy(cache=Cache(...))")
    if isinstance(rung, SafeDefault):
        try:
            return SafeDefault(output.validate(rung.value), message=rung.message)
        except StepFailed as failed:
            raise CallInvalid(
                f"{name}: SafeDefault's value does not fit the output: {failed.reason.message}"
            ) from failed
    if isinstance(rung, (Stale, RulesBased, Apology)):
        return rung
    if isinstance(rung, str) and " " in rung.strip():
        raise CallInvalid(f"{name}: the fallback {shown(rung)} is no model's name: for a sentence write Apology(...)")
    return Seat.of(rung, policy)


def _check_prices(name: str, policy: Policy, seats: Sequence[Seat]) -> None:
    if policy.spend is None or policy.spend.usd is None:
        return
    for seat in seats:
        if seat.price() is None:
            raise CallInvalid(
                f"{name}: Spend(usd={policy.spend.usd:g}) cannot be kept, the price of {seat.name!r} is not known: "
                "give Model(price=Price(...)), or limit tokens: Spend(tokens=...)"
            )


def _records(sink: Sink | str | None) -> WriteBehind | None:
    if inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(getattr(sink, "__call__", None)):  # noqa: B004
        raise CallInvalid(f"sink={shown(sink)} is async, and is called on a thread of its own: write a plain function")
    opened = open_sink(sink) if isinstance(sink, str) else sink or sink_from_environment()
    return None if opened is None else behind(opened)


# --- versions and variants --------------------------------------------------------------------------------------------


def _variants(name: str, parts: Parts, flags: Flags | None) -> Callable[[Mapping[str, str]], Definition]:
    """Make the variants of each flag now, so that a faulty one is found now; mixtures of several when they occur."""
    made: dict[tuple[str, ...], Definition] = {}
    by_flag = flags.variants() if flags is not None else {}
    defaults = {key: next(iter(variants)) for key, variants in by_flag.items()}

    def variant(chosen: Mapping[str, str]) -> Definition:
        which = {key: chosen.get(key, default) for key, default in defaults.items()}
        if (known := tuple(which.values())) not in made:
            changes: dict[str, Any] = {"flags": {}, "sticky": None}
            for key, name_of_variant in which.items():
                changes |= by_flag[key][name_of_variant]
                parts_there_are = [field.name for field in dataclasses.fields(Parts)]
                for stranger in sorted(changes.keys() - set(parts_there_are)):
                    said = no_option("GuardedCall", stranger, parts_there_are)
                    raise CallInvalid(
                        f"{name}: variant {name_of_variant!r} of flag {key!r} changes {stranger!r}: {said}"
                    )
            made[known] = define(name, dataclasses.replace(parts, **changes))
        return made[known]

    for key, variants in by_flag.items():
        for each in variants:
            variant({key: each})
    return variant


def _versions(
    parts: Parts,
    policy: Policy,
    output: OutputType,
    seat: Seat,
    rungs: Sequence[Seat | Stale | RulesBased | SafeDefault | Apology],
) -> Mapping[str, str]:
    versions = {
        "prompt": digest(_describe_prompt(parts.prompt)),
        "input_schema": digest(describe(parts.input)),
        "output_schema": digest([describe(parts.output), output.schema]),
        "model": digest(_describe_seat(seat)),
        "context": digest(describe(tuple(parts.context))),
        "rules": digest(describe([tuple(parts.guards), tuple(parts.rules), parts.confidence])),
        "policy": digest(_describe_policy(policy)),
        "fallbacks": digest([describe(tuple(parts.shortcuts)), [_describe_rung(rung, output) for rung in rungs]]),
    }
    if parts.flags:
        versions["flags"] = digest([describe(parts.flags), parts.sticky])
    return versions


def _describe_prompt(prompt: Prompt) -> Any:
    said = [prompt.system, prompt.user, describe(prompt.values)]
    return [*said, prompt.history] if prompt.history else said


def _describe_seat(seat: Seat) -> Any:
    if seat.spec is None:
        return {"client": seat.name}
    # only what was set: a parameter that labkit learns later changes nothing for who does not use it
    unset = Sampling()
    given = {field.name: getattr(seat.sampling, field.name) for field in dataclasses.fields(Sampling)}
    sampling = {name: value for name, value in given.items() if value != getattr(unset, name)}
    return describe({"name": seat.spec.name, "base_url": seat.spec.base_url, "sampling": sampling})


def _describe_policy(policy: Policy) -> Any:
    """The bounds that change behaviour; where a cache lies and what records hold does not."""
    cache = policy.cache and [policy.cache.ttl_s, policy.cache.stale_for_s]
    budget = policy.retry.budget and [policy.retry.budget.burst, policy.retry.budget.refill]
    breaker = policy.breaker and [
        policy.breaker.ratio, policy.breaker.min_calls, policy.breaker.window_s, policy.breaker.open_s,
        policy.breaker.probes,
    ]  # fmt: skip
    retry = policy.retry
    return [
        policy.deadline_s, policy.reserve_s, describe(policy.attempt),
        [retry.max_attempts, retry.backoff_s, retry.max_backoff_s, budget], policy.reask, breaker,
        describe(policy.hedge), describe(policy.spend), policy.max_concurrency, policy.rule_timeout_s, policy.repair,
        describe(policy.normalize), cache,
    ]  # fmt: skip


def _describe_rung(rung: Seat | Stale | RulesBased | SafeDefault | Apology, output: OutputType) -> Any:
    if isinstance(rung, Seat):
        return {"model": _describe_seat(rung)}
    if isinstance(rung, SafeDefault):
        return {"default": output.dump(rung.value), "message": rung.message}
    return describe(rung)
