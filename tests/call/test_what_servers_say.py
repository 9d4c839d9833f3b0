"""A call is right about what a server said, whichever server: an answer, an error, or nothing at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from aiohttp import web
from provider import Answer, Provider, always, completion, provider
from pydantic import BaseModel

import labkit as lk


class Message(BaseModel):
    text: str


class Sorted(BaseModel):
    intent: Literal["card", "cash", "other"]


CARD = '{"intent": "card"}'
ONCE = lk.Retry(max_attempts=1)
EVENTS = {"Content-Type": "text/event-stream"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of whoever runs the tests."""
    for name in ("http_proxy", "all_proxy", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(
    answer: Answer,
    *,
    output: Any = Sorted,
    times: int = 1,
    policy: lk.Policy | None = None,
    streamed: bool = False,
    model: dict[str, Any] | None = None,
    address: Callable[[str], str] = str,
    **parts: Any,
) -> tuple[list[lk.Result[Any]], Provider]:
    """Ask a server that gives *answer*, one call after the other; give the results and what the server was asked."""
    limits = lk.Attempt(idle_s=5) if streamed else lk.Attempt()

    async def scenario() -> tuple[list[lk.Result[Any]], Provider]:
        async with provider(answer) as served:
            call = lk.GuardedCall(
                "sort",
                input=Message,
                output=output,
                prompt=lk.Prompt(user="{{ input.text }}"),
                model=lk.Model("openai/m", base_url=address(served.base_url), api_key="none", **(model or {})),
                policy=policy or lk.Policy(deadline_s=10, retry=ONCE, attempt=limits),
                **parts,
            )
            return [await call.acall(text="hello") for _ in range(times)], served

    return asyncio.run(scenario())


def result_of(answer: Answer, **parts: Any) -> lk.Result[Any]:
    return ask(answer, **parts)[0][0]


def ended(result: lk.Result[Any]) -> tuple[Any, str | None]:
    """The value, and how the main path ended where it did."""
    return result.value, None if result.reason is None else result.reason.outcome


def piece(finish_reason: Any = None, **delta: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def events(*bodies: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(body)}\n\n" for body in bodies) + end).encode()


def stream(*bodies: Any, end: str = "data: [DONE]\n\n") -> Answer:
    return always(events(*bodies, end=end), **EVENTS)


def ending(reason: Any, text: str | None = "Your card was blo", **choice: Any) -> Answer:
    body = completion(text)
    body["choices"][0] |= {"finish_reason": reason, **choice}
    return always(body)


either_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


# --- nothing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"data: [DONE]\n\n",
        b": ping\n\ndata: [DONE]\n\n",
        b'data: {"choices": []}\n\ndata: [DONE]\n\n',
        b'data: {"choices": null, "usage": {"prompt_tokens": 3, "completion_tokens": 0}}\n\ndata: [DONE]\n\n',
        b"event: ping\ndata: {}\n\ndata: [DONE]\n\n",
        b"",
        b"\n\n",
        b"upstream is warming up",
        b"<html>nginx</html>",
    ],
    ids=range(9),
)
@pytest.mark.parametrize("output", [str, Sorted], ids=["text", "schema"])
def test_a_stream_without_a_choice_is_no_answer(raw: bytes, output: Any):
    """An engine that fails before its first word is asked again, and what it did not say is served to nobody."""
    policy = lk.Policy(
        deadline_s=10, retry=lk.Retry(max_attempts=2, backoff_s=0.001), attempt=lk.Attempt(idle_s=5), cache=lk.Cache()
    )
    results, served = ask(always(raw, **EVENTS), output=output, policy=policy, times=2)

    assert [ended(result) for result in results] == [(None, "transport")] * 2
    assert len(served.bodies) == 4


@pytest.mark.parametrize("content", [None, "", "  \n", "\u200b", "\ufeff \u00a0", [], [{"type": "thinking"}]], ids=repr)
@either_way
def test_a_blank_text_is_asked_about_again_and_kept_for_nobody(content: Any, streamed: bool):
    """All tokens went into the reasoning, or a template was wrong: the next answer counts, and the cache has it."""
    answers = iter([content, "It is on its way."])

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        said = next(answers)
        whole = always(completion(said, reasoning_content="Let me think."))
        return await (stream(piece(content=said), piece("stop")) if streamed else whole)(request, asked)

    policy = lk.Policy(deadline_s=10, reask=1, retry=ONCE, cache=lk.Cache(), attempt=lk.Attempt(idle_s=5))
    (first, second), served = ask(answer, output=str, policy=policy, times=2)

    assert (first.value, [attempt.outcome for attempt in first.attempts]) == ("It is on its way.", ["parse", "ok"])
    assert (second.value, second.source) == ("It is on its way.", "cache")
    assert served.bodies[1]["messages"][-2] == {"role": "assistant", "content": "(no answer)"}


def test_a_blank_text_reaches_the_fallback():
    """Nobody is shown an empty answer."""
    result = result_of(always(completion("")), output=str, fallbacks=[lk.Apology("Please call us.")])

    assert (result.value, result.user_message, result.degraded) == (None, "Please call us.", True)
    assert result.reason is not None and result.reason.outcome == "parse"


@pytest.mark.parametrize(
    ("output", "value", "outcome"),
    [
        (str | None, None, None),
        (Literal["", "spam"], "", None),
        (str, None, "parse"),
        (Sorted, None, "parse"),
        (list[str], None, "parse"),
        (Sorted | None, None, "parse"),
        (Any, None, "parse"),
    ],
    ids=str,
)
def test_a_blank_text_is_an_answer_where_the_output_says_so(output: Any, value: Any, outcome: str | None):
    """A model that has nothing to say may be told to say nothing."""
    assert ended(result_of(always(completion("")), output=output)) == (value, outcome)


