"""Traces and metrics, as an application's own OpenTelemetry SDK receives them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from desk import GOOD, Triage, support_desk
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

import labkit as lk
from labkit.errors import ModelError
from labkit.models.server import ModelServer

DOWN = ModelError("no", outcome="transport", status=503)
DEFAULT = lk.SafeDefault(Triage(intent="card_arrival", urgency=1))

_exporter = InMemorySpanExporter()
_reader = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def sdk() -> None:
    """An application sets its providers once a process; so do these tests."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[_reader]))


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    _exporter.clear()
    yield _exporter
    _exporter.clear()


def measured(name: str, **attributes: str) -> float:
    """The sum of a metric over the data points that have *attributes*; of a histogram, of what was recorded."""
    data = _reader.get_metrics_data()
    total = 0.0
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points if metric.name == name else ():
                    wanted = {key.replace("__", "."): value for key, value in attributes.items()}
                    if wanted.items() <= dict(point.attributes or {}).items():
                        total += getattr(point, "value", None) or getattr(point, "sum", 0)
    return total


def parts(finished: tuple[ReadableSpan, ...]) -> tuple[ReadableSpan, list[ReadableSpan]]:
    (call,) = [span for span in finished if span.name.startswith("guard ")]
    return call, [span for span in finished if span.name.startswith("chat ")]


def test_a_call_with_a_retry_a_reask_and_a_fallback(spans: InMemorySpanExporter):
    """One internal span, one client span for each request, under the names of the conventions."""
    first = lk.ScriptedModel([DOWN, "nonsense", "nonsense"], name="scripted/first")
    second = lk.ScriptedModel(GOOD, name="scripted/second")
    policy = lk.Policy(retry=lk.Retry(max_attempts=2, backoff_s=0.0), reask=1)

    result = support_desk(first, policy=policy, fallbacks=[second])(text="hello")

    call, attempts = parts(spans.get_finished_spans())
    assert (call.name, call.kind, call.parent) == ("guard triage", SpanKind.INTERNAL, None)
    assert [(s.name, s.kind) for s in attempts] == [
        ("chat scripted/first", SpanKind.CLIENT),
        ("chat scripted/first", SpanKind.CLIENT),
        ("chat scripted/first", SpanKind.CLIENT),
        ("chat scripted/second", SpanKind.CLIENT),
    ]
    assert call.context is not None
    assert {s.parent.span_id for s in attempts if s.parent} == {call.context.span_id}
    names = ("labkit.attempt.number", "labkit.attempt.kind", "labkit.attempt.outcome", "error.type")
    assert [tuple((s.attributes or {}).get(name) for name in names) for s in attempts] == [
        (1, "first", "transport", "transport"),
        (2, "retry", "parse", "parse"),
        (3, "reask", "parse", "parse"),
        (4, "fallback", "ok", None),
    ]
    about = dict(call.attributes or {})
    assert result.usage is not None
    assert about["labkit.source"] == "fallback_model"
    assert (about["labkit.reason.step"], about["labkit.reason.outcome"]) == ("output", "parse")
    assert about["labkit.call_id"] == result.call_id
    assert about["labkit.usage.input_tokens"] == result.usage.prompt_tokens
    assert not any(name.startswith("gen_ai.usage") for name in about)


def test_an_attempts_attributes_are_those_of_the_conventions(spans: InMemorySpanExporter):
    """Pinned, so that a change of names is seen."""
    with ModelServer(lk.ScriptedModel(GOOD)) as server:
        model = lk.Model("openai/m", base_url=server.base_url, max_tokens=50, seed=7)
        support_desk().replace(model=model)(text="hello")
        port = int(server.base_url.split(":")[2].split("/")[0])

    _, (attempt,) = parts(spans.get_finished_spans())
    about = dict(attempt.attributes or {})
    assert about.pop("gen_ai.usage.input_tokens", 0) and about.pop("gen_ai.usage.output_tokens", 0)
    assert str(about.pop("gen_ai.response.id")).startswith("chatcmpl-")
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "openai/m",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stream": False,
        "gen_ai.output.type": "json",
        "gen_ai.prompt.name": "triage",
        "gen_ai.response.model": "scripted/model",
        "gen_ai.response.finish_reasons": ("stop",),
        "labkit.attempt.number": 1,
        "labkit.attempt.kind": "first",
        "labkit.attempt.outcome": "ok",
        "labkit.attempt.waited_s": 0.0,
        "labkit.attempt.wire": "json_schema",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


def test_times_lie_within_the_call(spans: InMemorySpanExporter):
    """An attempt begins after its call and ends before it."""
    support_desk()(text="hello")

    call, (attempt,) = parts(spans.get_finished_spans())

    times = [call.start_time, attempt.start_time, attempt.end_time, call.end_time]
    assert all(time is not None for time in times)
    assert times == sorted(times, key=lambda time: time or 0)


