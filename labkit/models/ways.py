"""Which way of asking a server takes: how the schema travels, what the limit of tokens is called, if usage is sent.

Found out by trying, because each server has its own words for a refusal: after one, the next way is tried once, and
what worked is remembered for the address and model. What fails in every way is not about the form; that is remembered,
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from labkit.models.chat_errors import ServerError
from labkit.models.protocol import CompletionRequest, Sampling, Wire
from labkit.models.provider_errors import is_about_something_else

__all__ = ["Known", "Limit", "Trial", "Way", "known_of", "refused_parameter"]

Limit = Literal["max_tokens", "max_completion_tokens"]

_NEXT_WIRE: Mapping[Wire, Wire] = {"json_schema": "tool", "tool": "prompted"}
_OTHER_LIMIT: Mapping[Limit, Limit] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_LIMIT = re.compile(r"max_(completion_)?tokens")
_LIMIT_VALUE = re.compile(
    r"too (large|small|high|low|big)|at (most|least)|exceed|(less|greater) than|must be|m(ax|in)imum"
)
_USAGE = re.compile(r"stream_options|include_usage")
# A 404 says that there is nothing there, unless it says that what is there cannot do it: OpenRouter's "No endpoints
# found that support tool use".
_CANNOT = re.compile(r"support|parameter|capab", re.I)
_MOST_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking."""

    wire: Wire
    limit: Limit
    wants_usage: bool = True


class Known:
    """What is known of a model at an address.

    A schema that is refused where others are taken is the only one to travel otherwise: one odd output type must not
    change how all others are asked for.
    """

    def __init__(self) -> None:
        self.limit: Limit | None = None
        self.sends_usage = True
        self._taken: set[Wire] = set()
        self._wires: list[tuple[Mapping[str, Any], Wire]] = []
        self._hopeless: list[tuple[Mapping[str, Any] | None, Sampling]] = []

    def wire_for(self, schema: Mapping[str, Any]) -> Wire:
        for refused, wire in self._wires:
            if refused is schema or refused == schema:
                return wire
        return next((wire for wire in ("json_schema", "tool", "prompted") if wire in self._taken), "json_schema")

    def is_hopeless(self, request: CompletionRequest) -> bool:
        """Whether every way failed for a request of this form."""
        return (request.schema, request.sampling) in self._hopeless

    def took(self, request: CompletionRequest, way: Way, *, first: Way) -> None:
        """Remember what worked."""
        if way.limit != first.limit:
            self.limit = way.limit
        self.sends_usage = way.wants_usage
        if request.schema is None:
            return
        if way.wire != first.wire and len(self._wires) < _MOST_REMEMBERED:
            self._wires.append((request.schema, way.wire))
        self._taken.add(way.wire)

    def took_none(self, request: CompletionRequest) -> None:
        if len(self._hopeless) < _MOST_REMEMBERED and not self.is_hopeless(request):
            self._hopeless.append((request.schema, request.sampling))


_known: dict[tuple[str, str], Known] = {}


def known_of(address: str, model: str) -> Known:
    """Give what this process knows of *model* at *address*."""
    found = _known.get((address, model))
    return found if found is not None else _known.setdefault((address, model), Known())


class Trial:
    """One request on its way through the ways there are.

    Args:
        known: What is known of whom it goes to.
        request: What is asked.
        is_openai: It goes to OpenAI itself, whose schemas are objects and whose limit has its newer name.
    """

    def __init__(self, known: Known, request: CompletionRequest, *, is_openai: bool) -> None:
        self._known = known
        self._request = request
        self._takes_any_root = not is_openai
        usual: Limit = "max_completion_tokens" if is_openai else "max_tokens"
        wire: Wire = "text" if request.schema is None else self._usable(known.wire_for(request.schema))
        self._first = self.way = Way(wire, known.limit or usual, known.sends_usage)
        self._has_switched_limit = request.sampling.max_tokens is None

    def worked(self) -> None:
        """Remember the present way."""
        self._known.took(self._request, self.way, first=self._first)

    def next(self, status: int, error: ServerError, *, streamed: bool) -> bool:
        """Turn to the next way after a refusal, and say whether there is one worth trying."""
        said = f"{error.code} {error.param} {error.said}"
        if status not in (400, 404, 422) or (status == 404 and not _CANNOT.search(said)):
            return False
        if is_about_something_else(said) or self._known.is_hopeless(self._request):
            return False
        if streamed and self.way.wants_usage and _USAGE.search(said):
            self.way = replace(self.way, wants_usage=False)
            return True
        if _LIMIT.search(said) and not self._has_switched_limit:
            return not _LIMIT_VALUE.search(error.said.replace("max_", "")) and self._switch_limit(self.way.wire)
        if error.param is not None and error.param in _sent(self._request.sampling):
            return False
        following = _NEXT_WIRE.get(self.way.wire)
        if following is not None:
            self.way = replace(self.way, wire=self._usable(following))
            return True
        if not self._has_switched_limit:
            return self._switch_limit(self._first.wire)
        self._known.took_none(self._request)
        return False

    def _switch_limit(self, wire: Wire) -> bool:
        self._has_switched_limit = True
        self.way = replace(self.way, wire=wire, limit=_OTHER_LIMIT[self.way.limit])
        return True

    def _usable(self, wire: Wire) -> Wire:
        """A tool takes named arguments, and OpenAI's own field an object as well; other schemas go into the prompt."""
        is_object = self._request.schema is not None and self._request.schema.get("type") == "object"
        return wire if is_object or (wire == "json_schema" and self._takes_any_root) else "prompted"


def refused_parameter(sampling: Sampling, error: ServerError) -> str | None:
    """Say what to do about the parameter that *error* is about, None where it is about none that was sent."""
    sent = _sent(sampling)
    name = error.param if error.param in sent else next((each for each in sent if _is_named(each, error.said)), None)
    return None if name is None else sent[name]


def _sent(sampling: Sampling) -> dict[str, str]:
    """What was sent, by its name on the wire, with what leaves it out."""
    defaults = Sampling()
    names = ("temperature", "top_p", "top_k", "seed", "stop", "logprobs", "reasoning_effort", "max_tokens")
    unset = {"stop": "()", "logprobs": "False"}
    sent = {
        name: f"change {name}, or leave it out: Model({name}={unset.get(name, 'None')})"
        for name in names
        if getattr(sampling, name) != getattr(defaults, name)
    }
    if "max_tokens" in sent:
        sent["max_completion_tokens"] = sent["max_tokens"]
    return sent | {name: f"change {name!r} in Model(extra=), or leave it out" for name in sampling.extra}


def _is_named(name: str, said: str) -> bool:
    # "stop" and "seed" are also words
    is_word = name.isalpha() and len(name) < 6
    return bool(re.search(rf"['\"`]{re.escape(name)}\b" if is_word else rf"\b{re.escape(name)}\b", said))
