"""Feature flags through OpenFeature: a kill switch, and variants of the call by a sticky key.

Flags are read once a call, so that one call never sees two states. What was read, and why it had that value, goes into
the result and the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic

from labkit.call.result import FlagReading
from labkit.errors import CallInvalid, MissingDependency

if TYPE_CHECKING:
    from openfeature.client import OpenFeatureClient

__all__ = ["Flag", "Flags"]

Flag = bool | Mapping[str, Mapping[str, Any]]
"""A kill switch by its default, or variants: what each one changes of the call, the first being the default."""

# A flag service that hangs must not cost the call its answer.
_WAIT_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of one call, checked.

    Args:
        call: The call's name, which rules of the flag service may look at.
        flags: By their keys.
        sticky: The input field whose value keeps a person in one variant.
    """

    call: str
    flags: Mapping[str, Flag]
    sticky: str | None

    @classmethod
    def checked(
        cls, call: str, flags: Mapping[str, Flag], sticky: str | None, input_type: type[pydantic.BaseModel]
    ) -> Flags | None:
        """Check what was given; None without flags.

        Raises:
            CallInvalid: A flag that is neither a bool nor variants, or a sticky field that the input does not have.
            MissingDependency: OpenFeature is not installed. Without it a kill switch would not switch, so that this
                is not left to the day it is needed.
        """
        if sticky is not None and sticky not in input_type.model_fields:
            raise CallInvalid(
                f"{call}: sticky={sticky!r} is no field of {input_type.__name__}, "
                f"which has {', '.join(input_type.model_fields)}"
            )
        for key, flag in flags.items():
            is_variants = isinstance(flag, Mapping) and flag and all(isinstance(c, Mapping) for c in flag.values())
            if not (isinstance(flag, bool) or is_variants):
                raise CallInvalid(
                    f"{call}: flag {key!r} is {flag!r}: give True or False, the default of a kill switch, or variants: "
                    "{'control': {}, 'short': {'prompt': Prompt(...)}}"
                )
        if not flags:
            return None
        try:
            import openfeature.api  # noqa: F401
        except ImportError as error:
            raise MissingDependency("openfeature-sdk", extra="flags", purpose=f"flags of {call}") from error
        return cls(call=call, flags=dict(flags), sticky=sticky)

    def variants(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """The flags that have variants."""
        return {key: flag for key, flag in self.flags.items() if isinstance(flag, Mapping)}

    async def read(self, given: pydantic.BaseModel) -> tuple[FlagReading, ...]:
        """Ask the flag service for every flag; what it cannot say has its default, and the reading says so."""
        from openfeature import api
        from openfeature.evaluation_context import EvaluationContext

        client = api.get_client()
        who = None if self.sticky is None else str(getattr(given, self.sticky))
        context = EvaluationContext(targeting_key=who, attributes={"call": self.call})
        readings = []
        for key, flag in self.flags.items():
            default = flag if isinstance(flag, bool) else next(iter(flag))
            try:
                async with asyncio.timeout(_WAIT_S) as timer:
                    readings.append(await _read(client, key, flag, default, context))
            except Exception as error:
                # openfeature-sdk turns the cancellation of a provider into errors of other kinds
                said = f"no answer in {_WAIT_S:g} s" if timer.expired() else f"{type(error).__name__}: {error}"
                readings.append(FlagReading(key=key, value=default, reason="ERROR", error=said))
        return tuple(readings)


async def _read(client: OpenFeatureClient, key: str, flag: Flag, default: bool | str, context: Any) -> FlagReading:
    ask: Callable[..., Any] = (
        client.get_boolean_details_async if isinstance(flag, bool) else client.get_string_details_async
    )
    details = await ask(key, default, context)
    reason = str(getattr(details.reason, "value", details.reason) or "UNKNOWN")
    error = str(getattr(details.error_code, "value", details.error_code)) if details.error_code else None
    if error and details.error_message:
        error = f"{error}: {details.error_message}"
    # What comes with an error is not the default everywhere: openfeature-sdk's async reading gives the value that it
    # has just found to be of the wrong type.
    error = error or _misfit(flag, details.value)
    if error is not None:
        return FlagReading(key=key, value=default, reason="ERROR", error=error)
    variant = None if details.variant is None else str(details.variant)
    return FlagReading(key=key, value=details.value, variant=variant, reason=reason)


def _misfit(flag: Flag, value: Any) -> str | None:
    """Say why *value* cannot decide *flag*; a text "false" is not taken for False, nor 1 for True."""
    if isinstance(flag, bool):
        return None if isinstance(value, bool) else f"TYPE_MISMATCH: {value!r:.80} is neither True nor False"
    if not isinstance(value, str):
        return f"TYPE_MISMATCH: {value!r:.80} is no variant's name; there are {', '.join(flag)}"
    return None if value in flag else f"{value!r:.80} is no variant of it; there are {', '.join(flag)}"