# --- errors -----------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Any, str, int]] = {
    "OpenAI": ({"error": {"message": "engine died", "type": "server_error", "code": None}}, "transport", 500),
    "a code": ({"error": {"message": "engine died", "code": 503}}, "transport", 503),
    "a code in quotes": ({"error": {"message": "engine died", "code": "429"}}, "rate_limited", 429),
    "its name only": ({"error": {"message": "engine died", "type": "rate_limit_error"}}, "rate_limited", 429),
    "Google": ([{"error": {"code": 403, "message": "engine died", "status": "PERMISSION_DENIED"}}], "auth", 403),
    "Google's name": ({"error": {"message": "engine died", "status": "RESOURCE_EXHAUSTED"}}, "rate_limited", 429),
    "Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "engine died"}}, "transport", 529),
    "vLLM": (
        {"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500},
        "transport",
        500,
    ),
    "flat": ({"message": "engine died", "type": "BadRequestError", "code": 400}, "bug", 400),
    "flat and named": ({"message": "engine died", "type": "invalid_request_error"}, "bug", 400),
    "text": ({"error": "engine died"}, "transport", 500),
    "a list of them": ({"errors": [{"code": 401, "message": "engine died"}], "success": False}, "auth", 401),
    "no success": ({"success": False, "message": "engine died"}, "transport", 500),
    "FastAPI": ({"detail": "engine died", "status": 504}, "timeout", 504),
    "beside an answer": (completion(CARD) | {"error": {"message": "engine died", "code": 502}}, "transport", 502),
    "without choices": ({"choices": None, "error": {"message": "engine died", "code": 429}}, "rate_limited", 429),
    "wrapped twice": ({"error": {"error": {"message": "engine died", "code": 500}}}, "transport", 500),
}


@pytest.mark.parametrize(("body", "outcome", "status"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("way", ["whole", "in a stream's place", "first event", "later event", "named event", "field"])
def test_an_error_is_one_in_every_form_and_place(body: Any, outcome: str, status: int, way: str):
    """With its status and words, whatever status the response had; what came before it is no answer."""
    line = json.dumps(body).encode()
    begun = events(piece(content="It is"), end="")
    raw = {
        "whole": line,
        "in a stream's place": line,
        "first event": b"data: " + line + b"\n\ndata: [DONE]\n\n",
        "later event": begun + b"data: " + line + b"\n\n" + events(piece("stop")),
        "named event": begun + b"event: error\ndata: " + line + b"\n\ndata: [DONE]\n\n",
        "field": begun + b"error: " + line + b"\n\ndata: [DONE]\n\n",
    }[way]
    kind = "application/json" if way in ("whole", "in a stream's place") else "text/event-stream"

    result = result_of(always(raw, **{"Content-Type": kind}), output=str, streamed=way != "whole")

    assert ended(result) == (None, outcome)
    assert result.attempts[0].status == status
    assert "engine died" in result.attempts[0].message


@pytest.mark.parametrize("data", [b"engine died", b'"engine died"', b'{"reason": "engine died"}', b'["engine died"]'])
def test_an_event_that_is_named_an_error_is_one_without_any_form(data: bytes):
    """Its name is enough."""
    raw = events(piece(content="It is"), end="") + b"event: error\ndata: " + data + b"\n\n" + events(piece("stop"))

    result = result_of(always(raw, **EVENTS), output=str, streamed=True)

    assert ended(result) == (None, "transport")
    assert "engine died" in result.attempts[0].message


@pytest.mark.parametrize("error", [None, "", {}, [], {"message": "", "code": 0}], ids=repr)
def test_an_error_without_anything_in_it_is_none(error: Any):
    """Some servers always have the field."""
    assert result_of(always(completion(CARD) | {"error": error})).value == Sorted(intent="card")


def test_an_error_within_the_choice_is_asked_again_about():
    """OpenRouter: the provider behind it went away, and the text is empty."""
    broken = completion("")
    broken["choices"][0] |= {"finish_reason": "error", "error": {"code": 502, "message": "Provider disconnected"}}
    answers = iter([broken, completion(CARD)])

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        return await always(next(answers))(request, asked)

    result = result_of(answer, policy=lk.Policy(deadline_s=10, retry=lk.Retry(max_attempts=2, backoff_s=0.001)))

    assert result.value == Sorted(intent="card")
    assert [(attempt.outcome, attempt.status) for attempt in result.attempts] == [("transport", 502), ("ok", None)]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        *[(each, "truncated") for each in (
            "length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "MAX_COMPLETION_TOKENS",
            "Max Tokens", "ERROR_LIMIT", "model_context_window_exceeded", "incomplete", {"type": "max_tokens"},
        )],
        *[(each, "refused") for each in (
            "content_filter", "CONTENT_FILTER", "content_filter: SAFETY", "SAFETY", "safety", "RECITATION", "refusal",
            "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "sensitive", "content-filter", "ERROR_TOXIC",
        )],
        *[(each, "transport") for each in (
            "error", "ERROR", "abort", "cancelled", "network_error", "insufficient_system_resource", "failed",
        )],
        *[(each, "parse") for each in ("MALFORMED_FUNCTION_CALL",)],
    ],
    ids=str,
)  # fmt: skip
@either_way
def test_an_answer_that_did_not_end_well_is_served_to_nobody(reason: Any, outcome: str, streamed: bool):
    """Each provider has words of its own for it."""
    said = "Your card was blo"
    answer = stream(piece(content=said), piece(reason)) if streamed else ending(reason, said)

    assert ended(result_of(answer, output=str, streamed=streamed)) == (None, outcome)


