"""What an HTTP status of a provider means for the pipeline: one table, read by every client.

    status                          outcome        why
    401, 402, 403, 407              auth           the key, or what it may use; asking again changes nothing
    429 "insufficient_quota"        auth           the account is empty, not the minute
    429                             rate_limited   waits for Retry-After
    408, 504                        timeout        somebody on the way gave up waiting
    409, 425, 5xx                   transport      may work when asked again
    any, a content policy           refused        the provider will not answer this
    4xx, prompt too long            refused        the provider cannot answer this; the message says so
    other 4xx, 3xx                  bug            the definition is wrong: model name, parameter, address
    200, a body that cannot be read transport      a proxy's page, a broken connection, a wrong encoding
    200, an answer over 16 MB       truncated      it is not read to its end

A wrong definition is not ``refused``, because a refusal is about what a user wrote, and counting both as one would hide
a deployment with a misspelt model behind "the model refuses a lot".
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from labkit.errors import ModelError, Outcome

__all__ = ["MAX_ANSWER_BYTES", "broken_body", "is_about_something_else", "provider_error", "retry_after_s", "too_large"]

MAX_ANSWER_BYTES = 16 * 2**20
"""No answer of a model is this long; what is comes from a loop or an attack, and must not fill the memory."""

_AUTH = frozenset({401, 402, 403, 407})
_TIMEOUT = frozenset({408, 504})
_TRANSPORT = frozenset({409, 425})
_POLICY = re.compile(
    r"content[_ ]?(filter|policy|management policy)|ResponsibleAIPolicyViolation|moderation_blocked", re.I
)
_TOO_LONG = re.compile(
    r"context[_ ](length|window|size)|maximum context|prompt is too long|too many (input )?tokens|input is too long",
    re.I,
)
_NO_MODEL = re.compile(
    r"model[_ ]not[_ ]found|model.{0,80}(does not exist|not (be )?found|not loaded)|"
    r"(unknown|invalid|no such|not find( the)?) model",
    re.I | re.S,
)
_NO_KEY = re.compile(r"(api|auth|access)[_ -]?(key|token)|credential|unauthorized|quota|billing", re.I)
_MESSAGE_CHARS = 2_000


def provider_error(
    model: str,
    status: int,
    said: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    mend: str | None = None,
) -> ModelError:
    """Translate an error response.

    Args:
        model: The model's name, for the message.
        status: HTTP status, or the one that an error inside a stream names.
        said: The provider's own message.
        code: The provider's machine-readable code, where it gives one.
        headers: Of the response; keys are looked up in lower case.
        mend: What to do about a request that is wrong, where that is known.
    """
    headers = headers or {}
    outcome, usual_mend = _judge(status, f"{code or ''} {said}")
    mend = f" ({mend})" if mend is not None and outcome == "bug" else usual_mend
    return ModelError(
        f"{model}: HTTP {status}: {said.strip()[:_MESSAGE_CHARS] or 'no message'}{mend}",
        outcome=outcome,
        status=status,
        retry_after_s=retry_after_s(headers),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
    )


def is_about_something_else(said: str) -> bool:
    """Whether an error is surely not about the form of the request: key, model, length or content."""
    return any(pattern.search(said) for pattern in (_POLICY, _TOO_LONG, _NO_MODEL, _NO_KEY))


def broken_body(model: str, said: str) -> ModelError:
    """A response that came and cannot be read."""
    return ModelError(f"{model}: the response is not a chat completion: {said[:_MESSAGE_CHARS]}", outcome="transport")


def too_large(model: str) -> ModelError:
    """An answer that was given up on because of its size."""
    return ModelError(
        f"{model}: the answer is larger than {MAX_ANSWER_BYTES // 2**20} MB and was not read to its end; "
        "set Model(max_tokens=)",
        outcome="truncated",
    )


def _judge(status: int, said: str) -> tuple[Outcome, str]:
    if 400 <= status < 500 and _POLICY.search(said):
        return "refused", ""
    if 400 <= status < 500 and status != 429 and _TOO_LONG.search(said):
        return "refused", " (the prompt is longer than the context window: shorten it or choose a larger model)"
    if status in _AUTH:
        return "auth", " (check the API key and what it may use)"
    if status == 429:
        return ("auth", " (the account has no credit left)") if "insufficient_quota" in said else ("rate_limited", "")
    if status in _TIMEOUT:
        return "timeout", ""
    if status >= 500 or status in _TRANSPORT:
        return "transport", ""
    if status in (404, 405) or status < 400:
        return "bug", " (check the model's name and base_url)"
    return "bug", " (the request itself is wrong: check the model's parameters and the output type)"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as an HTTP date (RFC 9110)."""
    # LiteLLM's proxy passes a provider's headers on with a prefix
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0), ("llm_provider-retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit_s
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
