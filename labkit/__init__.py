"""labkit: from a prompt in a notebook to a guarded call that people rely on.

These are the names of the production runtime. ``labkit.evals``, ``labkit.views`` and ``labkit.export`` are imported on
their own: a service that only makes calls loads none of what they need.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

from labkit.call.breaker import Breaker
from labkit.call.cache import Cache
from labkit.call.cache_redis import RedisCacheStore
from labkit.call.context import Source
from labkit.call.fallback import Apology, RulesBased, SafeDefault, Stale
from labkit.call.guarded import GuardedCall
from labkit.call.hedge import Hedge
from labkit.call.inputs import Normalization
from labkit.call.policy import Attempt, Policy
from labkit.call.prompt import Prompt
from labkit.call.record import CallRecord
from labkit.call.redaction import Sensitive
from labkit.call.result import Reason, Result
from labkit.call.retry import Retry, RetryBudget
from labkit.call.rules import Confidence, Reject
from labkit.call.spend import Spend
from labkit.call.streaming import Final, Partial, Retract
from labkit.call.write_behind import flush
from labkit.errors import CallFailed, CallInvalid, LabkitError, ReplayMissed
from labkit.models.media import File, Image, MediaLimits
from labkit.models.model import Model, Price
from labkit.models.scripted import ScriptedModel
from labkit.terminal import Shown as _Shown

if TYPE_CHECKING:
    from labkit.call import guards
    from labkit.call.guards.credentials import no_secrets
    from labkit.call.guards.pii import no_pii
    from labkit.call.guards.refusal import no_refusal
    from labkit.call.turn import Turn

__all__ = [
    "Apology",
    "Attempt",
    "Breaker",
    "Cache",
    "CallFailed",
    "CallInvalid",
    "CallRecord",
    "Confidence",
    "File",
    "Final",
    "GuardedCall",
    "Hedge",
    "Image",
    "LabkitError",
    "MediaLimits",
    "Model",
    "Normalization",
    "Partial",
    "Policy",
    "Price",
    "Prompt",
    "Reason",
    "RedisCacheStore",
    "Reject",
    "ReplayMissed",
    "Result",
    "Retract",
    "Retry",
    "RetryBudget",
    "RulesBased",
    "SafeDefault",
    "ScriptedModel",
    "Sensitive",
    "Source",
    "Spend",
    "Stale",
    "Turn",
    "flush",
    "guards",
    "no_pii",
    "no_refusal",
    "no_secrets",
]

__version__ = "0.1.0"

# A library leaves it to its user where log lines go; without this, every degraded call would print into the notebook.
logging.getLogger(__name__).addHandler(logging.NullHandler())
for _part in ("call", "cache", "records", "evals", "views"):  # a logger's filter does not see what its children say
    logging.getLogger(f"{__name__}.{_part}").addFilter(_Shown())

# Loaded when they are first named: few calls use them, and all of them together take as long to load as jinja2.
_NAMED_LATER = {
    "Turn": "labkit.call.turn",
    "no_pii": "labkit.call.guards.pii",
    "no_refusal": "labkit.call.guards.refusal",
    "no_secrets": "labkit.call.guards.credentials",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # Tab offers what is loaded later, too


def __getattr__(name: str) -> Any:
    if name == "guards":
        return importlib.import_module("labkit.call.guards")
    if name in _NAMED_LATER:
        return getattr(importlib.import_module(_NAMED_LATER[name]), name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
