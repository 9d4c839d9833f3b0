"""litellm is kept quiet, asked once, and understood when it fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from provider import Provider, always, provider

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
    assert "pip install 'labkit-llm[litellm]'" in done.stderr


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


def test_a_provider_without_response_format_gets_the_schema_in_words():
    """The schema is not lost, and it is still one request."""
    error, served = _failure("cohere_chat/command-r", _request(schema=SCHEMA))

    assert error.outcome == "transport"
    assert len(served.bodies) == 1
    assert "JSON Schema" in json.dumps(served.bodies[0])


def test_a_provider_without_seed_and_log_probabilities_answers_without():
    """Who has them not can still stand in for one who has; a missing temperature would change the answers."""
    error, served = _failure("anthropic/claude-3-5-haiku-20241022", _request(sampling=Sampling(seed=3, logprobs=True)))

    assert error.outcome == "transport"
    assert len(served.bodies) == 1


def _failure(name: str, request: CompletionRequest) -> tuple[ModelError, Provider]:
    """Ask a provider that is always down."""

    async def scenario() -> tuple[ModelError, Provider]:
        async with provider(always({"message": "down"}, status=500)) as served:
            client = LitellmClient(Model(name, base_url=served.origin, api_key="k"))
            with pytest.raises(ModelError) as caught:
                await client.complete(request)
            return caught.value, served

    return asyncio.run(scenario())


def _request(**changes: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message("user", "x"),), **changes)