@pytest.mark.parametrize(
    "reason", ["stop", "STOP", "end_turn", "stop_sequence", "eos", "COMPLETE", "tool_calls", None], ids=str
)
def test_an_answer_that_ended_well_is_served_without_a_word(reason: Any):
    """In whichever words."""
    result = result_of(ending(reason, "It is on its way."), output=str)

    assert (result.value, result.notes) == ("It is on its way.", ())


@pytest.mark.parametrize("reason", ["OTHER", "pause_turn", "FINISH_REASON_UNSPECIFIED", 7, ["stop"], True], ids=str)
@either_way
def test_an_unknown_end_is_noted(reason: Any, streamed: bool):
    """It may be a good answer, and whoever reads the record sees how it ended."""
    said = "It is on its way."
    answer = stream(piece(content=said), piece(reason)) if streamed else ending(reason, said)

    result = result_of(answer, output=str, streamed=streamed)

    assert result.value == said
    assert [json.dumps(reason) in note.message for note in result.notes] == [True]


def test_the_worst_of_several_ends_counts():
    """An answer that was cut off stays so, whatever follows."""
    cut = stream(piece(content="It is"), piece("length"), piece("stop"))

    assert ended(result_of(cut, output=str, streamed=True)) == (None, "truncated")


def test_a_stream_without_an_end_is_noted():
    """[DONE] alone is an end for some servers; it says nothing of why."""
    result = result_of(stream(piece(content="It is")), output=str, streamed=True)

    assert result.value == "It is"
    assert ["without a finish reason" in note.message for note in result.notes] == [True]


# --- streams ----------------------------------------------------------------------------------------------------------

