"""Thousands of answers as servers may send them, whole and spoilt: the right value, or no value.

An answer is drawn with its form on the wire, then cut, reordered, doubled, re-typed, robbed of parts, or ended in
another way. The oracle is what the body says in words of the format alone, read here without labkit. Whatever was done:
the value is the oracle's or there is none, nothing is raised, and no deadline passes.

LABKIT_EXAMPLES=5000 draws as many.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from provider import provider
from pydantic import BaseModel, TypeAdapter, ValidationError

import labkit as lk
from labkit.call.bridge import run_sync
from labkit.models.direct import DirectClient

EXAMPLES = int(os.environ.get("LABKIT_EXAMPLES", "300"))
SETTINGS = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

Output = Literal["text", "value", "tool"]


class Question(BaseModel):
    text: str


class Value(BaseModel):
    label: Literal["card", "cash", "other"]
    note: str
    counts: list[int] = []


TYPES: dict[Output, Any] = {"text": str, "value": Value, "tool": Value}
UNSET = object()


# --- what is sent -----------------------------------------------------------------------------------------------------


@dataclass
class Response:
    """An answer on its way: its bodies, how they are written, and what was done to them."""

    output: Output
    said: str
    asked_for_pieces: bool
    in_pieces: bool
    bodies: list[Any]
    done: bool = True
    style: dict[str, Any] = field(default_factory=dict)
    spoilt: list[str] = field(default_factory=list)

    def raw(self) -> bytes:
        style = self.style
        if not self.in_pieces:
            raw = "".join(_json(body, style["ascii"]) for body in self.bodies)
            return (
                style["before"].encode() + raw.encode() + (b"\ndata: [DONE]\n\n" if style["done_after_json"] else b"")
            )
        end = style["line_end"]
        lines: list[str] = []
        for n, body in enumerate(self.bodies):
            data = body if isinstance(body, str) else _json(body, style["ascii"])
            if n % style["every"] == 0:
                lines += style["between"]
            lines += [f"data:{style['blank']}{data}", ""]
        if self.done:
            lines += ["data: [DONE]", ""]
        return (style["bom"] + end.join([*lines, ""])).encode()

    def blocks(self) -> list[bytes]:
        raw = self.raw()
        raw = raw[: len(raw) * self.style["kept"] // 1000] if "cut" in self.spoilt else raw
        size = self.style["block"]
        return [raw[start : start + size] for start in range(0, len(raw), size)]


def _json(body: Any, in_ascii: bool) -> str:
    written = json.dumps(body, ensure_ascii=in_ascii)
    is_whole = not any("\ud800" <= each <= "\udfff" for each in written)
    return written if is_whole else json.dumps(body)  # half a character has no other form


answers = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(
    lambda text: bool(text.strip("\u200b\ufeff").strip()) and text.isprintable()
)
values = st.builds(
    Value,
    label=st.sampled_from(["card", "cash", "other"]),
    note=st.text(st.characters(codec="utf-8"), max_size=30),
    counts=st.lists(st.integers(-9, 10**9), max_size=4),
)


@st.composite
def said(draw: st.DrawFn, output: Output) -> str:
    if output == "text":
        return draw(answers)
    value = draw(values)
    return json.dumps(value.model_dump(), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))


@st.composite
def responses(draw: st.DrawFn) -> Response:
    output = draw(st.sampled_from(["text", "value", "tool"]))
    text = draw(said(output))
    in_pieces = draw(st.booleans())
    bodies = draw(_pieces(text, output)) if in_pieces else [draw(_whole(text, output))]
    style = {
        "ascii": draw(st.booleans()), "before": draw(st.sampled_from(["", "\ufeff", "\n \n"])),
        "done_after_json": draw(st.booleans()), "line_end": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "bom": draw(st.sampled_from(["", "\ufeff"])), "blank": draw(st.sampled_from(["", " "])),
        "every": draw(st.integers(1, 3)), "block": draw(st.sampled_from([1, 2, 7, 64, 10**6])),
        "between": draw(st.sampled_from([[], [": ping", ""], ["data:", ""], ["id: 7", "event: a"], ["retry: 3", ""]])),
        "kept": draw(st.integers(0, 999)),
    }  # fmt: skip
    response = Response(
        output=output, said=text, asked_for_pieces=draw(st.booleans()) if draw(st.booleans()) else in_pieces,
        in_pieces=in_pieces, bodies=bodies, style=style,
    )  # fmt: skip
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3]))):
        draw(_spoiling(response))
    return response


def _usage(draw: st.DrawFn) -> Any:
    return draw(
        st.sampled_from(
            [None, {}, {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, {"prompt_tokens": None}]
        )
    )


def _message(text: str, output: Output, form: str) -> dict[str, Any]:
    if output == "tool":
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "answer", "arguments": text}}
        return {"content": "I'll do so." if form == "beside" else None, "tool_calls": [call]}
    if form == "parts":
        return {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": text}]}
    if form == "object" and output == "value":
        return {"content": json.loads(text)}
    if form == "thoughts":
        return {"content": text, "reasoning_content": '{"label": "cash", "note": "draft"}'}
    return {"content": text}


@st.composite
def _whole(draw: st.DrawFn, text: str, output: Output) -> dict[str, Any]:
    form = draw(st.sampled_from(["plain", "plain", "parts", "object", "thoughts", "beside"]))
    message = {"role": "assistant", **_message(text, output, form), "refusal": None}
    reason = "tool_calls" if output == "tool" else draw(st.sampled_from(["stop", "STOP", "end_turn"]))
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": _usage(draw)}


@st.composite
def _pieces(draw: st.DrawFn, text: str, output: Output) -> list[Any]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    if draw(st.booleans()):  # every character outside the first plane in two halves
        parts = [half for part in parts for half in _halves(part)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}] if draw(st.booleans()) else []
    deltas += [{"reasoning_content": "hm "}] * draw(st.integers(0, 2))
    for n, part in enumerate(parts):
        if output != "tool":
            deltas.append({"content": part})
            continue
        function: dict[str, Any] = {"arguments": part} | ({"name": "answer"} if n == 0 else {})
        deltas.append({"tool_calls": [{"index": 0, "function": function}]})
    end = "tool_calls" if output == "tool" else "stop"
    events = [
        {"model": "m", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": None}]}
        for d in deltas
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
    if draw(st.booleans()):
        events.append({"choices": [], "usage": _usage(draw)})
    return events


def _halves(text: str) -> Iterator[str]:
    for each in text:
        pair = each.encode("utf-16-be", "surrogatepass")
        yield from (chr(int.from_bytes(pair[n : n + 2], "big")) for n in range(0, len(pair), 2))


# --- what is done to it -----------------------------------------------------------------------------------------------

OTHER_ENDS = ["length", "MAX_TOKENS", "content_filter", "SAFETY", "error", "abort", "OTHER", None, 7, {}, ["stop"], ""]
ERRORS = [
    {"error": {"message": "engine died", "code": 500}}, {"error": "engine died"},
    [{"error": {"message": "engine died"}}],
    {"object": "error", "message": "engine died", "code": 503}, {"message": "engine died", "type": "server_error"},
]  # fmt: skip
OTHER_TYPES = [None, 7, 0.5, True, "x", "", [], [7], ["x"], {}, {"a": 1}, [{}], [None]]
GARBAGE = ["{", "null", "7", '"x"', "[]", "engine died"]


def _spoiling(response: Response) -> st.SearchStrategy[None]:
    @st.composite
    def spoil(draw: st.DrawFn) -> None:
        bodies = response.bodies
        kinds = ["cut", "retype", "remove", "end", "error", "choice"]
        if response.in_pieces:
            kinds += ["drop", "double", "swap", "garbage", "no done", "done early"]
        kind = draw(st.sampled_from(kinds))
        at = draw(st.integers(0, max(0, len(bodies) - 1)))
        response.spoilt.append(kind)
        if not bodies or (kind not in ("cut", "no done", "error", "garbage") and not isinstance(bodies[at], dict)):
            return
        match kind:
            case "retype" | "remove":
                places = list(_places(bodies[at]))
                if places:
                    _put(bodies, at, draw(st.sampled_from(places)), kind, draw(st.sampled_from(OTHER_TYPES)))
            case "end":
                reason = draw(st.sampled_from(OTHER_ENDS))
                last = bodies[-1]
                choices = last.get("choices") if isinstance(last, dict) else None
                for choice in choices if isinstance(choices, list) else ():
                    if isinstance(choice, dict):
                        choice["finish_reason"] = reason
            case "error":
                bodies.insert(at if response.in_pieces else 0, draw(st.sampled_from(ERRORS)))
                if not response.in_pieces:
                    del bodies[1:]
            case "choice":
                other = {
                    "index": 1,
                    "delta": {"content": "no"},
                    "message": {"content": "no"},
                    "finish_reason": "length",
                }
                if isinstance(bodies[at].get("choices"), list):
                    bodies[at]["choices"].insert(draw(st.integers(0, 1)), other)
            case "drop":
                del bodies[at]
            case "double":
                bodies.insert(at, copy.deepcopy(bodies[at]))
            case "swap":
                other_at = draw(st.integers(0, len(bodies) - 1))
                bodies[at], bodies[other_at] = bodies[other_at], bodies[at]
            case "garbage":
                bodies.insert(at, draw(st.sampled_from(GARBAGE)))
            case "no done":
                response.done = False
            case "done early":
                bodies.insert(at, "[DONE]")

    return spoil()


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON data but the top."""
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _put(bodies: list[Any], at: int, path: tuple[Any, ...], kind: str, value: Any) -> None:
    holder = bodies[at] = copy.deepcopy(bodies[at])
    for key in path[:-1]:
        holder = holder[key]
    if kind == "remove":
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(value)


