"""The direct client against somebody else's server: LiteLLM's proxy, with labkit's model server behind it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from labkit.errors import ModelError
from labkit.models.faults import Faults
from labkit.models.model import Model
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest, Message
from labkit.models.resolve import client_for
from labkit.models.server import ModelServer

NEEDED = (
    *("litellm", "apscheduler", "backoff", "cryptography", "expression", "fastapi", "fastapi_sso", "jwt", "mcp"),
    *("orjson", "python_multipart", "soundfile", "uvicorn", "websockets"),
)
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"LiteLLM's proxy needs {', '.join(MISSING)}: pip install 'labkit-llm[dev]'"
)

SERVE = """
import os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["CONFIG_FILE_PATH"] = sys.argv[1]
import uvicorn
uvicorn.run("litellm.proxy.proxy_server:app", host="127.0.0.1", port=0, loop="asyncio", log_level="info")
"""

KEY = "sk-of-the-proxy"
KEY_BEHIND = "sk-of-the-provider"
SCHEMA = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": ["card_arrival", "exchange_rate"]}},
    "required": ["intent"],
    "additionalProperties": False,
}
QUESTION = CompletionRequest(messages=(Message("user", "Where is my card?"),))


@dataclass(frozen=True)
class Proxy:
    base_url: str
    behind: ModelServer

    def model(self, name: str = "nearest", key: str = KEY) -> Client:
        return client_for(Model(f"openai/{name}", base_url=self.base_url, api_key=key))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Starts the proxy once; it takes some ten seconds to import."""
    with ModelServer(api_key=KEY_BEHIND) as behind:

        def deployment(name: str, **params: Any) -> dict[str, Any]:
            known = {"model": "openai/nearest", "api_base": behind.base_url, "api_key": KEY_BEHIND}
            return {"model_name": name, "litellm_params": known | params}

        config = {
            "model_list": [
                deployment("nearest"),
                deployment("with-a-wrong-key", api_key="sk-wrong"),
                deployment("used-up", rpm=0),
            ],
            "general_settings": {"master_key": KEY},
            "router_settings": {
                "num_retries": 0,
                "disable_cooldowns": True,
                "optional_pre_call_checks": ["enforce_model_rate_limits"],
            },
        }
        path = tmp_path_factory.mktemp("proxy") / "config.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        with subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            # what it says once it runs is read and forgotten, or it would stop at a full pipe
            rest = threading.Thread(target=process.stdout.read, daemon=True)
            try:
                address = _address(process.stdout)
                rest.start()
                yield Proxy(address, behind)
            finally:
                process.kill()  # it would wait for requests that hang on purpose
                if rest.ident is not None:
                    rest.join()


def _address(said: Iterable[str]) -> str:
    lines = []
    for line in said:
        lines.append(line)
        if running := re.search(r"Uvicorn running on (http://\S+)", line):
            return f"{running[1]}/v1"
    raise AssertionError(f"the proxy did not start:\n{''.join(lines)[-3_000:]}")


@pytest.fixture(autouse=True)
def well(proxy: Proxy) -> None:
    proxy.behind.faults = Faults()


def completed(proxy: Proxy, request: CompletionRequest = QUESTION, **model: str) -> Completion:
    return asyncio.run(proxy.model(**model).complete(request))


def test_a_completion_with_its_usage(proxy: Proxy):
    """Text, tokens, the model that answered, an id for support."""
    completion = completed(proxy)

    assert (completion.finish_reason, completion.wire, completion.model) == ("stop", "text", "nearest")
    assert completion.text
    assert completion.request_id
    assert completion.usage is not None
    assert (completion.usage.estimated, completion.usage.prompt_tokens > 0) == (False, True)


def test_a_schema_arrives_behind_the_proxy(proxy: Proxy):
    """As response_format, and the answer fits it."""
    completion = completed(proxy, CompletionRequest(messages=QUESTION.messages, schema=SCHEMA, schema_name="triage"))

    sent = proxy.behind.requests[-1]["response_format"]
    assert (completion.wire, sent["json_schema"]["schema"]) == ("json_schema", SCHEMA)
    assert json.loads(completion.text).keys() == {"intent"}


