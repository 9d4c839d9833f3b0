"""Traces and metrics through OpenTelemetry: one span a call, one for each attempt, under the names of one table.

On wherever the application itself has loaded OpenTelemetry (``labkit-llm[otel]``); labkit never loads it. What goes out
is what a record without content holds: no prompt, no answer, nothing that is marked sensitive.

    span                     kind       what
    guard <call>             INTERNAL   the whole call; current while it runs, so that spans of sources lie within it
    chat <model>             CLIENT     one request to a model, re-asks and fallbacks included

    metric                              unit       attributes
    labkit.calls                        {call}     labkit.call, labkit.source, labkit.reason
    labkit.call.duration                s          labkit.call, labkit.source
    labkit.attempts                     {attempt}  labkit.call, gen_ai.request.model, labkit.attempt.kind, .outcome
    labkit.cost                         {USD}      labkit.call
    labkit.breaker.state                           gen_ai.request.model; 0 closed, 1 half open, 2 open
    gen_ai.client.operation.duration    s          gen_ai.*, error.type
    gen_ai.client.token.usage           {token}    gen_ai.*, gen_ai.token.type

Prometheus' exporter writes dots as underscores and adds units: ``labkit_calls_total{labkit_source="default", ...}``,
``labkit_call_duration_seconds_bucket``, ``labkit_attempts_total``, ``labkit_cost_USD_total``, ``labkit_breaker_state``.

Source of the names ``gen_ai.*`` and ``error.type``: OpenTelemetry's semantic conventions for generative AI, which are
still in development; they stand in this file only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from labkit.call.breaker import BreakerState
from labkit.call.definition import Definition, Seat
from labkit.call.health import circuits
from labkit.call.record import CallRecord
from labkit.call.result import AttemptRecord

__all__ = ["call_span", "report"]

_STATES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}
_S_AS_NS = 1_000_000_000


@contextmanager
def call_span(name: str) -> Iterator[tuple[Any, int]]:
    """Make the span of one call the current one; gives it with the Unix time in nanoseconds at which it began."""
    from opentelemetry import trace

    began_ns = time.time_ns()
    tracer = trace.get_tracer("labkit")
    # exceptions are the call's to report, without what they quote
    with tracer.start_as_current_span(
        f"guard {name}", start_time=began_ns, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span, began_ns


def report(plan: Definition, record: CallRecord, span: Any, began_ns: int) -> None:
    """Say on *span*, in spans of its attempts, and in metrics how a call went.

    Args:
        record: Without content and scrubbed.
    """
    from opentelemetry import trace

    span.set_attributes(_about_call(record))
    if record.source == "error":
        span.set_status(trace.Status(trace.StatusCode.ERROR, record.reason.message if record.reason else ""))
    for reading in record.flags:
        span.add_event("feature_flag.evaluation", _known({
            "feature_flag.key": reading.key, "feature_flag.result.value": str(reading.value),
            "feature_flag.result.variant": reading.variant, "feature_flag.result.reason": reading.reason.lower(),
            "error.message": reading.error,
        }))  # fmt: skip
    tracer = trace.get_tracer("labkit")
    within = trace.set_span_in_context(span)
    seats = {seat.name: seat for seat in (*_seats(plan),)}
    for attempt in record.attempts:
        began = began_ns + int(attempt.began_s * _S_AS_NS)
        about = _about_attempt(attempt, seats.get(attempt.model), plan)
        child = tracer.start_span(
            f"chat {attempt.model}", context=within, kind=trace.SpanKind.CLIENT, start_time=began, attributes=about
        )
        if attempt.outcome != "ok":
            child.set_status(trace.Status(trace.StatusCode.ERROR, attempt.message))
        child.end(end_time=began + int(attempt.latency_s * _S_AS_NS))
    _count(record)


def _count(record: CallRecord) -> None:
    meters = _meters()
    call = {"labkit.call": record.call}
    why = "" if record.reason is None else f"{record.reason.step}: {record.reason.outcome}"
    meters["labkit.calls"].add(1, call | {"labkit.source": record.source, "labkit.reason": why})
    meters["labkit.call.duration"].record(record.elapsed_s, call | {"labkit.source": record.source})
    if record.cost_usd:
        meters["labkit.cost"].add(record.cost_usd, call)
    for attempt in record.attempts:
        model = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": attempt.model.partition("/")[0],
            "gen_ai.request.model": attempt.model,
        }
        kinds = {"labkit.attempt.kind": attempt.kind, "labkit.attempt.outcome": attempt.outcome}
        meters["labkit.attempts"].add(1, call | kinds | {"gen_ai.request.model": attempt.model})
        failed = {} if attempt.outcome == "ok" else {"error.type": attempt.outcome}
        meters["gen_ai.client.operation.duration"].record(attempt.latency_s, model | failed)
        if attempt.usage is not None:
            tokens = meters["gen_ai.client.token.usage"]
            tokens.record(attempt.usage.prompt_tokens, model | {"gen_ai.token.type": "input"})
            tokens.record(attempt.usage.completion_tokens, model | {"gen_ai.token.type": "output"})


def _about_call(record: CallRecord) -> dict[str, Any]:
    return _known({
        "labkit.call": record.call,
        "labkit.call_id": record.call_id,
        "labkit.fingerprint": record.fingerprint,
        "labkit.source": record.source,
        "labkit.degraded": record.degraded,
        "labkit.reason.step": None if record.reason is None else record.reason.step,
        "labkit.reason.outcome": None if record.reason is None else record.reason.outcome,
        "labkit.attempts": len(record.attempts),
        "labkit.confidence": record.confidence,
        "labkit.repairs": len(record.repairs),
        # not gen_ai.usage.*: that stands on the attempts, and whoever adds up spans would count it twice
        "labkit.usage.input_tokens": None if record.usage is None else record.usage.prompt_tokens,
        "labkit.usage.output_tokens": None if record.usage is None else record.usage.completion_tokens,
        "labkit.cost_usd": record.cost_usd,
    })  # fmt: skip


def _about_attempt(attempt: AttemptRecord, seat: Seat | None, plan: Definition) -> dict[str, Any]:
    sampling = None if seat is None else seat.sampling
    address = urlsplit(seat.spec.base_url) if seat is not None and seat.spec and seat.spec.base_url else None
    return _known({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": attempt.model.partition("/")[0],
        "gen_ai.request.model": attempt.model,
        "gen_ai.request.temperature": sampling and sampling.temperature,
        "gen_ai.request.max_tokens": sampling and sampling.max_tokens,
        "gen_ai.request.top_p": sampling and sampling.top_p,
        "gen_ai.request.seed": sampling and sampling.seed,
        "gen_ai.request.stream": attempt.first_chunk_s is not None,
        "gen_ai.output.type": "text" if plan.output.schema is None else "json",
        "gen_ai.prompt.name": plan.name,
        "gen_ai.response.id": attempt.request_id,
        "gen_ai.response.model": attempt.served_model,
        "gen_ai.response.finish_reasons": None if attempt.finish_reason is None else [attempt.finish_reason],
        "gen_ai.response.time_to_first_chunk": attempt.first_chunk_s,
        "gen_ai.usage.input_tokens": None if attempt.usage is None else attempt.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": None if attempt.usage is None else attempt.usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": (attempt.usage and attempt.usage.cached_tokens) or None,
        "gen_ai.usage.reasoning.output_tokens": (attempt.usage and attempt.usage.reasoning_tokens) or None,
        "labkit.attempt.number": attempt.n,
        "labkit.attempt.kind": attempt.kind,
        "labkit.attempt.outcome": attempt.outcome,
        "labkit.attempt.waited_s": attempt.waited_s,
        "labkit.attempt.wire": attempt.wire,
        "error.type": None if attempt.outcome == "ok" else attempt.outcome,
        "http.response.status_code": attempt.status,
        "server.address": address and address.hostname,
        "server.port": address and address.port,
    })  # fmt: skip


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _seats(plan: Definition) -> Sequence[Seat]:
    return [plan.seat, *(rung for rung in plan.fallbacks if isinstance(rung, Seat))]


@lru_cache(maxsize=1)
def _meters() -> dict[str, Any]:
    """Make the instruments once; the API passes them on to whichever provider is set, also later."""
    from opentelemetry import metrics

    meter = metrics.get_meter("labkit")

    def breakers(_: Any) -> list[metrics.Observation]:
        return [
            metrics.Observation(_STATES[circuit.state], {"gen_ai.request.model": circuit.name})
            for circuit in circuits()
        ]

    meter.create_observable_gauge("labkit.breaker.state", callbacks=[breakers])
    return {
        "labkit.calls": meter.create_counter("labkit.calls", "{call}"),
        "labkit.call.duration": meter.create_histogram("labkit.call.duration", "s"),
        "labkit.attempts": meter.create_counter("labkit.attempts", "{attempt}"),
        "labkit.cost": meter.create_counter("labkit.cost", "{USD}"),
        "gen_ai.client.operation.duration": meter.create_histogram("gen_ai.client.operation.duration", "s"),
        "gen_ai.client.token.usage": meter.create_histogram("gen_ai.client.token.usage", "{token}"),
    }