# --- what it says, in words of the format alone -----------------------------------------------------------------------

BAD_ENDS = {"length", "MAX_TOKENS", "content_filter", "SAFETY", "error", "abort"}


class NoAnswer(Exception):
    """The body holds none."""


def oracle(response: Response) -> Any:
    """Give the value that *response* holds, UNSET where it holds none."""
    try:
        text = _text_of(response)
        if response.output == "text":
            return text if text.strip() else UNSET
        return Value.model_validate_json(text, strict=True)
    except (NoAnswer, ValidationError):
        return UNSET


def _text_of(response: Response) -> str:
    content, arguments, ends, calls = "", "", [], False
    is_done = False
    for body in response.bodies:
        if body == "[DONE]":
            is_done = True
            break
        choice = _choice_of(body)
        if choice is None:
            continue
        ends.append(choice.get("finish_reason"))
        part = choice.get("delta") if response.in_pieces else choice.get("message")
        if part is None and response.in_pieces:
            continue
        if not isinstance(part, dict):
            raise NoAnswer
        content += _content_of(part.get("content"), response.output)
        for call in part.get("tool_calls") or ():
            if not isinstance(call, dict) or not isinstance(call.get("function"), dict | None):
                raise NoAnswer
            calls = True
            said = (call.get("function") or {}).get("arguments")
            arguments += json.dumps(said) if isinstance(said, dict) else said if isinstance(said, str) else ""
    if any(isinstance(end, str) and end in BAD_ENDS for end in ends):
        raise NoAnswer
    if response.in_pieces and not (response.done or is_done) and not any(ends):
        raise NoAnswer
    text = arguments if calls and (response.output == "tool" or not content.strip()) else content
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _choice_of(body: Any) -> dict[str, Any] | None:
    if not isinstance(body, dict) or body.get("error") or body.get("object") == "error" or "message" in body:
        raise NoAnswer
    choices = body.get("choices")
    if not choices:
        return None
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        raise NoAnswer
    return next((each for each in choices if type(each.get("index")) is not int or each["index"] != 1), None)


