"""What is sent to a server in OpenAI's format: what was asked for, and nothing that was not."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from labkit.models.protocol import CompletionRequest, Wire
from labkit.models.schema_wire import messages_of, prompted_messages, response_format, tool_fields
from labkit.models.ways import Limit, Way

__all__ = ["body_of", "payload_of"]

_encode = json.JSONEncoder(separators=(",", ":")).encode

# Most of a body is the schema, which is the same for every request of a call: encoded once. The schema is kept beside,
# so that its id is not given to another.
_encoded: dict[tuple[Any, ...], tuple[object, bytes]] = {}
_MOST_ENCODED = 256


def body_of(request: CompletionRequest, model: str, way: Way, *, streamed: bool, is_openai: bool) -> bytes:
    """Give ``payload_of`` as JSON, with what says how the answer should come."""
    options: dict[str, Any] = {"stream": streamed}  # also false: some servers stream unless told not to
    if streamed and way.wants_usage:
        options["stream_options"] = {"include_usage": True}
    if way.wire == "prompted":
        payload = payload_of(request, model, way.wire, is_openai=is_openai, limit=way.limit) | options
        return _encode(payload).encode()
    key = (id(request.schema), request.schema_name, request.sampling, model, way, is_openai, streamed)
    known = _encoded.get(key)
    if known is None or known[0] is not request.schema:
        payload = payload_of(request, model, way.wire, is_openai=is_openai, limit=way.limit) | options
        del payload["messages"]
        if len(_encoded) >= _MOST_ENCODED:
            _encoded.clear()
        known = _encoded[key] = (request.schema, _encode(payload).encode())
    messages = messages_of(request)
    try:
        encoded = to_json(messages)
    except PydanticSerializationError:  # half a surrogate pair, which only an escape can carry
        encoded = _encode(messages).encode()
    return b"".join((b'{"messages":', encoded, b",", known[1][1:]))


def payload_of(
    request: CompletionRequest, model: str, wire: Wire, *, is_openai: bool, limit: Limit | None = None
) -> dict[str, Any]:
    """Give the body that asks *model* for a completion of *request*: nothing that was not asked for.

    Args:
        is_openai: At OpenAI's own address: the schema in its strict form, and the names that its newer models want.
        limit: What the limit of tokens is called; None: as is usual there.
    """
    sampling = request.sampling
    payload: dict[str, Any] = {"model": model}
    payload["messages"] = prompted_messages(request) if wire == "prompted" else messages_of(request)
    if sampling.temperature is not None:
        payload["temperature"] = sampling.temperature
    if sampling.max_tokens is not None:
        payload[limit or ("max_completion_tokens" if is_openai else "max_tokens")] = sampling.max_tokens
    if sampling.top_p is not None:
        payload["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        payload["top_k"] = sampling.top_k
    if sampling.seed is not None:
        payload["seed"] = sampling.seed
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.reasoning_effort is not None:
        payload["reasoning_effort"] = sampling.reasoning_effort
    if sampling.logprobs:
        payload["logprobs"] = True
    payload |= sampling.extra
    if wire == "json_schema":
        payload["response_format"] = response_format(request, strictly=is_openai)
    elif wire == "tool":
        payload |= tool_fields(request)
    return payload
