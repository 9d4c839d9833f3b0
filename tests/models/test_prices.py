"""Costs are known or None, and the price table is read without importing litellm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labkit.models.model import Model, Price
from labkit.models.prices import cost_usd, price_of
from labkit.models.protocol import Usage


def test_a_listed_model_has_its_price():
    """The order of magnitude is checked: prices per million tokens, completions dearer than prompts."""
    price = price_of(Model("openai/gpt-4o-mini"))

    assert price is not None
    assert 0.01 < price.prompt_usd < price.completion_usd < 10


def test_an_unknown_price_is_none_never_zero():
    """A cost of nothing would be a lie."""
    assert price_of(Model("openai/no-such-model", base_url="http://127.0.0.1:1/v1")) is None
    assert cost_usd(Usage(prompt_tokens=10), None) is None


def test_a_price_of_ones_own_wins():
    """For a server of one's own."""
    model = Model("openai/gpt-4o-mini", price=Price(prompt_usd=1.0, completion_usd=2.0))

    assert cost_usd(Usage(prompt_tokens=1_000_000, completion_tokens=500_000), price_of(model)) == pytest.approx(2.0)


def test_the_embedded_model_is_free():
    """Its cost is known: nothing."""
    assert cost_usd(Usage(prompt_tokens=10), price_of(Model("offline/nearest"))) == 0.0


def test_reading_the_table_does_not_import_litellm():
    """It would cost seconds and 180 MB."""
    code = (
        "import sys; from labkit.models.model import Model; from labkit.models.prices import price_of; "
        "assert price_of(Model('openai/gpt-4o-mini')); print('litellm' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
