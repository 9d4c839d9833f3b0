"""A model is what was asked for: nothing more is sent, and nothing more is in the fingerprint."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from desk import support_desk

import labkit as lk
from labkit.errors import CallInvalid
from labkit.models.resolve import client_for


def _fingerprint(**parameters: Any) -> str:
    return support_desk().replace(model=lk.Model("offline/nearest", **parameters)).versions["model"]


@pytest.mark.parametrize(
    "parameters",
    [{"temperature": 0.0}, {"max_tokens": 5}, {"top_p": 0.5}, {"top_k": 5}, {"seed": 1}, {"stop": "x"},
     {"reasoning_effort": "low"}, {"logprobs": True}, {"extra": {"service_tier": "flex"}}],
    ids=str,
)  # fmt: skip
def test_a_parameter_is_in_the_fingerprint_where_it_is_set(parameters: dict[str, Any]):
    """It changes the answers; one that is not set changes nothing, also when labkit learns it later."""
    assert _fingerprint() != _fingerprint(**parameters) == _fingerprint(**parameters)


def test_what_is_not_set_is_not_in_the_fingerprint():
    """Whether it was said to be unset or not said at all."""
    assert _fingerprint(temperature=None, stop=(), extra={}, logprobs=False) == _fingerprint()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"messages": []}, "'messages' is labkit's to send"),
        ({"model": "other"}, "'model' is labkit's to send"),
        ({"stream": True}, "'stream' is labkit's to send"),
        ({"response_format": {}}, "'response_format' is labkit's to send"),
        ({"tools": []}, "'tools' is labkit's to send"),
        ({"n": 2}, "'n' is labkit's to send"),
        ({"temperature": 1}, r"Model\(temperature=\)"),
        ({"max_completion_tokens": 1}, r"Model\(max_tokens=\)"),
        ({"when": len}, "JSON data"),
        ({"share": float("nan")}, "JSON data"),
        ({1: 2}, "write '1'"),
        ("flex", "give a dict"),
    ],
    ids=str,
)
def test_what_is_labkits_to_send_cannot_be_overridden(extra: Any, said: str):
    """Found when the model is made; an answer in a form that was not asked for could not be read."""
    with pytest.raises(CallInvalid, match=said):
        lk.Model("openai/gpt-5-mini", extra=extra)


def test_a_model_cannot_be_changed_from_outside():
    """Its fingerprint would no longer be true."""
    extra: dict[str, Any] = {"metadata": {"team": "cards"}}
    stop = ["END"]
    model = lk.Model("openai/gpt-5-mini", extra=extra, stop=stop)
    extra["metadata"]["team"] = "cash"
    stop.append("STOP")

    assert (model.extra, model.stop) == ({"metadata": {"team": "cards"}}, ("END",))


def test_a_model_travels_and_is_shared():
    """Equal ones have one client, also in another process."""
    model = lk.Model("openai/m", base_url="http://127.0.0.1:1/v1", extra={"a": [1]}, stop=("x",))
    other = lk.Model("openai/m", base_url="http://127.0.0.1:1/v1", extra={"a": [2]}, stop=("x",))

    assert pickle.loads(pickle.dumps(model)) == model
    assert client_for(pickle.loads(pickle.dumps(model))) is client_for(model) is not client_for(other)


def test_without_a_temperature_the_embedded_model_takes_the_nearest_label():
    """As at 0."""
    texts = [f"I lost my card number {n}" for n in range(5)]
    none, zero = (
        [
            support_desk().replace(model=lk.Model("offline/nearest", temperature=temperature))(text=text).value
            for text in texts
        ]
        for temperature in (None, 0.0)
    )

    assert none == zero
