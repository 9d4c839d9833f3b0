"""What a call is made of, checked and compiled once; the pipeline reads it and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pydantic

from labkit.call.context import Source
from labkit.call.fallback import RulesBased, SafeDefault, Stale
from labkit.call.output_type import OutputType
from labkit.call.policy import Policy
from labkit.call.prompt import Prompt
from labkit.call.record import Sink
from labkit.call.rules import Confidence, Guard, Rule
from labkit.models.model import Model
from labkit.models.protocol import Client, Sampling

__all__ = ["Definition", "Seat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A model's place in a call: who answers, and how it is asked.

    Args:
        spec: None where a client was given itself, as in tests; its price is then unknown.
    """

    client: Client
    sampling: Sampling
    spec: Model | None

    @property
    def name(self) -> str:
        return self.client.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The parts of a ``GuardedCall``, ready to run."""

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
    fallbacks: tuple[Seat | Stale | RulesBased | SafeDefault, ...]
    policy: Policy
    sink: Sink | None
    versions: Mapping[str, str]
    fingerprint: str
