"""The model server speaks OpenAI's format, fails on demand, counts, and stops."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

import labkit as lk
from labkit.models.faults import Faults, Injector
from labkit.models.server import ModelServer


def _post(server: ModelServer, body: Any) -> tuple[int, dict[str, Any], Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.base_url}/chat/completions", data=data)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, dict(response.headers), json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read())


HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_it_answers_as_the_client_behind_it():
    """The body has the form that OpenAI's clients read."""
    with ModelServer(lk.ScriptedModel("hi there")) as server:
        status, headers, body = _post(server, HELLO)
        counts = server.counts

    assert (status, body["object"], body["model"]) == (200, "chat.completion", "m")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hi there", "refusal": None}
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert headers["x-request-id"] == body["id"]
    assert counts.requests == 1


def test_a_forced_tool_takes_the_answer_as_its_arguments():
    """Providers without a schema field are asked this way."""
    tool = {"type": "function", "function": {"name": "answer", "parameters": {"type": "object"}}}
    choice = {"type": "function", "function": {"name": "answer"}}
    with ModelServer(lk.ScriptedModel('{"a": 1}')) as server:
        _, _, body = _post(server, HELLO | {"tools": [tool], "tool_choice": choice})

    assert body["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "answer", "arguments": '{"a": 1}'}


@pytest.mark.parametrize("body", [b"{", {}, {"messages": []}, {"messages": [{"role": "tool", "content": "x"}]}])
def test_a_request_it_cannot_read_is_a_400(body: Any):
    """As with a real provider, the caller learns what is wrong."""
    with ModelServer(lk.ScriptedModel("x")) as server:
        status, _, answer = _post(server, body)

    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


def test_faults_are_drawn_from_the_seed_and_counted():
    """A drill can be repeated, and its counts are true."""
    faults = Faults(seed=3, error_500=0.2, rate_limited=0.2, malformed=0.2)
    twin = Injector(faults)
    expected = [twin.draw() for _ in range(40)]

    with ModelServer(lk.ScriptedModel('{"a": 1}'), faults=faults) as server:
        statuses = [_post(server, HELLO)[0] for _ in range(40)]
        counts = server.counts

    assert statuses == [{"error_500": 500, "rate_limited": 429}.get(kind or "", 200) for kind in expected]
    assert counts.faults == twin.counts
    assert set(counts.faults) == {"error_500", "rate_limited", "malformed"}


def test_a_malformed_answer_is_not_the_json_that_was_asked_for():
    """It arrives with status 200, as in life."""
    with ModelServer(lk.ScriptedModel('{"a": 1}'), faults=Faults(malformed=1.0)) as server:
        status, _, body = _post(server, HELLO)

    assert status == 200
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("faults", "said"), [({"hang": 1.5}, "from 0 to 1"), ({"hang": 0.6, "malformed": 0.6}, "come to 1.2 of all")]
)
def test_shares_that_cannot_be_are_refused(faults: dict[str, float], said: str):
    """A drill of more than all requests is a typo."""
    with pytest.raises(ValueError, match=said):
        Faults(**faults)


def test_a_taken_port_is_an_error_at_start():
    """Not a server that nobody reaches."""
    with ModelServer(lk.ScriptedModel("x")) as server:
        port = int(server.base_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            ModelServer(lk.ScriptedModel("x"), port=port).start()