def _content_of(content: Any, output: Output) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [part.get("text") for part in content if part.get("type") in (None, "text", "output_text")]
        return "".join(text for text in texts if isinstance(text, str))
    if output == "text":
        raise NoAnswer
    return json.dumps(content)


# --- the call ---------------------------------------------------------------------------------------------------------


class _Content:
    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = iter(blocks)

    async def readany(self) -> bytes:
        return next(self._blocks, b"")


@dataclass
class _Received:
    """A response whose body is at hand."""

    status: int
    content: _Content
    headers: Any = field(default_factory=lambda: CIMultiDictProxy(CIMultiDict()))

    def close(self) -> None:
        """There is no connection."""


class OverBytes(DirectClient):
    """The direct client with bytes in the place of a network; all that reads them is its own."""

    def __init__(self, output: Output) -> None:
        super().__init__(lk.Model("openai/m", base_url=f"http://{output}.example/v1"))
        self._takes_tools_only = output == "tool"
        self.next: list[bytes] = []

    async def _post(self, route: Any, body: bytes) -> Any:
        if self._takes_tools_only and b'"response_format"' in body:
            return _Received(400, _Content([b'{"error": "response_format is not supported"}']))
        return _Received(200, _Content(self.next))


def _call(output: Output, model: Any, *, deadline_s: float = 30.0, in_pieces: bool) -> lk.GuardedCall[Any]:
    return lk.GuardedCall(
        "answer", input=Question, output=TYPES[output], prompt=lk.Prompt(user="{{ input.text }}"), model=model,
        policy=lk.Policy(
            deadline_s=deadline_s, retry=lk.Retry(max_attempts=1), breaker=None, repair="strict",
            attempt=lk.Attempt(first_token_s=deadline_s) if in_pieces else lk.Attempt(),
        ),
    )  # fmt: skip


