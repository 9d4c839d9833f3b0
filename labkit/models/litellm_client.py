"""Every provider that litellm knows. The only file that knows litellm.

It is kept on a short lead: its own retries off, its price-map download and .env loading off, its timeout (which is per
read, not per call) left to the pipeline, its errors sorted by status code, since the classes do not say enough.
"""

from __future__ import annotations

import asyncio
import email.utils
import importlib.util
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from labkit.errors import MissingDependency, ModelError, Outcome
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Completion, CompletionRequest, FinishReason, Usage, Wire

__all__ = ["LitellmClient"]

# Longer than any pipeline deadline: litellm's own default (600 s, per read) must never be the one that fires.
_NO_TIMEOUT_S = 86_400.0

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "refusal": "filter",
}

# What a status means for the pipeline. 400 and its like are the caller's: asking again changes nothing.
_OUTCOMES: dict[int, Outcome] = {
    400: "bug", 401: "auth", 403: "auth", 404: "bug", 408: "timeout", 409: "transport", 422: "bug", 429: "rate_limited",
    504: "timeout",
}  # fmt: skip


class LitellmClient:
    """Asks a model through litellm; one request per completion, whatever litellm's defaults are.

    Args:
        model: Its name goes to litellm as it is; ``base_url`` is an OpenAI-compatible server.

    Raises:
        MissingDependency: litellm is not installed.
    """

    def __init__(self, model: Model) -> None:
        if importlib.util.find_spec("litellm") is None:
            raise MissingDependency("litellm", extra="litellm", purpose=f"the model {model.name!r}")
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece.

        Raises:
            ModelError: What the provider or the network did.
        """
        litellm = await _import()
        began = time.perf_counter()
        try:
            response = await litellm.acompletion(**self._arguments(request))
        except Exception as error:
            raise _translated(error) from error
        choice = response.choices[0]
        return Completion(
            text=_text(choice.message),
            finish_reason=_finish(choice.finish_reason, choice.message),
            latency_s=time.perf_counter() - began,
            model=response.model or self._model.name,
            wire=_wire(request),
            usage=_usage(getattr(response, "usage", None)),
            logprobs=_logprobs(choice),
            request_id=response.id,
        )

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Chunk]:
        """Answer piece by piece.

        Raises:
            ModelError: What the provider or the network did, also half-way.
        """
        litellm = await _import()
        began = time.perf_counter()
        first_chunk_s: float | None = None
        pieces: list[str] = []
        finish: FinishReason = "stop"
        served, request_id, usage = self._model.name, None, None
        logprobs: list[float] = []
        response: Any = None
        try:
            response = await litellm.acompletion(
                **self._arguments(request), stream=True, stream_options={"include_usage": True}
            )
            async for part in response:
                served, request_id = part.model or served, part.id or request_id
                usage = _usage(getattr(part, "usage", None)) or usage
                for choice in part.choices:
                    text = _text(choice.delta)
                    finish = _finish(choice.finish_reason, choice.delta) if choice.finish_reason else finish
                    logprobs += _logprobs(choice) or ()
                    if text:
                        first_chunk_s = first_chunk_s or time.perf_counter() - began
                        pieces.append(text)
                        yield Chunk(text=text)
        except Exception as error:
            raise _translated(error) from error
        finally:
            close = getattr(getattr(response, "completion_stream", None), "close", None)
            if close is not None:
                await close()  # an iterator that is left early must not keep its connection
        yield Chunk(
            completion=Completion(
                text="".join(pieces),
                finish_reason=finish,
                latency_s=time.perf_counter() - began,
                first_chunk_s=first_chunk_s,
                model=served,
                wire=_wire(request),
                usage=usage,
                logprobs=tuple(logprobs) or None,
                request_id=request_id,
            )
        )

    def _arguments(self, request: CompletionRequest) -> dict[str, Any]:
        sampling = request.sampling
        arguments: dict[str, Any] = {
            "model": self._model.name,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            # Both, always: num_retries overrides max_retries, and either default makes three requests of one.
            "num_retries": 0,
            "max_retries": 0,
            "timeout": _NO_TIMEOUT_S,
            "drop_params": True,  # a provider without seed or logprobs should answer without them
        }
        optional = {
            "base_url": self._model.base_url,
            "api_key": self._model.api_key,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "logprobs": sampling.logprobs or None,
        }
        arguments |= {name: value for name, value in optional.items() if value is not None}
        if request.schema is not None:
            # not strict: strict mode makes every optional field required, and the pipeline validates anyway
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.schema_name, "schema": dict(request.schema), "strict": False},
            }
        return arguments


async def _import() -> Any:
    """Give litellm, imported off the loop the first time: it takes seconds."""
    return _ready or await asyncio.to_thread(_import_now)


_ready: Any = None


def _import_now() -> Any:
    global _ready
    # Before the import: it reads both. Without them it downloads a price map and loads ./.env into the environment.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.suppress_debug_info = True
    _ready = litellm
    return litellm


def _text(message: Any) -> str:
    calls = getattr(message, "tool_calls", None)
    if calls:
        return "".join(call.function.arguments or "" for call in calls)
    return message.content or ""


def _finish(reason: str | None, message: Any) -> FinishReason:
    if getattr(message, "refusal", None):
        return "filter"
    return _FINISH.get(reason or "stop", "stop")


def _wire(request: CompletionRequest) -> Wire:
    return "text" if request.schema is None else "json_schema"


def _usage(usage: Any) -> Usage | None:
    if usage is None or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    return Usage(prompt_tokens=usage.prompt_tokens or 0, completion_tokens=usage.completion_tokens or 0)


def _logprobs(choice: Any) -> tuple[float, ...] | None:
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    return tuple(token.logprob for token in content) if content else None


def _translated(error: Exception) -> ModelError:
    """Sort an error of litellm by its status and by the real cause behind it."""
    said = str(error).removeprefix("litellm.").strip() or type(error).__name__
    status = getattr(error, "status_code", None)
    chain = _causes(error)
    names = {type(cause).__name__ for cause in chain}
    outcome: Outcome
    if "ContextWindowExceededError" in names:
        outcome = "bug"
        said = f"the prompt is longer than the model's context window: {said}"
    elif "ContentPolicyViolationError" in names:
        outcome = "refused"
    elif "AuthenticationError" in names or any(_is_missing_key(cause) for cause in chain):
        # litellm gives a missing key status 500; retrying it would only be slow
        status, outcome = 401, "auth"
        said = f"no key, or one the provider refuses; set its environment variable, for example OPENAI_API_KEY: {said}"
    elif "Timeout" in names:
        outcome = "timeout"
    elif isinstance(status, int) and status in _OUTCOMES:
        outcome = _OUTCOMES[status]
    else:
        outcome = "transport"
    headers = _headers(chain)
    return ModelError(
        said,
        outcome=outcome,
        status=status if isinstance(status, int) else None,
        retry_after_s=_retry_after(headers.get("retry-after")),
        request_id=headers.get("x-request-id"),
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it came of; litellm leaves ``__cause__`` empty, so ``__context__`` is followed."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _headers(chain: list[BaseException]) -> Any:
    """The response's headers; which of the errors carries them differs by provider."""
    for error in chain:
        for found in (
            getattr(error, "litellm_response_headers", None),
            getattr(error, "headers", None),
            getattr(getattr(error, "response", None), "headers", None),
        ):
            if found:
                return found
    return {}


def _is_missing_key(error: BaseException) -> bool:
    return "api_key client option must be set" in str(error) or "Missing credentials" in str(error)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass_at = email.utils.parsedate_to_datetime(value) if "," in value else None
    return None if pass_at is None else max(0.0, pass_at.timestamp() - time.time())
