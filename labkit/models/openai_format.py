"""OpenAI's chat-completions format as a server sees it: the request it reads, the bodies it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from labkit.models.media import File, Image, MediaLimits
from labkit.models.protocol import Completion, CompletionRequest, Message, Sampling, Usage

__all__ = ["ChatRequest", "Envelope", "error_body", "models_body"]

JSON = dict[str, Any]


class _Text(BaseModel):
    type: Literal["text"]
    text: str


class _ImageUrl(BaseModel):
    url: Annotated[Image, MediaLimits(remote=True)]


class _ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: _ImageUrl


class _FileData(BaseModel):
    filename: str | None = None
    file_data: File

    def named(self) -> File:
        return File(self.file_data.data or b"", media_type=self.file_data.media_type, name=self.filename)


class _FilePart(BaseModel):
    type: Literal["file"]
    file: _FileData


_Part = Annotated[_Text | _ImagePart | _FilePart, Field(discriminator="type")]


class _ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]

    def as_message(self) -> Message:
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, str):
            return Message(role, self.content)
        text, media = "", []
        for part in self.content:
            if isinstance(part, _Text):
                text += part.text
            else:
                media.append((len(text), part.image_url.url if isinstance(part, _ImagePart) else part.file.named()))
        return Message(role, text, tuple(media))


class _JsonSchema(BaseModel):
    name: str = "answer"
    schema_: dict[str, Any] = Field(alias="schema")


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Function(BaseModel):
    name: str
    parameters: dict[str, Any] = {}


class _Tool(BaseModel):
    type: Literal["function"]
    function: _Function


class _StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What a client asked for; fields that nobody here heeds are allowed and ignored."""

    model: str
    messages: list[_ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: _StreamOptions | None = None
    response_format: _ResponseFormat | None = None
    tools: list[_Tool] = []
    tool_choice: Literal["none", "auto", "required"] | _Tool | None = None
    temperature: float | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream should end with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def forced_tool(self) -> _Function | None:
        """The function that must be called, whose arguments are then the answer."""
        if self.tool_choice == "required" and self.tools:
            return self.tools[0].function
        if not isinstance(self.tool_choice, _Tool):
            return None
        named = [tool.function for tool in self.tools if tool.function.name == self.tool_choice.function.name]
        return named[0] if named else self.tool_choice.function

    def as_request(self) -> CompletionRequest:
        """Give it as labkit's clients take it."""
        asked = self.response_format.json_schema if self.response_format else None
        tool = self.forced_tool
        return CompletionRequest(
            messages=tuple(message.as_message() for message in self.messages),
            schema=tool.parameters if tool else asked.schema_ if asked else None,
            schema_name=tool.name if tool else asked.name if asked else "answer",
            sampling=Sampling(
                temperature=self.temperature,
                max_tokens=self.max_completion_tokens or self.max_tokens,
                top_p=self.top_p,
                seed=self.seed,
                logprobs=bool(self.logprobs),
                top_k=self.top_k,
                stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
                reasoning_effort=self.reasoning_effort,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every body of one answer shares.

    Args:
        id: Of the completion, also sent as ``x-request-id``.
        created: Seconds since 1970.
        model: Who answers.
        tool: Name of the function whose arguments the answer is.
    """

    id: str
    created: int
    model: str
    tool: str | None = None

    def whole(self, completion: Completion) -> JSON:
        """Give the body of an answer in one piece."""
        message: JSON = {"role": "assistant", "content": completion.text, "refusal": None}
        if _is_refusal(completion):
            message |= {"content": None, "refusal": completion.text}
        elif self.tool is not None:
            message |= {"content": None, "tool_calls": [_call(self.tool, completion.text, "call_0")]}
        if completion.reasoning is not None:
            message["reasoning_content"] = completion.reasoning
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self._finish_reason(completion),
            "logprobs": _logprobs(completion),
        }
        body = self._body("chat.completion", [choice])
        if completion.usage is not None:
            body["usage"] = _usage(completion.usage)
        return body

    def opening(self) -> JSON:
        """Give the first chunk of a stream, which has a role and no text."""
        delta: JSON = {"role": "assistant", "content": ""}
        if self.tool is not None:
            delta = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"index": 0, **_call(self.tool, "", "call_0")}],
            }
        return self._chunk(delta)

    def piece(self, text: str, *, is_refusal: bool = False) -> JSON:
        """Give a chunk with some text."""
        if is_refusal:
            return self._chunk({"refusal": text})
        if self.tool is not None:
            return self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
        return self._chunk({"content": text})

    def closing(self, completion: Completion) -> JSON:
        """Give the chunk that says why the answer ends, with the reasoning and the log probabilities of all of it."""
        delta = {} if completion.reasoning is None else {"reasoning_content": completion.reasoning}
        return self._chunk(delta, finish_reason=self._finish_reason(completion), logprobs=_logprobs(completion))

    def usage(self, usage: Usage) -> JSON:
        """Give the chunk with the tokens."""
        return self._body("chat.completion.chunk", []) | {"usage": _usage(usage)}

    def _chunk(self, delta: JSON, *, finish_reason: str | None = None, logprobs: JSON | None = None) -> JSON:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return self._body("chat.completion.chunk", [choice])

    def _body(self, kind: str, choices: list[JSON]) -> JSON:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def _finish_reason(self, completion: Completion) -> str:
        if _is_refusal(completion):
            return "stop"
        if completion.finish_reason == "stop":
            return "stop" if self.tool is None else "tool_calls"
        return "length" if completion.finish_reason == "length" else "content_filter"


def models_body(name: str) -> JSON:
    """Give the body of the list of models."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "labkit"}]}


def error_body(status: int, said: str, code: str | None = None) -> JSON:
    """Give the body of an error."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    return {"error": {"message": said, "type": kind, "param": None, "code": code}}


def _is_refusal(completion: Completion) -> bool:
    """A refusal has words; what the provider's filter withheld has none."""
    return completion.finish_reason == "filter" and completion.text != ""


def _call(name: str, arguments: str, id: str) -> JSON:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _logprobs(completion: Completion) -> JSON | None:
    if completion.logprobs is None:
        return None
    return {
        "content": [
            {"token": "", "logprob": logprob, "bytes": None, "top_logprobs": []} for logprob in completion.logprobs
        ],
        "refusal": None,
    }


def _usage(usage: Usage) -> JSON:
    said: JSON = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        said["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens:
        said["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return said
