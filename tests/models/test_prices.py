"""Costs are known or None, and the price list is read without importing litellm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labkit.models.model import Model, Price
from labkit.models.prices import cost_usd, price_of
from labkit.models.protocol import Usage


@pytest.mark.parametrize("name", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_a_listed_model_has_its_price(name: str):
    """Whichever way the list spells it; the order of magnitude is checked, and completions cost more than prompts."""
    price = price_of(Model(name))

    assert price is not None
    assert 0.01 < price.prompt_usd < price.completion_usd < 100


@pytest.mark.parametrize(
    "model",
    [
        Model("openai/no-such-model"),
        Model("nobody/gpt-4o-mini"),
        Model("mistral/gpt-4o-mini"),
        Model("openai/gpt-4o-mini", base_url="http://127.0.0.1:1/v1"),
        Model("ollama/llama2"),
        Model("openai/sample_spec"),
    ],
    ids=str,
)
def test_an_unknown_price_is_none_never_zero(model: Model):
    """A model of another provider, at another address, or on one's own hardware has no listed price."""
    assert price_of(model) is None


def test_a_cost_without_price_or_tokens_is_none():
    """A cost of nothing would be a lie."""
    assert cost_usd(Usage(prompt_tokens=10), None) is None
    assert cost_usd(None, Price(prompt_usd=1.0, completion_usd=1.0)) is None


def test_a_price_of_ones_own_wins():
    """For a server of one's own, or a contract."""
    model = Model("openai/gpt-4o-mini", price=Price(prompt_usd=1.0, completion_usd=2.0))

    assert cost_usd(Usage(prompt_tokens=1_000_000, completion_tokens=500_000), price_of(model)) == pytest.approx(2.0)


def test_the_embedded_model_is_free():
    """Its cost is known: nothing."""
    assert cost_usd(Usage(prompt_tokens=10), price_of(Model("offline/nearest"))) == 0.0


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_reading_the_list_does_not_import_litellm():
    """It would cost seconds and 180 MB."""
    code = (
        "import sys; from labkit.models.model import Model; from labkit.models.prices import price_of; "
        "assert price_of(Model('openai/gpt-4o-mini')); print('litellm' in sys.modules)"
    )

    assert _run(code) == "False"


def test_without_litellm_prices_are_unknown():
    """Not zero, and not an error: a service may run without it."""
    code = (
        "import sys; sys.modules['litellm'] = None; from labkit.models.model import Model; "
        "from labkit.models.prices import price_of; print(price_of(Model('openai/gpt-4o-mini')))"
    )

    assert _run(code) == "None"
