"""litellm is kept quiet, asked once, and understood when it fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from labkit.errors import ModelError
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.protocol import CompletionRequest, Message, Sampling

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_without_litellm_the_definition_fails_and_says_what_to_install():
    """Found when the call is made, not when its fallback is needed."""
    code = (
        "import sys; sys.modules['litellm'] = None\n"
        "from labkit.models.resolve import client_for\n"
        "from labkit.models.model import Model\n"
        "client_for(Model('anthropic/claude-sonnet-4-5'))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "MissingDependency: model 'anthropic/claude-sonnet-4-5' needs litellm" in done.stderr
    assert "pip install 'labkit[litellm]'" in done.stderr


def test_loading_it_changes_nothing_and_says_nothing(tmp_path: Path):
    """Nothing of ./.env in the environment, no advice on stdout."""
    (tmp_path / ".env").write_text("LEAKED_FROM_DOTENV=1\n")
    code = (
        "import asyncio, os\n"
        "from labkit.models.litellm_client import LitellmClient\n"
        "from labkit.models.model import Model\n"
        "from labkit.models.protocol import CompletionRequest, Message\n"
        "from labkit.errors import ModelError\n"
        "asked = CompletionRequest(messages=(Message('user', 'x'),))\n"
        "try: asyncio.run(LitellmClient(Model('nobody/x')).complete(asked))\n"
        "except ModelError as error: print(error.outcome, 'LEAKED_FROM_DOTENV' in os.environ)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)

    assert done.stdout == "bug False\n"


def test_an_unknown_provider_is_a_fault_of_the_definition():
    """A misspelt name is not retried; the message says how it should look."""
    with pytest.raises(ModelError, match="LLM Provider NOT provided") as caught:
        asyncio.run(LitellmClient(Model("nobody/x")).complete(_request()))

    assert caught.value.outcome == "bug"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"), ("gemini/gemini-2.5-flash", "GEMINI_API_KEY")],
)
def test_a_missing_key_of_any_provider_is_an_auth_failure(name: str, variable: str, monkeypatch: pytest.MonkeyPatch):
    """litellm reports it with status 401, 500 or none, depending on the provider."""
    for key in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(key, raising=False)

    with pytest.raises(ModelError, match=variable) as caught:
        asyncio.run(LitellmClient(Model(name)).complete(_request()))

    assert caught.value.outcome == "auth"


@asynccontextmanager
async def _recording(bodies: list[Any]) -> AsyncIterator[str]:
    """A server that writes down what it is sent, and is always down."""

    async def handle(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        return web.json_response({"message": "down"}, status=500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_provider_without_response_format_gets_the_schema_in_words():
    """The schema is not lost, and it is still one request."""
    bodies: list[str] = []

    async def scenario() -> ModelError:
        async with _recording(bodies) as address:
            client = LitellmClient(Model("cohere_chat/command-r", base_url=address, api_key="k"))
            with pytest.raises(ModelError) as caught:
                await client.complete(_request(schema=SCHEMA))
            return caught.value

    error = asyncio.run(scenario())

    assert error.outcome == "transport"
    assert len(bodies) == 1
    assert "JSON Schema" in bodies[0]


def test_a_provider_without_seed_and_log_probabilities_answers_without():
    """Who has them not can still stand in for one who has; a missing temperature would change the answers."""
    bodies: list[str] = []

    async def ask(sampling: Sampling) -> ModelError:
        async with _recording(bodies) as address:
            client = LitellmClient(Model("anthropic/claude-3-5-haiku-20241022", base_url=address, api_key="k"))
            with pytest.raises(ModelError) as caught:
                await client.complete(_request(sampling=sampling))
            return caught.value

    error = asyncio.run(ask(Sampling(seed=3, logprobs=True)))

    assert error.outcome == "transport"
    assert len(bodies) == 1


def _request(**changes: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message("user", "x"),), **changes)
