"""From the name of a model to the client that speaks to it."""

from __future__ import annotations

from functools import lru_cache

from labkit.errors import CallInvalid
from labkit.models.model import Model
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
    # A process speaks to one or two kinds of model: importing the clients of all would double what labkit costs.
    match _choice(model):
        case "offline":
            from labkit.models.offline.client import OfflineModel

            return OfflineModel(model)
        case "direct":
            from labkit.models.direct import DirectClient

            return DirectClient(model)
        case _:
            from labkit.models.litellm_client import LitellmClient, check_provider

            client = LitellmClient(model)
            check_provider(model)
            return client


def _choice(model: Model) -> str:
    if model.client != "auto":
        return model.client
    if model.base_url is not None or model.provider == "openai":
        return "direct"
    return "offline" if model.provider == "offline" else "litellm"
