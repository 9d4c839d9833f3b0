"""labkit: from a prompt in a notebook to a guarded call that people rely on.

These are the names of the production runtime. ``labkit.evals``, ``labkit.views`` and ``labkit.export`` are imported on
their own: a service that only makes calls loads none of what they need.
"""

import logging

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
from labkit.models.model import Model, Price
from labkit.models.scripted import ScriptedModel

__all__ = [
    "Apology",
    "Attempt",
    "Breaker",
    "Cache",
    "CallFailed",
    "CallInvalid",
    "CallRecord",
    "Confidence",
    "Final",
    "GuardedCall",
    "Hedge",
    "LabkitError",
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
    "flush",
]

__version__ = "0.1.0"

# A library leaves it to its user where log lines go; without this, every degraded call would print into the notebook.
logging.getLogger(__name__).addHandler(logging.NullHandler())
