"""What goes wrong with a provider, drawn from a seed and counted, so that a drill can be repeated.

``Faults`` says how much of what; ``Injector`` decides for each request in turn; ``Faulty`` is any client with faults,
in process. ``server.ModelServer`` takes the same ``Faults`` and does over HTTP what only a wire can do.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, cast, get_args

from labkit.errors import ModelError, OptionInvalid
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest
from labkit.models.provider_errors import broken_body, provider_error, too_large
from labkit.models.resolve import client_for
from labkit.models.spoiling import spoil
from labkit.options import NotNegative, Positive, Whole, checked

__all__ = ["STATUS_OF", "FaultKind", "Faults", "Faulty", "Fixed", "Injector", "Latency", "LogNormal", "Uniform"]

FaultKind = Literal[
    "error_500",
    "error_502",
    "error_503",
    "error_529",
    "rate_limited",
    "rate_limited_silently",
    "hang",
    "hang_in_body",
    "slow_drip",
    "reset",
    "not_json",
    "wrong_encoding",
    "malformed",
    "truncated",
    "wrong_schema",
    "empty",
    "refusal",
    "content_filter",
    "huge",
    "drift",
    "duplicate_chunks",
    "missing_done",
]

STATUS_OF: Mapping[FaultKind, int] = {
    "error_500": 500,
    "error_502": 502,
    "error_503": 503,
    "error_529": 529,
    "rate_limited": 429,
    "rate_limited_silently": 429,
}
"""Kinds that are an error status and nothing else."""

_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_STREAM_ONLY: frozenset[FaultKind] = frozenset({"duplicate_chunks", "missing_done"})
_WIRE_ONLY: frozenset[FaultKind] = frozenset({"missing_done"})


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True)
class Fixed:
    """The same delay for every request, in seconds."""

    s: NotNegative

    def draw(self, source: random.Random) -> float:
        return self.s


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Any delay between two, in seconds."""

    low_s: NotNegative
    high_s: NotNegative

    def draw(self, source: random.Random) -> float:
        return source.uniform(self.low_s, self.high_s)


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """What answering services look like: a bulk and a long tail, given by its median and 95th percentile in seconds."""

    median_s: Positive
    p95_s: Positive

    def draw(self, source: random.Random) -> float:
        z95 = 1.6448536269514722
        return self.median_s * math.exp(math.log(self.p95_s / self.median_s) / z95 * source.gauss(0.0, 1.0))


Latency = Fixed | Uniform | LogNormal


@checked(OptionInvalid)
@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Share of requests, in [0, 1], that each fault befalls; a request has one fault at most, so together at most 1.

    Args:
        seed: Same seed, same faults in the same order of requests.
        latency: Delay before every answer, beside whatever else goes wrong.
        error_500, error_502, error_503, error_529: Answers with that status.
        rate_limited: Answers 429 with ``Retry-After``.
        rate_limited_silently: Answers 429 and does not say for how long.
        hang: Takes the request and never answers.
        hang_in_body: Answers half-way and then nothing more.
        slow_drip: Answers piece by piece with ``drip_s`` between them.
        reset: Resets the connection; a stream in its middle.
        not_json: Status 200 with a proxy's HTML page.
        wrong_encoding: A body that is not UTF-8 although it says so.
        malformed: Text that is not the JSON it was asked for.
        truncated: The first half, with finish reason "length".
        wrong_schema: JSON of another shape.
        empty: No text at all.
        refusal: "I can't help with that."
        content_filter: Withheld by the provider's filter.
        huge: An answer of 20 MB.
        drift: After ``drift_after`` requests: an answer that fits and is worse.
        duplicate_chunks: Streams only: every piece comes twice.
        missing_done: Streams only: ends without ``[DONE]``.
        retry_after_s: What a 429 asks for.
        drip_s: Seconds between two pieces of a slow drip.
        drift_after: Requests before the answers get worse.

    Raises:
        OptionInvalid: A share outside [0, 1], or shares of more than 1 together.
    """

    seed: int = 0
    latency: Latency = Fixed(0.0)
    error_500: float = 0.0
    error_502: float = 0.0
    error_503: float = 0.0
    error_529: float = 0.0
    rate_limited: float = 0.0
    rate_limited_silently: float = 0.0
    hang: float = 0.0
    hang_in_body: float = 0.0
    slow_drip: float = 0.0
    reset: float = 0.0
    not_json: float = 0.0
    wrong_encoding: float = 0.0
    malformed: float = 0.0
    truncated: float = 0.0
    wrong_schema: float = 0.0
    empty: float = 0.0
    refusal: float = 0.0
    content_filter: float = 0.0
    huge: float = 0.0
    drift: float = 0.0
    duplicate_chunks: float = 0.0
    missing_done: float = 0.0
    retry_after_s: NotNegative = 0.05
    drip_s: NotNegative = 0.05
    drift_after: Whole = 0

    def __post_init__(self) -> None:
        shares = self.shares()
        for kind, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise OptionInvalid(f"Faults({kind}={share}): a share of requests is from 0 to 1")
        if sum(shares.values()) > 1.0 + 1e-9:
            raise OptionInvalid(
                f"Faults: the shares come to {sum(shares.values()):g} of all requests; make them 1 or less"
            )

    def shares(self) -> dict[FaultKind, float]:
        """The kinds that can happen, with their shares, in the order they are drawn."""
        shares = {cast(FaultKind, field.name): getattr(self, field.name) for field in fields(self)}
        return {kind: shares[kind] for kind in _KINDS if shares[kind] != 0.0}


class Injector:
    """Draws the fault of each request in turn and counts what it drew.

    Args:
        faults: How much of what.
        impossible: Kinds that the caller cannot do; they are neither drawn nor counted.
        counts: Where to count on; new by default.
    """

    def __init__(
        self,
        faults: Faults,
        *,
        impossible: frozenset[FaultKind] = frozenset(),
        counts: Counter[FaultKind] | None = None,
    ) -> None:
        self.faults = faults
        self.counts: Counter[FaultKind] = Counter() if counts is None else counts
        self._shares = {kind: share for kind, share in faults.shares().items() if kind not in impossible}
        self._drawn = 0
        self._random = random.Random(faults.seed)
        # A sequence of its own, so that adding a delay to a drill does not change which requests fail.
        self._delays = random.Random(f"delays of {faults.seed}")
        self._lock = threading.Lock()

    def draw(self, *, streamed: bool = False) -> FaultKind | None:
        """Give the next request's fault, None for most."""
        with self._lock:
            self._drawn += 1
            at = self._random.random()
            for kind, share in self._shares.items():
                if at < share:
                    if (kind in _STREAM_ONLY and not streamed) or (
                        kind == "drift" and self._drawn <= self.faults.drift_after
                    ):
                        return None
                    self.counts[kind] += 1
                    return kind
                at -= share
        return None

    def delay_s(self) -> float:
        """Give the next request's delay."""
        with self._lock:
            return self.faults.latency.draw(self._delays)


