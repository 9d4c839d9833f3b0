"""Every provider litellm knows. The only file that knows litellm.

litellm retries, times out, prints, loads ``./.env`` and fetches a price list unless it is told not to; here it does
none of that: one call is one request, as long as the pipeline lets it take. Which form a schema takes on the wire is
litellm's choice by provider and mostly hidden: ``Completion.wire`` says ``json_schema`` for whatever it made of it,
``tool`` where the answer came as a tool's arguments, ``prompted`` where litellm knows of no way.

What it hides and nobody here can bring back: a refusal in a stream of OpenAI's arrives as an empty answer.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any, NoReturn

from labkit.errors import CallInvalid, MissingDependency, ModelError
from labkit.extras import spec_of
from labkit.models.chat_errors import ServerError, error_of
from labkit.models.chat_response import Answer, AnswerPieces, Unreadable, rejected_answer
from labkit.models.event_stream import TooLong
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Completion, CompletionRequest, Wire
from labkit.models.provider_errors import provider_error, too_large
from labkit.models.schema_wire import messages_of, prompted_messages, response_format
from labkit.models.usage_reports import NOTHING_REPORTED
from labkit.models.ways import refused_parameter
from labkit.options import near

__all__ = ["LitellmClient", "check_provider", "load_litellm"]

# Longer than any deadline: litellm's own is 600 s for some providers and 6,000 s for others.
_NO_TIMEOUT_S = 7 * 86_400.0

# What a provider may do without: the schema then goes into the prompt, and missing log probabilities are seen to miss.
# A temperature that it does not take is an error, because without it the answers are others.
_OPTIONAL = frozenset({"logprobs", "response_format", "seed"})


@lru_cache(maxsize=1)
def load_litellm() -> ModuleType:
    """Import litellm, once, with its side effects off: 2.7 s and 180 MB.

    A client does this when it is made: at the first call it would count against that call's timeout.

    Raises:
        MissingDependency: It is not installed.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else a thread fetches the price list
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else ./.env is loaded into the environment
    try:
        import litellm
    except ImportError as error:
        raise MissingDependency("litellm", extra="litellm", purpose="a model of this provider") from error
    litellm.suppress_debug_info = True  # else it prints advice to stdout at every error
    module: ModuleType = litellm
    return module


def check_provider(model: Model) -> None:
    """Check that litellm could ask *model*, before it is asked: what it would say then reads like a server's refusal.

    Raises:
        CallInvalid: It knows no such provider.
        MissingDependency: It is not installed.
    """
    if model.base_url is not None:
        return
    litellm = load_litellm()
    try:
        litellm.get_llm_provider(model=model.name)
    except Exception as error:  # whatever litellm raises for a name: it could not be asked either
        known = [str(getattr(each, "value", each)) for each in litellm.provider_list]
        meant = near(model.provider, known)
        mend = f"write {model.name.replace(model.provider, meant, 1)!r}" if meant else "see litellm's list of providers"
        raise CallInvalid(
            f"model {model.name!r}: no provider is called {model.provider!r}: {mend}, or give Model(base_url=) for a "
            "server that speaks OpenAI's format"
        ) from error