TWO = (piece(content='{"intent":'), piece(content='"card"}'), piece("stop"))
A, B = (json.dumps(each) for each in TWO[:2])
STREAMS: dict[str, bytes] = {
    "empty data": f"data: {A}\n\ndata:\n\ndata: \n\ndata\n\ndata: {B}\n\ndata: [DONE]\n\n".encode(),
    "data of several lines": events(*TWO).replace(b', "choices"', b',\ndata: "choices"'),
    "CRLF": events(*TWO).replace(b"\n", b"\r\n"),
    "CR": events(*TWO).replace(b"\n", b"\r"),
    "BOM": b"\xef\xbb\xbf" + events(*TWO),
    "comments, ids, retry": b": ping\n\nid: 7\nretry: 10\nevent: message\n" + events(*TWO) + b": bye\n\n",
    "fields of other names": b"foo: bar\nfoo\n" + events(*TWO),
    "no blank after the colon": events(*TWO).replace(b"data: ", b"data:"),
    "single line ends": events(*TWO).replace(b"\n\n", b"\n"),
    "no last line end": events(*TWO).rstrip(b"\n"),
    "blank lines first": b"\n\n\r\n" + events(*TWO),
    "nothing but the answer": events(*TWO, end=""),
    "no finish reason": events(*TWO[:2]),
    "a role first": events(piece(role="assistant", content=""), *TWO),
    "nulls": events(piece(content=None, tool_calls=None, refusal=None), *TWO),
    "usage after": events(*TWO, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
    "other choices": events(
        TWO[0], {"choices": [{"index": 1, "delta": {"content": "cash"}, "finish_reason": "length"}]}, *TWO[1:]
    ),
    "one event with a whole message": events(completion(CARD)),
    "a whole message after its pieces": events(*TWO[:2], completion(CARD)),
    "messages that grow": events(completion('{"intent":'), completion(CARD)),
    "JSON": json.dumps(completion(CARD)).encode(),
    "JSON after blanks": b"\n  \n" + json.dumps(completion(CARD)).encode(),
    "JSON after a BOM": b"\xef\xbb\xbf" + json.dumps(completion(CARD)).encode(),
    "JSON, then an end": json.dumps(completion(CARD)).encode() + b"\n\ndata: [DONE]\n\n",
}


@pytest.mark.parametrize("raw", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@either_way
def test_an_answer_is_read_in_whichever_form_it_comes(raw: bytes, kind: str, streamed: bool):
    """Some servers stream unless told not to, others never do, and few read the standard."""
    result = result_of(always(raw, **{"Content-Type": kind}), streamed=streamed)

    assert ended(result) == (Sorted(intent="card"), None)


BROKEN: dict[str, bytes] = {
    "cut in an event": events(*TWO, end="")[:-80],
    "cut after an event": events(*TWO[:2], end=""),
    "a piece that is no JSON": events(TWO[0], end="") + b"data: {\n\n" + events(*TWO[1:]),
    "a piece that is not UTF-8": events(TWO[0], end="") + b'data: {"choices": "\xe9"}\n\n' + events(*TWO[1:]),
    "a piece that is a list": events(TWO[0], [1], *TWO[1:]),
    "messages that differ": events(completion('{"intent": "cash"}'), completion(CARD)),
    "JSON, then other JSON": json.dumps(completion(CARD)).encode() * 2,
    "JSON, then text": json.dumps(completion(CARD)).encode() + b"\nbye",
    "half of JSON": json.dumps(completion(CARD)).encode()[:-3],
    "a choice without a message": json.dumps({"choices": [{"index": 0, "finish_reason": "stop"}]}).encode(),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
@either_way
def test_what_is_broken_is_no_answer(raw: bytes, streamed: bool):
    """Half of it is not served, and it is asked for again."""
    assert ended(result_of(always(raw, **EVENTS), streamed=streamed)) == (None, "transport")


def test_a_server_is_told_whether_to_stream():
    """Some do unless they are told not to."""
    _, whole = ask(always(completion(CARD)))
    _, pieces = ask(stream(*TWO), streamed=True)

    assert (whole.bodies[0]["stream"], pieces.bodies[0]["stream"]) == (False, True)
    assert "stream_options" not in whole.bodies[0]


@pytest.mark.parametrize("limits", [lk.Attempt(first_token_s=5), lk.Attempt(idle_s=0.2)], ids=["first", "idle"])
@pytest.mark.parametrize("end", [b"", b": ping\n\n"], ids=["silent", "with comments"])
def test_a_connection_that_stays_open_after_the_end_costs_no_answer(limits: lk.Attempt, end: bytes):
    """The answer is there; its usage is waited for shortly."""

    async def scenario() -> lk.Result[Any]:
        done = asyncio.Event()

        async def lingers(request: web.Request, asked: Any) -> web.StreamResponse:
            response = web.StreamResponse(headers=EVENTS)
            await response.prepare(request)
            await response.write(events(*TWO, end="") + end)
            await done.wait()
            return response

        async with provider(lingers) as served:
            call = lk.GuardedCall(
                "sort", input=Message, output=Sorted, prompt=lk.Prompt(user="{{ input.text }}"),
                model=lk.Model("openai/m", base_url=served.base_url),
                policy=lk.Policy(deadline_s=20, retry=ONCE, attempt=limits),
            )  # fmt: skip
            result = await call.acall(text="hello")
            done.set()
            return result

    result = asyncio.run(scenario())

    assert ended(result) == (Sorted(intent="card"), None)
    assert result.elapsed_s < 10
    assert result.usage is not None and result.usage.estimated


def test_a_connection_that_breaks_after_the_end_costs_no_answer():
    """What was said was said."""

    async def breaks(request: web.Request, asked: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        await response.write(events(*TWO, end=""))
        assert request.transport is not None
        request.transport.close()  # in the middle of a chunked body
        return response

    assert ended(result_of(breaks, streamed=True)) == (Sorted(intent="card"), None)


# --- characters -------------------------------------------------------------------------------------------------------


def _halves(*parts: str) -> bytes:
    """A stream whose pieces are JSON text as given, so that half a character can be sent."""
    event = 'data: {"choices":[{"index":0,"delta":{"content":"PART"}}]}\n\n'
    return "".join(event.replace("PART", part) for part in parts).encode() + events(piece("stop"))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("ok ", "\\ud83d", "\\ude00", " done"), "ok \U0001f600 done"),
        (("\\ud83d", "", "\\ude00"), "\U0001f600"),
        (("a\\ud83d", "\\ude00\\ud83d", "\\ude01b"), "a\U0001f600\U0001f601b"),
    ],
    ids=["between", "around nothing", "twice"],
)
def test_a_character_in_two_pieces_is_one(parts: tuple[str, ...], text: str):
    """Equal to what was meant, and it can be printed, sent and stored; nobody sees half of one meanwhile."""

    async def scenario() -> list[Any]:
        async with provider(always(_halves(*parts), **EVENTS)) as served:
            call = lk.GuardedCall(
                "echo", input=Message, output=str, prompt=lk.Prompt(user="{{ input.text }}"),
                model=lk.Model("openai/m", base_url=served.base_url),
            )  # fmt: skip
            return [event async for event in call.astream(text="hello")]

    *partials, final = asyncio.run(scenario())

    assert final.result.value == text
    assert all(partial.value.encode() and text.startswith(partial.value) for partial in partials)
    assert final.result.notes == ()


@pytest.mark.parametrize("parts", [("a\\ud83d",), ("a\\ude00",), ("a\\ud83d", "b")], ids=["first", "second", "between"])
def test_half_a_character_without_its_other_half_is_seen_to_be_missing(parts: tuple[str, ...]):
    """U+FFFD, as every decoder has it; the rest is kept and a note says so."""
    result = result_of(always(_halves(*parts), **EVENTS), output=str, streamed=True)

    assert result.value == ("a\ufffdb" if parts[-1] == "b" else "a\ufffd")
    assert ["U+FFFD" in note.message for note in result.notes] == [True]


def test_half_a_character_in_one_piece():
    """Also where the answer comes whole."""
    raw = json.dumps(completion("a")).replace('"a"', '"a\\ud83d"').encode()

    assert result_of(always(raw), output=str).value == "a\ufffd"


# --- content ----------------------------------------------------------------------------------------------------------

DRAFT = 'maybe {"intent": "cash"}'


@pytest.mark.parametrize(
    "content",
    [
        {"intent": "card"},
        [{"type": "text", "text": CARD}],
        [{"type": "output_text", "text": CARD}],
        [{"text": CARD}],
        [{"type": "text", "text": {"value": CARD}}],
        [{"type": "text", "text": '{"intent":'}, {"type": "text", "text": '"card"}'}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}, {"type": "text", "text": CARD}],
        [{"type": "reasoning", "text": DRAFT}, {"type": "text", "text": CARD}],
        [{"type": "reasoning_text", "text": DRAFT}, {"type": "text", "text": CARD}],
        [{"type": "reasoning.summary", "summary": DRAFT}, {"type": "text", "text": CARD}],
        [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": CARD}],
        [{"type": "citation", "text": DRAFT}, {"type": "text", "text": CARD}],
        [{"type": "tool_result", "text": DRAFT}, {"type": "text", "text": CARD}],
    ],
    ids=range(13),
)
@either_way
def test_only_the_text_of_the_content_is_the_answer(content: Any, streamed: bool):
    """Not its reasoning, nor parts of unknown types; a server that reads the JSON itself sends an object."""
    answer = stream(piece(content=content), piece("stop")) if streamed else always(completion(content))

    assert ended(result_of(answer, streamed=streamed)) == (Sorted(intent="card"), None)


def _calls(*calls: tuple[str | None, Any]) -> list[dict[str, Any]]:
    return [
        {"index": n, "id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]


@pytest.mark.parametrize(
    ("message", "value", "outcome"),
    [
        ({"content": "I'll sort this now.", "tool_calls": _calls(("sort", CARD))}, "card", None),
        ({"content": [], "tool_calls": _calls(("sort", CARD))}, "card", None),
        ({"content": '{"intent": "cash"}', "tool_calls": _calls(("sort", CARD))}, "card", None),
        ({"content": None, "tool_calls": _calls(("sort", {"intent": "card"}))}, "card", None),
        ({"content": None, "tool_calls": _calls(("other", '{"intent": "cash"}'), ("sort", CARD))}, "card", None),
        ({"content": None, "tool_calls": _calls(("sort", CARD), ("sort", CARD))}, "card", None),
        ({"content": None, "tool_calls": _calls((None, CARD))}, "card", None),
        ({"content": None, "tool_calls": _calls(("functions.sort", CARD))}, "card", None),
        ({"content": None, "function_call": {"name": "sort", "arguments": CARD}}, "card", None),
        ({"content": CARD}, "card", None),
        ({"content": CARD, "tool_calls": None}, "card", None),
        ({"content": CARD, "tool_calls": _calls(("sort", ""))}, None, "parse"),
        ({"content": None, "tool_calls": _calls(("sort", CARD), ("sort", '{"intent": "cash"}'))}, None, "schema"),
    ],
    ids=range(13),
)
@either_way
def test_the_arguments_of_the_forced_tool_are_the_answer(message: Any, value: Any, outcome: str | None, streamed: bool):
    """A sentence beside them is none, and two that differ are not settled by their order."""
    body = completion()
    body["choices"][0]["message"] = {"role": "assistant", **message}

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if "response_format" in asked:
            return await always({"error": {"message": "response_format is not supported"}}, status=400)(request, asked)
        return await (stream(piece(**message), piece("tool_calls")) if streamed else always(body))(request, asked)

    policy = lk.Policy(
        deadline_s=10, retry=ONCE, repair="safe", attempt=lk.Attempt(idle_s=5) if streamed else lk.Attempt()
    )
    result = result_of(answer, policy=policy)

    assert ended(result) == (None if value is None else Sorted(intent=value), outcome)
    assert result.attempts[0].wire == "tool"


def test_a_call_in_pieces_is_shown_as_it_comes():
    """The partials of a forced tool are those of its arguments, and a sentence before them is not among them."""

    class Note(BaseModel):
        note: str

    pieces = [
        piece(content="Let me see."),
        piece(tool_calls=[{"index": 0, "id": "c", "function": {"name": "note", "arguments": ""}}]),
        *[piece(tool_calls=[{"index": 0, "function": {"arguments": part}}]) for part in ('{"note": "a', " b", ' c"}')],
        piece("tool_calls"),
    ]

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if "response_format" in asked:
            return await always({"error": {"message": "response_format is not supported"}}, status=400)(request, asked)
        return await stream(*pieces)(request, asked)

    async def scenario() -> list[Any]:
        async with provider(answer) as served:
            call = lk.GuardedCall(
                "note", input=Message, output=Note, prompt=lk.Prompt(user="{{ input.text }}"),
                model=lk.Model("openai/m", base_url=served.base_url),
            )  # fmt: skip
            return [event async for event in call.astream(text="hello")]

    *partials, final = asyncio.run(scenario())

    assert final.result.value == Note(note="a b c")
    assert all("a b c".startswith(partial.value.get("note", "")) for partial in partials)


# --- reasoning --------------------------------------------------------------------------------------------------------

THOUGHTS: dict[str, dict[str, Any]] = {
    "DeepSeek": {"content": CARD, "reasoning_content": DRAFT},
    "OpenRouter": {
        "content": CARD,
        "reasoning": DRAFT,
        "reasoning_details": [{"type": "reasoning.text", "text": DRAFT}],
    },
    "both names": {"content": CARD, "reasoning": DRAFT, "reasoning_content": DRAFT},
    "Magistral": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}, {"type": "text", "text": CARD}]
    },
    "parts": {"content": [{"type": "reasoning", "text": DRAFT}, {"type": "text", "text": CARD}]},
}