class Faulty:
    """A client that fails as *faults* says: the same kinds as over HTTP, without a server.

    What has no wire here becomes the error that the wire's client makes of it. ``missing_done`` cannot happen.

    Args:
        model: Who answers when nothing goes wrong.
        faults: What goes wrong.
    """

    def __init__(self, model: str | Model | Client, faults: Faults) -> None:
        self.client = client_for(model)
        self._injector = Injector(faults, impossible=_WIRE_ONLY)

    @property
    def name(self) -> str:
        return self.client.name

    @property
    def counts(self) -> Mapping[FaultKind, int]:
        """Faults so far, by kind."""
        return dict(self._injector.counts)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in one piece, or fail."""
        kind = self._injector.draw()
        await self._before(kind)
        completion = await self.client.complete(request)
        if kind == "hang_in_body":
            await _for_ever()
        if kind == "slow_drip":
            await asyncio.sleep(self._injector.faults.drip_s * len(_pieces(completion.text)))
        return self._after(kind, completion, request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer piece by piece, or fail, also half-way."""
        kind = self._injector.draw(streamed=True)
        await self._before(kind, half_way=True)
        if kind is None:
            async for chunk in self.client.stream(request):
                yield chunk
            return
        completion = self._after(kind, await self.client.complete(request), request)
        pieces = _pieces(completion.text)
        if kind == "duplicate_chunks":
            pieces = [piece for piece in pieces for _ in range(2)]
            completion = replace(completion, text="".join(pieces))
        for n, piece in enumerate(pieces):
            if n >= len(pieces) // 2 and kind == "hang_in_body":
                await _for_ever()
            if n >= len(pieces) // 2 and kind == "reset":
                raise _reset(self.name)
            if kind == "slow_drip":
                await asyncio.sleep(self._injector.faults.drip_s)
            yield Chunk(text=piece)
        yield Chunk(completion=completion)

    async def _before(self, kind: FaultKind | None, *, half_way: bool = False) -> None:
        if delay_s := self._injector.delay_s():
            await asyncio.sleep(delay_s)
        if kind is not None and kind in STATUS_OF:
            headers = {"retry-after": str(self._injector.faults.retry_after_s)} if kind == "rate_limited" else {}
            raise provider_error(self.name, STATUS_OF[kind], f"{kind} (injected)", headers=headers)
        if kind == "hang":
            await _for_ever()
        if kind == "reset" and not half_way:
            raise _reset(self.name)

    def _after(self, kind: FaultKind | None, completion: Completion, request: CompletionRequest) -> Completion:
        if kind in ("not_json", "wrong_encoding"):
            raise broken_body(self.name, f"{kind} (injected)")
        if kind == "huge":
            raise too_large(self.name)
        return spoil(completion, kind, request.schema) if kind else completion


def _pieces(text: str, chars: int = 16) -> list[str]:
    return [text[start : start + chars] for start in range(0, len(text), chars)] or [""]


def _reset(name: str) -> ModelError:
    return ModelError(f"{name}: the connection was reset (injected)", outcome="transport")


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