CLIENTS: dict[Output, OverBytes] = {output: OverBytes(output) for output in TYPES}
CALLS = {
    (output, pieces): _call(output, CLIENTS[output], in_pieces=pieces) for output in TYPES for pieces in (False, True)
}


def _check(response: Response, result: lk.Result[Any]) -> None:
    original = TypeAdapter(TYPES[response.output])
    meant = response.said if response.output == "text" else original.validate_json(response.said)
    if not response.spoilt:
        assert result.ok, result.reason
        assert result.value == meant
        return
    if result.ok:
        # cut off, what is served must be all of it
        assert result.value == (meant if response.spoilt == ["cut"] else oracle(response))
    else:
        assert result.reason is not None
        # an error of the server may be called so; one of labkit's own has no status
        assert result.reason.outcome != "bug" or result.attempts[0].status is not None, result.reason


@SETTINGS
@given(responses())
def test_the_value_is_the_right_one_or_there_is_none(response: Response):
    """Never a wrong value, and never an exception, whatever a server does to its answer."""
    CLIENTS[response.output].next = response.blocks()

    _check(response, CALLS[response.output, response.asked_for_pieces](text="hello"))


@settings(SETTINGS, max_examples=max(40, EXAMPLES // 50))
@given(responses(), st.sampled_from(["ends", "hangs", "breaks"]))
def test_over_a_network_as_well(response: Response, how: str):
    """With a connection that hangs or breaks at any place; the deadline holds."""
    deadline_s = 0.4 if how == "hangs" else 20.0
    if how != "ends":
        response.spoilt.append("cut")

    async def scenario() -> lk.Result[Any]:
        async def answer(request: web.Request, asked: Any) -> web.StreamResponse:
            if response.output == "tool" and "response_format" in asked:
                return web.json_response({"error": "response_format is not supported"}, status=400)
            reply = web.StreamResponse()
            await reply.prepare(request)
            for block in response.blocks():
                await reply.write(block)
            transport = request.transport
            if how == "breaks" and transport is not None:
                transport.close()
            while how == "hangs" and transport is not None and not transport.is_closing():
                await asyncio.sleep(0.01)
            return reply

        async with provider(answer) as served:
            model = lk.Model("openai/m", base_url=served.base_url)
            call = _call(response.output, model, deadline_s=deadline_s, in_pieces=response.asked_for_pieces)
            return await call.acall(text="hello")

    result = run_sync(scenario())

    assert result.elapsed_s < deadline_s + 5.0
    _check(response, result)


def test_what_is_drawn_is_neither_all_served_nor_all_refused():
    """Of the answers that nothing was done to, nearly all; of the others some: the tests above check something."""
    served: Counter[tuple[bool, bool]] = Counter()
    refused: list[str] = []

    @settings(SETTINGS, max_examples=200)
    @given(responses())
    def collect(response: Response) -> None:
        CLIENTS[response.output].next = response.blocks()
        result = CALLS[response.output, response.asked_for_pieces](text="hello")
        served[bool(response.spoilt), result.ok] += 1
        if not response.spoilt and result.reason is not None:
            refused.append(f"{result.reason.outcome}: {result.reason.message}")

    collect()

    assert served[False, True] > max(10, 20 * served[False, False]), refused
    assert served[True, True] > 10 < served[True, False]