@pytest.mark.parametrize("message", THOUGHTS.values(), ids=THOUGHTS)
@either_way
def test_reasoning_is_kept_apart(message: Any, streamed: bool):
    """It is there for who asks for it, and in nothing that is shown."""
    body = completion()
    body["choices"][0]["message"] = message
    answer = stream(piece(**message), piece("stop")) if streamed else always(body)

    result = result_of(answer, streamed=streamed)
    attempt = result.attempts[0]

    assert (result.value, attempt.text, attempt.reasoning) == (Sorted(intent="card"), CARD, DRAFT)
    assert "maybe" not in f"{result!r} {attempt!r} {result._repr_html_()}"
    assert result.usage is not None and result.usage.estimated
    assert result.usage.completion_tokens >= (len(CARD) + len(DRAFT)) // 4


@pytest.mark.parametrize("content", [False, True])
def test_reasoning_is_recorded_with_the_content_only(content: bool):
    """It repeats what the user wrote."""
    records: list[Any] = []
    body = completion(CARD, reasoning_content=DRAFT)
    result_of(always(body), policy=lk.Policy(record_content=content, retry=ONCE), sink=records.append)
    lk.flush()

    assert records[0].attempts[0].reasoning == (DRAFT if content else None)
    assert ("maybe" in records[0].line().decode()) is content