class LitellmClient:
    """Asks *model* through litellm.

    Args:
        model: Any name litellm knows; ``base_url`` and ``api_key`` go along where they are set.

    Raises:
        MissingDependency: litellm is not installed; found when the call is defined, not when a fallback is needed.
    """

    def __init__(self, model: Model) -> None:
        if spec_of("litellm") is None:
            meant = near(model.provider, ("openai", "offline"))
            hint = f" (is {model.name.replace(model.provider, meant, 1)!r} meant?)" if meant is not None else ""
            raise MissingDependency("litellm", extra="litellm", purpose=f"model {model.name!r}{hint}")
        load_litellm()
        self._model = model
        self._unsupported: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece."""
        began = time.perf_counter()
        try:
            wire, response = await self._send(request, {})
        except _FailedGeneration as failed:
            return self._completion(request, failed.answer(), wire=failed.wire, latency_s=time.perf_counter() - began)
        pieces = AnswerPieces(is_json=request.schema is not None)
        try:
            pieces.take_message(_data(response))
            pieces.end()
        except (Unreadable, TooLong) as error:
            raise self._unreadable(error) from error
        return self._completion(
            request, pieces.answer(), wire="tool" if pieces.is_call else wire, latency_s=time.perf_counter() - began,
            request_id=_request_id(response),
        )  # fmt: skip

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece."""
        began = time.perf_counter()
        options = {"stream": True, "stream_options": {"include_usage": True}}
        first_chunk_s: float | None = None
        pieces = AnswerPieces(is_json=request.schema is not None)
        try:
            wire, response = await self._send(request, options)
            try:
                async for chunk in _translated(self.name, response):
                    count = pieces.count
                    text = pieces.take_event(_data(chunk) | {"model": _served(chunk)})
                    if pieces.count > count:
                        if text and first_chunk_s is None:
                            first_chunk_s = time.perf_counter() - began
                        yield Chunk(text=text)
                if _was_cut_off(response):
                    raise ModelError(f"{self.name}: the stream ended in the middle of the answer", outcome="transport")
            finally:
                await response.aclose()
            pieces.check_stream(is_done=True, head=b"")
            if text := pieces.end():
                first_chunk_s = first_chunk_s or time.perf_counter() - began
                yield Chunk(text=text, is_end=True)
        except _FailedGeneration as failed:
            answer, wire, request_id = failed.answer(), failed.wire, None
        except (Unreadable, TooLong) as error:
            raise self._unreadable(error) from error
        else:
            answer, wire = pieces.answer(), "tool" if pieces.is_call else wire
            if not _reported_usage(response):
                answer = replace(answer, usage=NOTHING_REPORTED)
            request_id = _request_id(response)
        yield Chunk(
            completion=self._completion(
                request, answer, wire=wire, latency_s=time.perf_counter() - began, first_chunk_s=first_chunk_s,
                request_id=request_id,
            )
        )  # fmt: skip

    def _completion(self, request: CompletionRequest, answer: Answer, **known: Any) -> Completion:
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason,
            model=answer.model or self.name,
            usage=answer.usage.usage(request, answer.text, answer.reasoning),
            logprobs=answer.logprobs,
            reasoning=answer.reasoning,
            rejected=answer.rejected,
            notes=answer.notes,
            **known,
        )

    def _unreadable(self, error: Unreadable | TooLong) -> ModelError:
        if isinstance(error, TooLong):
            return too_large(self.name)
        if error.error is None:
            return ModelError(f"{self.name}: the response holds no answer: {error}", outcome="transport")
        return provider_error(self.name, error.error.status_or_default, error.error.said, code=error.error.code)

    async def _send(self, request: CompletionRequest, options: dict[str, Any]) -> tuple[Wire, Any]:
        """Send one request, and say how the schema travelled."""
        litellm = load_litellm()
        while True:
            fields = self._fields(request)
            wire: Wire = (
                "text" if request.schema is None else "json_schema" if "response_format" in fields else "prompted"
            )
            try:
                return wire, await litellm.acompletion(**fields, **options)
            except litellm.UnsupportedParamsError as error:
                # Raised before anything is sent, so what follows is still the first request.
                rejected = {name for name in _OPTIONAL & fields.keys() if f"'{name}'" in str(error)}
                if not rejected:
                    _fail(self.name, error, request)
                self._unsupported |= rejected
            except Exception as error:
                if generated := _failed_generation(error):
                    raise _FailedGeneration(generated, wire) from error
                _fail(self.name, error, request)

    def _fields(self, request: CompletionRequest) -> dict[str, Any]:
        model, sampling = self._model, request.sampling
        fields: dict[str, Any] = {
            "model": model.name,
            "messages": messages_of(request),
            "api_base": model.base_url,
            "api_key": model.api_key,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "logprobs": sampling.logprobs or None,
            "top_k": sampling.top_k,
            "stop": list(sampling.stop) or None,
            "reasoning_effort": sampling.reasoning_effort,
            **sampling.extra,
        }
        if request.schema is not None:
            if "response_format" in self._unsupported:
                fields["messages"] = prompted_messages(request)
            fields["response_format"] = response_format(request, strictly=model.base_url is None)
        if model.base_url and not model.api_key and not os.environ.get("OPENAI_API_KEY") and model.provider == "openai":
            fields["api_key"] = "not-needed"  # the SDK below insists on one; a server of one's own seldom does
        sent = {key: value for key, value in fields.items() if value is not None and key not in self._unsupported}
        # Both, always: either one alone leaves retries on, and num_retries also changes a global of litellm.
        return sent | {"num_retries": 0, "max_retries": 0, "timeout": _NO_TIMEOUT_S}


async def _translated(name: str, response: Any) -> AsyncIterator[Any]:
    try:
        async for chunk in response:
            yield chunk
    except Exception as error:
        _fail(name, error)


class _FailedGeneration(Exception):
    """The provider answers that what the model wrote is not what was asked for."""

    def __init__(self, error: ServerError, wire: Wire) -> None:
        super().__init__(error.said)
        self.error = error
        self.wire = wire

    def answer(self) -> Answer:
        return rejected_answer(self.error)


