"""What a server in OpenAI's format says: an answer, a stream of its pieces, or an error.

Written by strangers, so nothing is taken for granted: what has not the expected form is ``Unreadable``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic_core import from_json

from labkit.models.event_stream import TooLong
from labkit.models.protocol import FinishReason, Usage
from labkit.models.provider_errors import MAX_ANSWER_BYTES

__all__ = ["Answer", "StreamedAnswer", "Unreadable", "error_of"]

_PAGE_CHARS = 300


class Unreadable(Exception):
    """A body with status 200 that holds no answer.

    Args:
        said: What is wrong with it, or what the server says in it.
        status: Where it holds an error: the status that the error names, 500 if none.
        code: The error's code.
    """

    def __init__(self, said: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(said)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The parts of a completion that the body holds."""

    text: str
    finish_reason: FinishReason
    model: str | None
    usage: Usage | None
    logprobs: tuple[float, ...] | None

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Read a whole body.

        Raises:
            Unreadable: There is no answer in it.
        """
        body = _object(raw)
        choice = _choice(body)
        message = choice.get("message") if choice else None
        if choice is None or not isinstance(message, dict):
            raise Unreadable(f"there is no message in it: {_begins(raw)}")
        refusal = _string(message.get("refusal"))
        return cls(
            text=refusal or _said(message),
            finish_reason="filter" if refusal else _finish_reason(choice.get("finish_reason")),
            model=_string(body.get("model")),
            usage=_usage(body.get("usage")),
            logprobs=tuple(_logprobs(choice)) or None,
        )


class StreamedAnswer:
    """An answer that grows by the data of each event.

    A stream is whole when it gave a finish reason or said ``[DONE]``; some servers forget one of them.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.model: str | None = None
        self.usage: Usage | None = None
        self._pieces: list[str] = []
        self._chars = 0
        self._logprobs: list[float] = []
        self._finish_reason: str | None = None
        self._is_refusal = False

    def take(self, data: bytes) -> str:
        """Take in one event and give the text it adds.

        Raises:
            Unreadable: It is no piece of an answer.
            TooLong: The answer has grown larger than any.
        """
        if data == b"[DONE]":
            self.is_done = True
            return ""
        body = _object(data)
        self.model = _string(body.get("model")) or self.model
        self.usage = _usage(body.get("usage")) or self.usage
        choice = _choice(body)
        if choice is None:
            return ""
        self._finish_reason = _string(choice.get("finish_reason")) or self._finish_reason
        self._logprobs += _logprobs(choice)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        refusal = _string(delta.get("refusal"))
        if refusal:
            self._is_refusal = True
            return self._grown(refusal)
        return self._grown(_said(delta))

    def check_end(self) -> None:
        """Check that nothing is missing at the end.

        Raises:
            Unreadable: The stream ended in the middle of the answer.
        """
        if not self.is_done and self._finish_reason is None:
            raise Unreadable("the stream ended in the middle of the answer")

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def finish_reason(self) -> FinishReason:
        return "filter" if self._is_refusal else _finish_reason(self._finish_reason)

    @property
    def logprobs(self) -> tuple[float, ...] | None:
        return tuple(self._logprobs) or None

    def _grown(self, text: str) -> str:
        self._chars += len(text)
        if self._chars > MAX_ANSWER_BYTES:
            raise TooLong
        if text:
            self._pieces.append(text)
        return text


def error_of(raw: bytes, headers: Mapping[str, str]) -> tuple[str, str | None]:
    """Give the message and the code of an error response, in whichever form its server has for them."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        moved = headers.get("location")
        return (f"redirects to {moved}" if moved else _begins(raw)), None
    if not isinstance(body, dict):
        return _begins(raw), None
    error = body.get("error") or body
    if not isinstance(error, dict):
        return str(error), None
    said = error.get("message") or error.get("detail") or _begins(raw)
    code = error.get("code") or error.get("type")
    return str(said), None if code is None else str(code)


def _object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object that is no error."""
    body: Any
    try:
        body = from_json(raw)  # in a third of the time of json.loads
    except ValueError:
        try:
            body = json.loads(raw)  # takes half an emoji, as a piece of a stream may have it
        except (ValueError, RecursionError) as error:  # also UnicodeDecodeError
            raise Unreadable(f"{error}: {_begins(raw)}") from error
    if not isinstance(body, dict):
        raise Unreadable(f"it is no object: {_begins(raw)}")
    if body.get("error"):
        said, code = error_of(raw, {})
        given = body["error"].get("code") if isinstance(body["error"], dict) else None
        raise Unreadable(said, status=given if isinstance(given, int) and 400 <= given < 600 else 500, code=code)
    return body


def _choice(body: Mapping[str, Any]) -> dict[str, Any] | None:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _said(message: Mapping[str, Any]) -> str:
    """Give the text of a message or delta; a tool's arguments are the answer where there is no other."""
    content = message.get("content")
    if isinstance(content, str) and content:
        return content
    if isinstance(content, list):  # parts, as some servers of reasoning models send them
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments)  # Ollama's older servers send them as an object


def _finish_reason(reason: object) -> FinishReason:
    if reason in ("length", "max_tokens"):
        return "length"
    return "filter" if reason == "content_filter" else "stop"


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int) or not (prompt or completion):
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _logprobs(choice: Mapping[str, Any]) -> list[float]:
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return []
    values = [token.get("logprob") for token in content if isinstance(token, dict)]
    return [float(value) for value in values if isinstance(value, int | float)]


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _begins(raw: bytes) -> str:
    text = raw[:_PAGE_CHARS].decode("utf-8", "replace").strip()
    return repr(text) if text else "nothing"
