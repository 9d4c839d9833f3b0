"""From the name of a model to its client."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.errors import CallInvalid
from labkit.models.direct import DirectClient
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.resolve import client_for
from labkit.models.scripted import ScriptedModel


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("offline/nearest", OfflineModel),
        (Model("offline/nearest", client="offline"), OfflineModel),
        ("openai/gpt-4o-mini", DirectClient),
        (Model("ollama_chat/llama3.2", base_url="http://127.0.0.1:1/v1"), DirectClient),
        (Model("offline/nearest", base_url="http://127.0.0.1:1/v1"), DirectClient),
        ("anthropic/claude-sonnet-4-5", LitellmClient),
        ("ollama_chat/llama3.2", LitellmClient),
        (Model("openai/gpt-4o-mini", client="litellm"), LitellmClient),
        (Model("openai/m", base_url="http://127.0.0.1:1/v1", client="litellm"), LitellmClient),
    ],
    ids=str,
)
def test_each_model_has_its_client(model: str | Model, kind: type[Any]):
    """By name and address, or as the model itself says."""
    client = client_for(model)

    assert type(client) is kind
    assert client.name == (model if isinstance(model, str) else model.name)


def test_equal_models_share_one_client():
    """And with it their connections and what was learnt about the server."""
    assert client_for("offline/nearest") is client_for(Model("offline/nearest"))
    assert client_for(Model("groq/x", temperature=0.5)) is not client_for(Model("groq/x", temperature=0.6))


def test_a_client_is_its_own_client():
    """Tests bring theirs."""
    model = ScriptedModel("x")

    assert client_for(model) is model


@pytest.mark.parametrize("model", [None, 7, ["openai/m"], ScriptedModel], ids=["none", "number", "list", "class"])
def test_anything_else_is_refused_with_what_to_write(model: Any):
    """At the definition, with an example."""
    with pytest.raises(CallInvalid, match="openai/gpt-4o-mini"):
        client_for(model)


def test_an_embedded_model_that_does_not_exist_is_refused():
    """A typo is found before anything is asked."""
    with pytest.raises(CallInvalid, match="offline/nearest"):
        client_for("offline/gpt")
