"""From the name of a model to the client that speaks to it."""

from __future__ import annotations

from functools import lru_cache

from labkit.errors import CallInvalid
from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.protocol import Client

__all__ = ["client_for"]


def client_for(model: str | Model | Client) -> Client:
    """Give the client for *model*; equal models share one.

    Raises:
        CallInvalid: It is neither a name, a ``Model`` nor a client, or its client cannot speak to it.
        MissingDependency: Its client is litellm, which is not installed.
    """
    if isinstance(model, str):
        model = Model(model)
    if isinstance(model, Model):
        return _shared(model)
    if isinstance(model, Client) and not isinstance(model, type):
        return model
    raise CallInvalid(
        f"model={model!r} is not a model: give a name such as 'openai/gpt-4o-mini', a Model(...), "
        "or an object with 'name', 'complete' and 'stream'"
    )


@lru_cache(maxsize=256)
def _shared(model: Model) -> Client:
    match _choice(model):
        case "offline":
            return OfflineModel(model)
        case _:
            return LitellmClient(model)


def _choice(model: Model) -> str:
    if model.client != "auto":
        return model.client
    return "offline" if model.provider == "offline" and model.base_url is None else "litellm"
