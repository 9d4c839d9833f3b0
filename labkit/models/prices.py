"""What a completion costs: dollars from tokens, where a price is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from labkit.extras import spec_of
from labkit.models.model import Model, Price
from labkit.models.protocol import Usage

__all__ = ["cost_usd", "price_of"]

_TABLE = "model_prices_and_context_window_backup.json"
_ANSWERING = frozenset({"chat", "completion", "responses"})
_FREE = Price(prompt_usd=0.0, completion_usd=0.0)


def price_of(model: Model) -> Price | None:
    """Give the price of *model*, or None where nobody said it.

    ``Model(price=)`` comes first. The embedded model computes in this process and is free. The rest is the list inside
    the installed litellm distribution: the provider's base rates and those for cached prompts, without its discounts
    for batches and its surcharges for very long prompts. A model at a ``base_url`` is somebody else's offer and not in
    it.
    """
    if model.price is not None:
        return model.price
    if model.base_url is not None:
        return None
    if model.provider == "offline":
        return _FREE
    return _listed().get(model.name)


def cost_usd(usage: Usage | None, price: Price | None) -> float | None:
    """Give the cost in US dollars; None, never 0, where tokens or price are unknown.

    Of estimated usage it is an estimate: ``Usage.estimated`` says so.
    """
    if usage is None or price is None:
        return None
    cached = 0 if price.cached_usd is None else min(usage.cached_tokens, usage.prompt_tokens)
    fresh_usd = (usage.prompt_tokens - cached) * price.prompt_usd
    cached_usd = cached * (price.cached_usd or 0.0)
    return (fresh_usd + cached_usd + usage.completion_tokens * price.completion_usd) / 1_000_000


@lru_cache(maxsize=1)
def _listed() -> Mapping[str, Price]:
    """Read the list once, without importing litellm: that takes 2.7 s and 180 MB, this 20 ms."""
    spec = spec_of("litellm")
    if spec is None or spec.origin is None:
        return {}
    path = Path(spec.origin).with_name(_TABLE)
    if not path.is_file():
        return {}
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    prices: dict[str, Price] = {}
    for key, row in table.items():
        price = _price(row)
        if price is not None:
            for name in _names(key, row["litellm_provider"]):
                prices.setdefault(name, price)
    return prices


def _price(row: Mapping[str, Any]) -> Price | None:
    prompt, completion = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    # A row of zeros is a subscription or somebody's own hardware: not billed by token, which is not the same as free.
    if row.get("mode") not in _ANSWERING or not row.get("litellm_provider") or not (prompt or completion):
        return None
    cached = row.get("cache_read_input_token_cost")
    return Price(
        prompt_usd=round((prompt or 0.0) * 1e6, 9),
        completion_usd=round((completion or 0.0) * 1e6, 9),
        cached_usd=None if cached is None else round(cached * 1e6, 9),
    )


def _names(key: str, provider: str) -> Iterator[str]:
    """The list says "gpt-4o-mini" and "gemini/gemini-2.5-flash"; a model's name always says its provider."""
    family = provider.partition("-")[0].removesuffix("_converse").removesuffix("_chat")  # "vertex_ai-language-models"
    for prefix in dict.fromkeys((provider, family)):
        if key.startswith(f"{prefix}/"):
            yield key
            return
    yield f"{family}/{key}"
    if provider != family:
        yield f"{provider}/{key}"
