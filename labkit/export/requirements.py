"""What an exported package depends on: the versions it was measured with, up to the next that may break it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.call.definition import Definition, Seat
from labkit.call.guarded import GuardedCall
from labkit.export.wheel import DISTRIBUTION

__all__ = ["Requirement", "requirements_of"]

_RELEASE = re.compile(r"(?P<major>\d+)(?:\.(?P<minor>\d+))?(?:\.\d+)*(?P<rest>[^!]*)")
_FIRST_YEAR = 1990


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One distribution.

    Args:
        version: What was measured, "2.14.3".
    """

    name: str
    version: str
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}{self.range}"

    @property
    def range(self) -> str:
        """Two packages of different days can share a service, and take its security updates.

        Up to the next major version, or the next minor one before 1.0. Years, as in 2026.1, promise nothing of the
        kind, and have no bound.
        """
        public = self.version.partition("+")[0]  # a local part such as "+cpu" is not on any index
        read = _RELEASE.fullmatch(public)
        if read is None:
            return f"=={public}"
        major, minor = int(read["major"]), int(read["minor"] or 0)
        least = public if read["rest"] else f"{major}.{minor}"  # a release candidate comes before its release
        if major >= _FIRST_YEAR:
            return f">={least}"
        return f">={least},<{major + 1}" if major else f">={least},<0.{minor + 1}"


def requirements_of(call: GuardedCall[Any], distributions: Iterable[str]) -> list[Requirement]:
    """Give labkit's own first, then those of *distributions*, sorted by name."""
    named = {DISTRIBUTION: _extras(call), **dict.fromkeys(sorted(distributions), ())}
    return [
        Requirement(name=name, version=importlib.metadata.version(name), extras=extras)
        for name, extras in named.items()
    ]


def _extras(call: GuardedCall[Any]) -> tuple[str, ...]:
    """The optional parts of labkit that the call, or a variant of it, cannot do without."""
    found: set[str] = set()
    for definition in _variants(call._plan):
        seats = [definition.seat, *(rung for rung in definition.fallbacks if isinstance(rung, Seat))]
        if any("litellm" in type(seat.client).__module__ for seat in seats):
            found.add("litellm")
        if definition.policy.cache is not None and "redis" in type(definition.policy.cache.store).__module__:
            found.add("redis")
        if definition.flags is not None:
            found.add("flags")
    return tuple(sorted(found))


def _variants(plan: Definition) -> Sequence[Definition]:
    """The call itself, and what each variant of each flag makes of it."""
    if plan.flags is None:
        return [plan]
    by_flag = plan.flags.variants()
    defaults = {key: next(iter(variants)) for key, variants in by_flag.items()}
    chosen = [defaults | {key: name} for key, variants in by_flag.items() for name in variants]
    return [plan, *(plan.variant(choice) for choice in chosen)]
