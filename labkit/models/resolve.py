"""From a model's name to the client that speaks to it."""

from __future__ import annotations

import functools

from labkit.models.litellm_client import LitellmClient
from labkit.models.model import Model
from labkit.models.offline.client import OfflineModel
from labkit.models.protocol import Client

__all__ = ["client_for"]


@functools.lru_cache(maxsize=256)
def client_for(model: Model) -> Client:
    """Give the client for *model*; equal models share one, and with it their connections.

    Raises:
        CallInvalid: An ``offline/`` model that does not exist.
    """
    if model.client == "offline" or (model.client == "auto" and model.provider == "offline"):
        return OfflineModel(model)
    return LitellmClient(model)