# --- reading a response -----------------------------------------------------------------------------------------------


def _data(response: Any) -> dict[str, Any]:
    """Give a response or a chunk as the JSON that litellm made it of, with what it keeps beside."""
    data: dict[str, Any] = response.model_dump()
    usage = getattr(response, "usage", None)
    data["usage"] = usage.model_dump() if usage is not None else None
    for choice, made in zip(data.get("choices") or (), response.choices, strict=False):
        said = choice.get("message") or choice.get("delta")
        beside = getattr(
            getattr(made, "message", None) or getattr(made, "delta", None), "provider_specific_fields", None
        )
        if isinstance(said, dict) and isinstance(beside, dict) and beside.get("refusal"):
            said["refusal"] = beside["refusal"]
    return data


def _served(chunk: Any) -> str | None:
    """Who answered: a note beside some chunks, while their own model is the one that was asked for."""
    hidden = getattr(chunk, "_hidden_params", None)
    served = hidden.get("provider_response_model") if isinstance(hidden, dict) else None
    return str(served) if served else None


def _request_id(response: Any) -> str | None:
    headers = (getattr(response, "_hidden_params", None) or {}).get("additional_headers") or {}
    return headers.get("llm_provider-x-request-id") or headers.get("llm_provider-request-id")


def _was_cut_off(stream: Any) -> bool:
    """A stream that ends without a finish reason is given "stop" by litellm; only its own notes tell."""
    unknown = object()
    notes = [getattr(stream, name, unknown) for name in ("received_finish_reason", "intermittent_finish_reason")]
    return all(note is None for note in notes)


def _reported_usage(stream: Any) -> bool:
    """Usage that no chunk of the provider brought was counted by litellm with somebody else's tokenizer."""
    return any(getattr(chunk, "usage", None) for chunk in getattr(stream, "chunks", ()))


# --- errors -----------------------------------------------------------------------------------------------------------

_NO_KEY = re.compile(
    r"(missing|no|set).{0,60}(api[_ ]?key|credentials)|api[_ ]?key.{0,60}(missing|not|must be) ", re.I | re.S
)


def _fail(name: str, error: Exception, request: CompletionRequest | None = None) -> NoReturn:
    raise _model_error(name, error, request) from error


def _failed_generation(error: Exception) -> ServerError | None:
    """Give what the provider says of what the model wrote, where that is what it complains of."""
    said = getattr(error, "message", None) or str(error)
    start = said.find("{")
    if start < 0 or not any(word in said for word in ("failed_generation", "json_validate_failed", "tool_use_failed")):
        return None
    found = error_of(said[start : said.rfind("}") + 1].encode("utf-8", "replace"), {})
    return found if found.generated is not None else None


def _model_error(name: str, error: Exception, request: CompletionRequest | None) -> ModelError:
    """Translate what litellm raised; by status where the provider answered, else by what lies underneath.

    ``__cause__`` is not set anywhere; the real cause is in ``__context__``. A missing key, a reset connection and a
    body that is no JSON all arrive as a made-up status 500.
    """
    said = _message(error)
    mend = None if request is None else refused_parameter(request.sampling, ServerError(said=said))
    headers = getattr(error, "litellm_response_headers", None)
    status = getattr(error, "status_code", None)
    if headers is not None and status is not None:
        code = next((code for cause in _causes(error) if isinstance(code := getattr(cause, "code", None), str)), None)
        return provider_error(
            name, int(status), said, code=code, headers={k.lower(): v for k, v in headers.items()}, mend=mend
        )
    root = list(_causes(error))[-1]
    if _NO_KEY.search(said):
        return ModelError(f"{name}: {said}", outcome="auth")
    if isinstance(status, int) and status < 500:
        return provider_error(name, status, said, mend=mend)
    if isinstance(root, TypeError | AttributeError | KeyError | NameError):
        return ModelError(f"{name}: {type(root).__name__} inside litellm: {root}", outcome="bug")
    cause = str(root)
    return ModelError(
        f"{name}: no usable answer: {said}" + ("" if cause in said or said in cause else f" ({cause})"),
        outcome="transport",
    )


def _message(error: Exception) -> str:
    """litellm prefixes its class name twice and sometimes appends a traceback."""
    said = getattr(error, "message", None) or str(error)
    said = re.sub(r"^(litellm\.)?(\w+: )*(\w*Exception - )?", "", said)
    return str(said).partition("\nTraceback")[0].strip() or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