def test_spans_of_the_applications_own_sources_lie_within_the_call(spans: InMemorySpanExporter):
    """The call's span is the current one while it runs."""

    async def lookup(ticket: Any) -> str:
        with trace.get_tracer("app").start_as_current_span("lookup"):
            return "weekdays"

    support_desk(context=[lk.Source(lookup)])(text="hello")

    finished = {span.name: span for span in spans.get_finished_spans()}
    parent, context = finished["lookup"].parent, finished["guard triage"].context
    assert parent is not None and context is not None
    assert parent.span_id == context.span_id


def test_an_error_is_an_error_and_a_fallback_is_not(spans: InMemorySpanExporter):
    """Alerts on fallbacks read the metric; the span's status says whether somebody got no answer."""
    support_desk(lk.ScriptedModel(DOWN))(text="a")
    support_desk(lk.ScriptedModel(DOWN), fallbacks=[DEFAULT])(text="a")

    calls = [span for span in spans.get_finished_spans() if span.name == "guard triage"]
    assert [span.status.status_code for span in calls] == [StatusCode.ERROR, StatusCode.UNSET]


def test_counts_agree_between_result_record_metrics_and_server(spans: InMemorySpanExporter):
    """Whoever counts, counts the same."""
    records: list[lk.CallRecord] = []
    with ModelServer(lk.ScriptedModel([GOOD, "nonsense", GOOD])) as server:
        desk = support_desk(policy=lk.Policy(reask=1), sink=records.append).replace(
            name="counted", model=lk.Model("openai/counted", base_url=server.base_url)
        )
        results = [desk(text=f"{n}") for n in range(5)]
        requests = server.counts.requests
    assert lk.flush()

    sent = sum(len(result.attempts) for result in results)
    tokens = sum(result.usage.total_tokens for result in results if result.usage)
    assert requests == sent == sum(len(record.attempts) for record in records) == 6
    assert measured("labkit.attempts", labkit__call="counted") == sent
    assert measured("labkit.calls", labkit__call="counted", labkit__source="model", labkit__reason="") == 5
    assert measured("gen_ai.client.token.usage", gen_ai__request__model="openai/counted") == tokens
    assert tokens == sum(record.usage.total_tokens for record in records if record.usage)
    assert len(spans.get_finished_spans()) == 5 + sent


def test_fallbacks_and_open_breakers_can_be_alerted_on():
    """By source and reason, and by the breaker's own state."""
    down = lk.ScriptedModel(DOWN, name="scripted/down")
    policy = lk.Policy(retry=lk.Retry(max_attempts=1), breaker=lk.Breaker(min_calls=2))
    desk = support_desk(down, policy=policy, fallbacks=[DEFAULT]).replace(name="alerted")

    for _ in range(3):
        desk(text="hello")

    def fallbacks(reason: str) -> float:
        return measured("labkit.calls", labkit__call="alerted", labkit__source="default", labkit__reason=reason)

    assert (fallbacks("model: transport"), fallbacks("model: breaker_open")) == (2, 1)
    assert measured("labkit.breaker.state", gen_ai__request__model="scripted/down") == 2


CANARY = "canary-7f3a91c2"


class Secret(BaseModel):
    text: Annotated[str, lk.Sensitive]


def test_a_secret_is_in_no_span_and_no_metric(spans: InMemorySpanExporter):
    """Not when a rule's exception quotes it, not when a model repeats it."""

    def broken(value: Any, given: Secret) -> Any:
        raise ValueError(f"cannot use {given.text}")

    support_desk(GOOD, input=Secret, rules=[broken])(text=CANARY)
    support_desk(f"you said {CANARY}", input=Secret)(text=CANARY)
    support_desk(lk.ScriptedModel(ModelError(f"no {CANARY}", outcome="auth")), input=Secret)(text=CANARY)

    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    data = _reader.get_metrics_data()
    assert data is not None
    assert CANARY not in everything + data.to_json()
    assert "[sensitive]" in everything


def test_a_cancelled_call_has_its_span(spans: InMemorySpanExporter):
    """Nobody waited, and the trace says so."""

    class Silent:
        name = "scripted/silent"

        async def complete(self, request: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        async def stream(self, request: Any) -> Any:
            yield await self.complete(request)

    async def scenario() -> None:
        task = asyncio.create_task(support_desk(Silent()).acall(text="hello"))
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())

    call, attempts = parts(spans.get_finished_spans())
    assert (call.attributes or {})["labkit.reason.outcome"] == "cancelled"
    assert [(s.attributes or {})["labkit.attempt.outcome"] for s in attempts] == ["cancelled"]


def test_labkit_never_loads_opentelemetry_itself():
    """Where the application does not use it, a call costs nothing more."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from desk import support_desk; "
        "assert support_desk()(text='hello').source == 'model'; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    here = str(__import__("pathlib").Path(__file__).parents[1])

    assert subprocess.run([sys.executable, "-c", code, here], check=False).returncode == 0
