"""What a completion cost, from the price table inside the litellm distribution, read without importing litellm."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import logging
from typing import Any

from labkit.models.model import Model, Price
from labkit.models.protocol import Usage

__all__ = ["cost_usd", "price_of"]

log = logging.getLogger("labkit.models")

_FREE = Price(prompt_usd=0.0, completion_usd=0.0)


def price_of(model: Model) -> Price | None:
    """Give *model*'s price: its own, else the table's; None where neither knows it. The embedded model is free."""
    if model.price is not None:
        return model.price
    if model.provider == "offline":
        return _FREE
    return _listed(model.name)


def cost_usd(usage: Usage, price: Price | None) -> float | None:
    """Give the cost of *usage* in US dollars; None, never 0, where the price is not known."""
    if price is None:
        return None
    return (usage.prompt_tokens * price.prompt_usd + usage.completion_tokens * price.completion_usd) / 1e6


@functools.cache
def _listed(name: str) -> Price | None:
    table = _table()
    entry = table.get(name) or table.get(name.partition("/")[2])
    if not isinstance(entry, dict):
        return None
    prompt, completion = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not isinstance(prompt, (int, float)) or not isinstance(completion, (int, float)):
        return None
    return Price(prompt_usd=prompt * 1e6, completion_usd=completion * 1e6)


@functools.cache
def _table() -> dict[str, Any]:
    """The table, empty where litellm is not installed: importing litellm for it would take 2.7 s and 180 MB."""
    try:
        files = importlib.metadata.files("litellm") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for file in files:
        if file.name == "model_prices_and_context_window_backup.json":
            try:
                table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                log.warning("the price table of litellm cannot be read, costs are unknown: %s", error)
                return {}
            return table
    return {}