def test_thinking_counts_as_a_sign_of_life():
    """A model that thinks aloud is not given up on before its first word of an answer."""

    async def scenario() -> lk.Result[Any]:
        async def thinks(request: web.Request, asked: Any) -> web.StreamResponse:
            response = web.StreamResponse(headers=EVENTS)
            await response.prepare(request)
            for _ in range(8):
                await response.write(events(piece(reasoning_content="hm "), end=""))
                await asyncio.sleep(0.1)
            await response.write(events(*TWO))
            return response

        async with provider(thinks) as served:
            call = lk.GuardedCall(
                "sort", input=Message, output=Sorted, prompt=lk.Prompt(user="{{ input.text }}"),
                model=lk.Model("openai/m", base_url=served.base_url),
                policy=lk.Policy(deadline_s=20, retry=ONCE, attempt=lk.Attempt(first_token_s=0.6, idle_s=0.6)),
            )  # fmt: skip
            return await call.acall(text="hello")

    result = asyncio.run(scenario())

    assert ended(result) == (Sorted(intent="card"), None)
    assert result.attempts[0].reasoning == "hm " * 8


# --- usage ------------------------------------------------------------------------------------------------------------

PRICE = lk.Price(prompt_usd=1.0, completion_usd=10.0, cached_usd=0.1)


def _details(cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": reasoning}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "tokens", "millionths"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 5, 0, 0), 60),
        ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, (10, 5, 0, 0), 60),
        ({"prompt_tokens": "10", "completion_tokens": "5"}, (10, 5, 0, 0), 60),
        ({"prompt_tokens": 10, "total_tokens": 15}, (10, 5, 0, 0), 60),
        ({"completion_tokens": 5, "total_tokens": 15}, (10, 5, 0, 0), 60),
        ({"input_tokens": 10, "output_tokens": 5}, (10, 5, 0, 0), 60),
        ({"prompt_tokens": 10, "completion_tokens": 5} | _details(8, 3), (10, 5, 8, 3), 52.8),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 75} | _details(0, 60), (10, 65, 0, 60), 660),
        ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 70} | _details(0, 60), (10, 60, 0, 60), 610),
        ({"prompt_tokens": 10, "completion_tokens": 5} | _details(0, 60), (10, 65, 0, 60), 660),
        ({"prompt_tokens": 10, "completion_tokens": 65, "total_tokens": 75} | _details(0, 60), (10, 65, 0, 60), 660),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, (10, 5, 8, 0), 52.8),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 8}, (10, 5, 8, 0), 52.8),
        ({"input_tokens": 2, "output_tokens": 5, "cache_read_input_tokens": 8}, (10, 5, 8, 0), 52.8),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cache_read_input_tokens": 8}, (10, 5, 8, 0), 52.8),
        ({"prompt_tokens": 10, "completion_tokens": 5} | _details(80), (10, 5, 10, 0), 51),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None, "cost": 1}, (10, 5, 0, 0), 60),
    ],
    ids=range(17),
)
@either_way
def test_tokens_are_counted_as_they_were_reported(
    usage: Any, tokens: tuple[int, ...], millionths: float, streamed: bool
):
    """In whichever shape; the cost is what is billed, with cached tokens at their price."""
    last = {"choices": [], "usage": usage}
    answer = stream(*TWO, last) if streamed else always(completion(CARD) | {"usage": usage})

    result = result_of(answer, model={"price": PRICE}, streamed=streamed)

    assert result.usage is not None and result.cost_usd is not None
    used = result.usage
    assert (used.prompt_tokens, used.completion_tokens, used.cached_tokens, used.reasoning_tokens) == tokens
    assert result.cost_usd * 1e6 == pytest.approx(millionths)
    assert not (used.estimated or result.is_cost_estimated)


@pytest.mark.parametrize(
    ("usage", "prompt", "completion_"),
    [
        (None, None, None),
        ({}, None, None),
        ([], None, None),
        ("many", None, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None, None),
        ({"prompt_tokens": 40}, 40, None),
        ({"prompt_tokens": 40, "completion_tokens": None}, 40, None),
        ({"prompt_tokens": None, "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": -1, "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": 40.5, "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": True, "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": float("nan"), "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": 1e300, "completion_tokens": 50}, None, 50),
        ({"prompt_tokens": "many", "completion_tokens": 50}, None, 50),
    ],
    ids=range(14),
)
def test_only_the_half_that_was_not_reported_is_estimated(usage: Any, prompt: int | None, completion_: int | None):
    """And the cost says that it is a guess."""
    result = result_of(always(completion(CARD) | {"usage": usage}), model={"price": PRICE})
    guess = result_of(always(completion(CARD)), model={"price": PRICE}).usage

    assert result.usage is not None and guess is not None
    assert result.usage.estimated and result.is_cost_estimated
    assert result.usage.prompt_tokens == (guess.prompt_tokens if prompt is None else prompt)
    assert result.usage.completion_tokens == (guess.completion_tokens if completion_ is None else completion_)


def test_a_total_alone_is_kept_as_a_total():
    """What was billed in all is known, how it falls into two is not."""
    used = result_of(always(completion(CARD) | {"usage": {"total_tokens": 90}})).usage

    assert used is not None and (used.total_tokens, used.estimated) == (90, True)


def test_a_stream_may_say_its_usage_in_parts():
    """The prompt first and the completion last; a last one of zeros takes nothing back."""
    parts = [{"prompt_tokens": 10}, {"prompt_tokens": 10, "completion_tokens": 1}, {"completion_tokens": 5}]
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    bodies = [each | {"usage": usage} for each, usage in zip((*TWO, piece()), [*parts, nothing], strict=True)]

    used = result_of(stream(*bodies), streamed=True).usage

    assert used is not None
    assert (used.prompt_tokens, used.completion_tokens, used.estimated) == (10, 5, False)