def test_a_stream_ends_with_the_whole_answer_and_its_usage(proxy: Proxy):
    """Pieces first, then one completion that is their sum."""

    async def chunks() -> list[Chunk]:
        return [chunk async for chunk in proxy.model().stream(QUESTION)]

    *pieces, last = asyncio.run(chunks())

    assert last.completion is not None
    assert "".join(piece.text for piece in pieces) == last.completion.text != ""
    assert last.completion.usage is not None
    assert not last.completion.usage.estimated


@pytest.mark.parametrize(
    ("fault", "outcome", "status"),
    [("rate_limited", "rate_limited", 429), ("error_500", "transport", 500), ("error_503", "transport", 503)],
)
def test_what_fails_behind_the_proxy_has_its_outcome(proxy: Proxy, fault: str, outcome: str, status: int):
    """A gateway's errors are told apart like the provider's own."""
    proxy.behind.faults = Faults(**{fault: 1.0})  # type: ignore[arg-type]

    with pytest.raises(ModelError) as failed:
        completed(proxy)

    assert (failed.value.outcome, failed.value.status) == (outcome, status)
    assert "injected" in str(failed.value)


def test_an_unknown_model_is_a_wrong_definition_and_named(proxy: Proxy):
    """The proxy's own message is in the error."""
    with pytest.raises(ModelError, match="no-such-model") as failed:
        completed(proxy, name="no-such-model")

    assert failed.value.outcome == "bug"


def test_a_key_that_is_rejected_is_told_from_a_wrong_request(proxy: Proxy):
    """The provider's 401 comes through; what may be wrong is the key."""
    with pytest.raises(ModelError, match="Incorrect API key provided") as failed:
        completed(proxy, name="with-a-wrong-key")

    assert (failed.value.outcome, failed.value.status) == ("auth", 401)


def test_a_key_that_the_proxy_does_not_know_gets_no_answer(proxy: Proxy):
    """Without its database LiteLLM says 400 where others say 401; nobody behind it is asked."""
    before = proxy.behind.counts.requests

    with pytest.raises(ModelError, match=r"HTTP 40[01]"):
        completed(proxy, key="sk-of-a-stranger")

    assert proxy.behind.counts.requests == before


def test_the_proxys_own_limit_is_rate_limited(proxy: Proxy):
    """A gateway that says no by itself is as good a reason to wait."""
    before = proxy.behind.counts.requests

    with pytest.raises(ModelError, match="rate limit exceeded") as failed:
        completed(proxy, name="used-up")

    assert (failed.value.outcome, failed.value.status, failed.value.retry_after_s) == ("rate_limited", 429, 60.0)
    assert proxy.behind.counts.requests == before


def test_a_stream_that_fails_before_it_begins_is_an_error_with_its_status(proxy: Proxy):
    """As it is for a completion in one piece."""
    proxy.behind.faults = Faults(error_503=1.0)

    async def first() -> Chunk:
        return await anext(proxy.model().stream(QUESTION))

    with pytest.raises(ModelError, match="injected") as failed:
        asyncio.run(first())

    assert (failed.value.outcome, failed.value.status) == ("transport", 503)


def test_a_reader_that_leaves_a_stream_ends_it_all_the_way(proxy: Proxy):
    """The proxy sees the closed connection and lets go of the provider: no tokens are made for nobody."""
    proxy.behind.faults = Faults(hang_in_body=1.0)
    before = proxy.behind.counts.aborted

    async def scenario() -> str:
        stream = proxy.model().stream(QUESTION)
        piece = await anext(stream)
        await stream.aclose()
        return piece.text

    assert asyncio.run(scenario())
    assert proxy.behind.wait_until(lambda counts: counts.aborted > before)


def test_a_call_that_is_cancelled_leaves_the_next_one_alone(proxy: Proxy):
    """It ends at once, though the proxy goes on waiting for its provider."""
    proxy.behind.faults = Faults(hang=1.0)
    before = proxy.behind.counts.faults.get("hang", 0)

    async def scenario() -> None:
        task = asyncio.create_task(proxy.model().complete(QUESTION))
        assert await asyncio.to_thread(proxy.behind.wait_until, lambda counts: counts.faults.get("hang", 0) > before)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.behind.faults = Faults()
        assert (await proxy.model().complete(QUESTION)).text

    asyncio.run(scenario())
