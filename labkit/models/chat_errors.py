"""What an error of a server in OpenAI's format says, in whichever form its server has for them.

``{"error": {"message", "type", "code"}}`` as OpenAI; ``{"error": "text"}`` as Ollama; ``{"object": "error", "message",
"code"}`` as vLLM; ``[{"error": {"status": "INVALID_ARGUMENT"}}]`` as Google; ``{"detail"}`` as FastAPI; ``{"success":
false, "errors": [...]}`` as Cloudflare; with a status or without, and also where an answer was announced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

__all__ = ["ServerError", "as_error", "begins", "error_in", "error_of", "holds_error"]

_PAGE_CHARS = 300
_UNKNOWN_STATUS = 500
_WORDS = ("message", "msg", "detail", "error_message", "errorMessage", "error_msg", "description", "reason")
_STATUSES = ("status", "code", "status_code", "statusCode", "http_status", "http_code", "error_code")
_FAILED_GENERATIONS = frozenset({"json_validate_failed", "tool_use_failed", "output_parse_failed"})

# Names of errors for the status they have where they come as one; by part, in order.
_STATUS_BY_NAME: Mapping[str, int] = {
    "insufficient_quota": 429,
    "rate_limit": 429,
    "ratelimit": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "authentication": 401,
    "unauthenticated": 401,
    "unauthorized": 401,
    "invalid_api_key": 401,
    "permission": 403,
    "forbidden": 403,
    "billing": 402,
    "not_found": 404,
    "notfound": 404,
    "content_filter": 400,
    "content_policy": 400,
    "context_length": 400,
    "invalid_request": 400,
    "invalid_argument": 400,
    "bad_request": 400,
    "badrequest": 400,
    "json_validate_failed": 400,
    "tool_use_failed": 400,
    "overloaded": 529,
    "unavailable": 503,
    "deadline_exceeded": 504,
    "timeout": 504,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError:
    """An error as a server worded it.

    Args:
        said: Its words.
        status: The HTTP status that it names or stands for, None where nothing tells.
        code: Its machine-readable code or type.
        param: The parameter of the request that it is about.
        generated: Where what it complains of is what the model wrote: that text, maybe "".
    """

    said: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    generated: str | None = None

    @property
    def status_or_default(self) -> int:
        return self.status or _UNKNOWN_STATUS


def error_of(raw: bytes, headers: Mapping[str, str]) -> ServerError:
    """Read the body of a response whose status says that it is an error."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        moved = headers.get("location")
        return ServerError(said=f"redirects to {moved}" if moved else begins(raw))
    return error_in(body) or _worded(body, raw) or ServerError(said=begins(raw))


def error_in(body: Any) -> ServerError | None:
    """Give the error that *body*, JSON data with a status or an event that promised an answer, really is."""
    if isinstance(body, list):
        return next((found for each in body if isinstance(each, dict) and (found := error_in(each))), None)
    if not isinstance(body, dict):
        return None
    if "error" in body and holds_error(body):
        return _read(body["error"], around=body)
    if body.get("object") == "error" or body.get("type") == "error":
        return _read(body, around=body)
    if body.get("choices"):
        return None
    if isinstance(body.get("errors"), list | dict) and body["errors"]:
        return _read(body["errors"], around=body)
    if body.get("success") is False or body.get("ok") is False:
        return _read(body, around=body)
    has_kind = any(body.get(name) not in (None, "") for name in ("code", "type", "status", "status_code", "statusCode"))
    if has_kind and any(isinstance(body.get(name), str) and body[name] for name in _WORDS):
        return _read(body, around=body)
    return None


def holds_error(body: Mapping[str, Any]) -> bool:
    """Whether *body* has an error; one whose every field is empty is no error."""
    error = body.get("error")
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _worded(body: Any, raw: bytes) -> ServerError | None:
    """Of a body that is an error by its status, whatever has words."""
    return _read(body, around=body) if isinstance(body, dict) else ServerError(said=begins(raw))


def _read(error: Any, *, around: Mapping[str, Any]) -> ServerError:
    if isinstance(error, list):
        parts = [_read(each, around=around) for each in error[:5]]
        first = parts[0] if parts else ServerError(said="")
        return ServerError(
            said="; ".join(part.said for part in parts), status=first.status, code=first.code, param=first.param,
            generated=first.generated,
        )  # fmt: skip
    if isinstance(error, str):
        return ServerError(said=error, status=_status(around))
    if not isinstance(error, dict):
        error = around
    elif isinstance(error.get("error"), dict) and error["error"]:  # wrapped twice
        return _read(error["error"], around=error)
    said = next((str(error[name]) for name in _WORDS if error.get(name)), _json(error))
    code = error.get("code") or error.get("type") or error.get("status")
    generated = error.get("failed_generation", around.get("failed_generation"))
    if generated is None and code in _FAILED_GENERATIONS:
        generated = ""
    param = error.get("param")
    return ServerError(
        said=said,
        status=_status(error) or _status(around),
        code=None if code is None else str(code),
        param=param if isinstance(param, str) else None,
        generated=generated if generated is None or isinstance(generated, str) else _json(generated),
    )


def _status(error: Mapping[str, Any]) -> int | None:
    for name in _STATUSES:
        value = error.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    named = " ".join(str(error[name]) for name in ("status", "code", "type") if isinstance(error.get(name), str))
    named = named.lower()
    return next((status for name, status in _STATUS_BY_NAME.items() if name in named), None)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)[:_PAGE_CHARS]


def begins(raw: bytes) -> str:
    """Give the beginning of what cannot be read, for a message."""
    text = raw[:_PAGE_CHARS].decode("utf-8", "replace").strip()
    return repr(text) if text else "nothing"


def as_error(data: bytes) -> bytes:
    """Give the data of an event that is named an error as a body that is one, whatever its form."""
    try:
        said = from_json(data)
    except ValueError:
        said = data.decode("utf-8", "replace")
    if error_in(said) is not None:
        return data
    return json.dumps({"error": said or "an error without words"}).encode()