def test_usage_adds_up_over_attempts():
    """Cached and reasoning tokens as well."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5} | _details(8, 3)
    answers = iter(["no", CARD])

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        return await always(completion(next(answers)) | {"usage": usage})(request, asked)

    used = result_of(answer, policy=lk.Policy(reask=1, retry=ONCE)).usage

    assert used is not None
    assert (used.prompt_tokens, used.completion_tokens) == (20, 10)
    assert (used.cached_tokens, used.reasoning_tokens) == (16, 6)


# --- ways of asking ---------------------------------------------------------------------------------------------------

SCHEMA_REFUSALS: dict[str, Any] = {
    "vLLM": {"object": "error", "message": "The provided JSON schema contains features not supported by xgrammar."},
    "vLLM's grammar": {"error": {"message": 'Grammar error: Unimplemented keys: ["format"]', "code": 400}},
    "Google": [{"error": {"code": 400, "message": 'Unknown name "additionalProperties" at "response_schema"'}}],
    "llama.cpp": {"error": {"code": 400, "message": "Failed to initialize samplers: failed to parse grammar"}},
    "Groq": {"error": {"message": "This model does not support response format `json_schema`."}},
    "OpenAI": {"error": {"message": "Invalid schema for response_format 'sort': 'required' is missing"}},
    "no words": {"error": {"message": "Bad Request"}},
    "nothing": None,
    "with status 200": {"error": {"message": "Bad Request", "code": 400}},
}


@pytest.mark.parametrize("said", SCHEMA_REFUSALS.items(), ids=SCHEMA_REFUSALS)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("refused", "wire"), [(("response_format",), "tool"), (("response_format", "tools"), "prompted")]
)
def test_a_schema_that_is_refused_travels_in_the_next_way(
    said: tuple[str, Any], status: int, refused: tuple[str, ...], wire: str
):
    """Whatever the words of the refusal, once: what works is remembered for the server and model."""
    name, body = said

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if any(field in asked for field in refused):
            return await always(body, status=200 if name.endswith("200") else status)(request, asked)
        if "tools" in asked:
            return await always(completion(None, tool_calls=_calls(("sort", CARD))))(request, asked)
        return await always(completion(CARD))(request, asked)

    results, served = ask(answer, times=3)

    assert [ended(result) for result in results] == [(Sorted(intent="card"), None)] * 3
    assert [[attempt.wire for attempt in result.attempts] for result in results] == [[wire]] * 3
    assert len(served.bodies) == len(refused) + 3


def test_one_schema_that_is_refused_changes_nothing_for_the_others():
    """An odd output type must not change how every other call is asked."""

    class Odd(BaseModel):
        odd: Literal["card"]

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if "odd" in json.dumps(asked.get("response_format")):
            return await always({"error": {"message": "no"}}, status=400)(request, asked)
        said = '{"odd": "card"}' if "odd" in json.dumps(asked) else CARD
        if "tools" in asked:
            return await always(completion(None, tool_calls=_calls(("sort", said))))(request, asked)
        return await always(completion(said))(request, asked)

    async def scenario() -> list[str | None]:
        async with provider(answer) as served:
            wires = []
            for output in (Sorted, Odd, Sorted, Odd):
                call = lk.GuardedCall(
                    "sort", input=Message, output=output, prompt=lk.Prompt(user="{{ input.text }}"),
                    model=lk.Model("openai/m", base_url=served.base_url),
                )  # fmt: skip
                wires += [attempt.wire for attempt in (await call.acall(text="x")).attempts]
            return wires

    assert asyncio.run(scenario()) == ["json_schema", "tool", "json_schema", "tool"]


@pytest.mark.parametrize("status", [500, 429, 401])
def test_what_is_no_refusal_of_the_form_changes_no_form(status: int):
    """It is asked again as it was, or not at all."""
    answers = iter([status, 200, 200])

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        now = next(answers)
        return await always(completion(CARD) if now == 200 else {"error": "no"}, status=now)(request, asked)

    _, served = ask(answer, times=2)

    assert ["response_format" in body for body in served.bodies] == [True, True]


def _only(limit: str, said: Any) -> Answer:
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[limit]

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if other in asked:
            return await always({"error": said}, status=400)(request, asked)
        return await always(completion(CARD))(request, asked)

    return answer


@pytest.mark.parametrize(
    "said",
    [
        {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                    "instead.", "param": "max_tokens", "code": "unsupported_parameter"},
        {"message": "Extra inputs are not permitted: max_tokens"},
        {"message": "bad request"},
    ],
    ids=["OpenAI", "pydantic", "no words"],
)  # fmt: skip
def test_the_limit_of_tokens_goes_under_the_name_that_the_server_takes(said: Any):
    """Switched once, and remembered."""
    results, served = ask(_only("max_completion_tokens", said), times=3, model={"max_tokens": 50})

    assert [result.value for result in results] == [Sorted(intent="card")] * 3
    assert [body.get("max_completion_tokens") for body in served.bodies[-2:]] == [50, 50]
    assert all(body["response_format"] for body in served.bodies[-2:])


def test_a_limit_that_is_too_large_is_not_sent_under_another_name():
    """A server that does not know the other name would answer without any."""
    said = {"message": "max_tokens is too large: 99999. This model supports at most 16384", "param": "max_tokens"}
    (result,), served = ask(always({"error": said}, status=400), output=str, model={"max_tokens": 99_999})

    assert ended(result) == (None, "bug")
    assert len(served.bodies) == 1
    assert "Model(max_tokens=None)" in result.attempts[0].message


def test_a_server_that_does_not_send_usage_is_asked_without():
    """Its answers stream all the same."""

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if "stream_options" in asked:
            said = {"error": {"message": "extra fields not permitted: stream_options"}}
            return await always(said, status=422)(request, asked)
        return await stream(*TWO)(request, asked)

    results, served = ask(answer, times=2, streamed=True)

    assert [result.value for result in results] == [Sorted(intent="card")] * 2
    assert len(served.bodies) == 3


@pytest.mark.parametrize(
    ("model", "error", "mend"),
    [
        ({"temperature": 0.0}, {"message": "Unsupported value: 'temperature' is not 0.0", "param": "temperature"},
         "Model(temperature=None)"),
        ({"temperature": 0.0}, {"message": "temperature is deprecated for this model"}, "Model(temperature=None)"),
        ({"top_k": 5}, {"message": "Unrecognized request argument supplied: top_k"}, "Model(top_k=None)"),
        ({"stop": "x"}, {"message": "Unsupported parameter: 'stop'"}, "Model(stop=())"),
        ({"reasoning_effort": "low"}, {"message": "no", "param": "reasoning_effort"}, "Model(reasoning_effort=None)"),
        ({"logprobs": True}, {"message": "logprobs are not supported", "param": "logprobs"}, "Model(logprobs=False)"),
        ({"extra": {"tier": 1}}, {"message": "Unknown parameter", "param": "tier"}, "change 'tier' in Model(extra=)"),
    ],
    ids=["value", "deprecated", "top_k", "stop", "effort", "logprobs", "extra"],
)  # fmt: skip
def test_a_parameter_that_is_refused_is_named_with_the_mend(model: Any, error: Any, mend: str):
    """Who reads the message knows what to change."""
    result = result_of(always({"error": error}, status=400), output=str, model=model)

    assert ended(result) == (None, "bug")
    assert mend in result.attempts[0].message


def test_nothing_is_sent_that_was_not_asked_for():
    """Leading providers refuse a temperature."""
    _, served = ask(always(completion("hello")), output=str)

    assert served.bodies[0] == {
        "model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": False
    }  # fmt: skip


# --- failed generations -----------------------------------------------------------------------------------------------

FAILED = {
    "message": "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
    "type": "invalid_request_error", "code": "json_validate_failed", "failed_generation": '{"intent": "cardd"}',
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (FAILED, "schema", '{"intent": "cardd"}'),
        (FAILED | {"failed_generation": CARD}, "schema", CARD),
        (FAILED | {"failed_generation": "It is about a card."}, "parse", "It is about a card."),
        (FAILED | {"failed_generation": ""}, "parse", ""),
        ({"message": "Failed to call a function", "code": "tool_use_failed"}, "parse", ""),
        ({"message": "no", "failed_generation": "hm"}, "parse", "hm"),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("place", ["status", "body", "event"])
def test_a_failed_generation_is_the_models_fault_and_asked_about_again(error: Any, outcome: str, text: str, place: str):
    """The provider checked the answer itself; the model is told, and it is still asked in the same way."""
    count = iter(range(9))

    async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
        if next(count):
            return await always(completion(CARD))(request, asked)
        if place == "event":
            return await always(b"event: error\ndata: " + json.dumps({"error": error}).encode() + b"\n\n")(
                request, asked
            )
        body = {"error": error | ({"status_code": 400} if place == "body" else {})}
        return await always(body, status=400 if place == "status" else 200)(request, asked)

    policy = lk.Policy(deadline_s=10, reask=1, retry=lk.Retry(max_attempts=3, backoff_s=0.001))
    (first, second), served = ask(answer, times=2, policy=policy)

    assert (first.value, second.value) == (Sorted(intent="card"),) * 2
    assert [(attempt.kind, attempt.outcome) for attempt in first.attempts] == [("first", outcome), ("reask", "ok")]
    assert first.attempts[0].text == text
    assert all("response_format" in body for body in served.bodies)
    assert "rejected" in served.bodies[1]["messages"][-1]["content"]


def test_a_generation_that_ran_out_of_tokens_is_truncated():
    """Asking again would run out again."""
    said = FAILED | {"message": "max completion tokens reached before generating a valid document"}

    assert ended(result_of(always({"error": said}, status=400))) == (None, "truncated")


# --- addresses and proxies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["?api-version=1", "/?api-version=1", "/chat/completions?api-version=1"])
def test_what_follows_a_question_mark_stays_at_the_end(suffix: str):
    """Azure's way to say a version."""
    (result,), served = ask(always(completion(CARD)), address=lambda url: url + suffix)

    assert result.value == Sorted(intent="card")
    assert served.paths == ["/v1/chat/completions?api-version=1"]


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5"])
def test_a_socks_proxy_is_refused_at_once_in_plain_words(variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch):
    """It is no matter of the network that another request might mend."""
    monkeypatch.setenv(variable, f"{scheme}://user:hidden@127.0.0.1:1080")
    policy = lk.Policy(deadline_s=10, retry=lk.Retry(max_attempts=3, backoff_s=0.001))
    (result,), served = ask(always(completion(CARD)), policy=policy)

    assert ended(result) == (None, "bug")
    assert (len(result.attempts), served.bodies) == (1, [])
    said = result.attempts[0].message
    assert "SOCKS" in said and variable in said and "no_proxy" in said and "hidden" not in said


@pytest.mark.parametrize(
    "exceptions",
    ["localhost,127.0.0.0/8,::1", "127.0.0.1", "*", "127.0.0.0/8", "10.0.0.0/8 127.0.0.1/32", "localhost, 127.0.0.1 "],
)
def test_a_server_on_this_machine_is_asked_directly_where_no_proxy_says_so(
    exceptions: str, monkeypatch: pytest.MonkeyPatch
):
    """Also by its network, as a desktop sets it by itself."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", exceptions)

    assert result_of(always(completion(CARD))).value == Sorted(intent="card")
